"""A spec on every kind of cluster of Spark that one machine can run: are its numbers those of files?

    python tests/campaigns/spark_clusters.py [--only standalone] [--faults]

Needs pyspark and Java. A standalone cluster (a master and two workers), a server of Spark Connect, and a local cluster
of two executors listen to this machine alone. On each, the datasets of `tests/databases/spark_project.py` are read into
this machine, and then stay with Spark; the numbers are compared with those of the same files without Spark. Then the
standalone cluster has faults, which must be told in words: executors without this package, named by either setting,
and no executor at all. What happens when processes of a cluster are killed is tried by `spark_losses.py`.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.databases.spark_project import SUMS, is_close, read_numbers, run_engine, write_project
from tests.ports import find_free_port

HOST = "127.0.0.1"
DEPLOY = "org.apache.spark.deploy"
SMALL = {"spark.driver.host": HOST, "spark.driver.bindAddress": HOST, "spark.executor.memory": "1g"}


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return as soon as somebody listens on a port; raise RuntimeError if the process has ended before."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError):
            socket.create_connection((HOST, port), timeout=1).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"nothing listens on {port}: {log.read_text()[-2000:]}")


@contextmanager
def start_java(folder: Path, name: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of Spark, whose output goes to a file; end it afterwards."""
    import pyspark

    home = Path(pyspark.__file__).parent
    (folder / name).mkdir()
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [home / "bin" / arguments[0], *arguments[1:]],
            stdout=log, stderr=log, cwd=folder / name, start_new_session=True,
            env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST, "SPARK_WORKER_DIR": str(folder / name),
                 "SPARK_LOCAL_DIRS": str(folder / name), **environ},
        )  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@contextmanager
def start_master(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the master of a standalone cluster; yield its url, and the process."""
    port, web = find_free_port(), find_free_port()
    master = f"{DEPLOY}.master.Master", "--host", HOST, "--port", str(port), "--webui-port", str(web)
    with start_java(folder, "master", "spark-class", *master) as leading:
        wait_for_port(port, leading, folder / "master.log")
        yield f"spark://{HOST}:{port}", leading


def start_worker(folder: Path, name: str, url: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a worker of one core for the master at a url."""
    worker = f"{DEPLOY}.worker.Worker", "--host", HOST, "--cores", "1", "--memory", "1g", "--webui-port", "0", url
    return start_java(folder, name, "spark-class", *worker)


@contextmanager
def start_standalone(folder: Path) -> Iterator[str]:
    """Start a master and two workers; yield the url."""
    with start_master(folder) as (url, _), start_worker(folder, "worker1", url), start_worker(folder, "worker2", url):
        yield url


@contextmanager
def start_connect(folder: Path, master: str = "local[2]") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a server of Spark Connect for a master; yield the url, and the process."""
    port = find_free_port()
    settings = {**SMALL, "spark.master": master, "spark.connect.grpc.binding.port": str(port)}
    settings |= {"spark.connect.grpc.binding.address": HOST, "spark.ui.enabled": "false"}
    confs = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    server = "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", *confs, "spark-internal"
    with start_java(folder, "connect", "spark-submit", *server, PYSPARK_PYTHON=sys.executable) as process:
        wait_for_port(port, process, folder / "connect.log")
        yield f"sc://{HOST}:{port}", process


@contextmanager
def use_connect(folder: Path) -> Iterator[str]:
    """Start a server of Spark Connect; yield the url."""
    with start_connect(folder) as (url, _):
        yield url


CLUSTERS = {
    "standalone": start_standalone,
    "connect": use_connect,
    "local-cluster": lambda _: nullcontext("local-cluster[2,1,1024]"),  # which the driver starts itself
}


def compare_numbers(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return the numbers that are not those of files: to 1e-12 where they are sums of fractions."""
    wrong = sorted(found.keys() ^ expected.keys())
    for key in found.keys() & expected.keys():
        summed = key.startswith("scored ") or key.split(".")[0].removeprefix("now ") in SUMS
        same = all(map(is_close, found[key], expected[key])) if summed else found[key] == expected[key]
        if not same and not key.startswith("now age"):
            wrong.append(f"{key}: {found[key]}, and not {expected[key]}")
    return wrong


def try_cluster(name: str, url: str, folder: Path, expected: Mapping[str, Any]) -> list[str]:
    """Run the spec with rows that are read, and with rows that stay; return what is wrong."""
    wrong = []
    options = {} if url.startswith("sc://") else SMALL
    for way, most in (("read", 5_000), ("stays", 100)):
        connection = {"kind": "spark", "url": url, "collect_rows": most, "options": options}
        spec = write_project(folder / way, connection, spark=True)
        began = time.monotonic()
        try:
            run_engine("run", spec, PYSPARK_PYTHON=sys.executable)
            differing = compare_numbers(read_numbers(spec), expected)
        except AssertionError as failure:
            differing = [f"the run failed: {failure}"]
        print(f"{name}, rows {way}: {time.monotonic() - began:.0f} s, {len(differing)} numbers differ", flush=True)
        wrong += [f"{name}, {way}: {one}" for one in differing]
    return wrong


def try_faults(url: str, folder: Path) -> list[str]:
    """Let runs fail; print what they say, and return what is not said in words."""
    if url.startswith("sc://"):
        return []
    bare = str(Path(sys.base_prefix, "bin", "python3"))
    trials: list[tuple[str, dict[str, str], dict[str, str], str]] = [
        ("the engine's Python by an option", {"spark.pyspark.python": sys.executable}, {}, ""),
        ("a bare Python by an option", {"spark.pyspark.python": bare}, {}, "the executors have no package"),
        ("a bare Python by the environment", {}, {"PYSPARK_PYTHON": bare}, "the executors have no package"),
    ]
    wrong = []
    for number, (name, setting, environ, expected) in enumerate(trials):
        connection = {"kind": "spark", "url": url, "collect_rows": 100, "options": {**SMALL, **setting}}
        spec = write_project(folder / f"fault{number}", connection, spark=True, stores=("drift",))
        run = subprocess.run(
            [sys.executable, "-m", "engine", "run", spec], capture_output=True, text=True, check=False, timeout=400,
            env={**{key: one for key, one in os.environ.items() if key != "PYSPARK_PYTHON"}, **environ},
        )  # fmt: skip
        said = run.stdout + run.stderr
        told = [line for line in said.splitlines() if "FAILED" in line or "SUCCESS" in line]
        print(f"{name}: exit {run.returncode}; " + "; ".join(told), flush=True)
        if expected not in said or "Traceback" in said or "\tat " in said:
            wrong.append(f"{name}: {said[-3000:]}")
    return wrong


def try_without_workers(folder: Path) -> list[str]:
    """Run on a standalone cluster without workers; return what is not said in words."""
    with start_master(folder) as (url, _):
        connection = {"kind": "spark", "url": url, "collect_rows": 100, "options": SMALL}
        said = run_engine("run", write_project(folder / "p", connection, spark=True, stores=("drift",)), code=3)
    print(f"no workers: {said.splitlines()[1]}", flush=True)
    return [] if "has had no executor for" in said else [f"no workers: {said[-3000:]}"]


def main() -> None:
    """Try each cluster, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=list(CLUSTERS))
    parser.add_argument("--faults", action="store_true", help="leave the numbers out")
    chosen = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_engine("run", files := write_project(folder / "files", {"kind": "file", "root": "."}, spark=False))
        expected = {} if chosen.faults else read_numbers(files)
        for name in [chosen.only] if chosen.only else CLUSTERS:
            (folder / name).mkdir()
            with CLUSTERS[name](folder / name) as url:
                if not chosen.faults:
                    wrong += try_cluster(name, url, folder / name, expected)
                wrong += try_faults(url, folder / name)
            if name == "standalone":
                (folder / "alone").mkdir()
                wrong += try_without_workers(folder / "alone")
            for log in (folder / name).glob("*.log"):
                shutil.copy(log, Path(tempfile.gettempdir()) / f"spark-{name}-{log.name}")
    print("\n".join(wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
