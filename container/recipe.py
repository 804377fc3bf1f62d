"""The Dockerfile and its .dockerignore, as far as this project's use the format."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import Template

KNOWN = {
    *("FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE"),
    *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL"),
}
FLAG = re.compile(r"--([\w-]+)=(\S+)\s+")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: `RUN --mount=type=secret,id=pip command` has a flag and a value."""

    keyword: str
    flags: tuple[tuple[str, str], ...]
    value: str

    def flag(self, name: str) -> str | None:
        return dict(self.flags).get(name)

    def mounts(self) -> list[dict[str, str]]:
        """The `--mount` flags, each as a mapping."""
        mounts = [value for name, value in self.flags if name == "mount"]
        return [dict(part.split("=", 1) for part in mount.split(",")) for mount in mounts]


@dataclass(slots=True)
class Stage:
    """What a FROM begins."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)

    def last(self, keyword: str) -> Step:
        """The step that counts where a later one replaces an earlier one."""
        return [step for step in self.steps if step.keyword == keyword][-1]

    def words(self, keyword: str) -> list[str]:
        """The exec form of ENTRYPOINT, CMD or HEALTHCHECK."""
        words: list[str] = json.loads(self.last(keyword).value.removeprefix("CMD "))
        return words

    def environment(self) -> dict[str, str]:
        """The variables at the end of the stage."""
        environment = {"PATH": DEFAULT_PATH}
        for step in self.steps:
            if step.keyword == "ENV":
                environment |= assignments(step.value, environment)
        return environment


def read_stages(dockerfile: Path) -> list[Stage]:
    """The stages in their order. Raises ValueError for what is not understood."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for step in read_steps(dockerfile.read_text(encoding="utf-8")):
        if step.keyword == "FROM":
            base, _, name = step.value.partition(" AS ")
            stages.append(Stage(name, Template(base).substitute(arguments)))
        elif stages:
            stages[-1].steps.append(step)
        else:
            arguments |= assignments(step.value, {})
    return stages


def read_steps(text: str) -> Iterator[Step]:
    """The instructions: without comments, each on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        keyword, _, rest = line.partition(" ")
        if keyword not in KNOWN:
            raise ValueError(f"{keyword}: this instruction is not understood")
        flags = []
        while match := FLAG.match(rest):
            flags.append((match[1], match[2]))
            rest = rest[match.end() :]
        yield Step(keyword, tuple(flags), rest.strip())


def assignments(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """`NAME=VALUE ...` of an ENV or an ARG. Raises KeyError for an unknown variable."""
    pairs = (part.split("=", 1) for part in shlex.split(text))
    return {name: Template(value).substitute(known) for name, value in pairs}


def build_context(folder: Path) -> list[Path]:
    """The files that `.dockerignore` lets through, relative to the folder."""
    lines = (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    files = []
    for place, folders, names in os.walk(folder):
        above = Path(place).relative_to(folder)
        folders[:] = [name for name in folders if may_hold((above / name).as_posix(), rules)]
        files += [above / name for name in names]
    return sorted(file for file in files if not is_ignored(file.as_posix(), rules))


def may_hold(name: str, rules: list[str]) -> bool:
    """Whether anything in a folder can get through."""
    return not is_ignored(name, rules) or any(rule.startswith(f"!{name}/") for rule in rules)


def is_ignored(name: str, rules: list[str]) -> bool:
    """The last rule that fits a path or one of the folders above it decides."""
    parts = name.split("/")
    places = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ignored = False
    for rule in rules:
        pattern = rule_pattern(rule.removeprefix("!"))
        if any(pattern.fullmatch(place) for place in places):
            ignored = not rule.startswith("!")
    return ignored


@cache
def rule_pattern(rule: str) -> re.Pattern[str]:
    """`*` stays within a name, `**/` is any number of folders, none too."""
    parts = re.split(r"(\*\*/|\*)", rule)
    meaning = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(meaning.get(part) or re.escape(part) for part in parts))
