"""Connections to Spark: a cluster, local mode, or a server of Spark Connect.

A process has one Spark session at a time. Starting it takes seconds, so it is kept until the process ends. The Java
process of a driver is started here and not by pyspark, because pyspark would put all settings, including secrets, into
its command line, and would let it write to the output of the engine.
"""

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any
from warnings import catch_warnings

from engine.connections.database_errors import DatabaseError, require_package
from engine.connections.spark_errors import explain_spark_error, explain_start, translate_spark_error
from engine.connections.spark_settings import SPARK_SETTINGS_OF_ENGINE, find_spark_url_problem
from engine.connections.spark_waits import bound_waits_of_client, watch_executors
from engine.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SETTINGS_OF_DRIVER = {
    "spark.app.name": "engine",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}

_SETTINGS_OF_THIS_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""Settings of local mode: the name of the machine may not resolve, or to an address of a missing network."""

_ADDRESS = re.compile(r"(?<=[/,@])([^/:,@]+):(\d+)")
"""The host and the port of each server in a url."""

_opened: list[tuple[str, Mapping[str, str], "SparkSession"]] = []
"""The Spark of this process: url, settings and session; empty if none is running."""


def open_spark(url: str, options: Mapping[str, str], secret: Mapping[str, str]) -> "SparkSession":
    """Return the Spark session of this process; start it if it is not running.

    Parameters
    ----------
    url
        The master or server; see `SparkConnection`.
    options, secret
        Settings by name; the secret ones are never part of a command line.

    Raises
    ------
    DatabaseError
        The extra or Java is not installed, Spark does not answer or refuses a setting, or this process has already
        started another Spark.
    """
    require_package("pyspark", "spark", "a connection to Spark")
    if problem := find_spark_url_problem(url):
        raise DatabaseError(problem)
    wanted = {**options, **secret}
    if _opened:
        running, settings, session = _opened[0]
        if (running, settings) == (url, wanted):
            return session
        raise DatabaseError(
            "this run has started Spark with another url or other options, and a process has one Spark: use one "
            "connection for all datasets of a run"
        )
    _require_answer(url)
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logging.getLogger(name).disabled = True  # they log Java stacks of errors that are reported anyway
    with catch_warnings(action="ignore"):  # users cannot act on pyspark's warnings about itself
        session = _connect(url, wanted) if url.startswith("sc://") else _start_driver(url, options, wanted)
    _opened.append((url, wanted, session))
    return session


def _require_answer(url: str) -> None:
    """Raise a DatabaseError if no address of a url accepts connections: pyspark would retry for minutes.

    A cluster may have several masters, of which all but one are on standby.
    """
    silent = []
    for host, port in _ADDRESS.findall(url.partition(";")[0]):
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            silent.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return
    if silent:
        raise DatabaseError(f"no Spark answers at {'; nor at '.join(silent)}", transient=True)


def _connect(url: str, options: Mapping[str, str]) -> "SparkSession":
    """Return a session on a server of Spark Connect."""
    for package in ("grpc", "grpc_status", "google.rpc", "zstandard"):
        require_package(package.split(".")[0], "spark", "a connection to Spark Connect")
    from pyspark.sql import SparkSession

    try:
        # users' functions call getOrCreate, which fails unless this names a server
        os.environ["SPARK_REMOTE"] = url.partition(";")[0]
        builder = SparkSession.builder.remote(url)
        for name, value in {**options, **SPARK_SETTINGS_OF_ENGINE}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        bound_waits_of_client(session)
        return session
    except Exception as error:  # noqa: BLE001  # from pyspark, grpc or the server: they have no common class
        raise explain_spark_error(error) from None


def _start_driver(url: str, options: Mapping[str, str], wanted: Mapping[str, str]) -> "SparkSession":
    """Start the Java process of a driver, and Spark in it."""
    if not _find_java():
        raise DatabaseError(
            "Spark needs Java 17 or newer, and there is none on this machine: install it (Debian and Ubuntu: apt-get "
            "install default-jre-headless), or set JAVA_HOME"
        )
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None and running.sparkContext.master == url:  # started by a notebook or a user's function
        return running
    here = _SETTINGS_OF_THIS_MACHINE if url.startswith("local") else {}
    # without this, workers use another interpreter than the driver's; on a cluster its path differs. spark-submit turns
    # the setting into this variable, and pyspark reads only the variable
    if python := wanted.get("spark.pyspark.python", sys.executable if here else ""):
        os.environ["PYSPARK_PYTHON"] = python
    settings = {**_SETTINGS_OF_DRIVER, **here, **wanted, **SPARK_SETTINGS_OF_ENGINE, "spark.master": url}
    public_settings = {name: value for name, value in settings.items() if name not in wanted or name in options}
    with TemporaryFile("w+", errors="replace") as output:  # Java keeps it open; it is read only if the start fails
        try:
            launch: Callable[..., object] = launch_gateway  # pyspark gives it no types
            gateway = launch(_make_conf(SparkConf, public_settings), {"stdout": output, "stderr": output})
            conf = _make_conf(SparkConf, settings)
            context = SparkContext(conf=conf, gateway=gateway, environment={"POLARS_MAX_THREADS": "1"})
            session = SparkSession(context)
        except Exception as error:  # noqa: BLE001  # from pyspark or py4j: they have no common class
            raise explain_start(error, url, _read_end(output)) from None
    _silence_end_of_java(context)
    watch_executors(context)
    return session


def _silence_end_of_java(context: Any) -> None:
    """Keep pyspark and py4j from logging tracebacks besides the reported error if Java ends."""
    context._accumulatorServer.handle_error = lambda *_: None
    logging.getLogger().addFilter(lambda record: record.module != "java_gateway")  # py4j writes to the root logger


def _make_conf(kind: Any, settings: Mapping[str, str]) -> Any:
    conf = kind(loadDefaults=False)
    for name, value in settings.items():
        conf.set(name, value)
    return conf


def _find_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return Path(home, "bin", "java").exists() if home else which("java") is not None


def _read_end(output: IO[str]) -> str:
    output.seek(0)
    return output.read()[-20_000:]


def prepare_session(session: "SparkSession") -> None:
    """Make a session, possibly one of a user's function, return times in UTC and run tasks of the engine."""
    for name in ("spark.sql.session.timeZone", "spark.sql.execution.arrow.maxRecordsPerBatch"):
        session.conf.set(name, SPARK_SETTINGS_OF_ENGINE[name])
    if ".connect." not in type(session).__module__ and "PYSPARK_PYTHON" not in os.environ:
        context = session.sparkContext
        if (context.master or "").startswith("local"):
            context.pythonExec = sys.executable


@contextmanager
def explain_spark_errors(place: str) -> Iterator[None]:
    """Raise a DatabaseError that begins with a place for each error of Spark, without Java's stack.

    An error of this package that an executor raised keeps its class.
    """
    try:
        yield
    except Exception as error:  # pyspark, py4j and grpc have no common class; other errors are raised again
        explained = translate_spark_error(error)
        if isinstance(explained, DatabaseError):
            raise DatabaseError(f"{place}: {explained}", transient=explained.transient) from None
        if isinstance(explained, DataError):
            raise DataError(f"{place}: {explained}") from None
        if explained is not None:
            raise explained from None
        raise
