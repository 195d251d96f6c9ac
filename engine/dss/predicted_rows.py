"""Join the test rows of a model with its predictions, from two files of its version: `split/` and `predicted.csv`.

The order of the rows of `predicted.csv` is not documented. So they are joined in order only if both files have the same
number of rows, and every common column agrees in every row.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import IO, cast

from engine.dss.source import MOST_UNPACKED_BYTES, ProjectFiles
from engine.errors import BundleError

_MOST_LINE = 1 << 24
_UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class PredictedRows:
    """Two files of a project whose rows correspond.

    Attributes
    ----------
    test, predicted
        The full paths of the rows, which have no header, and of the predictions, which have one.
    added
        The columns that the predictions add, with their positions there.
    """

    test: str
    predicted: str
    added: dict[str, int]

    def write(self, files: ProjectFiles, target: Path) -> None:
        """Write the rows with the added columns, without a header, with tabs, compressed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            _open_rows(files, self.test) as rows,
            _open_rows(files, self.predicted) as predictions,
            gzip.open(target, "xt", encoding="utf-8", newline="") as file,
        ):
            next(predictions)
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            for row, predicted in zip(rows, predictions, strict=True):
                writer.writerow([*row, *(predicted[place] for place in self.added.values())])


def join_predictions(files: ProjectFiles, test: str, predicted: str, columns: list[str]) -> PredictedRows | str:
    """Return how to join rows and predictions, or why they cannot be joined.

    Parameters
    ----------
    columns
        The names of the columns of the test rows, in their order.
    """
    try:
        with _open_rows(files, test) as rows, _open_rows(files, predicted) as predictions:
            header = next(predictions, [])
            added = {name: place for place, name in enumerate(header) if name not in columns}
            both = [(columns.index(name), place) for place, name in enumerate(header) if name in columns]
            if "prediction" not in added or len(set(header)) < len(header):
                return "it has no column prediction, or a column twice"
            problem = _compare_rows(rows, predictions, both, (len(columns), len(header)))
    except (BundleError, *_UNREADABLE):
        return "it or the rows cannot be read"
    return problem or PredictedRows(test, predicted, added)


def _compare_rows(
    rows: Iterator[list[str]],
    predictions: Iterator[list[str]],
    both: list[tuple[int, int]],
    widths: tuple[int, int],
) -> str:
    """Return why the rows of two files do not correspond in order; an empty text if they do."""
    seen: set[tuple[str, ...]] = set()
    for row, predicted in zip_longest(rows, predictions):
        if row is None or predicted is None:
            return "it has another number of rows"
        if (len(row), len(predicted)) != widths:
            return "a row of it, or of the test rows, has another number of columns"
        if not all(_is_same_value(row[ours], predicted[theirs]) for ours, theirs in both):
            return "its rows are others, or in another order"
        if len(seen) < 2:
            seen.add(tuple(row[ours] for ours, _ in both))
    return "" if len(seen) == 2 else "no column that both have tells the order of its rows"


def _is_same_value(one: str, other: str) -> bool:
    try:
        return one == other or math.isclose(float(one), float(other), rel_tol=1e-9)
    except ValueError:
        return False


@contextmanager
def _open_rows(files: ProjectFiles, path: str) -> Iterator[Iterator[list[str]]]:
    """Open the rows of a text file with tabs, or with commas if its first line has no tab."""
    with files.open_file(path) as stored:
        unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=stored)) if path.endswith(".gz") else stored
        lines = _read_lines(io.TextIOWrapper(unpacked, encoding="utf-8-sig", newline=""))
        first = next(lines, "")
        yield csv.reader(chain([first], lines), delimiter="\t" if "\t" in first else ",")


def _read_lines(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a file; BundleError if a line, or the file, is longer than rows of an export may be."""
    left = MOST_UNPACKED_BYTES
    while line := file.readline(_MOST_LINE):
        left -= len(line)
        if left < 0 or len(line) == _MOST_LINE:
            raise BundleError("the rows are larger than those of an export may be")
        yield line
