"""Reports in files and in mails: what the step, the reporter and the verb write."""

import dataclasses
import re
from email import message_from_bytes, policy
from pathlib import Path

from engine.notifications import RunFacts, compose_message
from engine.outcome import Outcome
from engine.scenarios import session
from engine.server.page_copy import copy_pages
from engine.spec import Secrets, load
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter

from ..command_line import Done, call_engine
from ..small_disks import fill_disk, mount_small_disk
from .reported_project import NAME, OWNED, Reader, facts, many


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


def test_a_page_too_large_for_mail_is_reported_instead(project):
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


def engine(project: Path, *arguments: str) -> Done:
    return call_engine(project.parent, *arguments, NO_COLOR="1")


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
    assert "give an evaluation store: two, number, three" in done.stderr
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


def test_a_disk_that_is_full_in_the_middle_keeps_the_former_pages(project, tmp_path):
    with mount_small_disk(tmp_path / "disk", "size=1m") as disk:
        (disk / "index.html").write_text("a former page")
        fill = fill_disk(disk / "fill", leave=200_000)
        refused = engine(project, "report", "shown.yaml", "--all", "-o", str(disk))
        assert (refused.returncode, "No space left on device" in refused.stderr) == (3, True), refused.stderr
        assert sorted(path for path in disk.rglob("*") if path.is_file()) == [fill, disk / "index.html"]
        assert (disk / "index.html").read_text() == "a former page"


def test_a_copy_of_many_pages_says_how_many_it_leaves_out(project, tmp_path):
    with session.open_session(load(project, environ={}), environ={}) as context:
        copied = copy_pages(context.project, context.store, tmp_path, most=4)
    assert len(list(tmp_path.rglob("*.html"))) == 4
    assert copied.left_out > 10
    assert "/evaluations/" not in (tmp_path / "index.html").read_text()
