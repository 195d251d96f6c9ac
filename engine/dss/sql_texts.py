"""Convert SQL of a project: DSS replaces `${…}` as text, while in the spec a variable is an SQL value."""

import re
from collections.abc import Mapping

from engine.dss.import_state import ImportState
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Template
from engine.spec.rules.placeholders import PLACEHOLDER
from engine.spec.variables.references import escape_references

_REFERENCE = re.compile(r"""'\$\{(?P<quoted>[^}']+)\}'|(?P<before>[\w."']?)\$\{(?P<bare>[^}]+)\}(?P<after>[\w."']?)""")


def fill_sql(state: ImportState, sql: str, variables: Mapping[str, str], line: ObjectLine) -> Template:
    """Convert the `${…}` in SQL to those of the spec.

    One that is a whole value stays a variable; one that is part of a name, or of a longer text, is replaced by the
    variable's current value. Unknown ones are kept as text. Each one that is not a value is noted.

    Parameters
    ----------
    variables
        The names of variables in the spec, by name in the SQL.
    """
    filled, place = "", 0
    for found in _REFERENCE.finditer(sql):
        name = (found["quoted"] or found["bare"]).strip()
        ours = variables.get(name)
        before, after = found["before"] or "", found["after"] or ""
        if ours is None:
            line.note(f"{name[:60]} is not a variable here: its ${{…}} stays as text")
            new = escape_references(found[0])
        else:
            value = state.sections["variables"][ours]
            is_number = isinstance(value, int | float) and not (before or after)
            if found["quoted"] or is_number:
                new = f"${{{ours}}}"
            elif value == PLACEHOLDER or isinstance(value, Template):
                line.note(f"TODO write the value of {name[:60]} into the SQL: here a variable cannot be part of a name")
                new = f"{before}{PLACEHOLDER}{after}"
            else:
                line.note(f"{name[:60]} is part of a name in its SQL, and written as it is now")
                new = f"{before}{value}{after}"
        filled += escape_references(sql[place : found.start()]) + new
        place = found.end()
    return Template(filled + escape_references(sql[place:]))
