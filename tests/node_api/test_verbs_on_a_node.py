"""The verbs with --on, of a deployment on a node: those that do it there, and those that say what to do instead."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec import load

from ..deployments.deployed import make_bundle
from ..waiting import wait_for
from ..webhooks import receive_webhooks
from .design import MODULE, SPEC, Design, design_tiny

pytestmark = pytest.mark.slow

MORE = """
scenarios:
  hangs:
    steps: [{name: call, kind: python, function: "mine:hang"}]
    reporters:
      - {name: ended, run_condition: "outcome == 'ABORTED'", channel: told, subject: "it ended", message: "${outcome}"}
  warned:
    steps:
      - {name: talk, kind: send_message, channel: chat, message: "hello"}
  deaf: {steps: [{name: call, kind: python, function: "mine:ignore"}]}
  timed:
    triggers: [{name: each, kind: interval, every: 1h}]
    steps: [{name: call, kind: python, function: "mine:fine"}]
"""
HANG = """
import signal, time

def hang():
    time.sleep(3600)

def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        time.sleep(1)
"""


@pytest.fixture
def chat() -> Iterator[int]:
    """The port of a chat service."""
    with receive_webhooks() as service:
        yield service.port


@pytest.fixture
def design(tmp_path: Path, chat: int) -> Iterator[Design]:
    with design_tiny(tmp_path) as made:
        text = textwrap.dedent(SPEC).format(function="fine", url=made.url).replace("\nscenarios:\n", MORE)
        # apprise warns of the second of its rooms, whose name is wrong
        room = f"channels: {{chat: {{kind: apprise, url: 'ntfy://127.0.0.1:{chat}/alerts/bad!room'}}, "
        text = text.replace("channels: {", room)
        (made.here / "spec.yaml").write_text(text)
        (made.here / "mine.py").write_text(MODULE + HANG)
        make_bundle(load(made.here / "spec.yaml"), "v5")
        done = made.engine("deploy", "spec.yaml", "production", "--bundle", "v5", "--now")
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def command(design: Design, *arguments: str, token: str = "operator", code: int = 0) -> str:
    verb, *rest = arguments
    done = design.engine(verb, "spec.yaml", *rest, "--on", "production", token=token)
    assert done.returncode == code, f"{arguments}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def get_pause(design: Design) -> dict[str, str] | None:
    (found,) = design.ask("/projects/tiny@production/triggers").json()["triggers"]
    paused: dict[str, str] | None = found["paused"]
    return paused


def wait_for_state(design: Design, run: str, state: str) -> None:
    wait_for(lambda: design.ask(f"/runs/{run}").json().get("run", {}).get("state") == state, f"{run} is {state}")


def start_hanging(design: Design, scenario: str = "hangs") -> str:
    """Ask for a run that does not end, and return its id when it is at work."""
    path = "/v1/deployments/production"
    asked = design.ask(f"{path}/scenarios/{scenario}/runs", "POST", token="operator", json={}).json()
    run: str = wait_for(lambda: design.ask(f"{path}/fires/{asked['fire']['number']}").json()["run"], "the run")
    wait_for_state(design, run, "RUNNING")
    return run


@pytest.mark.timeout(600)
def test_what_is_done_on_the_node_and_what_is_not(design: Design) -> None:
    said = command(design, "pause", "timed", "--until", "2h", "--reason", "the warehouse moves")
    assert "paused until" in said
    paused = get_pause(design)
    assert paused is not None
    assert paused["until"] is not None
    assert (paused["reason"], paused["by"]) == ("the warehouse moves", "operator 127.0.0.1")
    assert "--reason" in command(design, "pause", "timed", code=2)
    command(design, "resume", "timed")
    assert get_pause(design) is None
    assert "is not paused" in command(design, "resume", "timed", code=2)
    assert "did you mean" in command(design, "pause", "times", "--reason", "x", code=3)
    assert "operator" in command(design, "pause", "timed", "--reason", "x", token="viewer", code=3)

    run = start_hanging(design)
    last = run.rpartition("-")[2]
    assert last in command(design, "show", "--runs", token="viewer")
    listed = json.loads(command(design, "show", "--runs", "--format", "json", token="viewer"))
    assert [one["id"] for one in listed][-1:] == [run]
    assert "RUNNING" in command(design, "show", "--run", last, token="viewer")
    assert run in command(design, "abort", last)
    wait_for_state(design, run, "ABORTED")
    shown = json.loads(command(design, "show", "--run", last, "--format", "json", token="viewer"))
    assert (shown["state"], shown["scenario"], shown["release"].split()[0]) == ("ABORTED", "hangs", "v5")
    assert "already ended ABORTED" in command(design, "abort", last, code=3)
    assert "no run of this id" in command(design, "abort", "00000000", code=3)

    (delivery,) = shown["deliveries"]
    assert (delivery["reporter"], delivery["channel"]) == ("ended", "told")

    (warned,) = json.loads(command(design, "run", "warned", "--format", "json"))
    assert [(one["reporter"], one["channel"]) for one in warned["deliveries"]] == [("talk", "chat")]
    wait_for(lambda: "accepted it, but Apprise warned" in command(design, "show", "--run", warned["id"]), "the remark")
    shown = json.loads(command(design, "show", "--run", warned["id"], "--format", "json"))
    (delivery,) = shown["deliveries"]
    assert delivery["state"] == "SENT"
    assert delivery["reason"].startswith("ntfy through apprise; sent at ")

    deaf = start_hanging(design, "deaf")
    assert deaf in command(design, "abort", deaf)
    wait_for_state(design, deaf, "ABORTED")  # it does not end by itself, so it is killed

    for instead in (["show"], ["check", "rows"], ["mute", "rows", "x", "--until", "1d", "--reason", "y"]):
        said = command(design, *instead, code=2)
        assert "is on the node 'factory'" in said
        assert "current.yaml" in said


@pytest.mark.timeout(600)
def test_a_run_that_hangs_is_ended_at_the_limit_of_the_node_and_reported(design: Design) -> None:
    file = design.there / "node.yaml"
    file.write_text(f"{file.read_text()}limits: {{longest_run: 4s}}\n")
    run = start_hanging(design)
    wait_for_state(design, run, "ABORTED")
    fire = design.ask(f"/v1/deployments/production/fires/{design.ask(f'/runs/{run}').json()['run']['fire']}").json()
    assert "longer than 4.0 s, which limits.longest_run of the node allows" in fire["reason"]
    outbox = design.there / "data/deployments/production/home/outbox"
    wait_for(
        lambda: any("it ended" in one.read_text() for one in outbox.rglob("*") if one.is_file()), "what reporters tell"
    )
    (status,) = json.loads(design.engine("status", "spec.yaml", "--format", "json").stdout)
    assert status["execution"]["state"] == "FAILED"
