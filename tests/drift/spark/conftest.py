"""A cluster of Spark on this machine: two executors, each a process of its own."""

import os
import shutil
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

EXECUTORS = "local-cluster[2,1,1024]"


def _say_what_is_missing():
    if find_spec("pyspark") is None:
        return "pyspark is not installed"
    if int(version("pandas").partition(".")[0]) >= 3:
        return "pyspark 4.3 warns of pandas 3, and warnings are errors here"
    return "" if shutil.which("java") else "there is no Java (apt-get install default-jre-headless)"


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A session for all tests of this folder that run in one process."""
    if missing := _say_what_is_missing():
        pytest.skip(missing)
    import pyspark
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    folder = tmp_path_factory.mktemp("spark")
    os.environ["SPARK_WORKER_DIR"] = str(folder / "work")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "tables"),
        "spark.sql.session.timeZone": "UTC",
        "spark.task.maxFailures": "1",
        "spark.sql.shuffle.partitions": "4",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    builder = SparkSession.builder.master(EXECUTORS)
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
