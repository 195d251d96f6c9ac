"""Segments of a batch: their names, and the lookup of names in checks and metrics."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from engine.formatting.hints import did_you_mean
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec, SegmentCondition

MAX_SEGMENT_VALUES = 20
"""Most values of a column that have a segment of their own: the most frequent ones of the reference."""

MAX_VALUE_CHARACTERS = 100
"""Longest value with its own segment, in characters; it is part of the name of every metric."""

MIN_SEGMENT_ROWS = 100
"""Fewest rows of a segment on each side to be compared and measured."""

FOUND = "found: "
"""The prefix of the names of undeclared segments, followed by their condition."""

FOUND_SEGMENTS = "found_segments"
"""The metric that counts them."""


class SegmentNames(NamedTuple):
    """The segments that a store declares: by a column, one per value; or by a condition, under its own name.

    `found` is whether the store searches for more segments.
    """

    columns: Sequence[str]
    conditions: Sequence[str]
    found: bool = False

    @classmethod
    def of_store(cls, store: EvaluationStoreSpec) -> "SegmentNames":
        """Return the names of the segments that a store may have."""
        return cls(
            [one for one in store.segments if isinstance(one, str)],
            [one.name for one in store.segments if isinstance(one, SegmentCondition)],
            store.segment_search is not None,
        )

    def can_be(self, name: str) -> bool:
        """Return whether a segment can have a name, or a name that matches a pattern with *."""
        if name in self.conditions or (self.found and name.startswith(FOUND)):
            return True
        if "*" in name:
            stems = [*(f"{column} " for column in self.columns), *([FOUND] if self.found else [])]
            known = bool(match_segments(name, self.conditions))
            head = name.partition("*")[0]
            return known or any(stem.startswith(head) or head.startswith(stem) for stem in stems)
        return any(
            name.startswith(f"{column} = ") or name in (name_missing(column), name_other(column))
            for column in self.columns
        )

    def suggest(self, name: str) -> str:
        """Return help for a name that no segment can have."""
        known = [*self.conditions, *(f"{one} = …" for one in self.columns), *([f"{FOUND}*"] if self.found else [])]
        return did_you_mean(name, known, "the segments are")


def name_value(column: str, value: str) -> str:
    """Return the name of the segment of a value of a column."""
    return f"{column} = {value}"


def name_found(condition: str) -> str:
    """Return the name of a segment that was found, by its condition in SQL."""
    return f"{FOUND}{condition}"


def read_found_condition(name: str) -> str | None:
    """Return the condition of a segment that was found, ready for `segments:`; None for one that was declared."""
    return name.removeprefix(FOUND) if name.startswith(FOUND) else None


def name_missing(column: str) -> str:
    """Return the name of the segment of the rows without a value in a column."""
    return f"{column} is missing"


def name_other(column: str) -> str:
    """Return the name of the segment of the values of a column that have none of their own."""
    return f"{column} is another value"


def match_segments(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that match a text: itself, or with * every matching name."""
    if "*" not in pattern:
        return [name for name in names if name == pattern]
    literal = pattern.replace("[", "[[]").replace("?", "[?]")
    return [name for name in names if fnmatchcase(name, literal)]
