"""What a spec may say of Spark: where it runs, and which of its settings are not for the spec."""

import re

SPARK_SETTINGS_OF_ENGINE = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "131072",
    "spark.sql.runSQLOnFiles": "false",
}
"""The settings that decide what is read: times in UTC, batches of a size that pays, and names that are no files."""

_URL = re.compile(r"local(\[[\d*]+(, *\d+)?\])?|local-cluster\[\d+, *\d+, *\d+\]|yarn|(spark|k8s|sc)://\S+")


def find_spark_url_problem(url: str) -> str:
    """Return why a url cannot be where Spark runs; an empty text if it can be."""
    if _URL.fullmatch(url):
        return ""
    return "its url must be local[*], local[2], spark://host:7077, yarn, k8s://https://host:443, or sc://host:15002"


def names_spark_without_login(url: str) -> bool:
    """Tell whether a url says where Spark runs, and holds neither a user nor a token."""
    return not find_spark_url_problem(url) and not url.startswith("sc://") and "@" not in url
