"""Run conditions: the formulas of DSS on outcomes, as conditions of the spec."""

import re
from collections.abc import Sequence

from engine.spec.conditions import STEP_PREFIX, ConditionScope, find_condition_problems, name_step_variable

_OPERATORS = {"and": "&&", "or": "||", "AND": "&&", "OR": "||", "=": "=="}
_TOKEN = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_][A-Za-z0-9_]*|[0-9.]+|==|!=|<=|>=|&&|\|\||[=<>!()])"""
)


def translate_formula(formula: str, steps: Sequence[tuple[str, str]], variables: dict[str, str]) -> tuple[str, str]:
    """Translate the formula of a run condition.

    Parameters
    ----------
    steps
        The steps before it, in order: their names in DSS and in the spec. A name that occurs twice is the last one.
    variables
        By name in DSS, the names of variables.

    Returns
    -------
    The condition and an empty text; or an empty text and why it cannot be translated.
    """
    outcomes = {name_step_variable(old): name_step_variable(new) for old, new in steps}
    tokens, place = [], 0
    text = formula.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            return "", f"column {place + 1}: only outcomes, variables and comparisons can be translated"
        token = found[1]
        if token[0] in "\"'":
            inner = token[1:-1].strip()
            if "'" in inner or "\\" in inner:
                return "", f"column {place + 1}: a text with quotes cannot be translated"
            token = f"'{inner}'"
        elif token.startswith(STEP_PREFIX):
            if token not in outcomes:
                return "", f"column {place + 1}: no step before it that is imported is called {token[:80]}"
            token = outcomes[token]
        else:
            token = _OPERATORS.get(token, variables.get(token, token))
        tokens.append(token)
        place = found.end()
    condition = " ".join(tokens).replace("( ", "(").replace(" )", ")").replace("! ", "!")
    scope = ConditionScope(steps=[new for _, new in steps], variables=dict.fromkeys(variables.values(), "text"))
    problems = find_condition_problems(condition, scope)
    if problems:
        return "", f"column {problems[0].offset + 1}: {problems[0].message}"
    return condition, ""
