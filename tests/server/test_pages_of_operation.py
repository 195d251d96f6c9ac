"""The pages of the spec, the flow, runs and the outbox of a project whose every name and text is hostile."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.server.listener import Listener, ListenerOptions, create_listener
from engine.store import (
    ChannelState,
    Event,
    Fire,
    FireState,
    MessageState,
    OutboxMessage,
    RunRecord,
    StepRecord,
    generate_id,
)

from .browsing import Browser
from .real_browser import CHROMIUM, open_browser
from .small_server import SmallServer, write_spec

NOW = datetime.now(UTC)
OWNED = "<img src=x onerror=alert(1)>"
SECRET = 'pl&nted"sesame-7'
SPEC = f"""\
version: 1
project: shop
variables: {{day: 2026-11-01, note: none}}
secrets: {{door: {{env: ENGINE_TEST_DOOR}}}}
datasets:
  "{OWNED} sales": {{kind: file, path: sales.csv}}
  busy: {{kind: query, sql: 'SELECT * FROM "{OWNED} sales"'}}
models:
  risk: {{algorithm: logistic_regression, task: binary_classification, dataset: busy, target: label}}
evaluation_stores:
  watched:
    model: risk
    dataset: busy
    evaluation: {{name: today}}
channels:
  files: {{kind: file, path: outbox}}
scenarios:
  "nightly {OWNED}":
    description: "{OWNED} for ${{day}}"
    triggers: [{{name: "at night {OWNED}", kind: cron, cron: "30 2 * * *"}}]
    steps: [{{name: build, kind: build, target: watched}}]
    reporters: [{{name: end, channel: files, subject: done, message: "{OWNED}"}}]
# the text {SECRET} of the secret
"""
NIGHTLY = f"nightly {OWNED}"


class Shop:
    """A server with a hostile project, and somebody who looks at it."""

    def __init__(self, folder: Path) -> None:
        self.server = SmallServer(write_spec(folder, SPEC))
        self.told: list[str] = []
        self.listener: Listener = create_listener(self.server, ListenerOptions("127.0.0.1:0"), {}, self.told.append)
        self.listener.start()
        self.browser = Browser(self.listener.url, self.listener.token)
        self.ended, self.running = self._add_run(Outcome.FAILED), self._add_run(None)

    def _add_run(self, outcome: Outcome | None) -> RunRecord:
        store = self.server.store
        run = RunRecord(generate_id(NOW), "shop", NIGHTLY, NOW, f"ann{OWNED}", variables={"note": f"{OWNED}{SECRET}"})
        store.runs.start(run)
        folder = store.runs.folder_of(run.id)
        entry = {
            "at": NOW.isoformat(),
            "level": "info",
            "scenario": NIGHTLY,
            "step": "build",
            "text": f"{OWNED}{SECRET}",
        }
        (folder / "log.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for _ in range(3)))
        step = StepRecord(OWNED, "build", outcome or Outcome.SUCCESS, NOW, NOW + timedelta(seconds=2), reason=OWNED)
        if outcome is None:
            store.runs.add_step(run.id, step)
            return run
        event = Event("run", "error", OWNED, NOW)
        texts = [MessageState.PENDING, MessageState.REFUSED, MessageState.SENT]
        messages = [
            OutboxMessage(
                f"m-{state}", run.id, "end", "files", (OWNED,), f"={OWNED}", OWNED, NOW, state=state, scenario=NIGHTLY
            )
            for state in texts
        ]
        done = replace(run, outcome=outcome, ended=NOW + timedelta(seconds=3), steps=(step,), events=(event,))
        store.runs.finish(done, messages)
        return done

    def close(self) -> None:
        self.browser.close()
        self.listener.stop()
        self.server.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGINE_TEST_DOOR", SECRET)
        opened = Shop(tmp_path_factory.mktemp("shop"))
        fire = Fire(NIGHTLY, "gone", "cron:1", NOW, NOW, {"note": OWNED}, state=FireState.SKIPPED, reason=OWNED)
        opened.server.store.fires.advance([], [fire])
        opened.server.store.channel_states.write(ChannelState("files", 3, NOW + timedelta(hours=1), OWNED))
        yield opened
        opened.close()
        assert opened.told == []


def test_every_link_leads_to_a_page_on_which_texts_are_texts_and_secrets_are_masked(shop: Shop) -> None:
    pages = list(shop.browser.crawl("/projects"))
    titles = {page.path for page in pages}
    wanted = ("spec", "flow", "outbox", "scenarios", f"runs/{shop.ended.id}", f"runs/{shop.running.id}", "fires/1")
    assert {f"/p/shop/{one}" for one in wanted} <= titles
    for page in pages:
        assert "img" not in page.tags
        assert OWNED not in page.response.text
        assert "sesame-7" not in page.response.text
        path = page.path
        assert "sesame-7" not in shop.browser.client.get(f"{path}.json").text
        assert "sesame-7" not in shop.browser.client.get(f"{path}.csv").text


def test_the_flow_has_what_needs_what_in_the_picture_and_in_the_table(shop: Shop) -> None:
    page = shop.browser.open("/p/shop/flow")
    nodes = {node["name"]: node for node in shop.browser.read_json("/p/shop/flow")["nodes"]}
    assert nodes["busy"]["needs"] == [["datasets", f"{OWNED} sales"]]
    assert nodes["risk"]["needs"] == [["datasets", "busy"]]
    assert nodes["watched"]["needs"] == [["datasets", "busy"], ["models", "risk"]]
    assert nodes[NIGHTLY]["needs"] == [["evaluation_stores", "watched"]]
    assert page.response.text.count("<rect") == 2 * len(nodes)
    line = next(number for number, text in enumerate(SPEC.splitlines(), 1) if text.startswith("  risk:"))
    assert f"/p/shop/spec?file=spec.yaml#line-{line}" in page.response.text
    assert f"line-{line}" in shop.browser.open("/p/shop/spec?file=spec.yaml").ids


def test_a_finding_is_shown_with_its_place_and_its_excerpt_and_leads_to_its_line(shop: Shop) -> None:
    path = shop.server.path
    path.write_text(SPEC.replace("algorithm: logistic_regression", "algorithm: logistic_regresion"))
    try:
        assert shop.browser.submit("/p/shop/spec/reload").headers["location"] == "/p/shop/spec"
        page = shop.browser.open("/p/shop/spec")
        line = next(number for number, text in enumerate(SPEC.splitlines(), 1) if "algorithm:" in text)
        assert f"spec.yaml:{line}:" in page.text
        assert "logistic_regresion" in page.text
        assert "^^^^" in page.text  # the excerpt
        assert f"/p/shop/spec?file=spec.yaml#line-{line}" in page.response.text
        assert f",{line}," in shop.browser.read_csv("/p/shop/spec")
        assert shop.browser.read_json("/p/shop/spec")["valid"] is False
        assert "Nothing is wrong" not in page.text
    finally:
        path.write_text(SPEC)
        shop.browser.submit("/p/shop/spec/reload")
    assert "Nothing is wrong with it." in shop.browser.open("/p/shop/spec").text
    assert shop.browser.open("/p/shop/spec?file=../../etc/passwd", 404)


def test_the_log_of_a_run_that_goes_on_is_streamed_from_a_byte_on(shop: Shop) -> None:
    folder = shop.server.store.runs.path_of(shop.running.id)
    address = f"/p/shop/runs/{shop.running.id}/log"
    kinds, places = [], []
    with shop.browser.client.stream("GET", address) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            elif line.startswith("id: "):
                places.append(int(line.removeprefix("id: ")))
            elif line.startswith("data: ") and kinds[-1] == "lines":
                lines = json.loads(line.removeprefix("data: "))
                assert [OWNED in one["text"] for one in lines] == [True] * len(lines)
                assert "sesame" not in line
                if len(kinds) == 2:
                    assert len(lines) == 3
                    with (folder / "log.jsonl").open("a") as log:
                        log.write(
                            json.dumps({"at": NOW.isoformat(), "level": "error", "step": "", "text": OWNED}) + "\n"
                        )
                else:
                    assert len(lines) == 1
                    break
    assert places[1] == (folder / "log.jsonl").stat().st_size
    with shop.browser.client.stream("GET", address, headers={"last-event-id": str(places[0])}) as stream:
        data = next(line for line in stream.iter_lines() if line.startswith("data: ["))
        assert len(json.loads(data.removeprefix("data: "))) == 1


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
def test_runs_that_started_another_or_were_started_have_its_name(shop: Shop) -> None:
    store = shop.server.store
    child = RunRecord(
        generate_id(NOW), "shop", "cleanup", NOW, "ann", trigger=f"scenario {NIGHTLY}", parent=shop.running.id
    )
    store.runs.start(child)
    store.runs.finish(replace(child, outcome=Outcome.SUCCESS, ended=NOW + timedelta(seconds=0.018)), [])
    assert f"It has started cleanup {child.id[-8:]}" in shop.browser.open(f"/p/shop/runs/{shop.running.id}").text
    page = shop.browser.open(f"/p/shop/runs/{child.id}")
    assert f"by scenario {NIGHTLY}, ann" in page.text
    assert "took 0.018 s" in page.text
    assert "by hand, ann" in shop.browser.open(f"/p/shop/runs/{shop.running.id}").text


def test_steps_of_a_run_appear_as_they_end(shop: Shop) -> None:
    run = shop._add_run(None)
    with open_browser() as visit:
        visit.page.goto(f"{shop.listener.url}/?token={shop.listener.token}")
        visit.page.goto(f"{shop.listener.url}/p/shop/runs/{run.id}")
        assert visit.page.locator("#steps tbody tr").count() == 1
        shop.server.store.runs.add_step(run.id, StepRecord("second", "build", Outcome.FAILED, NOW, NOW, reason=OWNED))
        visit.page.locator("#steps tbody tr").nth(1).wait_for()
        assert "second" in visit.page.locator("#steps").inner_text()
        assert visit.inspect() == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
def test_a_long_log_is_shown_from_its_end_and_goes_on_after_a_restart_of_the_server(shop: Shop) -> None:
    run = shop._add_run(None)
    log = shop.server.store.runs.folder_of(run.id) / "log.jsonl"
    entry = {"at": NOW.isoformat(), "level": "info", "scenario": NIGHTLY, "step": "build"}

    def write(texts: list[str]) -> None:
        with log.open("a") as file:
            file.writelines(json.dumps({**entry, "text": text}) + "\n" for text in texts)

    def listen(listen_at: str) -> Listener:
        listener = create_listener(
            shop.server, ListenerOptions(listen_at), {"ENGINE_SERVE_TOKEN": shop.listener.token}, shop.told.append
        )
        listener.start()
        return listener

    write([f"step {number}\rof 200,000" for number in range(200_000)])
    listener = listen("127.0.0.1:0")
    address = listener.url
    try:
        with open_browser() as visit:
            visit.page.goto(f"{address}/?token={listener.token}")
            visit.page.goto(f"{address}/p/shop/runs/{run.id}")
            assert 100 < visit.page.locator(".log span").count() <= 500
            assert "step 199999" in visit.page.locator(".log span").last.inner_text()
            assert visit.page.evaluate("performance.memory.usedJSHeapSize") < 50e6
            visit.page.get_by_text("its lines appear as they are written").wait_for()
            listener.stop()
            visit.page.get_by_text("No connection to the server since").wait_for()
            write(["while nobody answered"])
            listener = listen(address.removeprefix("http://"))
            visit.page.get_by_text("The session has ended since").wait_for()
            again = visit.page.context.new_page()
            again.goto(f"{address}/?token={listener.token}")
            visit.page.get_by_text("while nobody answered").wait_for()
            write(["and after that"])
            visit.page.get_by_text("and after that").wait_for()
            shown = visit.page.locator(".log").inner_text()
            assert [shown.count(text) for text in ("while nobody answered", "and after that")] == [1, 1]
    finally:
        listener.stop()


def test_the_log_of_a_run_that_has_ended_ends_its_stream(shop: Shop) -> None:
    with shop.browser.client.stream("GET", f"/p/shop/runs/{shop.ended.id}/log?after=0") as stream:
        told = [line for line in stream.iter_lines() if line.startswith("event: ")]
    assert told == ["event: begun", "event: lines", "event: ended"]


def test_undelivered_messages_are_tried_again_or_dropped_and_sent_ones_are_not(shop: Shop) -> None:
    page = shop.browser.open("/p/shop/outbox")
    assert "could not be reached 3 times in a row" in page.text
    assert shop.browser.read_json("/p/shop/outbox")["unreachable"]["files"]["failures"] == 3
    outbox, channels = shop.server.store.outbox, shop.server.store.channel_states
    assert shop.browser.submit("/p/shop/outbox/m-REFUSED/retry").headers["location"] == "/p/shop/outbox"
    found = outbox.find("m-REFUSED")
    assert found is not None
    assert found.state is MessageState.PENDING
    assert channels.list_all() == {}
    shop.browser.submit("/p/shop/outbox/m-PENDING/drop")
    dropped = outbox.find("m-PENDING")
    assert dropped is not None
    assert dropped.state is MessageState.DROPPED
    assert re.match(r"dropped by .* 127\.0\.0\.1 on ", dropped.last_error or "")
    assert shop.browser.submit("/p/shop/outbox/m-SENT/drop").status_code == 409
    assert shop.browser.submit("/p/shop/outbox/m-none/retry").status_code == 404
    assert "'=" in shop.browser.read_csv("/p/shop/outbox")  # a spreadsheet would run it


def test_what_changes_something_must_come_from_a_page_of_this_server(shop: Shop) -> None:
    for action in ("outbox/m-SENT/retry", "spec/reload", f"runs/{shop.running.id}/abort"):
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": ""}, {"origin": "https://evil.example"}):
            refused = shop.browser.submit(f"/p/shop/{action}", **headers)
            assert refused.status_code == 403, (action, headers)
    assert shop.server.aborted == []


def test_a_link_in_a_mail_leads_to_the_page_of_its_run(shop: Shop) -> None:
    found = shop.browser.client.get(f"/runs/{shop.ended.id}")
    assert found.headers["location"] == f"/p/shop/runs/{shop.ended.id}"
    page = shop.browser.open(f"/runs/{shop.ended.id}")
    assert f"={OWNED}" in page.text  # the subject of what its reporter sent
