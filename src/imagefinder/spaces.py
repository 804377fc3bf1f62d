"""The spaces of a collection: added, used, dropped, and kept up to date with each other."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event

from imagefinder.decode import DecodeLimits
from imagefinder.errors import CollectionError, ImageFinderError, UsageError
from imagefinder.ingest import Deriver, Filler, no_one
from imagefinder.models import AdaptedModel, find_model
from imagefinder.search import Computing
from imagefinder.session import Session
from imagefinder.types import Distance, FillReport, Skipped, SpaceStatus

log = logging.getLogger("imagefinder")


@dataclass(frozen=True, slots=True)
class Spaces:
    """What filling needs: `read` gives the bytes at a uri, `computing` is held while an image is
    decoded."""

    session: Session
    read: Callable[[str], bytes]
    limits: DecodeLimits
    computing: Computing

    def states(self) -> list[SpaceStatus]:
        """Every space, in the order they were added."""
        collection = self.session.collection()
        spaces, used = collection.ledger.spaces, self.session.space()
        return [
            SpaceStatus(
                name=entry.name,
                model=entry.model,
                dim=entry.dim,
                distance=entry.distance,
                images=collection.store(entry.name).count(),
                behind=spaces.behind_count(entry.name),
                in_use=entry.name == used,
                text=self.session.understands_text(entry.name),
            )
            for entry in spaces.entries().values()
        ]

    def add(
        self,
        model: str,
        distance: Distance | None,
        *,
        stop: Event | None,
        on_progress: Callable[[int, int | None], None],
        on_skipped: Callable[[Skipped], None],
    ) -> FillReport:
        """Make the space of a model, or go on with it: embed every image that it lacks."""
        self.session.collection()  # a missing one is told before anything is fetched
        space = self.session.make_space(find_model(model), distance)
        derived = self._derive(space, None, stop, on_progress)
        report = self._filler(space, stop, on_progress, on_skipped).all(failed=True)
        report.added += derived
        self.session.optimizer.poke(self.session.store(space), after_run=True)
        return report

    def keep_up(
        self, ids: Sequence[str] | None = None, *, fetch: bool, stop: Event | None = None
    ) -> list[FillReport]:
        """Bring every space up to date that lacks images (of these `ids`) nobody has tried yet. One
        whose model cannot be had stays behind, which is told."""
        return list(self._kept_up(ids, fetch, stop))

    def _kept_up(
        self, ids: Sequence[str] | None, fetch: bool, stop: Event | None
    ) -> Iterator[FillReport]:
        spaces = self.session.collection().ledger.spaces
        for entry in list(spaces.entries().values()):
            if entry.imported or not (count := spaces.behind_count(entry.name, failed=False)):
                continue
            try:
                self.session.embedder(entry.name, fetch=fetch)
            except ImageFinderError as error:
                log.warning("the space %s is %s images behind: %s", entry.name, count, error)
                continue
            derived = self._derive(entry.name, ids, stop)
            filler = self._filler(entry.name, stop)
            report = filler.all() if ids is None else filler.some(ids)
            report.added += derived
            yield report
            self.session.optimizer.poke(self.session.store(entry.name))

    def use(self, name: str) -> None:
        """Search in this space from now on, in every process to come."""
        self.session.collection().ledger.spaces.use(self.session.existing(name))

    def drop(self, name: str) -> None:
        """Delete a space. Raises UsageError for the only one."""
        space, collection = self.session.existing(name), self.session.collection()
        if collection.spaces() == [space]:
            raise UsageError(
                f"{space}: it is the collection's only space; to be rid of all of it:"
                f" imagefinder delete-collection {self.session.place.name}"
            )
        self.session.optimizer.wait()
        with collection.writing:  # so that no upload comes in between that only this space has
            lost = sum(len(ids) for ids in collection.only_in(space))
            if lost:
                raise CollectionError(
                    f"{space}: {lost} images are in no other space; bring one up to date before:"
                    f" imagefinder models add MODEL -c {self.session.place.name}"
                )
            self.session.drop(space)
            collection.drop_space(space)

    def _derive(
        self,
        space: str,
        ids: Sequence[str] | None,
        stop: Event | None,
        on_progress: Callable[[int, int | None], None] = no_one,
    ) -> int:
        """Fill the space of an adapted model, as far as its base model's space has the images; how
        many those were."""
        model, collection = self.session.model(space), self.session.collection()
        if not isinstance(model, AdaptedModel):
            return 0
        wanted = model.description.fingerprint
        for entry in collection.ledger.spaces.entries().values():
            if entry.fingerprint == wanted and entry.distance == "cosine":
                derive = Deriver(collection, space, entry.name, model.projection, stop, on_progress)
                return derive.all() if ids is None else derive.some(ids)
        return 0

    def _filler(
        self,
        space: str,
        stop: Event | None,
        on_progress: Callable[[int, int | None], None] = no_one,
        on_skipped: Callable[[Skipped], None] = no_one,
    ) -> Filler:
        return Filler(
            collection=self.session.collection(),
            space=space,
            embedder=self.session.embedder(space),
            read=self.read,
            limits=self.limits,
            computing=self.computing,
            stop=stop,
            on_progress=on_progress,
            on_skipped=on_skipped,
        )


def fetch_models(session: Session) -> None:
    """Fetch the models of the spaces that are not here; what cannot be had is told."""
    # an empty collection gets its first space within a request
    for space in session.collection().spaces() or [session.space()]:
        model = session.model(space)
        if model is not None and not model.present:
            try:
                session.embedder(space)
            except ImageFinderError as error:
                log.warning("the space %s can be searched by id only: %s", space, error)
