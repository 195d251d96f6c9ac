"""An older copy of the state is laid over it: which messages are sent again, and which are not."""

import json
import shutil
from pathlib import Path

from ..command_line import call_engine

SPEC = """
version: 1
project: p
run: watch
channels: {chat: {kind: command, argv: [sh, take.sh]}}
scenarios:
  watch:
    steps: [{name: say, kind: python, function: "mine:tell"}]
    reporters: [{name: c, channel: chat, only_on_change: true}]
"""


class RestoredProject:
    """A project whose messages are taken while the file `up` is there; `kept` is the copy of its state."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "kept"
        (folder / "p.yaml").write_text(SPEC)
        (folder / "mine.py").write_text("import os\ndef tell():\n    return os.environ['FOUND']\n")
        (folder / "take.sh").write_text("test -e up && cat >> taken && echo >> taken\n")
        (folder / "up").touch()

    def run(self, found: str) -> str:
        """Run with a result of the step; return what became of the messages."""
        done = call_engine(self.folder, "run", "p.yaml", "--format", "json", FOUND=found)
        return " ".join(each["state"] for each in json.loads(done.stdout)["runs"][0]["deliveries"])

    def copy_state(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.folder / ".engine", self.kept)

    def restore_state(self) -> None:
        shutil.rmtree(self.folder / ".engine")
        shutil.copytree(self.kept, self.folder / ".engine")

    def list_taken(self) -> list[str]:
        """Return the ids of the messages that were taken."""
        return [json.loads(line)["id"] for line in (self.folder / "taken").read_text().splitlines() if line]


def test_a_change_that_was_reported_since_is_reported_again_and_a_restored_one_is_not(tmp_path: Path) -> None:
    project = RestoredProject(tmp_path)
    assert project.run("SUCCESS") == ""
    project.copy_state()
    assert project.run("WARNING") == "SENT"
    project.restore_state()
    assert project.run("WARNING") == "SENT"
    project.copy_state()
    assert project.run("SUCCESS") == "SENT"
    project.restore_state()
    assert project.run("WARNING") == "SKIPPED"
    assert len(set(project.list_taken())) == 3


def test_what_waited_in_the_copy_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    project = RestoredProject(tmp_path)
    (tmp_path / "up").unlink()
    assert project.run("WARNING") == "PENDING"
    project.copy_state()
    (tmp_path / "up").touch()
    project.run("WARNING")
    project.restore_state()
    project.run("WARNING")
    first, second = project.list_taken()
    assert first == second
