"""Open data as a sample: rows of a polars frame, or rows that Spark's executors read."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from engine.drift.profiles.samples import FrameSample, Sample, identify_file
from engine.drift.profiles.segments import FrameSegments, SegmentedSample
from engine.drift.reading.segment_marks import SegmentMarks
from engine.drift.reading.sources import is_spark_frame, open_table


def open_sample(data: Any) -> tuple[Sample, tuple[str, ...]]:
    """Return the rows of a Spark DataFrame or of what `open_table` accepts, and notes on how files are read."""
    if is_spark_frame(data):
        from engine.drift.spark.samples import SparkSample

        return SparkSample(data), ()
    opened = open_table(data)
    states = {path: state for path in opened.files if (state := identify_file(path)) is not None}
    return FrameSample(opened.frame, states), opened.notes


def open_segments(data: Any, members: Mapping[str, pl.Series] | SegmentMarks) -> SegmentedSample:
    """Return the segments of a polars frame, given masks, or of a Spark DataFrame, given a function to mark rows."""
    if isinstance(members, SegmentMarks):
        from engine.drift.spark.segments import SparkSegments

        return SparkSegments(data, members)
    return FrameSegments(data, members)
