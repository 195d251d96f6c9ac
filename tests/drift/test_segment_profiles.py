"""Profiles of segments: each is that of its rows alone, though the rows are read once for all."""

import numpy as np
import polars as pl
import pytest

from engine.drift import Role, profile, profile_segments

ROLES = {"amount": Role.NUMERICAL, "country": Role.CATEGORICAL, "visits": Role.NUMERICAL}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    n = 140_000  # more than a block
    return pl.DataFrame(
        {
            "amount": rng.normal(size=n),
            "country": rng.choice(["IT", "FR", None], size=n).tolist(),
            "visits": rng.integers(0, 9, n),
            "card": rng.integers(0, 500, n),
        }
    )


@pytest.mark.parametrize("entity", [None, "card"])
def test_the_profile_of_a_segment_is_that_of_its_rows(rows, entity):
    members = {"italy": rows["country"].eq_missing("IT"), "young": rows["visits"] < 3, "nobody": rows["visits"] > 9}
    found = profile_segments(rows.lazy(), ROLES, members, entity=entity)
    for name, mask in members.items():
        alone = profile(rows.filter(mask), ROLES, entity=entity)
        assert found[name].rows == mask.sum()
        assert found[name].fingerprint() == alone.fingerprint()


def test_a_segment_is_counted_against_the_same_segment_of_the_reference(rows):
    members = {"young": rows["visits"] < 3}
    reference = profile_segments(rows.lazy(), ROLES, members)
    found = profile_segments(rows.lazy(), ROLES, members, against=reference)
    alone = profile(rows.filter(members["young"]), ROLES, against=reference["young"])
    assert found["young"].fingerprint() == alone.fingerprint()
