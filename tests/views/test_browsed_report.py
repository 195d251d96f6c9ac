"""The page of a report in a real browser."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.views import describe_evaluation, render_page

from .reported_project import Reader, facts, many, view

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

browsed = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; apt-get install chromium")


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
def test_a_browser_draws_histograms_and_runs_no_foreign_code(project, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render_page(view(project, "two")))
    document = browse(path, tmp_path)
    assert "<title>owned" not in document
    assert Reader(document).elements.get("img") is None
    assert len(re.findall(r'<td class="draw"><div [^>]*><svg .*?</svg>', document, re.DOTALL)) == 3
    assert document.count('<th scope="col" class="num" aria-sort="descending"><button type="button">Drift') == 1
    assert "<figcaption>probability, reference and batch" in document


@browsed
def test_a_browser_sorts_and_finds_all_columns_also_those_that_are_only_listed(project, tmp_path):
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
