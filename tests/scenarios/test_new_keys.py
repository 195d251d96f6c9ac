"""A key that a later version of the language brings recomputes nobody's history, until somebody sets it."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import create_model

from engine.pipeline.actions import Action
from engine.scenarios import scenario_selection, session
from engine.spec import ProjectSpec, load
from engine.spec.resources.models import ScoredModel, SkopsModel
from engine.spec.resources.resource import Resource, facts_of

SPEC = """
version: 1
project: test
datasets:
  old: {path: old.csv, csv: {separator: ";"}, columns: {age: {min: -1000}}}
  new: {path: new.csv, csv: {separator: ";"}, columns: {age: {min: -1000}}}
models:
  it:
    algorithm: decision_tree
    task: binary_classification
    dataset: old
    target: label
    features: {exclude: [id]}
    test: {seed: 1}
    cost_matrix: {true_positive: 2}
evaluation_stores:
  watched: {model: it, dataset: new, drift: {seed: 1}}
scenarios:
  all: {steps: [{name: build, kind: build, target: watched}]}
"""
BROUGHT: dict[tuple[str, ...], str] = {
    ("datasets", "new", "csv"): "read",
    ("datasets", "new", "columns", "age"): "read",
    ("models", "it", "features"): "train",
    ("models", "it", "test"): "train",
    ("models", "it", "cost_matrix"): "evaluate",
    ("evaluation_stores", "watched", "drift"): "evaluate",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> ProjectSpec:
    """A project that has run once."""
    folder = tmp_path_factory.mktemp("built")
    for name, seed in (("old", 0), ("new", 1)):
        age = np.random.default_rng(seed).normal(40, 10, 300)
        frame = pl.DataFrame({"id": range(300), "age": age, "label": (age > 40).astype(int)})
        frame.write_csv(folder / f"{name}.csv", separator=";")
    (folder / "project.yaml").write_text(SPEC)
    project = load(folder / "project.yaml", environ={})
    (result,) = session.run_scenarios(project, scenario_selection.select_scenarios(project), environ={}).runs
    assert str(result.outcome) == "SUCCESS", result.steps
    return project


@cache
def later(kind: type[Resource], path: tuple[str, ...] = ()) -> type[Resource]:
    """Return a resource as a later version declares it: the one at the path has the key `brought`, by default 7."""
    if not path:
        return create_model(kind.__name__, __base__=kind, brought=(int, 7))
    inner = later(type(kind.model_fields[path[0]].default), path[1:])
    fields: dict[str, Any] = {path[0]: (inner, inner())}
    return create_model(kind.__name__, __base__=kind, **fields)


def upgraded(project: ProjectSpec, place: tuple[str, ...], brought: dict[str, int]) -> ProjectSpec:
    """Return the project as a later version reads it, with or without the key in the spec."""
    section, name, key, *column = place
    resource = getattr(project.resources, section)[name]
    said = resource.model_dump(exclude_unset=True)
    if column:
        columns = {column[0]: later(type(resource.columns[column[0]])).model_validate(said[key][column[0]] | brought)}
        resource = resource.model_copy(update={"columns": columns})
    else:
        resource = later(type(resource), (key,)).model_validate({**said, key: said.get(key, {}) | brought})
    resources = {**getattr(project.resources, section), name: resource}
    return replace(project, resources=project.resources.model_copy(update={section: resources}))


def planned(project: ProjectSpec) -> list[Action]:
    return list(session.plan_scenarios(project, scenario_selection.select_scenarios(project), environ={}).all_actions())


@pytest.mark.parametrize("place", BROUGHT, ids=".".join)
def test_a_new_key_recomputes_nothing(place: tuple[str, ...], built: ProjectSpec) -> None:
    for brought in ({}, {"brought": 7}):
        actions = planned(upgraded(built, place, brought))
        assert len(actions) == 4
        assert all(action.reused for action in actions), actions


@pytest.mark.parametrize("place", BROUGHT, ids=".".join)
def test_a_new_key_that_is_set_is_the_reason(place: tuple[str, ...], built: ProjectSpec) -> None:
    actions = planned(upgraded(built, place, {"brought": 8}))
    changed = next(action for action in actions if not action.reused)
    assert changed.kind == BROUGHT[place]
    assert [change.says for change in changed.changes] == [f"{'.'.join(place)}.brought 7 → 8"]


def test_resources_of_equal_keys_and_another_kind_differ() -> None:
    said: dict[str, Any] = {"task": "regression", "target": "y"}
    scored = ScoredModel(**said, prediction="p")
    assert facts_of(scored, {"kind", "task"}) == {"kind": "scored", "task": "regression"}
    assert facts_of(SkopsModel(**said, path="m"), {"kind", "task"}) == {"kind": "skops", "task": "regression"}
