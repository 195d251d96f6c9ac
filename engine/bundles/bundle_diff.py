"""The differences between two bundles, from their manifests and the texts of their specs."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.bundles.archive_checks import BundleArchive
from engine.bundles.manifest import Manifest

MOST_TEXT_BYTES = 1 << 20
"""Most bytes of a file whose lines are compared, which is also the limit for a spec."""
MOST_LINES = 2000
"""Most lines of a file whose lines are compared, because the time grows faster than their number."""


@dataclass(frozen=True, slots=True)
class BundleDiff:
    """The differences between two bundles; `added` and `removed` are names or paths.

    Attributes
    ----------
    texts
        The differing lines of changed spec and message files, by path, in the format of `diff -u`.
    datasets, models, other
        Sentences about the differences.
    files
        "added", "removed" or "changed" with the role of the file, by path.
    """

    texts: Mapping[str, list[str]]
    files: Mapping[str, str]
    datasets: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)


def compare_bundles(before: BundleArchive, after: BundleArchive) -> BundleDiff:
    """Return the differences between two open archives; raise BundleError if a text to compare is damaged."""
    old, new = before.manifest, after.manifest
    files = _compare_files(old, new)
    texts = {
        path: _compare_texts(path, before, after)
        for path, change in files.items()
        if change.startswith("changed") and {old.files[path].role, new.files[path].role} <= {"spec", "message"}
    }
    return BundleDiff(texts, files, _compare_datasets(old, new), _compare_models(old, new), _compare_rest(old, new))


def _compare_files(old: Manifest, new: Manifest) -> dict[str, str]:
    changes = {}
    for path in sorted({*old.files, *new.files}):
        was, now = old.files.get(path), new.files.get(path)
        if was is None and now is not None:
            changes[path] = f"added ({now.role})"
        elif now is None and was is not None:
            changes[path] = f"removed ({was.role})"
        elif was is not None and now is not None and was != now:
            changes[path] = f"changed ({now.role})"
    return changes


def _compare_texts(path: str, before: BundleArchive, after: BundleArchive) -> list[str]:
    old, new = (
        archive.read_file(path, MOST_TEXT_BYTES).decode("utf-8", "replace").splitlines() for archive in (before, after)
    )
    if max(len(old), len(new)) > MOST_LINES:
        return [f"{len(old):,} lines -> {len(new):,} lines, too many to compare"]
    return list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]


def _compare_datasets(old: Manifest, new: Manifest) -> list[str]:
    lines = _compare_names("dataset", old.datasets, new.datasets)
    for name in sorted(old.datasets.keys() & new.datasets.keys()):
        was, now = old.datasets[name], new.datasets[name]
        if was.rows != now.rows:
            lines.append(f"{name}: {was.rows:,} rows -> {now.rows:,} rows")
        elif was.fingerprint != now.fingerprint:
            lines.append(f"{name}: other rows, {now.rows:,} as before")
        if was.columns != now.columns:
            more, less = (sorted(set(a) - set(b)) for a, b in ((now.columns, was.columns), (was.columns, now.columns)))
            words = [f"new columns {', '.join(more)}"] * bool(more) + [f"without {', '.join(less)}"] * bool(less)
            lines.append(f"{name}: {'; '.join(words) or 'the same columns in another order'}")
    return lines


def _compare_models(old: Manifest, new: Manifest) -> list[str]:
    lines = _compare_names("model", old.models, new.models)
    for name in sorted(old.models.keys() & new.models.keys()):
        was, now = old.models[name], new.models[name]
        if was.identity != now.identity:
            lines.append(f"{name}: version {was.version} -> version {now.version}, which computes other scores")
        if was.algorithm != now.algorithm:
            lines.append(f"{name}: {was.algorithm} -> {now.algorithm}")
        if was.held_out_rows != now.held_out_rows:
            lines.append(f"{name}: {was.held_out_rows:,} held-out rows -> {now.held_out_rows:,}")
    return lines


def _compare_rest(old: Manifest, new: Manifest) -> list[str]:
    lines = []
    if old.project != new.project:
        lines.append(f"project: {old.project} -> {new.project}")
    if old.engine != new.engine:
        lines.append(f"engine: {old.engine or 'any'} -> {new.engine or 'any'}")
    lines += _compare_names("scenario", dict.fromkeys(old.scenarios), dict.fromkeys(new.scenarios))
    lines += _compare_names("secret", dict.fromkeys(old.secrets), dict.fromkeys(new.secrets))
    for kind, were, are in (
        ("connection", old.needs.connections, new.needs.connections),
        ("channel", old.needs.channels, new.needs.channels),
    ):
        lines += _compare_names(kind, were, are)
        lines += [
            f"{kind} {name}: {were[name]} -> {are[name]}"
            for name in sorted(were.keys() & are.keys())
            if were[name] != are[name]
        ]
    lines += _compare_names("dataset outside", dict.fromkeys(old.needs.datasets), dict.fromkeys(new.needs.datasets))
    if old.release_notes != new.release_notes:
        lines.append("the release notes")
    return lines


def _compare_names(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    more = [f"{what} {name}: added" for name in sorted(new.keys() - old.keys())]
    return more + [f"{what} {name}: removed" for name in sorted(old.keys() - new.keys())]
