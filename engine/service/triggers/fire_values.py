"""The values that a fire gives to its run: those of its trigger's `variables:`, at the moment that it stands for."""

from collections.abc import Sequence
from datetime import datetime

from engine.service.triggers.schedule import find_trigger, find_zone
from engine.spec.project import ProjectSpec
from engine.spec.trigger_variables import resolve_trigger_variables
from engine.spec.variables.moment import list_fire_values, list_moment_values


def resolve_fire_values(
    project: ProjectSpec,
    scenario: str,
    trigger: str,
    scheduled: datetime,
    previous: datetime | None = None,
    changed: Sequence[str] = (),
) -> dict[str, str]:
    """Return the values of variables, as texts, for the run of a fire.

    Parameters
    ----------
    scheduled
        The moment that the run stands for. Its date, and the time that clocks show, are those of the trigger's zone.
    previous
        The moment of the trigger before: of one that starts runs at times, the time before this one, whether it was
        run or missed. If there was none, it is the moment itself.
    changed
        The names of what has changed.

    Raises
    ------
    KeyError
        The project has no such trigger.
    ValueError
        A text of the variables cannot be filled in.
    """
    found = find_trigger(project, scenario, trigger)
    if found is None:
        raise KeyError(f"{scenario}: {trigger}")
    if not found.variables:
        return {}
    zone = find_zone(project, found)
    facts = {
        **list_moment_values(scheduled.astimezone(zone)),
        **list_fire_values((previous or scheduled).astimezone(zone), changed),
    }
    return resolve_trigger_variables(project, scenario, trigger, facts)
