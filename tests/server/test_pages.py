"""The pages on a real listener: each can be reached, shows texts as texts, and has the numbers of the store."""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from engine.outcome import Outcome
from engine.server.callers import Role
from engine.store import RunRecord, generate_id
from engine.views.metric_text import format_metric

from .long_history import lengthen_history
from .page_project import CATEGORY, HOSTILE, MODEL, PROJECT, SCENARIO, SECRET, STORE, write_page_project
from .page_reader import PageReader
from .page_server import TOKEN, OneRole, PageServer, count_steps, serve_pages
from .real_browser import CHROMIUM, open_browser

STATUS = f"/p/{quote(PROJECT, safe='')}/status"
EVALUATIONS = f"/p/{quote(PROJECT, safe='')}/stores/{quote(STORE, safe='')}/evaluations"
RUNS = f"/p/{quote(PROJECT, safe='')}/scenarios/{quote(SCENARIO, safe='')}/runs"


COPY = "copy"
"""The folder of another state of the project, in which a test may remove something."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PAGE_SECRET", SECRET)
        found = write_page_project(tmp_path_factory.mktemp("pages"))
        # Now: to close a file of a database that this process has open would let go of the locks of SQLite.
        shutil.copytree(found.parent, found.parent / COPY)
        yield found


@pytest.fixture(scope="module")
def page_server(path: Path) -> Iterator[PageServer]:
    server = PageServer(path)
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(page_server: PageServer) -> Iterator[httpx2.Client]:
    with serve_pages(page_server) as (client, _):
        yield client


def read(browser: httpx2.Client, address: str) -> PageReader:
    found = browser.get(address)
    assert found.status_code == 200, (address, found.text)
    return PageReader(found.text, address)


def find_evaluation(browser: httpx2.Client, place: int = 0) -> str:
    found = browser.get(f"{EVALUATIONS}.json").json()["store"]["evaluations"][place]["id"]
    return f"{EVALUATIONS}/{found}"


def test_every_page_is_found_by_links_loads_only_own_files_and_has_its_other_forms(browser: httpx2.Client) -> None:
    waiting, seen = ["/projects"], {}
    while waiting:
        address = waiting.pop()
        if address in seen or urlsplit(address).path == "/logout":
            continue
        found = browser.get(address)
        assert found.status_code == 200, (address, found.text[:500])
        seen[address] = found
        if "text/html" not in found.headers["content-type"]:
            continue
        policy = found.headers["content-security-policy"]
        assert ("default-src 'none'" in policy, "unsafe" in policy) == (True, False)
        page = PageReader(found.text, address)
        assert page.faults == [], address
        assert len(page.ids) == len(set(page.ids)), address
        for file in page.loaded:
            sent = browser.get(file)
            assert (sent.status_code, "immutable" in sent.headers["cache-control"]) == (200, True), file
        waiting += page.links
    kinds = {re.sub(r"/[0-9-]+[0-9a-f]{8}(?=/|$|\.)", "/ID", urlsplit(one).path) for one in seen}
    for ending in ("/status", "/evaluations", "/evaluations/ID", "/drift", "/column", "/scenarios", "/runs", "/runs/ID",
                   "/outbox", "/spec", "/flow"):  # fmt: skip
        assert any(kind.endswith(ending) for kind in kinds), (ending, kinds)
        assert any(kind.endswith(f"{ending}.json") for kind in kinds), ending
    for address, found in seen.items():
        if ".json" in address:
            json.loads(found.text)
        elif ".csv" in address:
            rows = list(csv.reader(io.StringIO(found.text)))
            assert len({len(row) for row in rows}) == 1, address


def test_names_and_texts_are_shown_as_text_everywhere(browser: httpx2.Client) -> None:
    evaluation = find_evaluation(browser)
    pages = [STATUS, EVALUATIONS, evaluation, f"{evaluation}/drift", f"{evaluation}/column?name=group", RUNS,
             STATUS.replace("status", "outbox"), STATUS.replace("status", "spec"), STATUS.replace("status", "flow"),
             "/projects"]  # fmt: skip
    shown = ""
    for address in pages:
        found = browser.get(address)
        assert "<script>alert" not in found.text, address
        assert HOSTILE not in found.text, address
        assert SECRET not in found.text, address
        shown += PageReader(found.text).text
    assert HOSTILE in shown
    assert CATEGORY.partition("<")[0] in shown
    assert "<script>alert(4)</script>" in shown
    table = browser.get(f"{STATUS.replace('status', 'outbox')}.csv").text
    assert "'=" not in table  # the subject is not a formula
    assert SECRET not in browser.get(f"{RUNS}.json").text


def test_the_numbers_of_a_page_are_those_of_the_store(browser: httpx2.Client, page_server: PageServer) -> None:
    address = find_evaluation(browser)
    stored = page_server.store.evaluations.get(address.rpartition("/")[2])
    found = browser.get(f"{address}.json").json()
    assert found["metrics"]["roc_auc"]["value"] == stored.find_value("roc_auc")
    text = read(browser, address).text
    auc = stored.find_value("roc_auc")
    assert auc is not None
    assert f"{auc:.4g}" in text
    assert f"{stored.rows_used}" in text
    table = list(csv.DictReader(io.StringIO(browser.get(f"{address}/drift.csv").text)))
    drifts = {row["column"]: float(row["drift"]) for row in table if row["drift"]}
    assert drifts == {name: stored.find_drift(name) for name in drifts}
    assert list(drifts.values()) == sorted(drifts.values(), reverse=True)
    sentence = re.search(r"compared with (\d+) of the reference", text)
    assert sentence
    assert int(sentence[1]) == stored.reference_rows


def test_a_model_without_versions_is_not_missed(browser: httpx2.Client) -> None:
    model = browser.get(f"{STATUS}.json").json()["status"]["model"]
    assert (model["state"], model["told"]) == ("OK", [f"{MODEL}: scored, used as it is"])


def test_a_confusion_matrix_at_a_threshold_has_the_rows_of_the_evaluation(browser: httpx2.Client) -> None:
    page = browser.get(find_evaluation(browser)).text
    found = re.search(r'data-thresholds="([^"]+)"', page)
    assert found
    rows = json.loads(found[1])
    assert all(sum(row[1:]) == 400 for row in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_metrics_are_chosen_by_name_and_a_wrong_name_is_explained(browser: httpx2.Client) -> None:
    table = browser.get(f"{EVALUATIONS}.csv", params={"metric": "accuracy, psi.group"}).text
    assert {"accuracy", "psi.group"} <= set(table.splitlines()[0].split(","))
    wrong = browser.get(EVALUATIONS, params={"metric": "acuracy"})
    assert (wrong.status_code, "accuracy" in PageReader(wrong.text).text) == (422, True)


def test_two_evaluations_stand_side_by_side(browser: httpx2.Client) -> None:
    ids = [one["id"] for one in browser.get(f"{EVALUATIONS}.json").json()["store"]["evaluations"]]
    compared = EVALUATIONS.replace("/evaluations", "/compared")
    found = browser.get(f"{compared}.json", params={"evaluation": ids}).json()
    (auc,) = [row for row in found["metrics"] if row["metric"] == "roc_auc"]
    assert [one["id"] for one in found["evaluations"]] == ids[::-1]  # oldest first
    before, after = (one["value"] for one in auc["values"])
    page = read(browser, f"{compared}?evaluation={ids[0]}&evaluation={ids[1]}")
    assert page.tags.count("tr") > 5
    assert format_metric("roc_auc", after - before) in page.text
    assert browser.get(compared, params={"evaluation": ids[:1]}).status_code == 422


def test_a_list_costs_the_same_however_long_the_history_is(path: Path) -> None:
    outbox, scenarios = STATUS.replace("status", "outbox"), STATUS.replace("status", "scenarios")
    addresses = ["/projects", STATUS, EVALUATIONS, f"{EVALUATIONS}?find=copy", f"{EVALUATIONS}?find=nothing", RUNS,
                 outbox, f"{outbox}?state=SENT", scenarios]  # fmt: skip
    costs = []
    for copies in (2_500, 10_000):
        folder = path.parent / f"long-{copies}"
        shutil.copytree(path.parent / COPY, folder)
        (state,) = (folder / ".engine").iterdir()
        lengthen_history(state, copies)
        with closing(PageServer(folder / path.name)) as server:
            newest = server.store.evaluations.history(STORE, 1, metrics=[])[0].id
            costs.append(count_steps(server, [*addresses, f"{EVALUATIONS}/{newest}", f"{EVALUATIONS}/{newest}/drift"]))
    for (address, (steps, size)), (more_steps, more_size) in zip(costs[0].items(), costs[1].values(), strict=True):
        assert steps, address
        assert more_steps < 1.5 * steps + 20, (address, steps, more_steps)
        assert (more_size < 1.1 * size, more_size < 100_000) == (True, True), (address, size, more_size)


def test_a_run_is_asked_for_once_however_often_the_form_is_sent(browser: httpx2.Client) -> None:
    form = read(browser, RUNS).find_form("/start")
    first = browser.post(form.action, data=form.fields | {"variable.note": "changed"})
    again = browser.post(form.action, data=form.fields | {"variable.note": "changed"})
    assert (first.status_code, str(first.url)) == (200, str(again.url))
    fire = browser.get(f"{urlsplit(str(first.url)).path}.json").json()["fire"]
    assert (fire["values"], fire["state"]) == ({"note": "changed"}, "WAITING")
    refused = browser.post(form.action, data=form.fields | {"variable.nothing": "x", "key": "other"})
    assert refused.status_code == 422
    assert "does not declare the variable" in PageReader(refused.text).text


def test_a_scenario_is_paused_and_resumed_with_a_reason_that_all_see(browser: httpx2.Client) -> None:
    form = read(browser, RUNS).find_form("/pause")
    assert browser.post(form.action, data={"reason": " "}).status_code == 422
    paused = browser.post(form.action, data={"reason": "<b>repair</b> by Ann", "until": "2h"})
    assert "<b>repair</b> by Ann" in PageReader(paused.text).text
    resumed = browser.post(PageReader(paused.text, RUNS).find_form("/resume").action)
    assert "repair" not in PageReader(resumed.text).text


def test_a_page_that_was_shown_before_has_what_was_found_since(path: Path) -> None:
    folder = path.parent / "changed"
    shutil.copytree(path.parent / COPY, folder)
    server = PageServer(folder / path.name)
    with closing(server), serve_pages(server) as (client, _):
        address = find_evaluation(client)
        assert client.get(address).text == client.get(address).text
        result = server.store.checks.history(STORE, evaluation=address.rpartition("/")[2])[0].result
        server.store.checks.add(None, [replace(result, check="declared later")])
        assert "declared later" in read(client, address).text
        assert "declared later" in client.get(f"{address}.json").text


def test_evaluations_are_removed_after_a_question(path: Path) -> None:
    server = PageServer(path.parent / COPY / path.name)
    with closing(server), serve_pages(server) as (client, _):
        last = server.store.evaluations.history(STORE)[0]
        question = f"{EVALUATIONS.replace('/evaluations', '/removal')}?evaluation={last.id}"
        form = read(client, question).find_form("/removal")
        assert server.store.evaluations.count(STORE) == 2
        with server.store.locks.hold(f"evaluation store {STORE}", wait=False):
            assert client.post(form.action, data=form.fields).status_code == 503
        after = client.post(form.action, data=form.fields)
        assert (after.status_code, last.id in after.text) == (200, False)
        (removal,) = server.store.evaluations.list_removals(STORE)
        assert (removal.evaluations, removal.by) == ((last.id,), "http 127.0.0.1")
        assert client.get(f"{EVALUATIONS}/{last.id}").status_code == 404


def test_a_log_is_read_from_its_end_and_followed_from_where_it_was_read_to(
    browser: httpx2.Client, page_server: PageServer
) -> None:
    now = datetime.now(UTC)
    run = RunRecord(generate_id(now), PROJECT, SCENARIO, now, "ann@host")
    page_server.store.runs.start(run)
    log = page_server.store.runs.folder_of(run.id) / "log.jsonl"
    lines = [f"line {number} <b> {SECRET}" for number in range(3000)]
    entries = [json.dumps({"at": f"{now.isoformat()}", "level": "info", "step": "s", "text": one}) for one in lines]
    log.write_text("".join(f"{one}\n" for one in entries), encoding="utf-8")
    address = f"/p/{quote(PROJECT, safe='')}/runs/{run.id}"
    page = read(browser, address)
    assert ("line 2999 <b> ***" in page.text, "line 0 " in page.text, SECRET in page.text) == (True, False, False)
    seen, older = page.text, next(one for one in page.links if "before=" in one)
    for _ in range(20):
        page = read(browser, older)
        seen += page.text
        following = [one for one in page.links if "before=" in one]
        if not following:
            break
        older = following[0]
    assert [number for number in range(3000) if f"line {number} <b>" not in seen] == []

    follow = re.search(r'data-follow="([^"]+)"', browser.get(address).text)
    assert follow
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{entries[0]}\n")
    with browser.stream("GET", follow[1]) as stream:
        events = stream.iter_lines()
        assert next(line for line in events if line.startswith("event: ")) == "event: begun"
        told = next(line for line in events if line.startswith("data: ["))
        assert [one["text"] for one in json.loads(told.removeprefix("data: "))] == ["line 0 <b> ***"]
        page_server.store.runs.finish(replace(run, ended=now, outcome=Outcome.FAILED))
        assert next(line for line in events if line.startswith("event: ended"))
    asked = browser.get(follow[1], headers={"accept": "application/json"}).json()
    assert ([one["kind"] for one in asked["events"]], asked["ended"]) == (["lines"], False)
    last = browser.get(follow[1], params={"after": asked["place"]}, headers={"accept": "application/json"}).json()
    assert (last["events"], last["ended"]) == ([{"kind": "ended", "data": "FAILED"}], True)
    ended = browser.get(address).text
    assert "data-follow" not in ended
    assert str(browser.get(f"/runs/{run.id}").url).endswith(address)
    assert browser.get(address.replace("/runs/", "/runs/x")).status_code == 404


def test_a_viewer_has_no_controls_and_is_refused(page_server: PageServer) -> None:
    with serve_pages(page_server, OneRole(Role.VIEWER)) as (client, _):
        forms = [form for address in (STATUS, RUNS) for form in read(client, address).forms]
        assert {urlsplit(form.action).path for form in forms if form.method == "post"} == {"/logout"}
        store, scenario = EVALUATIONS.removesuffix("/evaluations"), RUNS.removesuffix("/runs")
        for address in (f"{scenario}/start", f"{scenario}/pause", f"{store}/removal", f"{store}/check"):
            refused = client.post(address)
            assert (refused.status_code, "needs the role" in PageReader(refused.text).text) == (403, True)


@pytest.mark.slow
def test_another_reference_is_computed_and_checks_are_applied_again(
    browser: httpx2.Client, page_server: PageServer
) -> None:
    drift = f"{find_evaluation(browser)}/drift"
    form = read(browser, drift).find_form("/compute")
    refused = browser.post(form.action, data={"reference": "dataset:/etc/passwd"})
    assert refused.status_code == 422
    before = len(page_server.store.checks.history(STORE))
    for asked, reference in ((form, "dataset:before"), (read(browser, STATUS).find_form("/check"), "")):
        found = browser.post(asked.action, data={"reference": reference})
        until = time.monotonic() + 120
        while 'http-equiv="refresh"' in found.text and time.monotonic() < until:
            time.sleep(0.5)
            found = browser.get(str(found.url))
        assert 'http-equiv="refresh"' not in found.text
        assert "could not be" not in found.text, PageReader(found.text).text
    computed = read(browser, f"{drift}?reference=dataset:before")
    assert "is not the reference of the store" in computed.text
    same = {row["column"]: row["drift"] for row in csv.DictReader(io.StringIO(browser.get(f"{drift}.csv").text))}
    again = browser.get(f"{drift}.csv?reference=dataset:before").text
    assert {row["column"]: row["drift"] for row in csv.DictReader(io.StringIO(again))} == same  # it is the same data
    assert len(page_server.store.checks.history(STORE)) > before


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
@pytest.mark.parametrize(("width", "colours"), [(360, "dark"), (1400, "light")])
def test_pages_are_for_all_people_and_nothing_is_against_their_policy(
    page_server: PageServer, browser: httpx2.Client, width: int, colours: Literal["dark", "light"]
) -> None:
    address = find_evaluation(browser)
    with serve_pages(page_server) as (_, url), open_browser(width, colours) as visit:
        visit.open(f"{url}/?token={TOKEN}")
        for one in (STATUS, EVALUATIONS, address, f"{address}/drift", RUNS):
            visit.open(f"{url}{one}")
            assert (one, visit.inspect(), visit.walk()) == (one, [], [])
        visit.open(f"{url}{address}")
        slider = visit.page.locator(".slider input")
        before = visit.page.locator("[data-cell=tp]").text_content()
        slider.focus()
        slider.press("Home")
        assert visit.page.locator("[data-cell=tp]").text_content() != before
        visit.open(f"{url}{address}/drift")
        visit.page.locator("#drift tbody th a").first.press("Enter")
        visit.page.wait_for_selector("#drift tr.detail .beside > dl")
        assert visit.faults == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
def test_a_run_is_asked_for_and_paused_without_javascript(page_server: PageServer) -> None:
    with serve_pages(page_server) as (_, url), open_browser(scripts=False) as visit:
        visit.open(f"{url}/login")
        visit.page.fill("[name=token]", TOKEN)
        visit.page.click("main button")
        visit.open(f"{url}{RUNS}")
        visit.page.click("form[action$='/start'] button")
        assert "Its run has not begun yet" in visit.page.inner_text("main")
        visit.open(f"{url}{RUNS}")
        visit.page.fill("[name=reason]", "repair")
        visit.page.click("form[action$='/pause'] button")
        assert "repair" in visit.page.inner_text("#triggers")
        visit.page.click("form[action$='/resume'] button")
        visit.open(f"{url}{EVALUATIONS}")
        for box in visit.page.locator("[name=evaluation]").all():
            box.check()
        visit.page.click("text=Compare the chosen")
        assert visit.page.locator("tbody tr").count() > 5
        assert visit.faults == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
def test_a_table_shows_as_long_as_columns_are_hidden_on_its_right(page_server: PageServer) -> None:
    draw = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    with serve_pages(page_server) as (_, url), open_browser(360) as visit:
        visit.open(f"{url}/?token={TOKEN}")
        visit.open(f"{url}{EVALUATIONS}")
        table = visit.page.locator(".scroll:has(table)").first

        def has_shadow() -> bool:
            visit.page.evaluate(draw)
            shadow: str = table.evaluate("one => getComputedStyle(one).boxShadow")
            return not shadow.startswith(("none", "rgba(0, 0, 0, 0)"))

        assert has_shadow()
        table.evaluate("one => one.scrollLeft = one.scrollWidth")
        assert not has_shadow()
        visit.page.set_viewport_size({"width": 1400, "height": 900})
        assert not has_shadow()
