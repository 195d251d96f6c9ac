"""A key without its colon is found where it is missing, whatever YAML makes of the line."""

import re
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.spec import load

SPEC = """\
version: 1
project: p
variables: {v: 1}
secrets:
  s: {env: X}
connections:
  c: {kind: file, root: data}
datasets:
  a:
    path: a.csv
    columns:
      x: {type: number}
    checks:
      rows: {metric: row_count, min: 1}
  b: {path: b.csv}
evaluation_stores:
  the store:
    dataset: a
    reference: {kind: dataset, dataset: b}
    drift:
      confidence: 0.95
    checks:
      data drift < 0.45:
        metric: drift.*
        soft_max: 0.1
        except:
          drift.x: {soft_max: 0.2}
channels:
  f: {kind: file, path: outbox}
scenarios:
  Watch it:
    steps:
      - name: build
        kind: build
        target: the store
      - {name: chk, kind: run_checks, target: the store}
    reporters:
      - name: r
        channel: f
        run_condition: outcome == 'WARNING'
        message: hi
"""
LINES = SPEC.splitlines()
KEYS = [number for number, line in enumerate(LINES) if re.match(r" *(- )?[^{]+?:( |$)", line)]


def find_first(tmp_path: Path, text: str) -> tuple[int, str]:
    """Return the line and the help of the first error whose help says that a colon is missing."""
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml", environ={})
    found = [one for one in caught.value.diagnostics if "colon is missing" in f"{one.message} {one.help}"]
    assert found, [one.message for one in caught.value.diagnostics]
    return found[0].position.line, found[0].help or ""


@pytest.mark.parametrize("number", KEYS, ids=lambda number: LINES[number].strip())
def test_the_line_without_a_colon_is_named_and_written_as_it_should_be(tmp_path: Path, number: int) -> None:
    line = LINES[number]
    without = re.sub(r":( |$)", r"\1", line, count=1)
    text = "\n".join([*LINES[:number], without, *LINES[number + 1 :]])
    found, help_ = find_first(tmp_path, text)
    assert found == number + 1
    meant = line.strip().removeprefix("- ")
    assert help_.removeprefix("a colon is missing: ").removesuffix("…}") in f"write {meant}"


@pytest.mark.parametrize(
    ("old", "new", "line", "help_"),
    [
        ("confidence: 0.95", "confidence:0.95", 21, "write confidence: 0.95"),
        ("soft_max: 0.1\n", "soft_max:0.1\n", 25, "write soft_max: 0.1"),
        ("{path: b.csv}", "{path:b.csv}", 15, "write path: b.csv"),
        ("{metric: row", "{metric row", 14, "write metric: row_count"),
        ("{kind: file, path", "{kind file, path", 29, "write kind: file"),
        ("min: 1}", "min 1}", 14, "write min: 1"),
    ],
)
def test_a_colon_without_its_space_and_one_inside_braces(
    tmp_path: Path, old: str, new: str, line: int, help_: str
) -> None:
    assert old in SPEC
    found, said = find_first(tmp_path, SPEC.replace(old, new, 1))
    assert (found, said.removeprefix("a colon is missing: ")) == (line, help_)


@pytest.mark.parametrize(
    "text",
    ["message: hello\n  there: x", "a: b: c", "'quoted' x\n  a: b", "# note\na: b: c", "x: {y: 1}\nurl: http://a: b"],
)
def test_another_mistake_is_not_taken_for_a_missing_colon(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.yaml").write_text(f"version: 1\n{text}\n")
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml", environ={})
    assert not any("colon is missing" in f"{one.message} {one.help}" for one in caught.value.diagnostics)
