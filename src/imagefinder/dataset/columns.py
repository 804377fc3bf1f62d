"""What the columns of metadata hold."""

from collections import Counter
from dataclasses import dataclass, field

from imagefinder.types import Metadata, MetadataValue

MANY = 1000  # different values of a column that are told apart


@dataclass(slots=True)
class Column:
    """One column: how many images have a value, which ones there are (the first 1,000 different
    ones), and from where to where its numbers go. `more`: there are further values."""

    name: str
    filled: int = 0
    values: Counter[str] = field(default_factory=Counter)
    more: bool = False
    numbers: int = 0
    low: float = float("inf")
    high: float = float("-inf")

    @property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return self.filled > 0 and self.numbers == self.filled

    def add(self, value: MetadataValue) -> None:
        """Count a value."""
        self.filled += 1
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self.numbers += 1
            self.low, self.high = min(self.low, value), max(self.high, value)
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        if text in self.values or len(self.values) < MANY:
            self.values[text] += 1
        else:
            self.more = True


class Columns:
    """The columns of all images, in the order in which they come up."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def add(self, metadata: Metadata) -> None:
        """Count the values of an image."""
        for name, value in metadata.items():
            if value is not None:
                self._columns.setdefault(name, Column(name)).add(value)

    def all(self) -> list[Column]:
        """What was counted."""
        return list(self._columns.values())
