"""Whole networks that learn from labels, kept only where they are better, as projections are."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.adapt.epochs import Course, Tuning
from imagefinder.adapt.examples import Examples, read_examples
from imagefinder.adapt.pictures import Pictures
from imagefinder.adapt.run import Adaptation, Plan, base_of, described, free_name, vacated, weighed
from imagefinder.adapt.threshold import operating_point
from imagefinder.errors import ModelMismatchError, UsageError
from imagefinder.ingest import no_one
from imagefinder.labels import read_labels
from imagefinder.labels.reading import has_pairs
from imagefinder.models import find_model
from imagefinder.models.description import is_adapted
from imagefinder.models.model import NetworkModel
from imagefinder.models.torch.load import load_torch, require_training
from imagefinder.types import SpaceStatus

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder
    from imagefinder.models.torch.files import NetworkFiles
    from imagefinder.models.torch.network import Network

VALIDATION = 0.25  # of what is learned from: it says when to stop, and chooses the threshold


def fine_tune(
    finder: "LocalFinder",
    labels: str | os.PathLike[str] | None = None,
    *,
    plan: Plan | None = None,
    tuning: Tuning | None = None,
    space: str | None = None,
    name: str | None = None,
    folder: Path | None = None,
    on_progress: Callable[[int, int | None], None] = no_one,
) -> Adaptation:
    """Train the network of a space, a model of transformers, on labelled images (see
    `read_labels`), and keep it as a space of its own under the conditions of `adapt`. The model is
    a `folder` of transformers, whose name the space then has, by default one called `name` within
    the collection. Images are read again; what cannot be is left out, and told in the result.
    `on_progress` gets the epochs done and the most there are, and then, where the network is kept,
    the images that its space has and their total.

    Raises UsageError, SourceError for labels and images that cannot be used, ModelError,
    MissingExtraError."""
    plan, tuning = plan or Plan(), tuning or Tuning()
    base = base_of(finder, space)
    check_network(base)
    require_training()
    name = free_name(finder, folder.name if folder else name or f"{base.name}-tuned")
    folder = place_of(finder, name, folder)
    if has_pairs(labels):
        raise UsageError(
            f"{labels}: these are judged pairs, and fine-tuning learns from labels; without"
            " --fine-tune a projection is learned from pairs"
        )
    examples = read_examples(finder, read_labels(labels, finder, label=plan.label), base.name)
    with drafted(folder) as draft:
        result = learned(finder, examples, base, plan, tuning, draft, on_progress)
        if not result.kept:
            return result
        draft.rename(folder)
    return with_space(finder, result, name, folder, on_progress)


def check_network(base: SpaceStatus) -> None:
    """Raises UsageError for the space of a model that is no network of transformers."""
    try:
        model = find_model(base.model)
    except UsageError:
        model = None
    if isinstance(model, NetworkModel):
        return
    if is_adapted(Path(base.model)):
        what = "its model is a projection of another one's embeddings"
    else:
        what = f"its model {base.model} is a graph without what learning needs"
    raise UsageError(
        f"{base.name}: {what}, and cannot be fine-tuned; a model of transformers can: add one"
        " (imagefinder models add FOLDER, or ORG/NAME), and name its space: --space NAME"
    )


def place_of(finder: "LocalFinder", name: str, folder: Path | None) -> Path:
    """Where the model will be. Raises UsageError where something is."""
    folder = folder or vacated(finder, name)
    if folder.exists():
        raise UsageError(f"{folder}: there is one already; give another name, or delete it")
    return folder


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """An empty folder beside it, which may become it, and else is gone afterwards. Made before
    anything is learned, so that where it cannot be made no time is lost. Raises UsageError."""
    new = not folder.parent.exists()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(
            f"{folder}: the model cannot be written there ({error.strerror}); name another place:"
            " --output DIR"
        ) from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if new:
            with suppress(OSError):  # the model is in it
                folder.parent.rmdir()


def learned(
    finder: "LocalFinder",
    examples: Examples,
    base: SpaceStatus,
    plan: Plan,
    tuning: Tuning,
    draft: Path,
    on_progress: Callable[[int, int | None], None],
) -> Adaptation:
    """The best network, in `draft`, and what it is worth as it is found there."""
    from imagefinder.models.torch.saving import save_description, save_network

    known, held = examples.halves(plan.test, plan.seed)
    train, validation = known.halves(VALIDATION, plan.seed)
    network, files, pictures = opened(finder, examples, base)
    tried = Course(pictures, train, validation, plan.seed).run(network, tuning, on_progress)
    save_network(network, files, draft)
    tuned = load_torch(str(draft), name=base.name, device=tuning.device)
    after = pictures.embedded(held, tuned.embed)
    scored = pictures.embedded(validation, tuned.embed).scored(plan.seed)
    threshold = operating_point(scored, precision=plan.precision, beta=plan.beta).threshold
    result = weighed(
        tried,
        held.of_ids(after.ids),
        after,
        plan,
        base=base.name,
        kind=known.kind,
        train=len([id for id in known.ids if id not in pictures.skipped]),
        threshold=threshold,
    )
    result = replace(result, skipped=tuple(pictures.skipped.values()))
    description = described(finder, result, base)
    told = {
        "learning rate": tuning.learning_rate,
        "batch": tuning.batch,
        "stopped by": len(validation),
    }
    save_description(draft, replace(description, facts={**description.facts, **told}))
    draft.chmod(0o755)  # not private, as temporary folders are
    return result


def opened(
    finder: "LocalFinder", examples: Examples, base: SpaceStatus
) -> "tuple[Network, NetworkFiles, Pictures]":
    """The network of a space, and the images as it takes them. Raises ModelError, and
    ModelMismatchError where it is not the one that the space was made by."""
    from imagefinder.models.processor import read_processor
    from imagefinder.models.torch.embedder import embedder_with
    from imagefinder.models.torch.files import find_files
    from imagefinder.models.torch.network import load_network

    files = find_files(base.model)
    network = load_network(files, read_processor(files.processor))
    embedder = embedder_with(network, files, name=base.name, device="cpu", dtype="float32")
    if (
        finder.collection.ledger.spaces.entries()[base.name].fingerprint
        != embedder.spec.fingerprint
    ):
        raise ModelMismatchError(
            f"{base.name}: its embeddings come from another version of {base.model}; embed anew:"
            " imagefinder models drop, then models add"
        )
    contents = dict(zip(examples.ids, examples.contents, strict=True))
    return network, files, Pictures(finder, embedder, contents)


def with_space(
    finder: "LocalFinder",
    result: Adaptation,
    name: str,
    folder: Path,
    on_progress: Callable[[int, int | None], None],
) -> Adaptation:
    """With the space filled. Cut off before there is one, it leaves no folder; later,
    `models add` goes on with it."""
    try:
        report = finder.add_space(str(folder), on_progress=on_progress)
    except BaseException:
        if name not in {state.name for state in finder.spaces()}:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return replace(result, space=report.space, folder=folder)
