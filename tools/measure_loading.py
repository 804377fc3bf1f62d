"""Prints how long ONNX Runtime takes to load the built-in model, and to embed one picture.

    pip install onnxruntime
    python tools/measure_loading.py

Every level of graph optimisation, one thread, in fresh processes; medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

MODEL = (
    Path(__file__).resolve().parent.parent
    / "src/imagefinder/models/builtin/efficientnet-lite0.onnx"
)
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")
PROCESSES = 7
PROGRAM = """
import statistics, sys, time
import numpy as np
start = time.perf_counter()
import onnxruntime
imported = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, sys.argv[2])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
loaded = time.perf_counter()
pixel_values = np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32)
runs = []
for _ in range(20):
    before = time.perf_counter()
    session.run(None, {"pixel_values": pixel_values})
    runs.append(time.perf_counter() - before)
print(imported - start, loaded - imported, statistics.median(runs))
"""


def main() -> None:
    for level in LEVELS:
        imported, loaded, run = (
            1000 * statistics.median(column)
            for column in zip(*(_seconds(level) for _ in range(PROCESSES)), strict=True)
        )
        print(f"{level}: import {imported:.0f} ms, load {loaded:.0f} ms, one picture {run:.1f} ms")


def _seconds(level: str) -> list[float]:
    command = [sys.executable, "-c", PROGRAM, str(MODEL), level]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(value) for value in printed.split()]


if __name__ == "__main__":
    main()
