"""Projects with random mistakes: each of their objects is in the report, and the spec is valid but for its TODOs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dss.project_import import import_project
from engine.errors import Severity, SpecError
from engine.spec import load
from tests.dss.project_documents import PROJECTS, as_files, list_places, read_documents

DOCUMENTS = {path.name: read_documents(path.name) for path in sorted(PROJECTS.iterdir())}
PLACES = [
    (project, file, place)
    for project, documents in DOCUMENTS.items()
    for file, value in documents.items()
    for place in list_places(value)
]
WRONG = st.sampled_from(
    [
        *(
            None,
            "",
            "text",
            "${x}",
            -1,
            1e400,
            2**70,
            10**400,
            5.5,
            True,
            [],
            [None],
            {},
            {"${a": [1]},
            "..",
            "a\x00\ud800",
        ),
        *("python", "temporal", "mail-scenario", "StatsDB", "Snowflake", "RUN_ALWAYS", "numericRange", "send_report"),
        *("custom_python", "TopValuesInSetRule", "A 'b' \"c\"", "outcome == 'FAILED'"),
    ]
)
LISTS = {
    "scenarios": (("params", "steps"), ("triggers",), ("reporters",)),
    **dict.fromkeys(("datasets", "saved_models", "model_evaluation_stores"), (("metricsChecks", "checks"),)),
    **dict.fromkeys(("recipes", "zones"), ()),
}
"""Of each folder, where its files have lists of objects that the report names one by one."""


def change_value(value: Any, place: tuple[str | int, ...], how: str, new: Any) -> None:
    """Change a value inside a JSON value, unless another change has removed it."""
    try:
        for key in place[:-1]:
            value = value[key]
        if how == "replace":
            value[place[-1]] = new
        elif how == "remove":
            del value[place[-1]]
        elif isinstance(value, list):
            value.append(json.loads(json.dumps(value[int(place[-1])])))
        else:
            value[f"{place[-1]}New"] = value.pop(place[-1])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        pass  # what another change has put there has no such place


def list_objects(documents: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield file and JSON path of each object that must be in the report; the path is empty for a whole file."""
    for file, value in documents.items():
        folder = file.partition("/")[0]
        if folder in LISTS and file.endswith(".json"):
            yield file, ""
            for keys in LISTS[folder]:
                found = value
                for key in keys:
                    found = found.get(key) if isinstance(found, dict) else None
                path = ".".join(("$", *keys))
                yield from ((file, f"{path}[{place}]") for place in range(len(found) if isinstance(found, list) else 0))
        elif file in ("variables.json", "localvariables.json") and isinstance(value, dict):
            yield from ((file, f"$.{name}") for name, one in value.items() if not isinstance(one, dict))


@pytest.mark.slow
@settings(max_examples=40)
@given(
    first=st.sampled_from(PLACES),
    changes=st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from(["replace", "remove", "repeat or rename"]), WRONG),
        min_size=1,
        max_size=12,
    ),
)
def test_every_object_of_a_mutated_project_is_in_the_report(
    first: tuple[str, str, tuple[str | int, ...]],
    changes: list[tuple[int, str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    project = first[0]
    places = [(file, place) for name, file, place in PLACES if name == project]
    documents = json.loads(json.dumps(DOCUMENTS[project]))
    change_value(documents[first[1]], first[2], *changes[0][1:])
    for number, how, new in changes[1:]:
        file, place = places[number % len(places)]
        change_value(documents[file], place, how, new)
    imported = import_project(
        as_files({file: json.dumps(one).encode() for file, one in documents.items()}), with_data=False
    )

    named = {line.place for line in imported.report.lines}
    files = {place.partition(" ")[0] for place in named}
    told = imported.report.remarks
    for file, path in list_objects(documents):
        assert (f"{file} {path}" in {*named, *told} if path else file in files) or file in told, (file, path)
    spec = tmp_path_factory.mktemp("mutated") / "spec.yaml"
    spec.write_text(imported.spec, encoding="utf-8")
    lines = imported.spec.splitlines()
    try:
        load(spec, environ={})
    except SpecError as wrong:
        errors = [one for one in wrong.diagnostics if one.severity is Severity.ERROR]
        assert [one for one in errors if "TODO" not in lines[one.position.line - 1]] == []
