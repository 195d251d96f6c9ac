"""Commands for the location of a project's state: its folder, and its rows in a database."""

import os
from collections.abc import Callable

from engine.cli.options import On, SpecFile, Variables, load_project
from engine.outcome import ExitCode


def adopt_state(
    path: SpecFile,
    var: Variables = None,
    on: On = None,
) -> int:
    """Make this folder on this host the only writer of the rows in a database, and copy the rows of state.db there."""
    project = load_project(path, var, on=on)

    from engine.store.location import locate_state
    from engine.store.state.adoption import adopt_rows

    adoption = adopt_rows(locate_state(project, os.environ))
    if adoption.copied is not None:
        print(f"{project.name}: {adoption.copied:,} rows of state.db were copied; it is called state.db.moved now")
    before = "they belonged to this project or to none" if adoption.former is None else f"from {adoption.former}"
    here = "are written from this folder on this host now"
    print(f"{project.name}: the rows in {adoption.database} {here}; before, {before}")
    return ExitCode.OK


COMMANDS: dict[str, Callable[..., int]] = {"adopt": adopt_state}
