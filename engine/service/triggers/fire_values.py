"""Computes the values that a fire sets in its run: those of its trigger's `variables:` at its scheduled moment."""

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
    previous: datetime | None,
    changed: Sequence[str],
) -> dict[str, str]:
    """Return the values of variables, as texts, for the run of a fire.

    Parameters
    ----------
    scheduled
        The moment that the run stands for; its date and local time are those of the trigger's zone.
    previous
        The previous moment of the trigger, whether it was run or missed; by default the moment itself.
    changed
        The names of the changed datasets.

    Raises
    ------
    KeyError
        The project has no such trigger.
    ValueError
        A value cannot be computed.
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
