"""Embeddings in text, and what is asked of every embedding that comes in."""

import json
import re
from typing import TYPE_CHECKING

from imagefinder.errors import TransferError

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding
    from imagefinder.exchange.contents import Vector

# Unit rows are left as they are, bit for bit. Rounding to float32 moves a length by 1e-7, to
# float16 by up to 5e-4.
UNIT = 1e-5


def to_text(embedding: "Embedding") -> str:
    """A JSON list. numpy writes the fewest digits that read back as the same float32."""
    return f"[{', '.join(map(str, embedding))}]"


def from_text(text: str) -> "Vector":
    """Numbers from JSON, or as Python and numpy print a list, an array or a tensor."""
    import numpy as np

    try:
        vector = np.array(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    else:
        if vector.ndim == 1 or (vector.ndim == 2 and len(vector) == 1):  # [[1, 2]]: a batch of one
            return vector.reshape(-1)
    if "..." in text:
        raise TransferError(
            "the embedding is cut short with '...', as numpy prints more than 1,000 numbers; "
            "export it again with numpy.savez"
        )
    body = re.sub(r"(?:np\.|numpy\.)?float(?:16|32|64)\(([^()]*)\)", r"\1", text)
    lists = re.findall(r"[\[(]([^\[\]()]*)[\])]", body) or [body]
    numbers = re.split(r"[\s,;]+", lists[0].strip(" \t\r\n,;"))
    try:
        if len(lists) == 1 and (len(numbers) > 1 or lists[0] is not body):
            return np.array([float(number) for number in numbers])
    except ValueError:
        pass
    raise TransferError(f"the embedding is no list of numbers: {_shortened(text)}")


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."


def unit(vector: "Vector") -> "tuple[Embedding, bool]":
    """The embedding at length 1, and whether its length was another. Raises TransferError."""
    import numpy as np

    if vector.ndim != 1 or not len(vector):
        raise TransferError("the embedding is no list of numbers")
    numbers = vector.astype(np.float64)
    largest = np.abs(numbers).max()
    if not np.isfinite(largest):
        raise TransferError("the embedding holds a value that is not a finite number")
    if largest == 0:
        raise TransferError("the embedding is all zeros, which has no direction to compare")
    length = largest * np.linalg.norm(numbers / largest)  # squares of 1e200 are out of range
    if abs(length - 1) <= UNIT:
        return vector.astype(np.float32), False
    return (numbers / largest / (length / largest)).astype(np.float32), True
