"""Files that are replaced or rewritten in their place while `engine run` works: no number under a wrong fingerprint.

    .venv/bin/python tests/campaigns/replaced_files.py
    .venv/bin/python tests/campaigns/replaced_files.py --runs 200 --seed 1

Another process changes the batch, the reference or both at a random moment of each run, in one of four ways and four
formats; every content has a mean of its own and the same size and modification time. Afterwards, all means that are
kept are compared with the content whose digest is kept beside them. 50 runs take about five minutes on two idle
cores.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import polars as pl

from engine.data.files.hashes import InMemoryFileHashes, hash_file
from engine.store import Store

CONTENTS = 6
ROWS = 200_000
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "parquet": lambda frame, path: frame.write_parquet(path, compression="uncompressed", use_pyarrow=False),
    "csv": lambda frame, path: frame.write_csv(path, float_precision=3),
    "ndjson": lambda frame, path: frame.write_ndjson(path),
    "arrow": lambda frame, path: frame.write_ipc(path),
}
WAYS = ("rename", "in place", "link", "slowly in place")


def change_file(way: str, source: Path, target: Path, delay: float) -> None:
    """Give the target the content of the source, after a delay in seconds."""
    time.sleep(delay)
    part = target.with_name(f"{target.name}.part")
    if way == "link":
        part.symlink_to(source)
        part.replace(target)
    elif way == "rename":
        shutil.copy2(source, part)
        part.replace(target)
    else:
        content = source.read_bytes()
        size = 1 + len(content) // 8
        with target.open("wb") as file:
            for start in range(0, len(content), size):
                file.write(content[start : start + size])
                file.flush()
                time.sleep(0.2 if way == "slowly in place" else 0)
        shutil.copystat(source, target)


@dataclass
class Project:
    folder: Path
    ending: str
    means: dict[str, float]

    @classmethod
    def make(cls, folder: Path, ending: str) -> "Project":
        """Write the contents and a spec; batch and reference are copies of the first content."""
        folder.mkdir()
        noise = pl.Series([random.randrange(1000) / 1000 for _ in range(ROWS)])
        means = {}
        for number in range(CONTENTS):
            x = noise + 100 * (number + 1)
            path = folder / f"content{number}"
            WRITERS[ending](pl.DataFrame({"x": x, "y": noise}), path)
            os.utime(path, (1.7e9, 1.7e9))
            means[hash_file(path, InMemoryFileHashes())] = round(float(x.mean()), 3)
        for name in ("batch", "reference"):
            shutil.copy2(folder / "content0", folder / name)
        (folder / "project.yaml").write_text(f"""
version: 1
project: p
datasets:
  batch: {{path: batch, format: {ending}, checks: {{some: {{metric: mean.x, min: 0}}}}}}
  reference: {{path: reference, format: {ending}, checks: {{some: {{metric: mean.x, min: 0}}}}}}
evaluation_stores:
  s: {{dataset: batch, reference: {{kind: dataset, dataset: reference}}}}
""")
        return cls(folder, ending, means)

    def run_disturbed(self, seconds: float) -> tuple[int, str]:
        """Run the project while another process changes its files; return the exit code and what was said."""
        writers = []
        for name in random.choice((["batch"], ["reference"], ["batch", "reference"])):
            target = self.folder / name
            if target.is_symlink():  # writing through it would change a content
                target.unlink()
                shutil.copy2(self.folder / "content0", target)
            source = self.folder / f"content{random.randrange(CONTENTS)}"
            delay = random.uniform(0, seconds)
            writers.append(Thread(target=change_file, args=(random.choice(WAYS), source, target, delay)))
        runs = self.folder / ".engine" / "p" / "runs"
        before = len(list(runs.glob("*")))
        command = [sys.executable, "-m", "engine", "run", "project.yaml"]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as engine:
            while len(list(runs.glob("*"))) == before and engine.poll() is None:  # until the run begins
                time.sleep(0.005)
            for writer in writers:
                writer.start()
            said = engine.communicate()[0]
        for writer in writers:
            writer.join()
        return engine.returncode, said

    def count_wrong_numbers(self) -> tuple[int, int]:
        """Return how many stored means were compared, and how many belong to another content."""
        compared = wrong = 0
        with Store.open(self.folder / ".engine" / "p") as store:
            for evaluation in store.evaluations.history("s"):
                named = {"batch": ("mean.x", evaluation.facts["datasets"]["batch"])}
                named["reference"] = ("reference_mean.x", evaluation.facts["reference"]["datasets"]["reference"])
                for metric, facts in named.values():
                    (digest,) = facts["files"].values()
                    compared += 1
                    wrong += round(evaluation.metrics[metric].value or 0, 3) != self.means.get(digest)
            for name in ("batch", "reference"):
                for past, measured in zip(
                    store.measurements.list_facts(name, 10_000),
                    reversed(store.measurements.list_earlier(name, None, last=10_000)),
                    strict=True,
                ):
                    (digest,) = past.facts["datasets"][name]["files"].values()
                    compared += 1
                    wrong += round(measured.metrics["mean.x"].value or 0, 3) != self.means.get(digest)
        return compared, wrong


def main() -> None:
    """Run the campaign and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a run reads on this machine")
    asked = parser.parse_args()
    random.seed(asked.seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        projects = [Project.make(Path(temporary) / ending, ending) for ending in WRITERS]
        for number in range(asked.runs):
            code, said = projects[number % len(projects)].run_disturbed(asked.seconds)
            outcomes[f"exit code {code}"] += 1
            outcomes["read once more"] += "it is read once more" in said
            outcomes["a writer still at work"] += "still writing it" in said
            outcomes["called damaged"] += "damaged" in said
            outcomes["internal error"] += "internal error" in said or code < 0
            print(f"run {number + 1}: {dict(outcomes)}", file=sys.stderr, flush=True)
        compared, wrong = map(sum, zip(*(project.count_wrong_numbers() for project in projects), strict=True))
    print(f"{asked.runs} runs:", ", ".join(f"{what} {count}" for what, count in outcomes.items()))
    print(f"{compared} stored numbers compared with their contents, {wrong} wrong")
    sys.exit(bool(wrong or outcomes["called damaged"] or outcomes["internal error"]))


if __name__ == "__main__":
    main()
