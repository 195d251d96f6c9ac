"""Finds comparisons with null variables, which are true for no row, as if there were no data."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from engine.spec.variables.references import Value, VariableReference

if TYPE_CHECKING:
    from sqlglot import exp


def require_compared_values(
    placed: "Iterable[tuple[exp.Placeholder, VariableReference]]", values: Mapping[str, Value]
) -> None:
    """Check that no variable is compared while it is null, unless the SQL also asks whether it is.

    Parameters
    ----------
    placed
        Each reference to a variable, with its placeholder in the syntax tree.

    Raises
    ------
    ValueError
        A variable is null, and a comparison with it holds for no row.
    """
    null = [(placeholder, one.parts[0]) for placeholder, one in placed if values[one.parts[0]] is None]
    asked = {name for placeholder, name in null if _is_asked_for(placeholder)}
    for placeholder, name in null:
        if name not in asked and _is_compared(placeholder):
            raise ValueError(
                f'the variable "{name}" is null, and a comparison with null holds for no row: give it a value, or '
                f'write "${{{name}}} IS NULL OR …" in the SQL if it may have none'
            )


def _is_asked_for(placeholder: "exp.Placeholder") -> bool:
    from sqlglot import exp

    return isinstance(_find_user(placeholder), exp.Is | exp.Coalesce | exp.NullSafeEQ | exp.NullSafeNEQ)


def _is_compared(placeholder: "exp.Placeholder") -> bool:
    from sqlglot import exp

    user = _find_user(placeholder)
    if isinstance(user, exp.In):  # null beside other values of a list leaves those
        return len(user.expressions) == 1
    return isinstance(user, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between | exp.Like)


def _find_user(placeholder: "exp.Placeholder") -> "exp.Expr | None":
    """Return what uses a value, around its parentheses and conversions."""
    from sqlglot import exp

    user = placeholder.parent
    while isinstance(user, exp.Paren | exp.Cast):
        user = user.parent
    return user
