"""Jumps of the clock, told from a machine that has slept."""

import time

from engine.service.clock_jumps import ClockJump, ClockReadings, find_jump, read_clocks

BEFORE = ClockReadings(wall=1000.0, since_start=50.0, awake=40.0)


def after(wall: float, since_start: float, awake: float) -> ClockReadings:
    return ClockReadings(BEFORE.wall + wall, BEFORE.since_start + since_start, BEFORE.awake + awake)


def test_clocks_that_go_together_or_are_slowly_set_right_have_not_jumped() -> None:
    assert find_jump(BEFORE, after(1, 1, 1)) is None
    assert find_jump(BEFORE, after(11.9, 10, 10)) is None
    assert find_jump(BEFORE, after(86400, 86400, 86400)) is None


def test_a_clock_that_was_set_has_jumped_by_the_difference() -> None:
    forwards, backwards = find_jump(BEFORE, after(3601, 1, 1)), find_jump(BEFORE, after(-3599, 1, 1))
    assert (forwards, backwards) == (ClockJump(3600.0, 0.0), ClockJump(-3600.0, 0.0))
    assert forwards.describe() == "the clock was set forwards by 1 h 0 min"
    assert backwards.describe() == "the clock was set backwards by 1 h 0 min"


def test_a_machine_that_slept_has_not_had_its_clock_set() -> None:
    jump = find_jump(BEFORE, after(7201, 7201, 1))
    assert jump == ClockJump(0.0, 7200.0)
    assert jump.describe() == "the machine has slept for 2 h 0 min"


def test_a_clock_may_be_set_while_the_machine_sleeps() -> None:
    jump = find_jump(BEFORE, after(7201 - 300, 7201, 1))
    assert jump is not None
    assert jump.describe() == "the clock was set backwards by 5 min 0 s and the machine has slept for 2 h 0 min"


def test_the_clocks_of_this_machine_go_together() -> None:
    before = read_clocks()
    time.sleep(0.05)
    now = read_clocks()
    assert now.since_start - before.since_start > 0.04
    assert find_jump(before, now) is None
