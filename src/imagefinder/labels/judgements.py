"""What is a right answer to which query."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Judgements:
    """The right answers to queries, which are images of a collection themselves.

    `classes` is the class of each labelled image, empty for a ground truth; `queries` are the ids
    that have a right answer, in order. `unlabelled` images of the collection have no label, and
    `unknown` rows or answers name no image of it; `alone` are queries without a right answer.
    """

    classes: Mapping[str, str]
    queries: Sequence[str]
    unlabelled: int = 0
    unknown: int = 0
    alone: int = 0
    _answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    _contents: Mapping[str, str] = field(default_factory=dict, repr=False)
    _members: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    _twins: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of_classes(
        cls,
        classes: Mapping[str, str],
        contents: Mapping[str, str],
        *,
        unlabelled: int = 0,
        unknown: int = 0,
    ) -> Self:
        """Right is what has the same class. `contents` is the SHA-256 of each image's bytes."""
        contents = {id: contents[id] for id in classes}
        whole = cls(
            classes,
            (),
            unlabelled=unlabelled,
            unknown=unknown,
            _contents=contents,
            _members=gathered(classes),
            _twins=gathered(contents),
        )
        return whole._with_queries(sorted(classes))

    @classmethod
    def of_answers(
        cls,
        answers: Mapping[str, Mapping[str, int]],
        contents: Mapping[str, str],
        *,
        unknown: int = 0,
    ) -> Self:
        """Right is what a ground truth says: the ids for each query, with their grades. `contents`
        is the SHA-256 of the bytes of every image that may be found."""
        whole = cls(
            {},
            (),
            unknown=unknown,
            _answers=answers,
            _contents=contents,
            _twins=gathered(contents),
        )
        return whole._with_queries(sorted(answers))

    def relevant(self, query: str) -> Mapping[str, int]:
        """The right answers with their grades, from 1: 1 each where the class decides.

        The query itself and exact copies of it, which no search has to be clever for, are not
        among them."""
        if self._answers:
            answers = self._answers[query]
        else:
            answers = dict.fromkeys(self._members[self.classes[query]], 1)
        copies = self.copies(query)
        return {id: grade for id, grade in answers.items() if id not in copies}

    def copies(self, query: str) -> Collection[str]:
        """The query and the images whose bytes are the same."""
        content = self._contents[query]
        return {query, *self._twins[content]} if content else {query}

    def __contains__(self, id: str) -> bool:
        """Whether it is known of the image if it is right."""
        return id in self._contents

    def __len__(self) -> int:
        """How many images that is known of."""
        return len(self._contents)

    def _with_queries(self, asked: Sequence[str]) -> Self:
        queries = [query for query in asked if self._has_answer(query)]
        return type(self)(
            self.classes,
            queries,
            self.unlabelled,
            self.unknown,
            len(asked) - len(queries),
            self._answers,
            self._contents,
            self._members,
            self._twins,
        )

    def _has_answer(self, query: str) -> bool:
        if self._answers:
            return bool(self.relevant(query))
        copies = self.copies(query)  # of a large class only the first few need a look
        return any(id not in copies for id in self._members[self.classes[query]])


def gathered(values: Mapping[str, str]) -> dict[str, list[str]]:
    """value -> the keys that have it; not for the empty value."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, value in values.items():
        if value:
            found[value].append(key)
    return dict(found)
