"""Named array types with their shapes. Apart from types.py, since numpy takes 0.1 s to import."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]  # (height, width, 3), upright sRGB
Tensor: TypeAlias = NDArray[np.float32]  # (3, height, width), as the model wants it
Tensors: TypeAlias = NDArray[np.float32]  # (n, 3, height, width)
Embedding: TypeAlias = NDArray[np.float32]  # (dim,), of unit length where it is compared by cosine
Embeddings: TypeAlias = NDArray[np.float32]  # (n, dim), unit rows where they are compared by cosine
