"""Every command in the guides works as it stands there, in the order in which it stands there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from engine.errors import SpecError
from engine.spec import load

from ..command_line import Engine

GUIDES = Path(__file__).parents[2] / "specs"
NAMES = sorted(path.name for path in GUIDES.glob("*.md"))
MAY_EXIT_1 = ("engine check", "engine status")


def blocks(guide: str, language: str) -> list[str]:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, kind, body in found if kind == language]


@pytest.mark.slow
@pytest.mark.parametrize("guide", NAMES)
def test_every_command_works(guide: str, specs: Path, engine: Engine) -> None:
    for block in blocks(guide, ""):
        for command in block.replace("\\\n", " ").splitlines():
            first, *arguments = shlex.split(command)
            assert first == "engine", command
            done = engine(specs, *arguments)
            allowed = (0, 1) if command.startswith(MAY_EXIT_1) else (0,)
            assert done.returncode in allowed, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("guide", NAMES)
def test_every_piece_of_yaml_is_yaml_and_every_link_leads_somewhere(guide: str) -> None:
    for block in blocks(guide, "yaml"):
        yaml.safe_load(block)
    text = (GUIDES / guide).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (GUIDES / target).exists(), target


@pytest.mark.parametrize("guide", [name for name in NAMES if blocks(name, "python")])
def test_the_python_works_from_top_to_bottom(guide: str, specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(specs)
    known: dict[str, object] = {}
    for block in blocks(guide, "python"):
        exec(compile(block, guide, "exec"), known)
    if guide == "drift_as_a_library.md":
        assert {"found", "week", "drift_model"} <= known.keys()


PIECES = """
version: 1
project: pieces
secrets: {chat_url: {env: CHAT_URL}}
datasets: {batch: {path: batch.parquet}, before: {path: before.parquet}, arrivals: {path: arrivals}}
models:
  it: {kind: scored, task: binary_classification, target: y, probability: p}
evaluation_stores:
  s: {model: it, dataset: batch, reference: {kind: dataset, dataset: before}}
channels: {ops_mail: {kind: file, path: outbox}, chat: {kind: file, path: outbox}}
scenarios:
  run: {steps: [{name: build, kind: build, target: s}]}
  import: {steps: [{name: build, kind: build, target: before}]}
"""


@pytest.mark.parametrize("piece", blocks("recipes.md", "yaml"))
def test_every_recipe_fits_into_a_spec(piece: str, tmp_path: Path) -> None:
    """Put a piece where its keys belong, and let the loader judge."""
    spec = yaml.safe_load(PIECES)
    given = yaml.safe_load(piece)
    store, scenario = spec["evaluation_stores"]["s"], spec["scenarios"]["run"]
    for key, value in given.items():
        if key in ("datasets", "models", "secrets", "channels"):
            spec[key] |= value
        elif key in ("variables", "retention"):
            spec[key] = value
        elif key == "include":
            for name in value:
                (tmp_path / name).write_text("{}")
            spec[key] = value
        elif key in ("reference", "metrics"):
            store[key] = value
        elif key == "checks":
            store.setdefault("checks", {}).update(value)
        elif key == "steps":
            named = {"the_MES": "s", "data_alone": "batch"}
            for step in value:
                target = step.get("target", [])
                step["target"] = (
                    [named[one] for one in target] if isinstance(target, list) else named.get(target, target)
                )
            scenario["steps"] = [{key: of for key, of in step.items() if of != []} for step in value]
        elif key in ("reporters", "triggers", "timeout", "for_each", "fail_fast"):
            scenario[key] = value
        else:
            store.setdefault("checks", {})[key] = value
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        load(path)
    except SpecError as wrong:
        pytest.fail(str(wrong))
