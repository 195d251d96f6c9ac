"""Time and bytes of the lists of a server: with 100,000 evaluations, runs, fires and messages, and with 2,000 columns.

    python tests/campaigns/page_sizes.py --copies 100_000 --columns 2_000

A page may take three times as long as the list of messages without any of the same server, by the median of nine on the
clock of the wall, and none may be larger than 300 kB. Take the ratios of a quiet machine. The first time is told beside
it: lists and evaluations are kept as long as nothing of them has changed.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

import engine
from engine.cli import restore_garbage_collection
from engine.server.listener import ListenerOptions, create_listener
from tests.server.long_history import lengthen_history
from tests.server.page_project import PROJECT, SCENARIO, STORE, write_page_project
from tests.server.page_server import PageServer

MOST_BYTES, MOST_TIMES = 300_000, 3.0
ROUNDS = 9
WIDE = """
version: 1
project: wide
datasets: {before: {path: before.parquet}, now: {path: now.parquet}}
models: {judge: {kind: scored, task: binary_classification, target: label, positive: 1, probability: score}}
evaluation_stores:
  wide:
    model: judge
    dataset: now
    reference: {kind: dataset, dataset: before}
    checks: {drift holds: {metric: drift.*, soft_max: 0.1}, psi: {metric: psi.*, max: 0.2}}
    display: {metrics: [data_drift, psi.column_0001]}
scenarios:
  watch: {steps: [{name: build, kind: build, target: wide}, {name: check, kind: run_checks, target: wide}]}
"""


@contextmanager
def serve(path: Path) -> Iterator[httpx2.Client]:
    """Serve a project; yield somebody who is logged in."""
    with closing(PageServer(path)) as server:
        listener = create_listener(server, ListenerOptions("127.0.0.1:0"), {}, print)
        listener.start()
        restore_garbage_collection()  # as `engine serve` does: without it, a page waits for collections of all objects
        with httpx2.Client(base_url=listener.url, timeout=600, headers={"accept": "text/html"}) as client:
            client.post("/login", data={"token": listener.token}, headers={"origin": listener.url})
            yield client
        listener.stop()


def measure(client: httpx2.Client, address: str) -> tuple[float, float, int]:
    """Return the seconds of a page the first time, the median of those after it, and its bytes."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        answer = client.get(address)
        seconds.append(time.perf_counter() - begun)
        assert answer.status_code == 200, (address, answer.text[:500])
    return seconds[0], statistics.median(seconds[1:]), len(answer.content)


def compare(client: httpx2.Client, pages: dict[str, str], empty: str) -> int:
    """Print what pages take beside an empty one; return the number of those that take too much."""
    _, least, _ = measure(client, empty)
    print(f"{'an empty page':34} {1000 * least:8.1f} ms")
    bad = 0
    for name, address in pages.items():
        first, seconds, size = measure(client, address)
        wrong = seconds > MOST_TIMES * least or size > MOST_BYTES
        bad += wrong
        said = f"first {1000 * first:6.0f} ms{'  TOO MUCH' if wrong else ''}"
        print(
            f"{name:34} {1000 * seconds:8.1f} ms {seconds / least:6.1f} x {size / 1000:8.1f} kB, {said}",
            flush=True,
        )
    return bad


def list_pages(project: str, store: str, scenario: str, evaluation: str) -> dict[str, str]:
    """Return the addresses of a project's pages by what they show."""
    project, store, scenario = (quote(name, safe="") for name in (project, store, scenario))
    evaluations = f"/p/{project}/stores/{store}/evaluations"
    return {
        "projects": "/projects",
        "a project": f"/p/{project}/status",
        "evaluations": evaluations,
        "evaluations with a filter": f"{evaluations}?find=copy+99&metric=roc_auc",
        "older evaluations": f"{evaluations}?before={evaluation}",
        "scenarios": f"/p/{project}/scenarios",
        "runs": f"/p/{project}/scenarios/{scenario}/runs",
        "messages": f"/p/{project}/outbox",
        "messages in one state": f"/p/{project}/outbox?state=SENT",
        "flow": f"/p/{project}/flow",
        "spec": f"/p/{project}/spec",
        "an evaluation": f"{evaluations}/{evaluation}",
        "its drift": f"{evaluations}/{evaluation}/drift",
    }


def write_wide_project(folder: Path, columns: int) -> Path:
    """Write a project with so many columns, run it twice, and return the path of its spec."""
    random = np.random.default_rng(0)
    for name, shift in (("before", 0.0), ("now", 0.3)):
        values = {f"column_{i:04}": random.normal(shift * (i % 5), 1, 600).astype("float32") for i in range(columns)}
        score = random.uniform(0, 1, 600)
        pl.DataFrame(
            {**values, "score": score, "label": (random.uniform(0, 1, 600) < score).astype(int)}
        ).write_parquet(folder / f"{name}.parquet")
    path = folder / "spec.yaml"
    path.write_text(WIDE)
    engine.load(path).run("watch")
    return path


def find_newest(client: httpx2.Client, project: str, store: str) -> str:
    address = f"/p/{quote(project, safe='')}/stores/{quote(store, safe='')}/evaluations.json"
    found: str = client.get(address).json()["store"]["evaluations"][0]["id"]
    return found


def main() -> None:
    """Measure the pages of a long history, and of a wide table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=2_000)
    parser.add_argument("--keep", type=Path, help="a folder for the projects, which are used again if they are there")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        short, long, wide = folder / "short", folder / "long", folder / "wide"
        if not wide.exists():
            for one in (short, wide):
                one.mkdir(parents=True)
            write_wide_project(wide, options.columns)
            write_page_project(short)
            shutil.copytree(short, long)
            (state,) = (long / ".engine").iterdir()
            lengthen_history(state, options.copies)
        for name, path, names in (
            ("two evaluations", short, (PROJECT, STORE, SCENARIO)),
            (f"{options.copies:,} evaluations", long, (PROJECT, STORE, SCENARIO)),
            (f"{options.columns:,} columns", wide, ("wide", "wide", "watch")),
        ):
            print(name)
            with serve(path / "spec.yaml") as client:
                pages = list_pages(*names, find_newest(client, *names[:2]))
                bad += compare(client, pages, f"/p/{quote(names[0], safe='')}/outbox?state=REFUSED")
        report = engine.load(wide / "spec.yaml").store("wide").report(wide / "report.html")
        size = Path(report).stat().st_size
        print(f"the report of {options.columns:,} columns: {size / 1000:,.1f} kB")
    print(f"{bad} pages take too much")


if __name__ == "__main__":
    main()
