"""The fires that wait: what is done once, in which order, how many, and which are started."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.service.triggers.fire_queue import LONGEST_QUEUE, arrange_queue, choose_fires
from engine.spec import load
from engine.store import Fire, FireState, Pause

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TRIGGERS = ("{name: t, kind: cron, cron: 0 * * * *}", "{name: each, kind: cron, cron: 0 * * * *, catch_up: all}",
            "{name: off, active: false, kind: cron, cron: 0 * * * *}")  # fmt: skip


def fire(number: int, scenario: str = "s", trigger: str = "t", day: str = "a", minute: int | None = None) -> Fire:
    scheduled = NOW + timedelta(minutes=number if minute is None else minute)
    return Fire(scenario, trigger, f"cron:{number}", scheduled, NOW, {"day": day}, number=number)


def apply(waiting, changes) -> dict[int, Fire]:
    return {one.number: replace(one, **changes.get(one.number, {})) for one in waiting}


def test_fires_with_equal_values_are_done_once_by_the_newest_and_say_so(make_project) -> None:
    waiting = [fire(1), fire(2, day="b"), fire(3), fire(4, scenario="z")]
    found = apply(waiting, arrange_queue(make_project(s=TRIGGERS, z=TRIGGERS), waiting, NOW))
    assert [(n, one.state, one.into) for n, one in found.items()] == [
        (1, "COALESCED", 3),
        (2, "WAITING", None),
        (3, "WAITING", None),
        (4, "WAITING", None),
    ]


def test_the_newest_is_that_of_the_latest_moment_and_not_of_the_highest_number(make_project) -> None:
    waiting = [fire(1, minute=50), fire(2, minute=10)]
    assert arrange_queue(make_project(s=TRIGGERS), waiting, NOW)[2]["into"] == 1


def test_missed_times_that_are_all_made_up_for_are_not_merged(make_project) -> None:
    waiting = [fire(n, trigger="each") for n in range(1, 5)] + [fire(5)]
    assert arrange_queue(make_project(s=TRIGGERS), waiting, NOW) == {}


def test_a_request_of_a_person_that_is_done_by_another_fire_says_by_which(make_project) -> None:
    asked = replace(fire(1, trigger=""), key="manual:x")
    changes = arrange_queue(make_project(s=TRIGGERS), [asked, fire(2)], NOW)
    assert changes == {1: {"state": FireState.COALESCED, "into": 2}}
    changes = arrange_queue(make_project(s=TRIGGERS), [replace(asked, values={"day": "b"}), fire(2)], NOW)
    assert changes == {}


def test_a_waiting_fire_lists_all_changes_and_when_the_busy_scenario_is_tried_again(
    make_project,
) -> None:
    soon, late = NOW + timedelta(seconds=5), NOW + timedelta(seconds=60)
    waiting = [
        replace(fire(1), changed=("a", "b"), next_try=late),
        replace(fire(2), changed=("b", "c"), next_try=soon),
        replace(fire(3), changed=("c",)),
    ]
    found = apply(waiting, arrange_queue(make_project(s=TRIGGERS), waiting, NOW))
    assert (found[3].changed, found[3].next_try) == (("a", "b", "c"), late)


def test_the_oldest_of_more_than_a_hundred_different_fires_are_skipped(make_project) -> None:
    waiting = [fire(n, day=str(n)) for n in range(1, 104)] + [fire(200, scenario="z")]
    found = apply(waiting, arrange_queue(make_project(s=TRIGGERS, z=TRIGGERS), waiting, NOW))
    assert [n for n, one in found.items() if one.state == "SKIPPED"] == [1, 2, 3]
    assert found[1].reason == "queue full: 100 later ones wait"


def test_fires_of_what_the_spec_does_not_have_any_more_are_skipped_with_the_reason(make_project) -> None:
    waiting = [fire(1, scenario="gone"), fire(2, trigger="gone"), fire(3, trigger="off"),
               replace(fire(4, trigger="gone"), key="manual:x")]  # fmt: skip
    found = apply(waiting, arrange_queue(make_project(s=TRIGGERS), waiting, NOW))
    assert [(one.state, one.reason) for one in found.values()] == [
        ("SKIPPED", "superseded: the spec does not have the scenario any more"),
        ("SKIPPED", "superseded: the trigger is not in the spec any more"),
        ("SKIPPED", "superseded: the trigger is not active any more"),
        ("WAITING", ""),
    ]


def test_what_a_person_asks_of_a_spec_without_scenarios_is_done_and_only_by_its_default_scenario(tmp_path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\nproject: p\ndatasets: {d: {path: d.csv}}\n")
    waiting = [replace(fire(n, scenario, ""), key=f"manual:{n}") for n, scenario in enumerate(("default", "s"))]
    assert arrange_queue(load(spec), waiting, NOW) == {
        1: {"state": FireState.SKIPPED, "reason": "superseded: the spec does not have the scenario any more"}
    }


def test_waiting_fires_of_a_paused_scenario_are_skipped_but_not_requests_of_a_person(make_project) -> None:
    waiting = [fire(1), replace(fire(2, trigger="", day="b"), key="manual:x"), fire(3, scenario="z")]
    project = make_project("Europe/Berlin", s=TRIGGERS, z=TRIGGERS)
    pause = Pause("s", None, "anna@host", "holiday", NOW - timedelta(hours=1))
    changes = arrange_queue(project, waiting, NOW, [pause])
    reason = "paused by anna@host at 2026-11-28 12:00 Europe/Berlin: holiday"
    assert changes == {1: {"state": FireState.SKIPPED, "reason": reason}}
    over = [replace(pause, until=NOW - timedelta(minutes=1)), replace(pause, ended=NOW - timedelta(minutes=1))]
    assert arrange_queue(project, waiting, NOW, over) == {}


def test_one_fire_of_each_idle_scenario_is_started_the_one_of_the_oldest_moment() -> None:
    waiting = [fire(3), fire(1), fire(2), fire(4, "z"), fire(5, "busy"), fire(6, "running")]
    running = replace(fire(7, "running"), state=FireState.RUNNING)
    starting = replace(fire(8, "starting"), state=FireState.STARTING)
    chosen = choose_fires([*waiting, running, starting, fire(9, "starting")], NOW, 10, {"busy"})
    assert [one.number for one in chosen] == [1, 4]


def test_while_the_first_fire_of_a_scenario_waits_for_its_next_try_the_others_wait_behind_it() -> None:
    waiting = [replace(fire(1), next_try=NOW + timedelta(seconds=1)), fire(2)]
    assert choose_fires(waiting, NOW, 10) == []
    assert choose_fires(waiting, NOW + timedelta(seconds=1), 10) == waiting[:1]


def test_a_scenario_that_makes_up_for_many_times_does_not_keep_the_others_from_running() -> None:
    waiting = [fire(n) for n in range(1, 50)] + [fire(60, "y"), fire(61, "z")]
    started: dict[str, datetime] = {}
    order = []
    for n in range(6):
        (chosen,) = choose_fires(waiting, NOW, 1, last_started=started)
        started[chosen.scenario] = NOW + timedelta(seconds=n)
        waiting.remove(chosen)
        order.append(chosen.number)
    assert order == [1, 60, 61, 2, 3, 4]


def test_nothing_is_started_without_a_free_place() -> None:
    assert choose_fires([fire(1)], NOW, 0) == []
    assert choose_fires([fire(1)], NOW, -1) == []


fires = st.builds(
    lambda number, scenario, trigger, day, minute, manual: replace(
        fire(number, scenario, trigger, day, minute), key=f"{'manual' if manual else 'cron'}:{number}"
    ),
    st.integers(1, 10_000),
    st.sampled_from(["s", "z", "gone"]),
    st.sampled_from(["t", "each", "off", "gone"]),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 120),
    st.booleans(),
)


def test_whatever_waits_each_fire_stays_or_says_why_not_and_what_it_is_done_by_stays(make_project) -> None:
    project = make_project(s=TRIGGERS, z=TRIGGERS)

    @given(st.lists(fires, max_size=250, unique_by=lambda one: one.number))
    def check(waiting: list[Fire]) -> None:
        found = apply(waiting, arrange_queue(project, waiting, NOW))
        staying = [one for one in found.values() if one.state == FireState.WAITING]
        for one in found.values():
            if one.state == FireState.COALESCED:
                into = found[one.into]
                assert into.state == FireState.WAITING or into.reason.startswith("queue full")
                assert (into.scenario, into.values) == (one.scenario, one.values)
                assert (into.scheduled, into.number) > (one.scheduled, one.number)
            elif one.state == FireState.SKIPPED:
                assert one.reason
        for scenario in ("s", "z"):
            assert sum(one.scenario == scenario for one in staying) <= LONGEST_QUEUE
        assert arrange_queue(project, staying, NOW) == {}

    check()
