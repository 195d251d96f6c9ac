"""Print the content of a bundle, the difference of two, and the bundles of a project; without a data library."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from engine.bundles.archive_checks import BundleArchive, Verified
from engine.bundles.bundle_diff import BundleDiff
from engine.bundles.manifest import BundledDataset, BundledModel
from engine.cli.json_output import print_json
from engine.formatting.control_characters import remove_controls, single_line
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_bytes, format_count

if TYPE_CHECKING:
    from engine.pipeline.bundles.creation import CreatedBundle

SHOWN_COLUMNS = 20


def print_created(made: "CreatedBundle", format_: str) -> None:
    """Print which bundle was made, and the data and models in it."""
    if format_ == "json":
        _print_document({"name": made.name, "id": made.id, "bytes": made.size, "existed": made.existed,
                         "leaving": list(made.leaving), "notes": list(made.notes)})  # fmt: skip
        return
    same = " (it already has this name: nothing has changed)" if made.existed else ""
    _print_plain(f"{made.name}{same}")
    _print_facts(
        {
            "id": made.id,
            "size": format_bytes(made.size),
            "contains": "; ".join(made.leaving) or "no data and no model",
            "note": "; ".join(made.notes),
        }
    )


def print_bundle(archive: BundleArchive, name: str, format_: str) -> None:
    """Print the content of a bundle, the data and models in it, and what it needs."""
    manifest, made = archive.manifest, archive.provenance
    if format_ == "json":
        _print_document({"name": name, "id": archive.id, "bytes": archive.bytes, "signed_by_keys": _list_keys(archive),
                         "manifest": manifest.model_dump(mode="json"),
                         "provenance": made.model_dump(mode="json")})  # fmt: skip
        return
    _print_plain(f"{name}  {manifest.project}")
    _print_facts(
        {
            "id": archive.id,
            "size": f"{format_bytes(archive.bytes)}, {format_count(len(manifest.files), 'file')}",
            "spec": manifest.spec,
            "engine": manifest.engine or "any version",
            "made": " ".join(part for part in (made.created, made.by and f"by {made.by}") if part),
            "with": ", ".join(
                f"{what} {version}"
                for what, version in {"engine": made.engine, "Python": made.python, **made.packages}.items()
                if version
            ),
            "git": made.git or "",
            "signed": f"by the keys {', '.join(key[:12] + '…' for key in _list_keys(archive))}, which are not checked "
            "here: engine bundle verify --key FILE"
            if _list_keys(archive)
            else "by nobody",
        }
    )
    _print_section("release notes", manifest.release_notes.splitlines() or ["none"])
    data = [_describe_dataset(each, one) for each, one in sorted(manifest.datasets.items())]
    data += [_describe_model(each, one) for each, one in sorted(manifest.models.items())]
    _print_section("data and models in it", data or ["none"])
    code = [f"{path}  {format_bytes(file.size)}  sha256 {file.sha256[:16]}…" for path, file in
            sorted(manifest.files.items()) if file.role == "code"]  # fmt: skip
    _print_section("code", code or ["none"])
    others = {"data": "data", "model": "models", "file": "other files", "spec": "spec", "message": "messages"}
    _print_section(
        "files",
        [f"{words}: {join_some(found)}" for role, words in others.items() if (found := _list_paths(archive, role))],
    )
    needs = {
        "connections": [f"{each} ({kind})" for each, kind in sorted(manifest.needs.connections.items())],
        "channels": [f"{each} ({kind})" for each, kind in sorted(manifest.needs.channels.items())],
        "datasets": list(manifest.needs.datasets),
        "secrets (the bundle contains only their names)": list(manifest.secrets),
    }
    _print_section(
        "needed where it is deployed",
        [f"{what}: {', '.join(found)}" for what, found in needs.items() if found] or ["nothing"],
    )
    _print_section("scenarios", [", ".join(manifest.scenarios) or "none"])
    _print_plain("  the state stays where the bundle is deployed: `state:` of the spec has no effect there")


def print_verified(archive: BundleArchive, verified: Verified, name: str, format_: str) -> None:
    """Print that a bundle is undamaged, and who signed it."""
    if format_ == "json":
        _print_document({"name": name, "id": archive.id, "signers": verified.signers,
                         "signed_by_keys": _list_keys(archive)})  # fmt: skip
        return
    _print_plain(f"{name}: {archive.id}")
    _print_plain(f"  the content of its {format_count(len(archive.manifest.files), 'file')} matches its manifest")
    if verified.signers:
        _print_plain(f"  signed by {', '.join(verified.signers)}")
    else:
        unknown = _list_keys(archive)
        keys = f" (there are signatures of {', '.join(key[:12] + '…' for key in unknown)})" if unknown else ""
        _print_plain(f"  no signature was checked{keys}: give a trusted public key with --key FILE")


def print_difference(difference: BundleDiff, names: Sequence[str], format_: str) -> None:
    """Print the difference between two bundles."""
    if format_ == "json":
        _print_document(
            {
                "from": names[0],
                "to": names[1],
                "files": dict(difference.files),
                "texts": dict(difference.texts),
                "datasets": difference.datasets,
                "models": difference.models,
                "other": difference.other,
            }
        )
        return
    _print_plain(f"{names[0]} -> {names[1]}")
    sections = {
        "datasets": difference.datasets,
        "models": difference.models,
        "files": [f"{path}: {change}" for path, change in difference.files.items()],
        "other": difference.other,
    }
    if not any(sections.values()):
        _print_plain("  nothing differs: it is the same bundle")
    for title, lines in sections.items():
        if lines:
            _print_section(title, lines)
    for path, lines in difference.texts.items():
        _print_section(path, lines)


def print_list(rows: Sequence[dict[str, Any]], format_: str) -> None:
    """Print the bundles of a project, one line each."""
    if format_ == "json":
        _print_document(list(rows))
        return
    if not rows:
        _print_plain("no bundles yet: engine bundle create SPEC NAME creates one")
        return
    titles = {"name": "name", "id": "id", "where": "where", "size": "size", "signatures": "signatures",
              "created": "made (UTC)", "by": "by", "release_notes": "release notes"}  # fmt: skip
    cells = [
        list(titles.values()),
        *([_format_cell(key, row) for key in titles] for row in rows),
    ]
    widths = [max(len(line[place]) for line in cells) for place in range(len(titles))]
    for line in cells:
        _print_plain("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row["problem"]:
            _print_plain(f"{row['name']}: {row['problem']}")


def _format_cell(key: str, row: dict[str, Any]) -> str:
    value = row[key]
    match key:
        case "id":
            return f"{value[:12]}…"
        case "size":
            return "-" if value is None else format_bytes(value)
        case "created":
            return single_line(str(value or "-"))[:16].replace("T", " ")
        case "release_notes":
            return single_line(str(value or ""), 50)
    return single_line(str("-" if value is None else value), 40)


def _describe_dataset(name: str, dataset: BundledDataset) -> str:
    columns = join_some(dataset.columns, SHOWN_COLUMNS)
    return f"{dataset.rows:,} rows of {name} in {dataset.path}" + (f", columns {columns}" if columns else "")


def _describe_model(name: str, model: BundledModel) -> str:
    rows = f"{model.held_out_rows:,} held-out rows" if model.held_out_rows else "no held-out rows, only their profile"
    probe = f", and {model.probe_rows:,} of them with their scores" if model.probe_rows else ""
    return f"model {name}, version {model.version} ({model.algorithm or 'imported'}): {rows}{probe}"


def _list_keys(archive: BundleArchive) -> list[str]:
    return [signature.keyid for signature in archive.envelope.signatures]


def _list_paths(archive: BundleArchive, role: str) -> list[str]:
    return sorted(path for path, file in archive.manifest.files.items() if file.role == role)


def _print_section(title: str, lines: Iterable[str]) -> None:
    _print_plain(f"  {title}")
    for line in lines:
        _print_plain(f"    {line}")


def _print_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, fact in facts.items():
        if fact:
            _print_plain(f"  {name.ljust(width)}  {fact}")


def _print_plain(text: str) -> None:
    """Print a line of untrusted text from a bundle, without control characters."""
    print(remove_controls(text).replace("\n", " "))


def _print_document(document: object) -> None:
    print_json(json.dumps(document, ensure_ascii=False, indent=1))
