"""Reports of real evaluations: the page whatever columns are called, in a real browser, in files and in mails."""

import dataclasses
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.evaluation.detail import ColumnImportance
from engine.evaluation.record import Evaluation, MetricValue
from engine.notifications import RunFacts, compose_message
from engine.outcome import Outcome
from engine.pipeline.reports import collect_report_facts
from engine.scenarios import session
from engine.server.page_copy import copy_pages
from engine.spec import Secrets, load
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter
from engine.views import EvaluationFacts, EvaluationView, describe_evaluation, draw_overview, render_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
browsed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")
OWNED = "document.title='owned'"
COLUMN = f"</script><script>{OWNED}</script><img src=x onerror={OWNED}>"
NAME = f"Q2 <img src=x onerror={OWNED}>"
PLANTED = "Zq7<pl&nted>\"secret'"
SPEC = """
version: 1
project: shown
server: {url: "http://127.0.0.1:7310"}
secrets: {token: {env: TOKEN, optional: true}}
variables: {batch: first.parquet, name: Q1, who: somebody}
datasets:
  old: {path: old.parquet}
  new: {path: "${batch}"}
models:
  two model: {algorithm: logistic_regression, task: binary_classification, dataset: old, target: label,
        features: {exclude: [amount, kind]}}
  number model: {algorithm: ridge, task: regression, dataset: old, target: amount, features: {exclude: [label, kind]}}
  three model: {algorithm: decision_tree, task: multiclass_classification, dataset: old, target: kind,
          features: {exclude: [label, amount]}}
evaluation_stores:
  two:
    model: two model
    dataset: new
    evaluation: {name: "${name}", labels: {who: "${who}"}}
    display: {metrics: [data_drift, roc_auc]}
    checks:
      nothing moved: {metric: drift.*, soft_max: 0.05, max: 0.9}
      auc holds: {metric: roc_auc, soft_min: 0.6}
      one of these: {kind: values, metric: data_drift_significant, allowed: [0, 1]}
      not worse: {metric: roc_auc, compare: previous, soft_min: -0.9}
  number: {model: number model, dataset: new, evaluation: {name: "${name}"}}
  three: {model: three model, dataset: new, evaluation: {name: "${name}"}}
channels: {box: {kind: file, path: outbox}}
scenarios:
  Watch:
    for_each: [{batch: first.parquet}, {batch: second.parquet, name: NAME}]
    steps:
      - {name: a, kind: build, target: two}
      - {name: b, kind: build, target: number}
      - {name: c, kind: build, target: three}
      - {name: check, kind: run_checks, target: two}
      - {name: write, kind: report, target: two, path: "pages/deep/${batch}.html"}
      - {name: draw, kind: report, target: two, path: "pages/two.png"}
    reporters:
      - {name: tell, channel: box, attach: [report, chart], message: "${outcome}"}
  Nothing:
    steps: [{name: look, kind: compute_metrics, target: old}]
    reporters:
      - {name: tell, channel: box, attach: [report, chart], message: "${outcome}"}
  Nowhere:
    steps:
      - {name: write, kind: report, target: two, path: old.parquet/page.html}
""".replace("NAME", json.dumps(NAME))


def write(path: Path, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    age, score = random.normal(40 + shift, 10, 600), random.normal(600, 50, 600)
    group = random.choice(["a", "b<i>c"], 600)
    label = (age / 10 + score / 50 + random.normal(0, 1, 600) > 16).astype(int)
    kind = np.where(age < 35, "low", np.where(score > 620, "high", "mid"))
    amount = age * 2 + random.normal(0, 3, 600)
    columns = {"age": age, "score": score, COLUMN: group, "label": label, "kind": kind, "amount": amount}
    pl.DataFrame(columns).with_columns(
        pl.when(pl.int_range(600) % 7 == 0).then(None).otherwise(pl.col("score")).alias("score")
    ).write_parquet(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of three tasks whose second batch has moved, run once."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "shown.yaml").write_text(SPEC)
    write(folder / "old.parquet", 0, 1)
    write(folder / "first.parquet", 0, 2)
    write(folder / "second.parquet", 12, 3)
    finished = session.run_scenarios(
        load(folder / "shown.yaml", {"who": PLANTED}, {}), ["Watch"], environ={"TOKEN": PLANTED}
    )
    assert [run.outcome for run in finished.runs] == [Outcome.WARNING]
    return folder / "shown.yaml"


def facts(project: Path, store: str, name: str = NAME, **changes: object) -> EvaluationFacts:
    with session.open_session(load(project, environ={}), environ={}) as context:
        evaluation = context.store.evaluations.find_by_name(store, name)
        assert evaluation is not None
        return collect_report_facts(dataclasses.replace(evaluation, **changes), context)


def view(project: Path, store: str) -> EvaluationView:
    return describe_evaluation(facts(project, store))


class Reader(html.parser.HTMLParser):
    """Counts elements, and keeps what a page would load and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: dict[str, int] = {}
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] = self.elements.get(tag, 0) + 1
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        assert not [name for name, _ in attrs if name.startswith("on")], attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += f"{data} "


@pytest.mark.parametrize("store", ["two", "number", "three"])
def test_a_page_loads_nothing_and_names_are_only_names(project, store):
    text = render_page(view(project, store))
    read = Reader(text)
    assert all(link.startswith(("#", "http://127.0.0.1:7310/runs/")) for link in read.loaded)
    assert not re.search(r"url\(|@import|//cdn", text)
    assert "img" not in read.elements
    assert read.elements["script"] == 1
    assert COLUMN in read.text
    assert NAME in read.text
    assert len(text.encode()) < 300_000


def test_a_page_shows_all_there_is(project):
    two, number, three = (Reader(render_page(view(project, store))).text for store in ("two", "number", "three"))
    for said in (
        "Over time",
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Confusion matrix",
        "Fugacity",
    ):
        assert said in two
    assert "not worse" in two
    assert "columns drifted: age (" in two
    assert "dangerous" in two
    assert "Predicted against true" in number
    assert "Residuals" in number
    assert "Decile of the reference" in number
    assert {"low", "mid", "high"} <= set(three.split())
    assert "The store declares no checks." in three
    assert " OK " not in three
    assert "On all rows, R² is" in number


def test_secrets_are_masked_everywhere(project):
    with session.open_session(load(project, environ={}), environ={"TOKEN": PLANTED}) as context:
        evaluation = context.store.evaluations.find_by_name("two", NAME)
        assert evaluation is not None
        assert evaluation.labels == {"who": "***"}  # the store holds no secret either
        hidden = dataclasses.replace(
            evaluation, columns={f"{PLANTED} {name}": column for name, column in evaluation.columns.items()}
        )
        text = render_page(describe_evaluation(collect_report_facts(hidden, context)), context.secrets.redact)
    assert "***" in text
    assert "pl&nted" not in text
    assert "pl&amp;nted" not in text
    assert "pl\\u003c" not in text
    assert "Zq7" not in text


def many(evaluation: Evaluation, columns: int, name: str = "column") -> dict[str, object]:
    """Give an evaluation many columns, alike but for their names and drift."""
    each = list(evaluation.columns)
    measured = evaluation.group_column_metrics()
    sources = {f"{name} {i:04}": each[i % len(each)] for i in range(columns)}
    metrics = {
        f"{statistic}.{name}": metric
        for name, source in sources.items()
        for statistic, metric in measured[source].items()
    }
    importance = dict.fromkeys(sources, 1 / columns)
    return {
        "columns": {name: evaluation.columns[source] for name, source in sources.items()},
        "metrics": {
            **evaluation.metrics, **metrics,
            **{f"drift.{name}": MetricValue(i / columns) for i, name in enumerate(sources)},
        },
        "importance": ColumnImportance(importance, importance),
    }  # fmt: skip


@pytest.mark.parametrize(("columns", "limit"), [(30, 300_000), (2000, 300_000)])
def test_a_page_of_many_columns_is_small(project, columns, limit):
    shown = facts(project, "two")
    wide = dataclasses.replace(
        shown, evaluation=dataclasses.replace(shown.evaluation, **many(shown.evaluation, columns))
    )
    shown_wide = describe_evaluation(wide)
    text = render_page(shown_wide)
    assert len(text.encode()) < limit
    assert text.index(f"column {columns - 1:04}") < text.index(f"column {columns - 2:04}")  # sorted by drift
    assert draw_overview(shown_wide, str)[:8] == b"\x89PNG\r\n\x1a\n"


def browse(path: Path, folder: Path, *flags: str) -> str:
    """Open a file in Chromium and return the document as it stands after its scripts ran."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=2000", *flags, "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@browsed
def test_in_a_browser_histograms_are_drawn_and_nothing_foreign_runs(project, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render_page(view(project, "two")))
    document = browse(path, tmp_path)
    assert "<title>owned" not in document
    assert Reader(document).elements.get("img") is None
    assert len(re.findall(r'<td class="draw"><div [^>]*><svg .*?</svg>', document, re.DOTALL)) == 3
    assert document.count('<th scope="col" class="num" aria-sort="descending"><button type="button">Drift') == 1
    assert "<figcaption>probability, reference and batch" in document


@browsed
def test_in_a_browser_columns_are_sorted_and_found_also_those_that_are_only_listed(project, tmp_path):
    acted = """<script>
      const find = document.getElementById("find"), names = () =>
        [...document.querySelectorAll("#drift tbody tr[data-column], #others tbody tr")].filter((row) => !row.hidden)
          .map((row) => (row.cells[0].querySelector("button") || row.cells[0]).textContent);
      document.querySelector("#drift thead button").click();
      const sorted = names().slice(0, 2);
      find.value = "0123";
      find.dispatchEvent(new Event("input"));
      document.title = [...sorted, ...names(), document.getElementById("found").textContent].join(" | ");
    </script></body>"""
    shown = facts(project, "two")
    wide = dataclasses.replace(shown, evaluation=dataclasses.replace(shown.evaluation, **many(shown.evaluation, 1000)))
    text = render_page(describe_evaluation(wide))
    assert text.count("<tr data-column") == 25
    assert "975 columns with less drift" in text
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", acted)
    path = tmp_path / "page.html"
    path.write_text(text)
    document = browse(path, tmp_path, "--window-size=1280,900")
    assert "<title>column 0975 | column 0976 | column 0123 | 1 of 1000</title>" in document


@browsed
def test_on_a_phone_nothing_sticks_out(project, tmp_path):
    measured = """<script>
      for (const button of document.querySelectorAll("[aria-expanded=false]")) button.click();
      document.title = document.documentElement.scrollWidth <= innerWidth ? "fits" : "sticks out";
    </script></body>"""
    text = render_page(describe_evaluation(facts(project, "two", name="Q1")))
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", measured)
    path = tmp_path / "page.html"
    path.write_text(text)
    document = browse(path, tmp_path, "--window-size=390,900")
    assert "<title>fits</title>" in document
    assert len(re.findall(r'<tr class="detail"(?! hidden)', document)) == 3
    assert re.search(r"<dt>mean</dt><dd>[\d.]+ → [\d.]+</dd>", document)


def test_the_step_writes_a_page_and_a_chart(project):
    pages = project.parent / "pages"
    first, second = ((pages / "deep" / f"{name}.parquet.html").read_text() for name in ("first", "second"))
    assert "<title>Q1 in two" in first
    assert "Over time" not in first  # one evaluation has no history
    assert "Over time" in second
    assert (pages / "two.png").read_bytes().startswith(b"\x89PNG")
    assert not list(pages.rglob(".*"))


def test_a_page_that_cannot_be_written_fails_its_step(project):
    [run] = session.run_scenarios(load(project, environ={}), ["Nowhere"], environ={}).runs
    assert run.outcome is Outcome.FAILED
    assert "cannot write" in run.steps[0].reason


def mails(project: Path) -> list:
    paths = sorted((project.parent / "outbox").glob("*.eml"))
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]


def test_a_mail_carries_the_page_and_shows_the_chart(project):
    [mail, *_] = mails(project)
    text = mail.get_body(("html",)).get_content()
    shown = re.findall(r'<img src="cid:([^"]+)" alt="([^"]+)"', text)
    pictures = {part["Content-ID"]: part for part in mail.walk() if part.get_content_type() == "image/png"}
    assert list(pictures) == [f"<{id_}>" for id_, _ in shown]
    assert len(shown) == 3
    assert all("Drift:" in alt for _, alt in shown)
    for part in pictures.values():
        assert part.get_content_disposition() == "inline"
        assert part.get_content().startswith(b"\x89PNG")
    attached = [part for part in mail.iter_attachments() if part.get_content_type() == "text/html"]
    assert [part.get_filename().partition("-")[0] for part in attached] == ["two", "number", "three"]
    assert "What the model says" in attached[0].get_content()


def test_a_run_without_an_evaluation_says_so(project):
    session.run_scenarios(load(project, environ={}), ["Nothing"], environ={})
    *_, mail = mails(project)
    said = mail.get_body(("plain",)).get_content()
    assert "Note: report is not attached: the run has no evaluation" in said
    assert "Note: chart is not attached: the run has no evaluation" in said


def test_a_page_too_large_for_mail_is_told_instead(project):
    shown = facts(project, "three")
    wide = dataclasses.replace(
        shown, evaluation=dataclasses.replace(shown.evaluation, **many(shown.evaluation, 2000, "long" * 300))
    )
    now = shown.evaluation.created
    message = compose_message(
        Reporter(name="r", channel="box", message="see", attach=["report"]),
        RunFacts("shown", "Watch", "1", now, ConditionFacts(outcome=Outcome.WARNING), now),
        Secrets(load(project, environ={}), {}),
        message_id="1.0",
        now=now,
        csv_of=lambda name: [],
        evaluations=lambda: [wide],
    )
    assert message is not None
    assert re.search(
        r"Note: report is not attached: the report of .* has \d\.\d MB; attachments are limited to 2 MB", message.text
    )
    assert [part.name for part in message.attachments] == [""]


def engine(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("engine"), *arguments],
        cwd=project.parent, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_the_verb_writes_the_page(project):
    done = engine(project, "report", "shown.yaml", "number", "Q1")
    assert (done.returncode, done.stdout) == (0, "number-Q1.html\n")
    assert "<title>Q1 in number" in (project.parent / "number-Q1.html").read_text()
    done = engine(project, "report", "shown.yaml", "two", "-o", "newest.png")
    assert (done.returncode, done.stdout) == (0, "newest.png\n")
    assert (project.parent / "newest.png").read_bytes().startswith(b"\x89PNG")


def test_the_verb_says_what_there_is(project):
    done = engine(project, "report", "shown.yaml")
    assert done.returncode == 2
    assert "name an evaluation store: two, number, three" in done.stderr
    done = engine(project, "report", "shown.yaml", "two", "Q9")
    assert done.returncode == 2
    assert "there is no evaluation 'Q9'" in done.stderr


def test_all_pages_become_files_whose_links_lead_to_files(project):
    done = engine(project, "report", "shown.yaml", "--all", "-o", "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "site/index.html\n", "")
    site = project.parent / "site"
    pages = {path.relative_to(site).as_posix(): path.read_text() for path in site.rglob("*.html")}
    for kind in ("index", "spec", "flow", "scenarios", "outbox", "stores/two/evaluations", "scenarios/Watch/runs"):
        assert f"{kind}.html" in pages
    assert sum(bool(re.fullmatch(r"stores/two/evaluations/[0-9a-f-]+/drift.html", name)) for name in pages) == 2
    assert any("/column-" in name for name in pages)
    linked = {"index.html"}
    for name, text in pages.items():
        read = Reader(text)
        assert ("form" in read.elements, "img" in read.elements, f"<script>{OWNED}" in text) == (False, False, False)
        for link in read.loaded:
            target = (site / name).parent / link.partition("#")[0]
            assert link.startswith("#") or target.is_file(), (name, link)
            if not link.startswith("#"):
                linked.add(target.resolve().relative_to(site).as_posix())
    assert set(pages) <= linked
    assert NAME in Reader(pages["stores/two/evaluations.html"]).text
    assert engine(project, "report", "shown.yaml", "two", "--all").returncode == 2


def test_a_copy_of_many_pages_says_how_many_it_leaves_out(project, tmp_path):
    with session.open_session(load(project, environ={}), environ={}) as context:
        copied = copy_pages(context.project, context.store, tmp_path, most=4)
    assert len(list(tmp_path.rglob("*.html"))) == 4
    assert copied.left_out > 10
    assert "/evaluations/" not in (tmp_path / "index.html").read_text()
