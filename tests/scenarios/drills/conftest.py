"""Projects that have run on two batches, to be drilled."""

from pathlib import Path

import pytest

from .drilled_results import PLAIN, Rows, Write


@pytest.fixture
def plain(rows: Rows, spec: Write) -> Path:
    rows("before.parquet", 2000, seed=1)
    rows("now.parquet", 1000, seed=2)
    return spec(PLAIN)
