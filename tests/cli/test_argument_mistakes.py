"""A mistake in the arguments of a command: what is wrong, what was found, what is allowed."""

from pathlib import Path

import pytest

from ..command_line import call_engine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run", "SPEC is missing (the spec file)"),
        ("remove a.yaml", "STORE is missing (the evaluation store)"),
        ("run a.yaml --dry", "there is no option --dry; did you mean '--dry-run'?"),
        ("shwo", "there is no command 'shwo'; did you mean 'show'?"),
        ("node token", "a command is missing: create, list or revoke"),
        ("schema a b c", "too many arguments: b c"),
        ("run a.yaml --var", "--var needs a value"),
        ("show a.yaml --last few", "--last: expected a whole number, found 'few'"),
        ("show a.yaml --last=0", "--last: expected a number greater than or equal to 1, found '0'"),
        ("show a.yaml --runs --outbox", "--runs and --outbox show different things: give one of them at a time"),
        ("show a.yaml MES --fires", "--fires is about the whole project: leave out MES"),
        ("validate a.yaml --format xml", "--format: 'xml' is not one of 'text', 'json', 'github'"),
    ],
)
def test_a_mistake_is_reported_with_what_was_found_and_what_is_allowed(arguments: str, message: str) -> None:
    done = call_engine(Path.cwd(), *arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"engine: error: {message}"
    assert done.stderr.splitlines()[1].endswith("--help.")
