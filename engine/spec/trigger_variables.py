"""The `variables:` of a trigger, which stay unresolved until the trigger fires.

Their texts may use the variables of the project, the names of the run's moment, and the names of a fire: the moment of
the previous fire, and the changes.
"""

from collections.abc import Mapping

from engine.spec.project import ProjectSpec
from engine.spec.variables.references import Value, fill_references, format_value


def resolve_trigger_variables(
    project: ProjectSpec, scenario: str, trigger: str, names: Mapping[str, Value]
) -> dict[str, str]:
    """Return the values of the variables that a fire of a trigger sets for its run, as texts.

    Variables of the project that follow the moment, as `day: ${as_of}`, have their values at that of the fire.

    Parameters
    ----------
    names
        The values of all names of the moment of the fire (`engine.spec.variables.moment.list_moment_values`), and of
        FIRE_NAMES.

    Raises
    ------
    KeyError
        The scenario or trigger does not exist, or `names` lacks a name in a text.
    ValueError
        Days are added to a value that is not a date, or leave the calendar.
    """
    found = {one.name: one for one in project.scenarios[scenario].triggers}[trigger]
    known = {**project.resolve_variables(names), **names}
    return {
        name: fill_references(value, known) if isinstance(value, str) else format_value(value)
        for name, value in found.variables.items()
    }
