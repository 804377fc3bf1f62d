"""The project as a whole: its public surface, its layout, and what must not stand in it."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import imagefinder

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "imagefinder"
SURFACE = {
    "AddReport",
    "Box",
    "DecodeLimits",
    "FillReport",
    "Hit",
    "IdPart",
    "ImageFinder",
    "ImageFinderError",
    "ImagePart",
    "ImageRecord",
    "ImportReport",
    "IndexReport",
    "Query",
    "Skipped",
    "SpaceStatus",
    "Status",
    "TableColumns",
    "TextPart",
    "Upload",
    "__version__",
    "errors",
}
HEAVY = {
    "PIL",
    "fastapi",
    "fsspec",
    "httpx",
    "numpy",
    "onnxruntime",
    "pi_heif",
    "pydantic",
    "rich",
    "typer",
    "zvec",
}
USED_BY_OTHERS = {"httptools", "python-multipart"}  # by uvicorn, and by FastAPI for forms
SOURCES = ("src", "tools", "benchmarks")
LONGEST = 400  # lines of a source file
VAGUE = re.compile(r"(utils?|helpers?|common|misc)(\.py)?", re.IGNORECASE)
# The brackets keep this file from breaking the rule itself.
FORBIDDEN = [
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.~-])/(wo[r]k|tm[p]|roo[t])/",  # a path of the machine it was written on
        r"\bpyp[i]\.org\b",  # the host of a package registry
        r"\bpythonhoste[d]\.org\b",
        r"\bnpmj[s]\.(com|org)\b",
        r"\bdebia[n]\.org/debian\b",
    )
]


def test_the_public_surface_is_this() -> None:
    assert set(imagefinder.__all__) == SURFACE
    assert set(dir(imagefinder)) == SURFACE
    for name in SURFACE:
        assert getattr(imagefinder, name) is not None, name


def test_no_other_name_of_ours_can_be_imported() -> None:
    script = (
        "import imagefinder;"
        "print(*(name for name, value in vars(imagefinder).items() if not name.startswith('_')"
        " and getattr(value, '__module__', '').startswith('imagefinder')))"
    )
    assert set(_python(script).split()) <= SURFACE


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = set(_python("import imagefinder, sys; print(*sys.modules)").split())
    assert "imagefinder" in loaded
    assert not loaded & HEAVY


def test_the_version_is_the_one_that_is_installed() -> None:
    assert imagefinder.__version__ == importlib.metadata.version("imagefinder")


def test_the_version_has_its_place_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{imagefinder.__version__}]" in changelog


def test_what_the_package_imports_is_what_it_depends_on() -> None:
    """Neither by way of another package, nor an extra that nothing uses any more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {Requirement(line).name for line in project["dependencies"]}
    extras = {
        Requirement(line).name
        for lines in project["optional-dependencies"].values()
        for line in lines
    }
    providers = importlib.metadata.packages_distributions()
    modules = chain.from_iterable(_foreign_modules(path) for path in PACKAGE.rglob("*.py"))
    used: set[str] = set()
    for top in set(modules):
        named = {canonicalize_name(name) for name in providers.get(top, [top])}
        # several packages may be parts of one, as of `google`: then it is the one we depend on
        used |= named & (base | extras) or named
    assert used - base - extras == set()
    assert base - used == USED_BY_OTHERS
    assert not base & {"torch", "pyarrow", "faiss-cpu", "s3fs"}


def _foreign_modules(source: Path) -> Iterator[str]:
    """The packages that a source file imports from, at its top or within."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        tops = {module.partition(".")[0] for module in modules}
        yield from tops - sys.stdlib_module_names - {"imagefinder"}


def test_no_source_file_is_too_long_to_read() -> None:
    sources = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert PACKAGE / "__init__.py" in lengths
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_every_file_has_a_name_that_says_something() -> None:
    vague = [
        path
        for path in _project_files()
        if any(VAGUE.fullmatch(part) for part in path.relative_to(ROOT).parts)
    ]
    assert vague == []


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=lambda pattern: pattern.pattern)
def test_no_file_names_a_machine_or_a_registry(forbidden: re.Pattern[str]) -> None:
    found = []
    for path in _project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # a picture, a model
            continue
        found += [
            f"{path}:{n}: {line}" for n, line in enumerate(lines, 1) if forbidden.search(line)
        ]
    assert found == []


def _project_files() -> list[Path]:
    """The files that git has or would take; without git, what is in a source archive."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(
            command, cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        folders = [ROOT / name for name in (*SOURCES, "docs", "tests")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if "__pycache__" not in path.parts]
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def _python(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
