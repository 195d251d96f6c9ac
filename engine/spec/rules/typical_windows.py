"""Rules of the windows of typical checks: schedules must produce enough earlier values in them."""

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from engine.formatting.lists import join_words
from engine.formatting.numbers import format_seconds
from engine.spec.dataset_inputs import list_read_datasets
from engine.spec.diagnostics import Findings
from engine.spec.resources.checks import FEWEST_TYPICAL_VALUES, TypicalCheck
from engine.spec.resources.scenarios import AnyStep, BuildStep, RunChecksStep, RunScenarioStep, Scenario
from engine.spec.resources.triggers import AnyTrigger, CronTrigger, IntervalTrigger
from engine.spec.rules.draft import Draft
from engine.spec.times.cron_texts import find_cron_problem
from engine.spec.times.declared_times import MONTHS

_BEGIN = datetime(2026, 1, 1)  # noqa: DTZ001 - on a clock that is never changed
_MOST_TIMES = 500
"""Number of times of a schedule that are examined; for a daily one more than a year."""
_SHORTEST_MONTH = timedelta(days=28)


def warn_about_short_windows(draft: Draft, findings: Findings) -> None:
    """Warn of a check that never finds enough earlier values, since the runs of its scenarios are too far apart."""
    for section in ("datasets", "evaluation_stores"):
        for owner, resource in getattr(draft.spec, section).items():
            for name, check in resource.checks.items():
                if not isinstance(check, TypicalCheck) or check.within is None or not check.active:
                    continue
                scenarios = _find_scenarios(owner, draft)
                needed = _find_needed_time(scenarios.values(), check.within)
                started = [name for name, one in scenarios.items() if _list_active_triggers(one)]
                if needed is not None:
                    given, found = (format_seconds(one.total_seconds()) for one in (check.within, needed))
                    message = (
                        f"the triggers of {join_words(started, 'and')} give fewer than {FEWEST_TYPICAL_VALUES} "
                        f"earlier values within {given}, so this check is always EMPTY"
                    )
                    at = draft.value_position(section, owner, "checks", name, "within")
                    help_ = f"write {found} or more for {FEWEST_TYPICAL_VALUES} values, or use last: instead of within:"
                    findings.warning(at, "check-never", message, help_)


def _find_scenarios(owner: str, draft: Draft) -> dict[str, Scenario]:
    """Return the scenarios that measure a dataset or build a store, in their steps or through others."""
    found: dict[str, Scenario] = {}
    while new := {
        name: one
        for name, one in draft.spec.scenarios.items()
        if name not in found and any(_measures(step, owner, found, draft) for step in one.steps)
    }:
        found |= new
    return found


def _measures(step: AnyStep, owner: str, others: Collection[str], draft: Draft) -> bool:
    if isinstance(step, RunScenarioStep):
        return step.scenario in others
    if owner in draft.spec.evaluation_stores:
        return isinstance(step, BuildStep) and owner in step.targets
    checked = draft.spec.evaluation_stores if isinstance(step, RunChecksStep) else ()  # their data are not read
    return any(owner in list_read_datasets(target, draft.spec) for target in step.targets if target not in checked)


def _list_active_triggers(scenario: Scenario) -> list[AnyTrigger]:
    return [one for one in scenario.triggers if one.active and scenario.active]


def _find_needed_time(scenarios: Iterable[Scenario], within: timedelta) -> timedelta | None:
    """Return the shortest time for enough runs, if that is longer than a time; None otherwise or if unknown."""
    runs = list(scenarios)
    triggers = [trigger for one in runs for trigger in _list_active_triggers(one)]
    scheduled = [one for one in triggers if isinstance(one, CronTrigger | IntervalTrigger)]
    if len(scheduled) < len(triggers) or any(one.for_each for one in runs):
        return None
    if any(isinstance(one, CronTrigger) and find_cron_problem(one.cron) for one in scheduled):
        return None
    recent = deque[datetime](maxlen=FEWEST_TYPICAL_VALUES + 1)
    shortest = None
    for moment in islice(merge(*map(_iterate_times, scheduled)), _MOST_TIMES):
        recent.append(moment)
        if len(recent) > FEWEST_TYPICAL_VALUES:
            shortest = min(shortest or timedelta.max, moment - recent[0])
            if shortest <= within:
                return None
    return shortest


def _iterate_times(trigger: CronTrigger | IntervalTrigger) -> Iterator[datetime]:
    """Yield times that are as far apart as those of a schedule, or nearer."""
    if isinstance(trigger, CronTrigger):
        from cronsim import CronSim

        yield from CronSim(re.sub(r"\s+", " ", trigger.cron), _BEGIN)
    else:
        every = trigger.every
        distance = every if isinstance(every, timedelta) else MONTHS[every] * _SHORTEST_MONTH
        yield from (_BEGIN + number * distance for number in range(_MOST_TIMES))
