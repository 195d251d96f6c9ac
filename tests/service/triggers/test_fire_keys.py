"""The keys of fires, which no version may change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from engine.service.triggers.fire_keys import (
    cron_key,
    data_key,
    find_finished_run,
    interval_key,
    is_manual,
    manual_key,
    query_key,
    run_key,
)
from engine.store import Fire

MOMENT = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)


def test_the_forms_of_keys_never_change_because_each_occurrence_of_another_form_would_be_run_a_second_time() -> None:
    """If this fails, the code is wrong and not the test: stored fires have these keys, and only a key that is equal
    keeps an occurrence that is found again from being run again. After an upgrade, all that is due would be."""
    assert cron_key(MOMENT) == "cron:1795833000"
    assert interval_key(MOMENT) == "interval:1795833000"
    assert interval_key(MOMENT + timedelta(milliseconds=250)) == "interval:1795833000.25"
    assert data_key("0a1b") == "data:0a1b"
    assert query_key("0a1b") == "query:0a1b"
    assert run_key("20261128T023000-ab12") == "run:20261128T023000-ab12"
    assert manual_key("4711") == "manual:4711"


def test_a_key_is_that_of_the_instant_in_whatever_zone_it_is_given() -> None:
    for zone in ("Europe/Berlin", "Pacific/Chatham", "America/New_York"):
        assert cron_key(MOMENT.astimezone(ZoneInfo(zone))) == cron_key(MOMENT)


def test_the_two_instants_of_an_hour_that_comes_twice_have_different_keys() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert cron_key(first) == "cron:1792888200"
    assert cron_key(first.replace(fold=1)) == "cron:1792891800"


def test_a_key_says_whether_a_person_or_the_end_of_a_run_is_the_cause() -> None:
    manual, after_run = (Fire("s", "t", key, MOMENT, MOMENT) for key in ("manual:a", "run:r-1"))
    assert (is_manual(manual), is_manual(after_run)) == (True, False)
    assert (find_finished_run(manual), find_finished_run(after_run)) == (None, "r-1")
