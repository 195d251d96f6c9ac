"""Chromium for tests of pages: what is wrong with a page as people of all kinds meet it.

It resolves no name but that of this machine, so that nothing can be loaded from elsewhere. axe is that of the package
axe-playwright-python; it runs beside the page, whose policy allows no script of others.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium")
SEVERE = ("serious", "critical")
MOST_STOPS = 400
"""Presses of the tabulator after which a page counts as one that cannot be left."""

FIND_CONTROLS = """() => {
  const shown = (one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.tabIndex >= 0;
  const found = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
  const controls = found.filter((one) => shown(one) && one.type !== "hidden");
  controls.forEach((one, index) => one.setAttribute("data-control", index));
  return controls.map((one) => one.outerHTML.slice(0, 90));
}"""
DESCRIBE_FOCUS = """() => {
  const at = document.activeElement;
  if (!at || at === document.body || at === document.documentElement) return null;
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {
    index: Number(at.getAttribute("data-control") ?? -1),
    seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && box.width > 0 && box.bottom > 0
      && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""
BEGIN_AT_TOP = """() => {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}"""
FIND_OVERFLOW = """() => {
  const page = document.documentElement;
  if (page.scrollWidth <= page.clientWidth) return [];
  const wide = [...document.body.querySelectorAll("*")].filter((one) =>
    one.getBoundingClientRect().right > page.clientWidth + 1 && !one.closest(".scroll, pre, .hidden, .skip"));
  return wide.slice(0, 3).map((one) => "wider than the screen: " + one.outerHTML.slice(0, 90));
}"""


@dataclass
class Visit:
    """A page in the browser, with what its visits have shown against it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Go to an address; the faults are those of the page there."""
        self.page.goto(url, wait_until="networkidle")

    def run_axe(self) -> list[dict[str, Any]]:
        """Return what axe finds serious or critical."""
        script = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.page.evaluate(script)
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [one for one in found if one["impact"] in SEVERE]

    def inspect(self) -> list[str]:
        """Return what is wrong: messages, requests to elsewhere, what axe finds, what is wider than the screen."""
        axe = [f"{one['id']}: {node['html'][:120]}" for one in self.run_axe() for node in one["nodes"][:3]]
        found, self.faults[:] = [*self.faults, *axe, *self.page.evaluate(FIND_OVERFLOW)], []
        return found

    def walk(self) -> list[str]:
        """Press the tabulator through the page; return controls that it does not reach, or whose focus is not seen."""
        controls = self.page.evaluate(FIND_CONTROLS)
        self.page.evaluate(BEGIN_AT_TOP)
        reached, faults = set[int](), []
        for _ in range(min(MOST_STOPS, len(controls) + 5)):
            self.page.keyboard.press("Tab")
            at = self.page.evaluate(DESCRIBE_FOCUS)
            if at is None or at["index"] in reached:
                break
            reached.add(at["index"])
            if not at["seen"]:
                faults.append(f"focus is not seen: {controls[at['index']]}")
        missed = [one for index, one in enumerate(controls) if index not in reached]
        return [*faults, *(f"not reached by the tabulator: {one}" for one in missed[: MOST_STOPS - len(reached)])]


@contextmanager
def open_browser(
    width: int = 1400, colours: Literal["light", "dark"] = "light", *, scripts: bool = True
) -> Iterator[Visit]:
    """Open a page in Chromium; what it tells the console and asks of others becomes faults."""
    rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", rules])
        try:
            yield open_visit(
                browser.new_context(
                    viewport={"width": width, "height": 900}, color_scheme=colours, java_script_enabled=scripts
                )
            )
        finally:
            browser.close()


def open_visit(context: BrowserContext) -> Visit:
    """Return a new page whose messages and requests are collected."""
    visit = Visit(context.new_page())

    def hear(message: ConsoleMessage) -> None:
        visit.faults.append(f"console: {message.text[:200]}")

    def see(request: Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            visit.faults.append(f"asks of elsewhere: {request.url[:120]}")

    visit.page.on("console", hear)
    visit.page.on("request", see)
    visit.page.on("pageerror", lambda problem: visit.faults.append(f"error: {problem}"))
    return visit
