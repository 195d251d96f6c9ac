"""The `variables:` of a trigger, which are kept as they are written until the trigger fires.

Their texts may use the variables of the project, the names of the moment that the run will stand for, and what only a
fire knows: the moment of the fire before, and what has changed.
"""

from collections.abc import Mapping

from engine.spec.project import ProjectSpec
from engine.spec.variables.references import Value, fill_references, format_value


def resolve_trigger_variables(
    project: ProjectSpec, scenario: str, trigger: str, names: Mapping[str, Value]
) -> dict[str, str]:
    """Return the values of the variables that a fire of a trigger gives to its run, as texts.

    Variables of the project that follow the moment, as `day: ${as_of}`, have their values at that of the fire.

    Parameters
    ----------
    names
        The values of all names of the moment of the fire (`engine.spec.variables.moment.list_moment_values`), and of
        FIRE_NAMES.

    Raises
    ------
    KeyError
        There is no such scenario or trigger, or `names` lacks a name that a text uses.
    ValueError
        Days are added to what is not a date, or lead out of the calendar.
    """
    found = {one.name: one for one in project.scenarios[scenario].triggers}[trigger]
    known = {**project.resolve_variables(names), **names}
    return {
        name: fill_references(value, known) if isinstance(value, str) else format_value(value)
        for name, value in found.variables.items()
    }
