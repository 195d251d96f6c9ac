"""Models that a function of the user scores, through real specs."""

import polars as pl
import pytest

from engine.errors import ModelError

from .scored_project import FRAME, PYTHON, python, scored


@pytest.mark.parametrize(
    "answer",
    [
        "(frame['amount'] > 3).cast(pl.Int64)",
        "(frame['amount'] > 3)",
        "(frame['amount'] > 3).to_numpy()",
        "['1' if x > 3 else '0' for x in frame['amount']]",
        "frame.select(prediction=(pl.col('amount') > 3).cast(pl.Int8))",
        "frame.select(anything=(pl.col('amount') > 3).cast(pl.Int8))",
        "(frame['amount'] > 3).cast(pl.Float64)",
        "{'probability': frame['amount'] / 6 - 0.05}",
        "{0: 1 - (frame['amount'] > 3).cast(pl.Int8), 1: frame['amount'] > 3}",
        "np.column_stack([frame['amount'] <= 3, frame['amount'] > 3]).astype(float)",
    ],
)
def test_a_function_may_answer_in_any_of_these_ways(tmp_path, answer):
    found = python(tmp_path, f"def score(frame):\n    return {answer}\n")
    assert found["prediction"].to_list() == FRAME["fraud"].to_list()


def test_a_function_gets_its_features_and_arguments(tmp_path):
    found = python(
        tmp_path,
        "def score(frame, scale):\n    assert frame.columns == ['amount']\n    return frame['amount'] * scale\n",
        "regression",
        "    arguments: {scale: 0.5}\n",
    )
    assert (found["prediction"] == FRAME["amount"] / 2).all()


def test_a_function_of_several_classes(tmp_path):
    frame = FRAME.with_columns(fraud=pl.Series(["x", "y", "z"] * 40))
    (tmp_path / "scoring.py").write_text(
        "def score(frame):\n    x = frame['amount']\n    return {'z': 0 * x, 'x': 0 * x + 1, 'y': 0 * x}\n"
    )
    declared = PYTHON.format(task="multiclass_classification")
    found = scored(tmp_path, declared, frame)
    assert set(found["prediction"]) == {"x"}
    assert (found["probability_0"] == 1).all()
    (tmp_path / "scoring.py").write_text("def score(frame):\n    return ['unheard'] * len(frame)\n")
    assert set(scored(tmp_path, declared, frame)["prediction"]) == {"unheard"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return frame['amount'].head(3) / 10", "model m: scoring:score: probability holds 3 values for 120 rows"),
        ("return None", "returned NoneType; it must return a polars Series"),
        ("return ['yes'] * len(frame)", "row 1 is predicted 'yes', which is not one of the classes 0, 1"),
        ("return frame['amount']", r"probability of row 2 is 2; a probability must be between 0 and 1"),
        (
            "return {'a': frame['amount'], 'b': frame['amount']}",
            "got a, b; needed are the probabilities of the classes 0, 1",
        ),
        ("return np.zeros((len(frame), 3))", "returned an array of 3 columns, but there are 2 classes"),
        ("return 1 / 0", r"scoring:score failed: .*scoring\.py:6: ZeroDivisionError: division by zero"),
    ],
)
def test_an_answer_that_is_wrong_names_function_row_and_line(tmp_path, body, said):
    with pytest.raises(ModelError, match=said):
        python(tmp_path, f"def score(frame):\n    {body}\n")


def test_a_function_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"model m: .*has no function 'score'; did you mean 'scores'"):
        python(tmp_path, "def scores(frame):\n    return frame\n")
    (tmp_path / "scoring.py").unlink()
    with pytest.raises(ModelError, match="there is no module 'scoring'"):
        scored(tmp_path, PYTHON.format(task="regression"))
