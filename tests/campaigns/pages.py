"""Every page of `engine serve` in Chromium: by eye, by axe, by keyboard, and without JavaScript.

    python tests/campaigns/pages.py --output /tmp/screenshots

It serves the example card_fraud, a project whose names try to be HTML, and a node with a deployment; follows the links
to one page of each kind, and writes a picture of each at 360 and 1,400 pixels, light and dark. What it prints is wrong:
messages of the console, requests to elsewhere, what axe finds serious or critical, what is wider than the screen,
controls that the tabulator does not reach or does not show.
It needs chromium, and playwright and axe-playwright-python of the test extra.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

import engine
from engine.server.listener import ListenerOptions, create_listener
from engine.spec import load
from tests.deployments.deployed import make_bundle, write_spec
from tests.server.asked_node import AskedNode
from tests.server.page_project import write_page_project
from tests.server.page_server import PageServer
from tests.server.real_browser import Visit, open_browser
from tests.service.served import TOKEN, Served

WIDTHS, COLOURS = (360, 1400), ("light", "dark")
NOTES = "<img src=x onerror=alert(1)>\nThe second release, with more of it."


@dataclass(frozen=True)
class Site:
    """A server with pages, and how to log in."""

    name: str
    url: str
    token: str

    def log_in(self, visit: Visit) -> None:
        visit.open(f"{self.url}/login")
        visit.page.fill("[name=token]", self.token)
        visit.page.click("main button")


@contextmanager
def serve_example(folder: Path) -> Iterator[Site]:
    """Serve the example card_fraud, with the runs of its three quarters."""
    subprocess.run([sys.executable, "-m", "engine", "init", str(folder), "--example", "card_fraud"], check=True)
    subprocess.run([sys.executable, "-m", "engine", "run", "project.yaml"], cwd=folder, check=False)
    server = Served(folder, "project.yaml", "--drain", "1")
    try:
        yield Site("example", server.wait_for("listening")["url"].partition("?")[0].rstrip("/"), TOKEN)
    finally:
        server.end()


@contextmanager
def serve_hostile(folder: Path) -> Iterator[Site]:
    """Serve a project with hostile names."""
    folder.mkdir()
    with closing(PageServer(write_page_project(folder))) as server:
        listener = create_listener(server, ListenerOptions("127.0.0.1:0"), {}, print)
        listener.start()
        yield Site("hostile", listener.url, listener.token)
        listener.stop()


@contextmanager
def serve_node(folder: Path) -> Iterator[Site]:
    """Serve a node with one deployment and a second bundle for it."""
    folder.mkdir()
    spec = write_spec(folder)
    spec.write_text(spec.read_text().replace("path: automation", "path: data"))
    make_bundle(load(spec), "v1")
    asked = AskedNode(folder, "allow_code: true\n")
    engine.load(spec).deploy("production", "v1", now=True)
    asked.server.wait_for("served")
    spec.write_text(spec.read_text() + "# later\n")
    second = make_bundle(load(spec), "v2", release_notes=NOTES)
    asked.ask(f"/v1/bundles/{second}", asked.tokens["deployer"], "PUT", content=(folder / "v2.zip").read_bytes())
    try:
        yield Site("node", asked.url, asked.tokens["admin"])
    finally:
        asked.end()


def name_kind(address: str) -> str:
    """Return what kind of page an address is: its path, without ids and names, and the names of what is chosen."""
    parts = urlsplit(address)
    path = re.sub(r"/[0-9]{8}-[0-9]+-[0-9a-f]+|/[0-9a-f]{64}|/(?<=fires/)[0-9]+", "/ID", unquote(parts.path))
    path = re.sub(r"/(p|stores|scenarios|deployments)/[^/]+/", r"/\1/X/", path)
    path = re.sub(r"/(p|stores|scenarios|deployments)/[^/]+/", r"/\1/X/", path)
    path = re.sub(r"/runs/[^/]+$", "/runs/ID", re.sub(r"/evaluations/[^/]+", "/evaluations/ID", path))
    return "?".join([path, *sorted(re.findall(r"(?:^|&)(\w+)=", parts.query))])


def find_pages(site: Site, visit: Visit) -> dict[str, str]:
    """Return the address of one page of each kind."""
    site.log_in(visit)
    found: dict[str, str] = {}
    waiting = [f"{site.url}/projects"]
    while waiting:
        address = waiting.pop(0).partition("#")[0]
        if not address.startswith(site.url) or re.search(r"\.(json|csv)(\?|$)", address) or name_kind(address) in found:
            continue
        found[name_kind(address)] = address
        visit.open(address)
        links = visit.page.eval_on_selector_all("a[href]", "all => all.map((one) => one.getAttribute('href'))")
        waiting += [urljoin(address, link) for link in links]
    return found


def look_at(site: Site, pages: dict[str, str], output: Path) -> int:
    """Look at pages at each width in each scheme; return the number of faults, which are printed."""
    faults = 0
    for width in WIDTHS:
        for colours in COLOURS:
            with open_browser(width, colours) as visit:
                site.log_in(visit)
                for kind, address in pages.items():
                    visit.open(address)
                    name = re.sub(r"\W+", "-", kind).strip("-") or "start"
                    visit.page.screenshot(path=output / f"{site.name}-{name}-{width}-{colours}.png", full_page=True)
                    found = visit.inspect() + (visit.walk() if colours == "light" else [])
                    for fault in found:
                        print(f"{site.name} {kind} {width} {colours}: {fault}", flush=True)
                    faults += len(found)
    return faults


def main() -> None:
    """Look at all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("screenshots"))
    parser.add_argument("--site", choices=("example", "hostile", "node"), action="append")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    makers = {"example": serve_example, "hostile": serve_hostile, "node": serve_node}
    faults = pages = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in options.site or makers:
            site = stack.enter_context(makers[name](Path(folder, name)))
            with open_browser() as visit:
                found = find_pages(site, visit)
            print(f"{name}: {len(found)} kinds of pages", flush=True)
            pages += len(found)
            faults += look_at(site, found, options.output)
    print(f"{pages} pages, {faults} faults")


if __name__ == "__main__":
    main()
