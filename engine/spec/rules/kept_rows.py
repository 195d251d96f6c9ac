"""Rules of `materialize`: valid places, only one writer per place, and no reads by the writer."""

from collections.abc import Iterator
from pathlib import Path

from engine.discovery.path_patterns import names_file
from engine.spec.diagnostics import Findings
from engine.spec.resources.datasets import Materialize
from engine.spec.rules.connections import check_written_place
from engine.spec.rules.draft import Draft
from engine.spec.rules.steps import check_written_file
from engine.spec.stored_data import StoredPlace, find_kept_place, find_writers
from engine.spec.variables.references import quote_value


def check_kept_places(draft: Draft, findings: Findings) -> None:
    """Check that rows are kept in a Parquet file or a table that may be written, and by only one dataset."""
    first: dict[StoredPlace | Path, str] = {}
    for name, dataset in draft.spec.datasets.items():
        kept: Materialize | None = getattr(dataset, "materialize", None)
        if kept is None:
            continue
        path = ("datasets", name, "materialize")
        check_written_place(draft, findings, kept.connection, kept.path, kept.table, path)
        place = find_kept_place(dataset, draft.spec.connections)
        if place is None:
            continue
        file = draft.locate_kept_file(name)
        if file is not None:
            _check_file(draft, findings, kept, file, (*path, "path"))
        other = first.setdefault(file or place, name)
        if other != name:
            _report_two_writers(draft, findings, other, name)
            _report_two_writers(draft, findings, name, other)


def _check_file(draft: Draft, findings: Findings, kept: Materialize, file: Path, path: tuple[str, ...]) -> None:
    root = draft.root_of(path[1], kept.connection)
    check_written_file(draft, findings, kept.path or "", file, root or file, path)
    if file.suffix.lower() != ".parquet":
        message = f"{quote_value(kept.path)} is not a Parquet file, and no other format can store every type"
        findings.error(draft.value_position(*path), "format", message, "write a path that ends in .parquet")


def _report_two_writers(draft: Draft, findings: Findings, name: str, other: str) -> None:
    at, also = (draft.key_position("datasets", one, "materialize") for one in (name, other))
    message = f'the rows of "{other[:60]}" are stored in the same place'
    findings.error(at, "two-writers", message, "store them in another place", also=also)


def warn_about_unnoticed_readers(draft: Draft, findings: Findings) -> None:
    """Warn about datasets of files that cover a file of kept rows, which is not written before they read it."""
    for reader, writer in iterate_file_readers(draft):
        if writer not in find_writers(draft.spec.datasets[reader], draft.spec.datasets, draft.spec.connections):
            at = draft.value_position("datasets", reader, "path")
            message = f'this reads the stored rows of "{writer[:60]}" without updating them first'
            help_ = "use kind: stored with the connection and the path of its materialize"
            findings.warning(at, "kept-rows", message, help_)


def iterate_file_readers(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield each dataset of files whose path names a file of kept rows, with the dataset whose rows these are."""
    kept = {name: file for name in draft.spec.datasets if (file := draft.locate_kept_file(name))}
    for reader in draft.spec.datasets if kept else ():
        place = draft.locate_dataset(reader)
        if place is not None:
            yield from ((reader, name) for name, file in kept.items() if place == file or names_file(place, file))
