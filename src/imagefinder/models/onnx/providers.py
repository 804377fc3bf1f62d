"""What ONNX Runtime computes on."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from imagefinder.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "coreml", "openvino")

Provider: TypeAlias = tuple[str, Mapping[str, str]]  # its name in the runtime, and its options

# In the order in which `auto` takes them.
PROVIDERS: dict[str, Provider] = {
    # the default search tries every algorithm again for each new size of a batch, which takes
    # seconds, and the last batch of a run is always of a new size
    "cuda": ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}),
    "coreml": ("CoreMLExecutionProvider", {}),
    "openvino": ("OpenVINOExecutionProvider", {}),
    "cpu": ("CPUExecutionProvider", {}),
}

REMEDIES = {
    "cuda": "pip uninstall onnxruntime, then pip install onnxruntime-gpu (one replaces the other)",
    "coreml": "it takes a Mac, where onnxruntime has it",
    "openvino": "pip uninstall onnxruntime, then pip install onnxruntime-openvino",
}


def providers_for(device: str, available: Sequence[str]) -> list[Provider]:
    """The execution providers for a device of DEVICES, of those that the runtime has, best first;
    the CPU, which computes what the others cannot, is always last.

    Raises UsageError that says what there is, and how to come by the one that is missing.
    """
    if device not in DEVICES:
        raise UsageError(f"{device}: no such device; there are: {', '.join(DEVICES)}")
    there = [name for name, (provider, _) in PROVIDERS.items() if provider in available]
    if device == "auto":
        return [PROVIDERS[name] for name in there if name != "cpu"] + [PROVIDERS["cpu"]]
    if device not in {*there, "cpu"}:
        raise UsageError(
            f"{device}: this ONNX Runtime computes on {', '.join(['auto', *there])} only;"
            f" for {device}: {REMEDIES[device]}"
        )
    return [PROVIDERS[name] for name in dict.fromkeys((device, "cpu"))]


def runs_on(device: str, providers: Sequence[str]) -> bool:
    """Whether a session with these providers computes on the device that was asked for."""
    return device == "auto" or PROVIDERS[device][0] in providers
