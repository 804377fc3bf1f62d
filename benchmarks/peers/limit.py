"""The limit of indexing photographs: read, decode, resize and embed, and nothing else.

    python limit.py MODEL FOLDER pillow|simplejpeg

On every core a thread with a one-thread session of its own; nothing of ImageFinder is in it, and
the embeddings are thrown away. Prints images per second from when the sessions are there.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort
import simplejpeg
from PIL import Image

SIDE = 224
DECODED = 2 * SIDE  # with less, an embedding can be further than 0.99 from that of the full decode
Decoder = Callable[[bytes], Image.Image]


def pillow(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.draft("RGB", (DECODED, DECODED))
    return image


def with_simplejpeg(data: bytes) -> Image.Image:
    return Image.fromarray(simplejpeg.decode_jpeg(data, min_width=DECODED, min_height=DECODED))


def session(model: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def work(files: Iterator[Path], decode: Decoder, embed: ort.InferenceSession) -> None:
    (name,) = (given.name for given in embed.get_inputs())
    for file in files:
        image = decode(file.read_bytes()).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        tensor = np.asarray(image).transpose(2, 0, 1).astype(np.float32, order="C")
        embed.run(None, {name: ((tensor - 127) / 128)[None]})


def main(model: str, folder: str, decoder: str) -> None:
    decode = {"pillow": pillow, "simplejpeg": with_simplejpeg}[decoder]
    files = sorted(Path(folder).rglob("*.jpg"))
    cores = os.cpu_count() or 1
    sessions = [session(model) for _ in range(cores)]
    start = perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        shared = [iter(files)] * cores  # each thread takes the next file as it gets free
        list(pool.map(work, shared, [decode] * cores, sessions))
    print(len(files) / (perf_counter() - start))


main(*sys.argv[1:])
