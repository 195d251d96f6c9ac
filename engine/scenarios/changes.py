"""Why something is computed again: the facts that its fingerprint is made of, then and now, compared.

A fingerprint says that something has changed; only what it was made of says what. Facts are nested JSON with these
parts, each left out where it plays no role:

spec       settings, by role (model, dataset, store), each by its path in that resource
datasets   the provenance of the data: every table that they are made from
code       digests of Python files, or of a model's file
versions   of the kernels, of the training
metrics    what is measured
model      the version of the trained model
reference  what the batch is compared with

Settings that are a default are not among the facts, so that a new key is no change: what is not there is compared, and
told, as the default that it has.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.scenarios.actions import Because, Change, spec_path
from engine.spec import Project
from engine.spec.resources.resource import Resource, default_of
from engine.store import Remembered

CANDIDATES = 20
"""How many earlier ones are looked at to find the one that differs least."""
SHOWN = 40
FILES = 20

Facts = Mapping[str, Any]
Places = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Why:
    """A reason: its kind, in words, and what has changed."""

    because: Because
    reason: str
    changes: list[Change]


def why(
    facts: Facts, earlier: Sequence[Remembered], places: Places, project: Project, *, never: str, since: str
) -> Why:
    """Compare with the earlier one that differs least, the newest of several.

    Parameters
    ----------
    earlier
        Newest first.
    places
        The resource of the spec that plays each role.
    never, since
        What is said if there is no earlier one, and before the label of the one compared with.
    """
    if not earlier:
        return Why("new", never, [])
    compared = [(one, changes(one.facts, facts, places, project)) for one in earlier]
    nearest, found = min(compared, key=lambda pair: len(pair[1]))
    if not found:
        found = [Change(kind="version", what="fingerprint", says="fingerprints are made otherwise than they were")]
    return Why("changed", f"since {since}{nearest.label}" if since else "", found)


def changes(before: Facts, after: Facts, places: Places, project: Project) -> list[Change]:
    """Return what differs, each once."""
    found: list[Change] = [*_data(before.get("datasets", {}), after.get("datasets", {}), project)]
    if before.get("model") != after.get("model"):
        found.append(_model(before.get("model"), after.get("model"), places))
    for role, place in places.items():
        old, new = (facts.get("spec", {}).get(role, {}) for facts in (before, after))
        found += _settings(old, new, place, project)
    found += _named("code", before, after)
    found += _named("versions", before, after)
    found += _metrics(before.get("metrics", []), after.get("metrics", []), places, project)
    found += _reference(before.get("reference", {}), after.get("reference", {}), places, project)
    return list({(change.kind, change.what, change.says): change for change in found}.values())


def _settings(before: Facts, after: Facts, place: tuple[str, ...], project: Project) -> Iterator[Change]:
    section, name = place
    yield from _differing(before, after, place, (), getattr(project.spec, section).get(name), project)


def _differing(
    before: Facts, after: Facts, place: tuple[str, ...], above: tuple[str, ...], said: Any, project: Project
) -> Iterator[Change]:
    """Compare the settings of what the spec says at a path now, which knows the defaults."""
    for key in dict.fromkeys([*after, *before]):
        default = default_of(said, key) if isinstance(said, Resource) else None
        old, new = (facts.get(key, default) for facts in (before, after))
        if old == new:
            continue
        path = (*above, key)
        nested = [side or {} for side in (old, new) if side is None or isinstance(side, Mapping)]
        if len(nested) == 2 and any(nested):
            inside = said.get(key) if isinstance(said, Mapping) else getattr(said, key, None)
            yield from _differing(nested[0], nested[1], place, path, inside, project)
        else:
            yield _setting(place, path, old, new, project)


def _setting(place: tuple[str, ...], path: tuple[str, ...], before: Any, after: Any, project: Project) -> Change:
    what = spec_path(place, path)
    return Change(
        kind="spec",
        what=what,
        before=before,
        after=after,
        position=project.position(*place, *path),
        says=f"{what} {from_to(before, after)}",
    )


def _data(before: Facts, after: Facts, project: Project) -> Iterator[Change]:
    """Name the tables that have changed themselves, not those that only read such."""
    known = {table["fingerprint"] for table in before.values()}
    for name, table in after.items():
        if table["fingerprint"] in known:
            continue
        if name not in before:
            yield Change(kind="data", what=spec_path(("datasets", name), ()), says=f"dataset {name} was not read then")
            continue
        own = [*_table(name, before[name], table, project)]
        inputs = any(after[one]["fingerprint"] not in known for one in after if one != name)
        if not own and not ("sql" in table and inputs):
            own = [Change(kind="data", what=f"datasets.{name}", says=f"dataset {name} has other content")]
        yield from own


def _table(name: str, before: Facts, after: Facts, project: Project) -> Iterator[Change]:
    place = ("datasets", name)
    if before.keys() != after.keys():
        yield Change(kind="spec", what=spec_path(place, ("kind",)), says=f"dataset {name} is of another kind")
        return
    if "sql" in after:
        if before["sql"] != after["sql"]:
            yield _setting(place, ("sql",), before["sql"], after["sql"], project)
        for variable in sorted(before["variables"].keys() & after["variables"].keys()):
            old, new = before["variables"][variable], after["variables"][variable]
            if old != new:
                given = variable in project.overrides  # by the command line, a loop: the spec's value is another
                at = None if given else project.position("variables", variable)
                says = f"variable {variable} {from_to(old, new)}"
                yield Change(kind="variable", what=variable, before=old, after=new, position=at, says=says)
    elif "files" in after:
        yield from _files(name, before, after)
        old, new = ({"format": facts["format"], "csv": facts["csv"]} for facts in (before, after))
        yield from _settings(old, new, place, project)
        for column in sorted(before["types"].keys() | after["types"].keys()):
            old, new = before["types"].get(column), after["types"].get(column)
            if old != new:
                yield _setting((*place, "columns", column), ("type",), old, new, project)
    else:
        says = f"dataset {name}: {after['function']} returns other rows"
        yield Change(kind="data", what=f"datasets.{name}", says=says)
        old, new = ({"function": facts["function"], "arguments": facts["arguments"]} for facts in (before, after))
        yield from _settings(old, new, place, project)
        yield from _named("code", before, after)
        yield from _named("versions", before, after)


def _files(name: str, before: Facts, after: Facts) -> Iterator[Change]:
    old, new = before["files"], after["files"]
    if before["file_count"] > len(old) or after["file_count"] > len(new):
        says = f"dataset {name}: {before['file_count']} → {after['file_count']} files, with other content"
        yield Change(kind="data", what=f"datasets.{name}", says=says)
        return
    moved = set(old.values()) & set(new.values())
    words = [(path, "its content has changed") for path in new if path in old and old[path] != new[path]]
    words += [(path, "is new") for path in new if path not in old and new[path] not in moved]
    words += [(path, "is gone") for path in old if path not in new and old[path] not in moved]
    for path, said in words[:FILES]:
        says = (
            f"dataset {name}: {path} {said}" if said != "its content has changed" else f"dataset {name}: {path}: {said}"
        )
        yield Change(kind="data", what=path, before=old.get(path), after=new.get(path), says=says)
    if len(words) > FILES:
        yield Change(kind="data", what=f"datasets.{name}", says=f"dataset {name}: and {len(words) - FILES} other files")


def _model(before: Any, after: Any, places: Places) -> Change:
    if "model" not in places:
        return Change(kind="model", what="model", before=before, says=f"there is no model any more, it was {before}")
    name = places["model"][-1]
    return Change(kind="model", what=name, before=before, after=after, says=f"model {name} {from_to(before, after)}")


def _named(part: str, before: Facts, after: Facts) -> Iterator[Change]:
    old, new = before.get(part, {}), after.get(part, {})
    for name in new:
        if name in old and old[name] != new[name]:
            if part == "code":
                says = f"{name} was edited"
                yield Change(kind="code", what=name, before=old[name], after=new[name], says=says)
            else:
                says = f"version of {name} {from_to(old[name], new[name])}"
                yield Change(kind="version", what=name, before=old[name], after=new[name], says=says)


def _metrics(before: Sequence[str], after: Sequence[str], places: Places, project: Project) -> Iterator[Change]:
    if sorted(before) != sorted(after):
        more, less = sorted(set(after) - set(before)), sorted(set(before) - set(after))
        said = [f"needs {', '.join(more)} too" if more else "", f"no longer needs {', '.join(less)}" if less else ""]
        place = (*places["dataset"], "checks")
        yield Change(
            kind="spec",
            what=spec_path(place, ()),
            before=list(before),
            after=list(after),
            position=project.position(*place),
            says=f"{spec_path(place, ())}: {' and '.join(filter(None, said))}",
        )


def _reference(before: Facts, after: Facts, places: Places, project: Project) -> Iterator[Change]:
    if not after:
        return
    if before.get("kind") != after["kind"]:
        yield _setting((*places["store"], "reference"), ("kind",), before.get("kind"), after["kind"], project)
        return
    yield from _data(before.get("datasets", {}), after.get("datasets", {}), project)
    if dataset := after.get("dataset"):
        yield from _settings(before.get("spec", {}), after.get("spec", {}), ("datasets", dataset), project)
    old, new = before.get("evaluations", {}), after.get("evaluations", {})
    if list(old.values()) != list(new.values()):
        listed = [", ".join(evaluations) or "none" for evaluations in (old, new)]
        says = f"the reference is evaluation {listed[1]}, and was {listed[0]}"
        yield Change(kind="reference", what="reference", before=list(old), after=list(new), says=says)


def from_to(before: Any, after: Any) -> str:
    """Return `0.95 → 0.9`; of long texts the part that differs."""
    old, new = _text(before), _text(after)
    if max(len(old), len(new)) <= SHOWN:
        return f"{old} → {new}"
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = old.rfind(" ", 0, start) + 1
    return f"{_cut(old, start)} → {_cut(new, start)}"


def _cut(text: str, start: int) -> str:
    end = start + SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def _text(value: Any) -> str:
    if value is None:
        return "unset"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
