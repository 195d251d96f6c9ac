"""What a plan of an unchanged project does not do: load what computes, or read the same schema again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

COUNTED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(1) if event == "open" and str(args[0]).endswith(".csv") else None)
from engine.cli.main import main
sys.argv = ["engine", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    assert not ended.code
heavy = ("numba", "scipy", "sklearn", "skops", "alembic", "jinja2", "pandas", "apprise", "engine.drift.comparison")
print(json.dumps([len(opened), [name for name in heavy if name in sys.modules]]), file=sys.stderr)
"""


def write_stores(folder: Path, count: int) -> None:
    """Write a project whose stores all read queries over one file."""
    (folder / "past.csv").write_text("id,a\n" + "".join(f"{i},{i % 7}\n" for i in range(200)))
    lines = [f"  d{i}: {{kind: query, sql: SELECT * FROM past WHERE id > {i}}}" for i in range(count)]
    stores = [f"  s{i}: {{dataset: d{i}, reference: {{kind: dataset, dataset: past}}}}" for i in range(count)]
    head = ["version: 1", "project: p", "datasets:", "  past: {path: past.csv}"]
    (folder / "spec.yaml").write_text("\n".join([*head, *lines, "evaluation_stores:", *stores]))


def call(folder: Path, verb: str) -> tuple[int, list[str]]:
    """Return how often the data file was opened, and the heavy modules that were loaded."""
    command = [sys.executable, "-c", COUNTED, verb, "spec.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    opened, loaded = json.loads(done.stderr.splitlines()[-1])
    return opened, loaded


@pytest.mark.slow
def test_a_file_is_opened_as_little_for_six_stores_as_its_hash_needs(tmp_path: Path) -> None:
    found = {}
    for count in (2, 6):
        folder = tmp_path / str(count)
        folder.mkdir()
        write_stores(folder, count)
        call(folder, "run")
        opened, loaded = call(folder, "plan")
        assert loaded == []
        found[count] = opened
    # Each further store costs the look at the file that tells whether it has changed, and no reading of its schema.
    assert (found[6] - found[2]) / 4 <= 5
