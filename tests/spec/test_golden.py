"""Golden pairs: `ok/*.yaml` load, `bad/*.yaml` give exactly the diagnostics of the `.out` beside them.

A new case is a new file. `ENGINE_WRITE_GOLDEN=1 pytest tests/spec` writes the `.out` files: read them before they are
committed, as somebody would who wrote that spec by mistake.
"""

import ast
import os
import re
from pathlib import Path

import pytest

from engine.errors import Severity, SpecError
from engine.spec import load
from engine.spec.diagnostics import render_diagnostics
from engine.spec.reference.codes import DIAGNOSTIC_CODES
from engine.spec.resources import project as vocabulary
from engine.spec.resources.resource import Resource
from engine.spec.validation.value_types import ValueType, list_keys

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "engine" / "spec"
OK = sorted(path.stem for path in (HERE / "ok").glob("*.yaml"))
BAD = sorted(path.stem for path in (HERE / "bad").glob("*.yaml"))
ENVIRONMENT = {"ENGINE_QUARTER": "Q3 2017", "ENGINE_ROWS": "250"}

TESTED_ELSEWHERE = {
    "reach": "test_reach.py",
    "file": "test_files.py",
    "too-many": "test_files.py",
    "absent-secret": "test_secrets.py",
    "read-as-text": "../cli/test_plan_command.py",
}


def expected(out: Path, found: str) -> str:
    if os.environ.get("ENGINE_WRITE_GOLDEN"):
        out.unlink(missing_ok=True)
        if found:
            out.write_text(found + "\n", encoding="utf-8")
    return out.read_text(encoding="utf-8").removesuffix("\n") if out.exists() else ""


@pytest.mark.parametrize("case", OK)
def test_a_right_spec_loads(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "ok")
    project = load(Path(f"{case}.yaml"), environ=ENVIRONMENT)
    warnings = render_diagnostics(project.warnings)
    assert warnings == expected(HERE / "ok" / f"{case}.out", warnings)


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_spec_says_what_is_wrong(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / "bad")
    with pytest.raises(SpecError) as caught:
        load(Path(f"{case}.yaml"), environ=ENVIRONMENT)
    found = render_diagnostics(caught.value.diagnostics)
    assert found == expected(HERE / "bad" / f"{case}.out", found)
    assert any(d.severity is Severity.ERROR for d in caught.value.diagnostics)


def shown_codes() -> set[str]:
    outs = [*(HERE / "bad").glob("*.out"), *(HERE / "ok").glob("*.out")]
    return {code for out in outs for code in re.findall(r" \[([a-z0-9-]+)\]$", out.read_text("utf-8"), re.MULTILINE)}


def emitted_codes() -> set[str]:
    """The codes in the source: the first text wherever a finding or a problem is made."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        if path.name == "codes.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in ("error", "warning", "Diagnostic", "Problem"):
                    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                    found |= set(texts[:1])
    return found


def test_every_code_is_in_the_table() -> None:
    assert emitted_codes() | shown_codes() <= DIAGNOSTIC_CODES.keys()


def test_every_code_has_a_case() -> None:
    for code, where in TESTED_ELSEWHERE.items():
        assert f'"{code}"' in (HERE / where).read_text("utf-8")
    assert DIAGNOSTIC_CODES.keys() - shown_codes() - TESTED_ELSEWHERE.keys() == set()


def resources(type_: ValueType) -> set[type[Resource]]:
    found: set[type[Resource]] = set()
    for resource in type_.resources:
        found |= {resource}.union(*(resources(field.type) for field in list_keys(resource).values()))
    for inner in (type_.items, type_.values):
        found |= resources(inner) if inner else set()
    return found


def test_every_key_was_misspelt_once() -> None:
    known = resources(ValueType(resources=(vocabulary.ProjectResource,)))
    keys = {key for resource in known for key in list_keys(resource)} - {"kind"}
    outs = "\n".join(out.read_text("utf-8") for out in (HERE / "bad").glob("misspelt_*.out"))
    assert keys - set(re.findall(r'did you mean "([^"]+)"', outs)) == set()
