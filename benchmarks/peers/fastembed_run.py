"""fastembed on the same model file and the same pictures.

    python fastembed_run.py MODEL FOLDER PROCESSES

Prints images per second from the first result on: what it takes to start does not count.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from fastembed import ImageEmbedding
from fastembed.common.model_description import DenseModelDescription, ModelSource
from fastembed.image.onnx_embedding import supported_onnx_models

NAME = "bench/efficientnet-lite0"
BATCH = 4  # small, so that the results before the clock starts are few
PREPROCESSING = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
}

# Its worker processes import this file again, and must know the model, too.
supported_onnx_models.append(
    DenseModelDescription(
        model=NAME,
        dim=256,
        description="the model that ImageFinder brings",
        license="apache-2.0",
        size_in_GB=0.01,
        sources=ModelSource(hf=NAME),
        model_file="model.onnx",
    )
)


def main(model: str, folder: str, processes: int) -> None:
    files = sorted(str(file) for file in Path(folder).rglob("*.jpg"))
    with TemporaryDirectory() as directory:
        Path(directory, "model.onnx").symlink_to(Path(model).resolve())
        Path(directory, "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
        embedder = ImageEmbedding(NAME, specific_model_path=directory)
        parallel = processes if processes > 1 else None
        results = embedder.embed(files, batch_size=BATCH, parallel=parallel)
        for _ in range(BATCH):
            next(iter(results))
        start = perf_counter()
        rest = sum(1 for _ in results)
        print(rest / (perf_counter() - start))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
