"""`engine render`: prints the resolved project: includes merged, variables filled in, secrets masked."""

from engine.cli.options import AsOf, SpecFile, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    var: Variables = None,
    as_of: AsOf = None,
) -> int:
    """Print the resolved project as YAML, with secrets masked."""
    print(load_project(path, var, as_of).render(), end="")
    return ExitCode.OK
