"""The Python of the reference page, run as it stands there on the example that it names."""

from pathlib import Path
from typing import Any

import pytest

from engine.spec.reference.page import render_reference_page


def test_the_python_of_the_reference_page_runs(card_fraud_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = render_reference_page().partition("\n## Python\n")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(card_fraud_copy)
    known: dict[str, Any] = {}
    exec(compile(block, "reference.md", "exec"), known)
    store = known["store"]
    moved = store.columns(store.compare("Q4 2017", "Q3 2017"))
    assert set(moved["column"][:2]) == {"card_age", "card_fico_score"}
    assert store.evaluations(["roc_auc", "drift.*"], last=8).height == 3
    assert str(known["run"].outcome) == "WARNING"
