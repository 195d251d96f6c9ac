"""The Spark settings of a spec: valid urls, and settings that the engine reserves."""

import re

SPARK_SETTINGS_OF_ENGINE = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "131072",
    "spark.sql.runSQLOnFiles": "false",
}
"""Settings of the engine that affect reads: times in UTC, efficient batch sizes, and no files as table names."""

_URL = re.compile(r"local(\[[\d*]+(, *\d+)?\])?|local-cluster\[\d+, *\d+, *\d+\]|yarn|(spark|k8s|sc)://\S+")


def find_spark_url_problem(url: str) -> str:
    """Return why a url is not valid for Spark; an empty text if it is."""
    if _URL.fullmatch(url):
        return ""
    return "the url of Spark must be local[*], local[2], spark://host:7077, yarn, k8s://https://host:443, or sc://host:15002"


def names_spark_without_login(url: str) -> bool:
    """Return whether a url is valid for Spark and contains neither a user nor a token."""
    return not find_spark_url_problem(url) and not url.startswith("sc://") and "@" not in url
