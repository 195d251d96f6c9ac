"""A plan names the right reason for every kind of change, and is what the run then does."""

import os
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.outcome import ExitCode
from engine.pipeline.actions import Action
from engine.scenarios.result import RunResult
from engine.store import Store

from .planned_project import Edit, done, people, planned, spec

Expected = dict[tuple[str, str], tuple[str, list[str]]]


def actions(runs: list[RunResult]) -> list[Action]:
    return [action for run in runs for step in run.all_steps() for action in step.actions]


def compared(found: list[Action]) -> list[dict[str, object]]:
    """What a plan and a run have in common: a run knows more rows before it reads."""
    return [action.model_dump(exclude={"reads"}) for action in found]


def source(name: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new))

    return edit


def recorded(*statements: str) -> Edit:
    """Change what the state remembers: as if an earlier version of the engine or of a library had written it."""

    def edit(folder: Path) -> None:
        with Store.open(folder / ".engine" / "test") as state, state.database.begin_write() as connection:
            for statement in statements:
                connection.execute(text(statement))

    return edit


def forget_files(folder: Path) -> None:
    (folder / "new.parquet").rename(folder / "renamed.parquet")
    spec("new.parquet", "renamed.parquet")(folder)


EVALUATE, TRAIN, READ = ("evaluate", "watched"), ("train", "it"), ("read", "new")

VERSION = "model it version 1 → version 2"

OTHER_ROWS = "dataset groups: mine:groups returned different rows"

CHANGES: dict[str, tuple[Edit, Expected]] = {
    "the model's algorithm": (
        spec("algorithm: decision_tree", "algorithm: extra_trees"),
        {TRAIN: ("changed", ["models.it.algorithm decision_tree → extra_trees"]), EVALUATE: ("changed", [VERSION])},
    ),
    "a parameter of the algorithm": (
        spec("algorithm: decision_tree", "algorithm: decision_tree\n    parameters: {max_depth: 3}"),
        {TRAIN: ("changed", ["models.it.parameters.max_depth (not set) → 3"]), EVALUATE: ("changed", [VERSION])},
    ),
    "the features": (
        spec("exclude: [person]", "exclude: [person, score]"),
        {
            TRAIN: ("changed", ['models.it.features.exclude ["person"] → ["person", "score"]']),
            EVALUATE: ("changed", [VERSION]),
        },
    ),
    "the split": (
        spec("test: {seed: 1}", "test: {seed: 2}"),
        {TRAIN: ("changed", ["models.it.test.seed 1 → 2"]), EVALUATE: ("changed", [VERSION])},
    ),
    "the entity of what it is trained on": (
        spec("old: {path: old.parquet, entity: person}", "old: {path: old.parquet}"),
        {TRAIN: ("changed", ["datasets.old.entity person → (not set)"]), EVALUATE: ("changed", [VERSION])},
    ),
    "the threshold, which needs no training": (
        spec("target: label", "target: label\n    threshold: 0.6"),
        {TRAIN: ("reused", []), EVALUATE: ("changed", ["models.it.threshold 0.5 → 0.6"])},
    ),
    "the cost matrix": (
        spec("target: label", "target: label\n    cost_matrix: {true_positive: 5}"),
        {TRAIN: ("reused", []), EVALUATE: ("changed", ["models.it.cost_matrix.true_positive 1.0 → 5.0"])},
    ),
    "a setting of drift": (
        spec("confidence: 0.95", "confidence: 0.9"),
        {TRAIN: ("reused", []), EVALUATE: ("changed", ["evaluation_stores.watched.drift.confidence 0.95 → 0.9"])},
    ),
    "the role of a column": (
        spec("{age: {min: -1000}}", "{age: {min: -1000}, score: {role: categorical}}"),
        {
            READ: ("changed", ["datasets.new.columns.score.role (not set) → categorical"]),
            EVALUATE: ("changed", ["datasets.new.columns.score.role (not set) → categorical"]),
        },
    ),
    "a column that must be there, no more": (
        spec("{age: {min: -1000}}", "{age: {min: -1000}, score: {}}"),
        {READ: ("changed", ["datasets.new.columns.score (not set) → {}"]), EVALUATE: ("reused", [])},
    ),
    "what a column has by default": (
        spec("min: -1000", "required: true"),
        {
            READ: (
                "changed",
                ["datasets.new.columns.age.required false → true", "datasets.new.columns.age.min -1000.0 → (not set)"],
            ),
            EVALUATE: ("reused", []),
        },
    ),
    "what the split has by default": (
        spec("test: {seed: 1}", "test: {seed: 1, share: 0.3}"),
        {TRAIN: ("changed", ["models.it.test.share 0.2 → 0.3"]), EVALUATE: ("changed", [VERSION])},
    ),
    "back to the default": (
        spec("    test: {seed: 1}\n", ""),
        {TRAIN: ("changed", ["models.it.test.seed 1 → 0"]), EVALUATE: ("changed", [VERSION])},
    ),
    "a contract, which changes no number": (
        spec("min: -1000", "min: -999"),
        {READ: ("changed", ["datasets.new.columns.age.min -1000.0 → -999.0"]), EVALUATE: ("reused", [])},
    ),
    "a check of a dataset": (
        spec("checks: {enough:", "checks: {middle: {metric: mean.age, min: 0}, enough:"),
        {READ: ("changed", ["datasets.new.checks: mean.age now needed"]), EVALUATE: ("reused", [])},
    ),
    "the reference": (
        spec("    drift: {confidence", "    reference: {kind: dataset, dataset: old}\n    drift: {confidence"),
        {EVALUATE: ("changed", ["evaluation_stores.watched.reference.kind model_test → dataset"])},
    ),
    "no model any more": (
        spec("    model: it\n", "    reference: {kind: dataset, dataset: old}\n"),
        {
            EVALUATE: (
                "changed",
                [
                    "the model was removed; it was version 1",
                    "evaluation_stores.watched.reference.kind model_test → dataset",
                ],
            )
        },
    ),
    "an argument of a metric of one's own": (
        spec("{times: 1}", "{times: 2}"),
        {EVALUATE: ("changed", ["evaluation_stores.watched.metrics.own.arguments.times 1 → 2"])},
    ),
    "the code of a metric of one's own": (
        source("own.py", "* times", "* times + 1"),
        {READ: ("reused", []), EVALUATE: ("changed", ["the code of own.py has changed"])},
    ),
    "the code of a dataset, which returns other rows": (
        source("mine.py", '["a", "b"]', '["a"]'),
        {
            READ: ("changed", [OTHER_ROWS, "the code of mine.py has changed"]),
            EVALUATE: ("changed", [OTHER_ROWS, "the code of mine.py has changed"]),
        },
    ),
    "the content of a file": (
        lambda folder: people(folder / "new.parquet", 2),
        {
            ("read", "later"): ("changed", ["dataset later: the content of new.parquet has changed"]),
            READ: ("changed", ["dataset later: the content of new.parquet has changed"]),
            TRAIN: ("reused", []),
            EVALUATE: ("changed", ["dataset later: the content of new.parquet has changed"]),
        },
    ),
    "the content of what it is trained on": (
        lambda folder: people(folder / "old.parquet", 3),
        {
            TRAIN: ("changed", ["dataset old: the content of old.parquet has changed"]),
            EVALUATE: ("changed", [VERSION]),
        },
    ),
    "the value of a variable": (
        spec("oldest: 90", "oldest: 50"),
        {READ: ("changed", ["variable oldest 90 → 50"]), EVALUATE: ("changed", ["variable oldest 90 → 50"])},
    ),
    "what a query says": (
        spec("l.age < ${oldest}", "l.age <= ${oldest}"),
        {EVALUATE: ("changed", ["datasets.new.sql …< ${oldest} → …<= ${oldest}"])},
    ),
    "the kernel": (
        recorded(
            "UPDATE evaluations SET parameters_fingerprint = 'x'",
            "UPDATE evaluation_details SET facts = json_set(facts, '$.versions.kernel', 'before')",
        ),
        {READ: ("reused", []), TRAIN: ("reused", []), EVALUATE: ("changed", ["version of kernel before → "])},
    ),
    "the hash of rows, which a library made before": (
        recorded(
            "UPDATE dataset_measurements SET fingerprint = 'x', facts = json_set(facts, "
            "'$.datasets.groups.fingerprint', 'x', '$.datasets.groups.versions', json('{\"polars\": \"2\"}'), "
            "'$.datasets.new.fingerprint', 'x') WHERE dataset = 'new'"
        ),
        {READ: ("changed", ["version of row hash (not set) → engine 1"])},
    ),
    "the hash of rows": (
        recorded(
            "UPDATE dataset_measurements SET fingerprint = 'x', facts = json_set(facts, "
            "'$.datasets.groups.fingerprint', 'x', '$.datasets.groups.versions.\"row hash\"', 'before', "
            "'$.datasets.new.fingerprint', 'x') WHERE dataset = 'new'"
        ),
        {READ: ("changed", ["version of row hash before → engine 1"])},
    ),
    "force": (spec("mode: changed", "mode: force"), {TRAIN: ("reused", []), EVALUATE: ("forced", [])}),
}

NOTHING: dict[str, Edit] = {
    "a default that is said": spec("test: {seed: 1}", "test: {seed: 1, share: 0.2}\n    threshold: 0.5"),
    "an empty mapping": spec("test: {seed: 1}", "test: {seed: 1}\n    parameters: {}\n    cost_matrix: {}"),
    "a description": spec("description: what came later", "description: in other words"),
    "a secret": spec("env: URL", "env: ADDRESS"),
    "the name of an evaluation": spec("name: first", "name: second"),
    "a limit of a check": spec("max: 1}", "max: 0.9}"),
    "blanks and letters of SQL": spec("SELECT l.* FROM later l JOIN", "select  l.*  from later l\n      join"),
    "a file written again": lambda folder: os.utime(folder / "new.parquet", (1e9, 1e9)),
    "the name of a file": forget_files,
    "a comment in the code of a dataset": source("mine.py", "import polars", "# words\nimport polars"),
    "a reporter": spec("outcome != 'SUCCESS'", "outcome == 'FAILED'"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_reason_for_every_kind_of_change(what: str, folder: Path) -> None:
    edit, expected = CHANGES[what]
    edit(folder)
    plan = planned(folder)
    assert plan.exit_code is ExitCode.OK, plan
    found = {(action.kind, action.target): action for action in plan.all_actions()}
    for key, (because, says) in expected.items():
        action = found[key]
        assert action.because == because, action
        said = [change.says for change in action.changes]
        assert len(said) == len(says)
        assert all(one.startswith(start) for one, start in zip(said, says, strict=True)), said
    settings = [
        change for action in plan.all_actions() for change in action.changes if change.kind in ("spec", "variable")
    ]
    assert all(change.position is not None for change in settings)


@pytest.mark.parametrize("what", NOTHING)
def test_what_changes_no_number_recomputes_nothing(what: str, folder: Path) -> None:
    NOTHING[what](folder)
    plan = planned(folder)
    computing = [action for action in plan.all_actions() if action.kind in ("read", "train", "profile", "evaluate")]
    assert len(computing) == 5
    assert all(action.reused for action in computing), computing


def test_a_touched_file_is_reported(folder: Path) -> None:
    os.utime(folder / "new.parquet", (9e8, 9e8))  # a file of this very moment is not trusted to be what was hashed
    done(folder)
    os.utime(folder / "new.parquet", (1e9, 1e9))
    found = {action.target: action.notes for action in planned(folder).all_actions() if action.kind == "read"}
    assert found == {"old": [], "later": ["new.parquet has a new modification time, but the same content"], "new": []}


@pytest.mark.parametrize(
    "what",
    ["the split", "the threshold, which needs no training", "the content of a file", "a check of a dataset", "force"],
)
def test_the_run_does_what_its_plan_said(what: str, folder: Path) -> None:
    CHANGES[what][0](folder)
    plan = planned(folder)
    assert compared(actions(done(folder))) == compared(plan.all_actions())
    again = planned(folder)
    if what != "force":
        assert compared(actions(done(folder))) == compared(again.all_actions())
        assert all(action.reused or action.kind == "check" for action in again.all_actions())


def test_rows_and_files_that_will_be_read(folder: Path) -> None:
    spec("oldest: 90", "oldest: 50")(folder)
    found = {(action.kind, action.target): action for action in planned(folder).all_actions()}
    reads = {reads.dataset: (reads.rows, reads.files) for reads in found[EVALUATE].reads}
    assert reads == {"later": (300, ["new.parquet"]), "groups": (2, [])}
    spec("seed: 1", "seed: 2")(folder)
    trained = next(action for action in planned(folder).all_actions() if action.kind == "train")
    assert [(reads.dataset, reads.rows, reads.files) for reads in trained.reads] == [("old", 300, ["old.parquet"])]
    assert trained.result == "version 2"


LOOP = """
  loop:
    for_each: [{oldest: 30, name: young}, {oldest: 60, name: middle}, {oldest: 30, name: again}]
    steps: [{name: child, kind: run_scenario, scenario: all}]
run: [loop, all]
"""


def test_what_one_turn_builds_the_next_reuses(folder: Path) -> None:
    path = folder / "project.yaml"
    path.write_text(path.read_text() + LOOP)
    spec("    test: {seed: 1}", "    test: {seed: 9}")(folder)
    plan = planned(folder)
    assert [(a.result, a.because) for a in plan.all_actions() if a.kind == "train"] == [
        ("version 2", "changed"), *[("version 2", "reused")] * 3
    ]  # fmt: skip
    assert [(a.result, a.because) for a in plan.all_actions() if a.kind == "evaluate"] == [
        ("young", "changed"), ("middle", "changed"), ("young", "reused"), ("first", "changed")
    ]  # fmt: skip
    assert compared(actions(done(folder))) == compared(plan.all_actions())
