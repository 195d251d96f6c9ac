"""Explains why a result is recomputed, by comparing the facts behind its fingerprint with earlier facts.

A fingerprint shows that something has changed, but not what. So the facts that it is computed from are stored with it.
They are nested JSON with these parts; irrelevant parts are left out:

spec       the settings, per function of a resource in the computation (model, dataset, store) and path within it
datasets   the provenance of the data: every table that it is made from
code       digests of Python files, or of a model's file
versions   versions of the kernels, and of the training code
metrics    the names of the metrics that are measured
model      the version of the trained model
challenger the name of the challenger, and the version of it that the engine has trained
reference  what the batch is compared with

Settings that equal their default are not stored, so a new key in the spec format changes no fingerprint. A missing
setting is therefore compared and reported as its default.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine.pipeline.actions import ActionCause, Change, format_spec_path
from engine.spec import ProjectSpec
from engine.spec.resources.resource import Resource, default_of
from engine.store import PastFacts

MAX_CANDIDATES = 20
"""Most earlier results that are compared to find the one with the fewest changes."""
SHOWN_CHARACTERS = 40
"""Most characters shown of a value; of longer values only the differing part is shown."""
LISTED_FILES = 20
"""Most changed files that are listed."""
_READING = {"readings", "compression", "names", "converted"}
"""Facts of files that exist only if their content is not read in the usual way."""

FingerprintFacts = Mapping[str, Any]
RolePaths = Mapping[str, tuple[str, ...]]


class ChangeReason(NamedTuple):
    """The reason for a computation: its kind, its text, and the list of changes."""

    cause: ActionCause
    reason: str
    changes: list[Change]


def explain_change(
    facts: FingerprintFacts,
    earlier: Sequence[PastFacts],
    places: RolePaths,
    project: ProjectSpec,
    *,
    never: str,
    since: str,
) -> ChangeReason:
    """Explain what has changed since the most similar earlier result.

    The earlier result with the fewest changes is chosen, since the newest may be for another purpose, such as another
    quarter. Among equals the newest is chosen.

    Parameters
    ----------
    earlier
        Facts of earlier results, newest first.
    places
        The path of the resource that plays each role: `{"model": ("models", "fraud")}`.
    never
        The reason given if there is no earlier result.
    since
        Text before the label of the earlier result: `"version "` gives `since version 3`; if empty, no label is shown.
    """
    if not earlier:
        return ChangeReason("new", never, [])
    compared = [(candidate, find_changes(candidate.facts, facts, places, project)) for candidate in earlier]
    nearest, found = min(compared, key=lambda pair: len(pair[1]))  # min keeps the first of equals: the newest
    if not found:  # equal facts, different fingerprints: the function that computes fingerprints has changed
        found = [Change(kind="version", what="fingerprint", says="the way fingerprints are computed has changed")]
    return ChangeReason("changed", f"since {since}{nearest.label}" if since else "", found)


def list_evaluation_places(store: str, project: ProjectSpec) -> RolePaths:
    """Return the path of the resource that plays each role in the facts of a store's evaluation."""
    spec = project.evaluation_stores[store]
    places = {"store": ("evaluation_stores", store), "dataset": ("datasets", spec.dataset)}
    models = {"model": spec.model, "challenger": spec.challenger}
    return places | {role: ("models", name) for role, name in models.items() if name}


def find_changes(
    before: FingerprintFacts, after: FingerprintFacts, places: RolePaths, project: ProjectSpec
) -> list[Change]:
    """Return the differences between two sets of facts, without duplicates."""
    found: list[Change] = [*_compare_datasets(before.get("datasets", {}), after.get("datasets", {}), project)]
    if before.get("model") != after.get("model"):
        found.append(_describe_model_change(before.get("model"), after.get("model"), places))
    same_challenger, differences = _compare_challengers(before.get("challenger"), after.get("challenger"))
    found += differences
    for role, place in places.items():
        if role == "challenger" and not same_challenger:
            continue
        old, new = (facts.get("spec", {}).get(role, {}) for facts in (before, after))
        found += _compare_settings(old, new, place, project)
    found += _compare_named_values("code", before, after)
    found += _compare_named_values("versions", before, after)
    found += _compare_metrics(before.get("metrics", []), after.get("metrics", []), places, project)
    found += _compare_references(before.get("reference", {}), after.get("reference", {}), places, project)
    # The same change can be found twice, such as in an input of both the batch and the reference.
    return list({(change.kind, change.what, change.says): change for change in found}.values())


def _compare_settings(
    before: FingerprintFacts, after: FingerprintFacts, place: tuple[str, ...], project: ProjectSpec
) -> Iterator[Change]:
    section, name = place
    resource = getattr(project.resources, section).get(name)
    yield from _compare_nested_settings(before, after, place, (), resource, project)


def _compare_nested_settings(
    before: FingerprintFacts,
    after: FingerprintFacts,
    resource_path: tuple[str, ...],
    inner_path: tuple[str, ...],
    current: Any,
    project: ProjectSpec,
) -> Iterator[Change]:
    """Yield the settings that differ, recursively.

    Parameters
    ----------
    before, after
        The stored settings at a path of the spec.
    resource_path, inner_path
        The parts of that path: the resource, and the path within it.
    current
        The object of the current spec at that path, for defaults.
    """
    for key in dict.fromkeys([*after, *before]):
        default = default_of(current, key) if isinstance(current, Resource) else None
        old, new = (facts.get(key, default) for facts in (before, after))
        if old == new:
            continue
        path = (*inner_path, key)
        nested = [side or {} for side in (old, new) if side is None or isinstance(side, Mapping)]
        if len(nested) == 2 and any(nested):
            inside = current.get(key) if isinstance(current, Mapping) else getattr(current, key, None)
            yield from _compare_nested_settings(nested[0], nested[1], resource_path, path, inside, project)
        else:
            yield _describe_setting(resource_path, path, old, new, project)


def _describe_setting(
    place: tuple[str, ...], path: tuple[str, ...], before: Any, after: Any, project: ProjectSpec
) -> Change:
    what = format_spec_path(place, path)
    return Change(
        kind="spec",
        what=what,
        before=before,
        after=after,
        position=project.position(*place, *path),
        says=f"{what} {format_change(before, after)}",
    )


def _compare_datasets(before: FingerprintFacts, after: FingerprintFacts, project: ProjectSpec) -> Iterator[Change]:
    """Yield the changes of tables themselves, without tables that only read a changed one.

    Tables are matched by fingerprint first: a renamed dataset has not changed.
    """
    earlier = {table["fingerprint"] for table in before.values()}
    for name, table in after.items():
        if table["fingerprint"] in earlier:
            continue
        if name not in before:
            yield Change(
                kind="data", what=format_spec_path(("datasets", name), ()), says=f"dataset {name} is a new input"
            )
            continue
        found = [*_compare_tables(name, before[name], table, project)]
        # An unchanged query, or a reader of kept rows, is explained by its changed inputs.
        inputs = any(after[other]["fingerprint"] not in earlier for other in after if other != name)
        if not found and not (("sql" in table or "rows_of" in table) and inputs):
            says = f"the content of dataset {name} has changed"
            found = [Change(kind="data", what=f"datasets.{name}", says=says)]
        yield from found


def _compare_tables(
    name: str, before: FingerprintFacts, after: FingerprintFacts, project: ProjectSpec
) -> Iterator[Change]:
    place = ("datasets", name)
    if before.keys() == {"fingerprint"}:
        return  # of a model version from a bundle, which has no more facts
    # Each kind of dataset has different facts, so different keys show another kind.
    same_kind = before.keys() - _READING == after.keys() - _READING
    if not same_kind and "table" in {*before, *after}:
        says = f"dataset {name}: its rows are no longer read from the same kind of place"
        if "table" in after:
            says = f"dataset {name}: its rows are now read from table {after['table']} of {after['connection']}"
        yield Change(kind="data", what=f"datasets.{name}", says=says)
        return
    if not same_kind:
        yield Change(
            kind="spec", what=format_spec_path(place, ("kind",)), says=f"the kind of dataset {name} has changed"
        )
        return
    if "sql" in after:
        yield from _compare_queries(place, before, after, project)
    elif "rows_of" in after:
        if before["rows_of"] != after["rows_of"]:
            says = f"dataset {name}: its rows are now those of {after['rows_of']}, not of {before['rows_of']}"
            yield Change(kind="data", what=f"datasets.{name}", says=says)
    elif "table" in after or "path" in after:
        yield from _compare_stored_rows(name, "table" if "table" in after else "path", before, after)
    elif "files" in after:
        yield from _compare_files(name, before, after)
        yield from _compare_readings(name, before.get("readings", {}), after.get("readings", {}))
        yield from _compare_file_settings(place, before, after, project)
    else:
        yield from _compare_functions(name, before, after, project)


def _compare_queries(
    place: tuple[str, ...], before: FingerprintFacts, after: FingerprintFacts, project: ProjectSpec
) -> Iterator[Change]:
    """Compare the SQL of a query, and the values of its variables."""
    if before["sql"] != after["sql"]:
        yield _describe_setting(place, ("sql",), before["sql"], after["sql"], project)
    for variable in sorted(before["variables"].keys() & after["variables"].keys()):
        old, new = before["variables"][variable], after["variables"][variable]
        if old != new:
            # A value from the command line or a loop is not in the spec, so it has no position there.
            at = None if variable in project.overrides else project.position("variables", variable)
            says = f"variable {variable} {format_change(old, new)}"
            yield Change(kind="variable", what=variable, before=old, after=new, position=at, says=says)


def _compare_file_settings(
    place: tuple[str, ...], before: FingerprintFacts, after: FingerprintFacts, project: ProjectSpec
) -> Iterator[Change]:
    """Compare how files are read: their format, and the types of columns."""
    old, new = ({"format": facts["format"], "csv": facts["csv"]} for facts in (before, after))
    yield from _compare_settings(old, new, place, project)
    for column in sorted(before["types"].keys() | after["types"].keys()):
        old, new = before["types"].get(column), after["types"].get(column)
        if old != new:
            yield _describe_setting((*place, "columns", column), ("type",), old, new, project)


def _compare_functions(
    name: str, before: FingerprintFacts, after: FingerprintFacts, project: ProjectSpec
) -> Iterator[Change]:
    """Compare the rows that a function returns, its arguments and its code."""
    versions = [*_compare_named_values("versions", before, after)]
    if not versions:  # else the same rows may have another hash
        says = f"dataset {name}: {after['function']} returned different rows"
        yield Change(kind="data", what=f"datasets.{name}", says=says)
    old, new = ({"function": facts["function"], "arguments": facts["arguments"]} for facts in (before, after))
    yield from _compare_settings(old, new, ("datasets", name), project)
    yield from _compare_named_values("code", before, after)
    yield from versions


def _compare_stored_rows(name: str, key: str, before: FingerprintFacts, after: FingerprintFacts) -> Iterator[Change]:
    """Compare rows in a database or in Spark, from a table or a path."""
    versions = [*_compare_named_values("versions", before, after)]
    what = f"datasets.{name}"
    if any(before[one] != after[one] for one in ("connection", key)):
        old, new = (f"{key} {facts[key]} of {facts['connection']}" for facts in (before, after))
        yield Change(kind="data", what=what, says=f"dataset {name}: its rows are now read from {new}, not from {old}")
    elif not versions:  # else the same rows may have another hash
        rows = "" if before["rows"] == after["rows"] else f" ({before['rows']:,} → {after['rows']:,} rows)"
        what_changed = "files" if "list of files" in after.get("versions", {}) else "rows"
        says = f"dataset {name}: the {what_changed} of {key} {after[key]} have changed{rows}"
        yield Change(kind="data", what=what, before=before["rows"], after=after["rows"], says=says)
    yield from versions


def _compare_files(name: str, before: FingerprintFacts, after: FingerprintFacts) -> Iterator[Change]:
    old, new = before["files"], after["files"]
    # The facts of a dataset with thousands of files do not list them, so changed ones cannot be named.
    if before["file_count"] > len(old) or after["file_count"] > len(new):
        says = f"dataset {name}: files have changed ({before['file_count']} → {after['file_count']} files)"
        yield Change(kind="data", what=f"datasets.{name}", says=says)
        return
    # A digest on both sides under different paths is a file that was renamed: not a change.
    moved = set(old.values()) & set(new.values())
    texts = [(path, f"the content of {path} has changed") for path in new if path in old and old[path] != new[path]]
    texts += [(path, f"file {path} is new") for path in new if path not in old and new[path] not in moved]
    texts += [(path, f"file {path} is gone") for path in old if path not in new and old[path] not in moved]
    for path, text in texts[:LISTED_FILES]:
        says = f"dataset {name}: {text}"
        yield Change(kind="data", what=path, before=old.get(path), after=new.get(path), says=says)
    if len(texts) > LISTED_FILES:
        says = f"dataset {name}: {len(texts) - LISTED_FILES} more files have changed"
        yield Change(kind="data", what=f"datasets.{name}", says=says)


def _compare_readings(name: str, before: FingerprintFacts, after: FingerprintFacts) -> Iterator[Change]:
    """Yield the columns whose values are written in another way, such as with a decimal comma."""
    for column in sorted(before.keys() | after.keys()):
        old, new = before.get(column), after.get(column)
        if old != new:
            how = ", ".join(f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in (new or {}).items())
            says = f"dataset {name}: column {column} is now read {f'with {how}' if how else 'as usual'}"
            yield Change(kind="data", what=f"datasets.{name}", before=old, after=new, says=says)


def _describe_model_change(before: Any, after: Any, places: RolePaths) -> Change:
    if "model" not in places:
        return Change(kind="model", what="model", before=before, says=f"the model was removed; it was {before}")
    name = places["model"][-1]
    return Change(
        kind="model", what=name, before=before, after=after, says=f"model {name} {format_change(before, after)}"
    )


def _compare_challengers(before: Any, after: Any) -> tuple[bool, list[Change]]:
    """Return whether both sides have a challenger of the same name, and its changes besides settings."""
    if before == after:
        return before is not None, []
    old, new = (None if one is None else ", ".join(filter(None, one.values())) for one in (before, after))
    name = (after or before)["model"]
    says = f"challenger {old} → {new}" if old and new else f"challenger {new} is new" if new else ""
    says = says or f"the challenger was removed; it was {old}"
    change = Change(kind="model", what=name, before=old, after=new, says=says)
    return bool(before and after and before["model"] == after["model"]), [change]


def _compare_named_values(part: str, before: FingerprintFacts, after: FingerprintFacts) -> Iterator[Change]:
    old, new = before.get(part, {}), after.get(part, {})
    for name in new:
        # an earlier engine may have recorded no version of something
        if (name in old or (old and part == "versions")) and old.get(name) != new[name]:
            if part == "code":
                says = f"the code of {name} has changed"
                yield Change(kind="code", what=name, before=old[name], after=new[name], says=says)
            else:
                says = f"version of {name} {format_change(old.get(name), new[name])}"
                yield Change(kind="version", what=name, before=old.get(name), after=new[name], says=says)


def _compare_metrics(
    before: Sequence[str], after: Sequence[str], places: RolePaths, project: ProjectSpec
) -> Iterator[Change]:
    if sorted(before) != sorted(after):
        more, less = sorted(set(after) - set(before)), sorted(set(before) - set(after))
        added = f"{', '.join(more)} now needed" if more else ""
        dropped = f"{', '.join(less)} no longer needed" if less else ""
        place = (*places["dataset"], "checks")
        yield Change(
            kind="spec",
            what=format_spec_path(place, ()),
            before=list(before),
            after=list(after),
            position=project.position(*place),
            says=f"{format_spec_path(place, ())}: {'; '.join(filter(None, [added, dropped]))}",
        )


def _compare_references(
    before: FingerprintFacts, after: FingerprintFacts, places: RolePaths, project: ProjectSpec
) -> Iterator[Change]:
    if not after:
        return
    if before.get("kind") != after["kind"]:
        yield _describe_setting((*places["store"], "reference"), ("kind",), before.get("kind"), after["kind"], project)
        return
    yield from _compare_datasets(before.get("datasets", {}), after.get("datasets", {}), project)
    if dataset := after.get("dataset"):
        yield from _compare_settings(before.get("spec", {}), after.get("spec", {}), ("datasets", dataset), project)
    old, new = before.get("evaluations", {}), after.get("evaluations", {})
    if list(old.values()) != list(new.values()):
        names = [", ".join(evaluations) or "none" for evaluations in (old, new)]
        says = f"reference evaluations: {names[0]} → {names[1]}"
        yield Change(kind="reference", what="reference", before=list(old), after=list(new), says=says)


def format_change(before: Any, after: Any) -> str:
    """Return `0.95 → 0.9`; of long values only the differing part is shown."""
    old, new = _format_value(before), _format_value(after)
    if max(len(old), len(new)) <= SHOWN_CHARACTERS:
        return f"{old} → {new}"
    # Start at the word with the first different character, or near the shorter text's end if it is a prefix.
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = old.rfind(" ", 0, start) + 1
    return f"{_cut_text(old, start)} → {_cut_text(new, start)}"


def _cut_text(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _format_value(value: Any) -> str:
    if value is None:
        return "(not set)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
