"""What a figure was measured on: without it the figure says nothing."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("imagefinder", "fastapi", "numpy", "onnxruntime", "pillow", "uvicorn", "zvec")
BUSY = 0.35  # of the cores in use, on average over the last minute


def describe() -> dict[str, str | int | float]:
    """The machine in words; nothing that names it."""
    return {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Of the packages that the figures depend on."""
    return {name: version(name) for name in PACKAGES}


def commit() -> str:
    """The commit that is checked out, with `+` when files differ from it."""
    head = git("rev-parse", "--short=12", "HEAD") or "none"
    code = ("src", "benchmarks/*.py", "benchmarks/load", "benchmarks/peers")
    changed = git("status", "--porcelain", "--", *code)
    return f"{head}+" if changed else head


def git(*arguments: str) -> str:
    """What git prints; empty where it fails, as before the first commit."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def busy() -> str:
    """How much else is running, in words; empty when the machine is quiet."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load {load:.1f} on {cores} cores" if load > BUSY * cores else ""


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
