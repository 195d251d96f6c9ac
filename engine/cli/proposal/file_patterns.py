"""Find the pattern that matches several files and no others, because a dataset of a spec has one path."""

import os
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from engine.discovery.listing import list_data_files
from engine.errors import DataError, UsageError
from engine.formatting.lists import join_some


def unite_paths(given: Sequence[str]) -> Path:
    """Return the absolute path that stands for all files: a file, a folder, or a pattern.

    Raises
    ------
    UsageError
        A pattern that matches these files also matches others, or they are in folders of different depths.
    DataError
        A file does not exist.
    """
    if len(given) == 1:
        return Path(given[0]).absolute()
    files = sorted({found for one in given for found in list_data_files(Path(one).absolute()).paths})
    if len(files) == 1:
        return files[0]
    others: list[str] = []
    for pattern in _list_patterns([one.parts for one in files]):
        try:
            found = set(list_data_files(Path(pattern)).paths)
        except DataError:
            continue
        if found == set(files):
            return Path(pattern)
        others = others or sorted(os.path.relpath(one) for one in found - set(files))
    more = f"; a pattern would match others too: {join_some(others, 3)}" if others else ""
    raise UsageError(
        f"a dataset is a file, a folder or a pattern, and no pattern matches just these {len(files)} files{more}. "
        "Put them into a separate folder, and give that folder"
    )


def _list_patterns(files: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield patterns that match all the files, the widest first: `*.csv`, `sales-*.csv`, `sales-2025-0*.csv`."""
    if len({len(parts) for parts in files}) > 1:
        return
    choices = [_list_part_patterns(sorted(set(parts))) for parts in zip(*files, strict=True)]
    for chosen in product(*choices):
        yield str(Path(*chosen))


def _list_part_patterns(names: Sequence[str]) -> list[str]:
    """Return the patterns of one path component, the widest first."""
    if len(names) == 1:
        return [names[0]]
    start = _find_common_start(names)
    end = _find_common_start([name[len(start) :][::-1] for name in names])[::-1]
    ending = "." + end.partition(".")[2] if "." in end else end
    return list(dict.fromkeys([f"*{ending}", f"{start.rstrip('0123456789')}*{ending}", f"{start}*{end}"]))


def _find_common_start(names: Sequence[str]) -> str:
    """Return the common prefix of the names."""
    first, last = min(names), max(names)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
