"""The index over the embeddings of a space: which one, built how, searched how."""

from collections.abc import Mapping
from typing import TypeAlias

from imagefinder.stores.milvus.address import IndexChoice

__all__ = ["BUILD", "FLAT", "kind_for", "search_parameters"]

Kind: TypeAlias = str  # in Milvus' words

FLAT, HNSW, IVF_SQ8, DISKANN = "FLAT", "HNSW", "IVF_SQ8", "DISKANN"

# Up to here every embedding is compared: 10 ms, and exact. Above it a graph takes 5 ms.
FLAT_UP_TO = 20_000  # images
# The graph keeps every float32 in memory, 1.2 KB an image at 256 dimensions; IVF_SQ8 a quarter.
HNSW_UP_TO = 10_000_000  # images

BUILD: Mapping[Kind, Mapping[str, int]] = {
    FLAT: {},
    HNSW: {"M": 16, "efConstruction": 100},
    IVF_SQ8: {"nlist": 1024},  # of every segment, which holds up to 512 MB
    DISKANN: {},
}

EF = 128  # of the graph; recall 1.00 at 100,000 x 256
NPROBE = 128  # lists of IVF_SQ8
ALL = 65_536  # lists
MAX_EF = 32_768


def kind_for(choice: IndexChoice, count: int) -> Kind:
    """The index for so many images."""
    if choice != "auto":
        return {"hnsw": HNSW, "ivf_sq8": IVF_SQ8, "diskann": DISKANN}[choice]
    if count <= FLAT_UP_TO:
        return FLAT
    return HNSW if count <= HNSW_UP_TO else IVF_SQ8


def search_parameters(page: int, *, filtered: bool) -> dict[str, int]:
    """For `page` hits. Every index takes what is its own, so that nobody needs to know which one
    there is; another process may change it at any time. The lists of IVF know nothing of filters:
    what passes one may lie in any of them."""
    return {
        "ef": min(max(EF, page), MAX_EF),
        "nprobe": ALL if filtered else NPROBE,
        "search_list": max(EF, page),
    }
