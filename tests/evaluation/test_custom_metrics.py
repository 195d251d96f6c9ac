"""Metrics that functions of the user compute: what they get, what they may return, and what becomes of the rest."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.evaluation.custom_metrics import compute_custom_metrics
from engine.evaluation.record import MetricValue
from engine.outcome import CheckOutcome, Outcome
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import PythonMetric

ROWS = pl.DataFrame({"x": [1.0, 2.0, 6.0], "kind": ["a", "b", "a"]})


def compute(folder: Path, body: str, arguments: dict[str, object] | None = None, redact=str) -> MetricValue:
    """Return the metric that a function with this body and the parameters frame, *, a, b computes on ROWS."""
    (folder / "own.py").write_text(f"import decimal, math\nimport polars as pl\ndef it(frame, a=0, b=0):\n    {body}\n")
    metric = PythonMetric.model_validate({"function": "own:it", "arguments": arguments or {}})
    return compute_custom_metrics({"mine": metric}, ROWS.lazy(), CodeFolder(folder), redact)["mine"]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("return frame.select(pl.col('x').sum()).collect().item()", 9.0),
        ("return 3", 3.0),
        ("return True", 1.0),
        ("return decimal.Decimal('1.25')", 1.25),
        ("return pl.Series([2.5])[0]", 2.5),
        ("return math.inf", math_inf := float("inf")),
        ("return -math.inf", -math_inf),
        ("return -0.0", 0.0),
        ("return frame.collect()['x'].to_numpy().mean()", 3.0),
    ],
)
def test_any_number_is_a_value(tmp_path: Path, body: str, value: float) -> None:
    assert compute(tmp_path, body) == MetricValue(value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return None", "own:it returned None"),
        ("pass", "own:it returned None"),
        ("return math.nan", "own:it returned NaN"),
    ],
)
def test_none_and_nan_are_missing_values_and_no_failure(tmp_path: Path, body: str, reason: str) -> None:
    assert compute(tmp_path, body) == MetricValue(None, reason=reason)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 'many'", "own:it returned str; a metric must return a number or None"),
        ("return [1.0]", "own:it returned list; a metric must return a number or None"),
        ("return frame", "own:it returned LazyFrame; a metric must return a number or None"),
        ("return frame.collect()['x']", "own:it returned Series; a metric must return a number or None"),
        ("return 1j", "own:it returned complex; a metric must return a number or None"),
        ("return 10 ** 400", "own:it: int too large to convert to float"),
        ("raise ValueError('no such shop')", "ValueError: no such shop"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return frame.select('y').collect()", "y"),
        ("return it(frame)", "RecursionError"),
    ],
)
def test_a_text_that_is_not_a_number_fails_with_the_reason(tmp_path: Path, body: str, said: str) -> None:
    found = compute(tmp_path, body)
    assert (found.value, found.failed) == (None, True)
    assert said in str(found.reason)


def test_a_failure_names_the_line_of_the_function(tmp_path: Path) -> None:
    assert f"{tmp_path / 'own.py'}:4: KeyError" in str(compute(tmp_path, "return {}['shop']").reason)


def test_arguments_of_the_spec_are_keywords_of_the_function(tmp_path: Path) -> None:
    assert compute(tmp_path, "return a - b", {"a": 7, "b": 2.5}) == MetricValue(4.5)
    unknown = compute(tmp_path, "return a", {"c": 1})
    assert unknown.failed
    assert "unexpected keyword argument 'c'" in str(unknown.reason)


def test_what_a_function_says_is_redacted(tmp_path: Path) -> None:
    found = compute(
        tmp_path, "raise ValueError('hunter22 is wrong')", redact=lambda text: text.replace("hunter22", "***")
    )
    assert "*** is wrong" in str(found.reason)
    assert "hunter22" not in str(found.reason)


def test_a_function_that_fails_does_not_affect_the_others(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def fine(frame):\n    return 4\ndef bad(frame):\n    raise OSError('gone')\n")
    names = {"first": "own:fine", "second": "own:bad", "third": "nowhere:x", "fourth": "own:lost", "fifth": "own:fine"}
    declared = {name: PythonMetric(function=function) for name, function in names.items()}
    found = compute_custom_metrics(declared, ROWS.lazy(), CodeFolder(tmp_path), str)
    assert list(found) == list(names)
    assert [metric.value for metric in found.values()] == [4, None, None, None, 4]
    assert [metric.failed for metric in found.values()] == [False, True, True, True, False]
    assert "there is no module 'nowhere'" in str(found["third"].reason)
    assert "has no function 'lost'" in str(found["fourth"].reason)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_function_sees_the_rows_as_they_are(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "sees"
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text("def total(frame):\n    return frame.collect()['x'].max()\n")
    frame = pl.LazyFrame({"x": values})
    found = compute_custom_metrics({"top": PythonMetric(function="own:total")}, frame, CodeFolder(folder), str)
    assert found["top"].value == max(values)


OWN = """
import polars as pl
def share(frame, of):
    return frame.select((pl.col("kind") == of).mean()).collect().item()
def mean_chance(frame):
    return frame.select(pl.col("probability_1").mean()).collect().item()
def broken(frame):
    raise RuntimeError("no connection to the shop")
def nothing(frame):
    return None
def endless(frame):
    return float("inf")
def strange(metrics):
    return pl.Series([1.0, 2.0])
def nameless(metrics):
    return "OK", None
"""

METRICS = {
    "share of a": {"kind": "python", "function": "own:share", "arguments": {"of": "a"}},
    "broken": {"kind": "python", "function": "own:broken"},
    "nothing": {"kind": "python", "function": "own:nothing"},
    "endless": {"kind": "python", "function": "own:endless"},
}


def rows(seed: int, n: int = 80) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    chance = random.random(n)
    return pl.DataFrame(
        {
            "x": random.normal(size=n),
            "kind": random.choice(["a", "b"], n),
            "chance": chance,
            "guess": (chance > 0.5).astype(int),
            "label": (random.random(n) < chance).astype(int),
        }
    )


def test_a_metric_of_ones_own_is_checked_shown_and_kept_as_any_other(watch) -> None:
    checks = {
        "half": {"metric": "share of a", "soft_max": 0.0},
        "broken": {"metric": "broken", "max": 1, "when_empty": "ok"},
        "nothing": {"metric": "nothing", "max": 1},
    }
    batch = rows(1)
    watched = watch(rows(0), batch, own=OWN, metrics=METRICS, checks=checks)
    share = float((batch["kind"] == "a").mean())
    assert watched.values["share of a"] == pytest.approx(share)
    results = {result.check: result for result in watched.project.check("mes")}
    assert results["half"].outcome is CheckOutcome.WARNING
    assert results["half"].value == pytest.approx(share)
    assert (results["broken"].outcome, results["broken"].counts_as) == (CheckOutcome.ERROR, CheckOutcome.ERROR)
    assert "no connection to the shop" in results["broken"].reason
    assert (results["nothing"].outcome, results["nothing"].counts_as) == (CheckOutcome.EMPTY, CheckOutcome.WARNING)
    frame = watched.store.evaluations(["share of a", "broken", "nothing"])
    assert frame.row(0)[3:6] == (pytest.approx(share), None, None)
    assert watched.project.run("watch").outcome is Outcome.FAILED


def test_predictions_are_columns_for_functions(watch) -> None:
    model = {
        "kind": "scored",
        "task": "binary_classification",
        "target": "label",
        "positive": 1,
        "prediction": "guess",
        "probability": "chance",
        "features": {"include": ["x"]},
    }
    metrics = {"chance": {"kind": "python", "function": "own:mean_chance"}}
    batch = rows(1)
    watched = watch(rows(0), batch, own=OWN, model=model, metrics=metrics)
    assert watched.values["chance"] == pytest.approx(batch["chance"].mean())


def test_a_function_that_is_edited_is_called_again_and_only_then(watch) -> None:
    watched = watch(
        rows(0), rows(1), own="def n(frame):\n    return 1\n", metrics={"n": {"kind": "python", "function": "own:n"}}
    )
    first = watched.store.evaluation()
    assert watched.evaluate().id == first.id
    (watched.folder / "own.py").write_text("def n(frame):\n    return 2\n")
    second = watched.evaluate()
    assert second.id != first.id
    assert second.metrics["n"].value == 2
    assert watched.store.evaluation(first.id).metrics["n"].value == 1
    # all that the function does not compute is as it was
    assert {**first.metrics, "n": None} == {**second.metrics, "n": None}


def test_a_change_between_two_infinities_is_reported_and_is_not_ok(watch) -> None:
    checks = {"as before": {"metric": "endless", "compare": "previous", "soft_max": 0.1}}
    watched = watch(rows(0), rows(1), own=OWN, metrics=METRICS, checks=checks)
    watched.evaluate(rows(2))
    (result,) = watched.project.check("mes")
    assert (result.outcome, result.counts_as) == (CheckOutcome.EMPTY, CheckOutcome.WARNING)
    assert result.reason == "a change from inf to inf is not defined"


def test_a_check_that_returns_a_table_is_an_error_and_one_without_a_reason_says_none(watch) -> None:
    checks = {name: {"kind": "python", "function": f"own:{name}"} for name in ("strange", "nameless")}
    strange, nameless = watch(rows(0), rows(1), own=OWN, checks=checks).project.check("mes")
    assert strange.outcome is CheckOutcome.ERROR
    assert strange.reason.startswith("own:strange returned shape: (2,)")
    assert "a check must return one of OK, EMPTY, WARNING, ERROR, or (outcome, reason)" in strange.reason
    assert (nameless.outcome, nameless.reason) == (CheckOutcome.OK, "")


def test_metrics_that_are_called_as_columns_of_the_table_are_not_hidden(watch) -> None:
    names = ("rows", "name", "id", "created")
    metrics = {name: {"kind": "python", "function": "own:n"} for name in names}
    watched = watch(rows(0), rows(1), own="def n(frame):\n    return 7\n", metrics=metrics)
    frame = watched.store.evaluations(names)
    assert frame.select(f"metrics.{name}" for name in names).row(0) == (7, 7, 7, 7)
    assert frame.select("rows", "id").row(0) == (80, watched.store.evaluation().id)
    assert isinstance(watched.project, engine.Project)
    assert frame.schema["created"] == pl.Datetime("us", "UTC")
