"""What has become of a message is said in many places, which agree: results, verbs, pages, API, health, metrics."""

import csv
import io
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.scenarios.session import run_scenarios
from engine.spec import load
from tests.server.page_server import TOKEN, PageServer, serve_pages

from ..command_line import call_engine
from ..webhooks import receive_webhooks

SPEC = """
version: 1
project: p
channels:
  box: {{kind: file, path: outbox}}
  chat: {{kind: apprise, url: "ntfy://127.0.0.1:{port}/alerts/bad!room"}}
  late: {{kind: webhook, url: "http://127.0.0.1:{silent}/x"}}
  strict: {{kind: webhook, url: "http://127.0.0.1:{port}/refuse"}}
  given_up: {{kind: webhook, url: "http://127.0.0.1:{silent}/y"}}
scenarios:
  s:
    steps: [{{name: say, kind: python, function: "mine:warn"}}]
    reporters:
      - {{name: sent, channel: box}}
      - {{name: remarked, channel: chat}}
      - {{name: retried, channel: late}}
      - {{name: refused, channel: strict}}
      - {{name: dropped, channel: given_up}}
      - {{name: silent, channel: box, run_condition: "outcome == 'FAILED'"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    with (
        receive_webhooks(lambda path: 400 if path == "/refuse" else 200) as service,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        silent = taken.getsockname()[1]
        taken.close()
        (tmp_path / "p.yaml").write_text(SPEC.format(port=service.port, silent=silent))
        (tmp_path / "mine.py").write_text("def warn():\n    return 'WARNING'\n")
        yield tmp_path


class Places:
    """The places that say what has become of messages."""

    def __init__(self, folder: Path, client: httpx2.Client) -> None:
        self.folder, self.client = folder, client

    def engine(self, *arguments: str, code: int = 0) -> str:
        done = call_engine(self.folder, *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def show(self, *arguments: str) -> Any:
        return json.loads(self.engine("show", "p.yaml", *arguments, "--format", "json"))

    def ask(self, path: str) -> Any:
        headers = {"accept": "application/json", "authorization": f"Bearer {TOKEN}"}
        return self.client.get(path, headers=headers).json()

    def compare_run(self, run: str) -> dict[str, tuple[str, str]]:
        """Return the state and the reason of each message of a run, as all places say it, by its reporter."""
        shown, answered = self.show("--run", run), self.ask(f"/projects/p/runs/{run}")["run"]
        page = self.ask(f"/p/p/runs/{run}.json")
        table = csv.DictReader(io.StringIO(self.client.get("/p/p/outbox.csv").text))
        listed = [one for one in table if one["run"] == run]
        deliveries = [shown["deliveries"], answered["deliveries"], page["run"]["deliveries"], listed]
        told = [{one["reporter"]: (one["state"], one["reason"]) for one in some} for some in deliveries]
        assert all(one == told[0] for one in told), told
        unsent = {one["reporter"]: (one["state"], one["reason"] or "") for one in self.show("--outbox")
                  if one["run"] == run}  # fmt: skip
        assert unsent == {name: fate for name, fate in told[0].items() if fate[0] != "SENT"}
        for name, (state, reason) in told[0].items():
            html = self.client.get(f"/p/p/runs/{run}").text
            assert state in html, name
            assert reason.replace("'", "&#39;") in html, name
        assert [one["what"] for one in shown["events"]] == [one["what"] for one in answered["events"]]
        return told[0]

    def list_events(self, run: str) -> dict[str, str]:
        """Return the last event of each reporter of a run."""
        events = [one["what"].split(": ", 1) for one in self.show("--run", run)["events"] if one["kind"] == "delivery"]
        return {who.partition(" to ")[0]: what for who, what in events}

    def compare_counts(self) -> dict[str, tuple[int, int]]:
        """Return how many messages wait and how many are refused, as all places count it, by channel."""
        gauges: dict[str, Counter[str]] = {}
        headers = {"authorization": f"Bearer {TOKEN}"}
        for line in self.client.get("/metrics", headers=headers).text.splitlines():
            name, _, labels = line.partition("{")
            if name.startswith("engine_messages_"):
                channel = labels.partition('channel="')[2].partition('"')[0]
                gauges.setdefault(channel, Counter())[name.removeprefix("engine_messages_")] += int(
                    float(line.rpartition(" ")[2])
                )
        scraped = {channel: (found["undelivered"], found["refused"]) for channel, found in gauges.items()}
        health, page = self.ask("/healthz")["projects"][0], self.ask("/p/p/outbox.json")
        told = [
            {one["channel"]: (one["waiting"], one["refused"]) for one in some["undelivered"]} for some in (health, page)
        ]
        listed = Counter((one["channel"], one["state"]) for one in self.show("--outbox"))
        counted = {channel: (listed[channel, "PENDING"], listed[channel, "REFUSED"]) for channel in scraped}
        assert scraped == counted
        assert all(one == {channel: some for channel, some in scraped.items() if some != (0, 0)} for one in told)
        return told[0]


def test_all_places_say_the_same_of_a_message(project: Path) -> None:
    done = call_engine(project, "run", "p.yaml", "--format", "json")
    assert done.returncode == 4, done.stderr
    (ended,) = json.loads(done.stdout)["runs"]
    server = PageServer(project / "p.yaml")
    with serve_pages(server) as (client, _):
        places = Places(project, client)
        found = places.compare_run(ended["id"])
        result = {one["reporter"]: one for one in ended["deliveries"]}
        assert {name: one["state"] for name, one in result.items()} == {
            "sent": "SENT", "remarked": "SENT", "retried": "PENDING", "refused": "REFUSED", "dropped": "PENDING",
            "silent": "SKIPPED",
        }  # fmt: skip
        assert {name: state for name, (state, _) in found.items()} == {
            name: one["state"] for name, one in result.items() if name != "silent"
        }
        assert "Apprise warned" in result["remarked"]["remark"]
        assert found["remarked"][1].endswith(result["remarked"]["remark"])
        events = places.list_events(ended["id"])
        assert "sent" not in events  # what has gone well at once is no event
        for name, one in result.items():
            if name != "sent":
                assert events[name] == "; ".join(filter(None, [f"{one['state']}: {one['reason']}", one["remark"]]))
        assert places.compare_counts() == {"late": (1, 0), "strict": (0, 1), "given_up": (1, 0)}

        places.engine("outbox", "drop", "p.yaml", "given_up")
        spec = project / "p.yaml"
        spec.write_text(re.sub("late: .*", "late: {kind: file, path: outbox}", spec.read_text()))
        places.engine("outbox", "retry", "p.yaml", "late")
        found = places.compare_run(ended["id"])
        assert found["dropped"][0] == "DROPPED"
        assert found["retried"][0] == "SENT"
        events = places.list_events(ended["id"])
        assert events["dropped"] == f"DROPPED: {found['dropped'][1]}"
        assert events["retried"].startswith("SENT by ")
        assert places.compare_counts() == {"strict": (0, 1)}

        queued = run_scenarios(load(project / "p.yaml"), ["s"], deliver=False).runs[0]
        found = places.compare_run(queued.id)
        assert {one.reporter: one.state for one in queued.deliveries if one.state != "SKIPPED"} == {
            name: state for name, (state, _) in found.items()
        }
        assert {state for state, _ in found.values()} == {"PENDING"}
        assert places.compare_counts() == {
            "box": (1, 0), "chat": (1, 0), "late": (1, 0), "strict": (1, 1), "given_up": (1, 0),
        }  # fmt: skip
    server.store.close()
