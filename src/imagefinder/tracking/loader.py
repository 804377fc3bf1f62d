"""What MLflow runs to load a registered collection; a copy of this file is in each of them."""

from mlflow.models import set_model

from imagefinder.tracking.served import ServedCollection

set_model(ServedCollection())
