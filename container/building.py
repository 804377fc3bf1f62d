"""Runs a Dockerfile's steps in overlays on a folder that stands in for its base image."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from container.recipe import DEFAULT_PATH, Stage, Step, assignments, build_context

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SECRETS = {"pip": Path("/etc/pip.conf")}  # what `docker build --secret` would be given


@dataclass(frozen=True, slots=True)
class Layers:
    """Where a stage is built: `root` shows the base with what the stage added on top."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def added(self) -> Path:
        return self.folder / "added"

    def mount(self, base: Path) -> None:
        work = self.folder / "work"
        for place in (self.root, self.added, work):
            place.mkdir(parents=True)
        layers = f"lowerdir={base},upperdir={self.added},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def build(project: Path, stages: list[Stage], base: Path, folder: Path) -> Layers:
    """Build all stages and give the layers of the last."""
    context = folder / "context"
    copy_context(project, context)
    built: dict[str | None, Path] = {None: context}
    layers = Layers(folder)
    for number, stage in enumerate(stages):
        layers = Layers(folder / f"stage-{number}")
        layers.mount(base)
        with machine_lent_to(layers):
            build_stage(stage, layers, built)
        built[stage.name] = layers.root
    return layers


def copy_context(project: Path, context: Path) -> None:
    for name in build_context(project):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / name, context / name)


@contextmanager
def machine_lent_to(layers: Layers) -> Iterator[None]:
    """What an engine gives a build, and this machine's certificates, which its network may need."""
    with ExitStack() as mounts:
        mounts.enter_context(mounted("-t", "proc", "proc", layers.inside("/proc")))
        mounts.enter_context(mounted("--rbind", "/dev", layers.inside("/dev")))
        if CERTIFICATES.exists():
            place = layers.inside(str(CERTIFICATES))
            mounts.enter_context(mounted("--bind", CERTIFICATES, place))
        yield


def build_stage(stage: Stage, layers: Layers, built: Mapping[str | None, Path]) -> None:
    environment, place = {"PATH": DEFAULT_PATH}, "/"
    for step in stage.steps:
        if step.keyword in {"COPY", "RUN"}:
            say(f"  {step.keyword} {step.value}")
        if step.keyword == "ENV":
            environment |= assignments(step.value, environment)
        elif step.keyword == "WORKDIR":
            place = step.value
            layers.inside(place).mkdir(parents=True, exist_ok=True)
        elif step.keyword == "COPY":
            copy(step, built[step.flag("from")], layers, place)
        elif step.keyword == "RUN":
            run_step(step, layers, place, environment)


def copy(step: Step, source: Path, layers: Layers, place: str) -> None:
    """A folder's content, or files; all of it becomes root's."""
    *names, target = shlex.split(step.value)
    to = layers.inside(os.path.join(place, target))
    for what in (source / name.lstrip("/") for name in names):
        if what.is_dir():
            to.mkdir(parents=True, exist_ok=True)
            run("cp", "-R", "--preserve=mode,timestamps,links", f"{what}/.", to)
            continue
        file = to / what.name if target.endswith("/") else to
        file.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "--preserve=mode,timestamps", what, file)
        if mode := step.flag("chmod"):
            file.chmod(int(mode, 8))


def run_step(step: Step, layers: Layers, place: str, environment: Mapping[str, str]) -> None:
    """As root, with a shell. How this machine reaches a package index comes along."""
    shell = f"cd {shlex.quote(place)} && {step.value}"
    with ExitStack() as mounts:
        for mount in step.mounts():
            secret = SECRETS[mount["id"]]
            target = layers.inside(mount["target"])
            if secret.exists():
                target.touch()
                mounts.callback(target.unlink)
                mounts.enter_context(mounted("--bind", secret, target))
        command = ["chroot", str(layers.root), "/bin/sh", "-c", shell]
        log = layers.folder / "log.txt"
        with log.open("ab") as sink:
            done = subprocess.run(
                command,
                env={**network_settings(), **environment},
                stdout=sink,
                stderr=sink,
                check=False,
            )
    if done.returncode:
        raise SystemExit(f"{log.read_text()}\nended with {done.returncode}: {step.value}")


def network_settings() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "SSL_CERT_FILE"
    }


@contextmanager
def mounted(*arguments: object) -> Iterator[None]:
    """The last argument is where."""
    run("mount", *arguments)
    try:
        yield
    finally:
        run("umount", "--recursive", arguments[-1])


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def output(*command: object) -> str:
    words = [str(part) for part in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
