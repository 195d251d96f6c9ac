"""Translate run conditions, which are formulas of DSS on outcomes, into conditions of the spec."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.outcome import Outcome
from engine.spec.conditions import ALWAYS, STEP_PREFIX, ConditionScope, find_condition_problems, name_step_variable

StepNames = Sequence[tuple[str, str]]
"""The steps before a condition, in order: their names in DSS and in the spec; the latter is empty if it has none."""

_TOKEN = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\$\{[^}]*\}|variables\s*\[\s*["'][^"'\]]*["']\s*\]|[A-Za-z_][A-Za-z0-9_]*"""
    r"""|[0-9]+(?:\.[0-9]+)?|==|!=|<=|>=|&&|\|\||[=<>!(),])\s*"""
)
_WORDS = {"=": "==", "AND": "&&", "OR": "||", "NOT": "!"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_MOST_DEPTH = 50
_NOT_NEEDED = Outcome.SUCCESS.value
"""The outcome of a step that is unnecessary here and so is not in the spec."""


@dataclass(frozen=True, slots=True)
class TranslatedFormula:
    """A formula as a condition of the spec.

    Attributes
    ----------
    condition
        The condition; `always` if it always holds, empty if it never does or cannot be translated.
    problem
        The reason why it cannot be translated; empty if it can.
    never
        Whether it can never hold.
    mistakes
        Mistakes of the formula's author.
    """

    condition: str = ""
    problem: str = ""
    never: bool = False
    mistakes: tuple[str, ...] = ()


def translate_formula(formula: str, steps: StepNames, variables: Mapping[str, str]) -> TranslatedFormula:
    """Translate the formula of a run condition.

    Parameters
    ----------
    steps
        The steps before it. A name that occurs twice is the last one, as in DSS.
    variables
        The names of variables in the spec, by name in DSS.
    """
    if formula.count("(") + formula.count("!") + formula.lower().count("not") > _MOST_DEPTH:
        return TranslatedFormula(problem="column 1: it is nested too deeply")
    reader = _FormulaReader(formula.strip(), {name_step_variable(old): new for old, new in steps}, variables)
    try:
        found = reader.read_whole()
    except _UntranslatableError as error:
        return TranslatedFormula(problem=f"column {error.column}: {error}", mistakes=tuple(reader.mistakes))
    mistakes = tuple(reader.mistakes)
    if isinstance(found, bool):
        return TranslatedFormula(ALWAYS if found else "", never=not found, mistakes=mistakes)
    kept = [new for _, new in steps if new]
    scope = ConditionScope(steps=kept, variables=dict.fromkeys(variables.values(), "text"))
    if problems := find_condition_problems(found, scope):
        return TranslatedFormula(
            problem=f"column {problems[0].offset + 1}: {problems[0].message}", mistakes=tuple(reader.mistakes)
        )
    return TranslatedFormula(found, mistakes=mistakes)


class _UntranslatableError(Exception):
    def __init__(self, column: int, why: str) -> None:
        super().__init__(why)
        self.column = column


@dataclass(slots=True)
class _FormulaReader:
    """A recursive descent parser for formulas; parts that are always true or false become True and False.

    `outcomes` maps the names that the formula may use to the names of steps in the spec; `written` maps them back.
    """

    text: str
    outcomes: Mapping[str, str]
    variables: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)
    place: int = 0
    written: dict[str, str] = field(default_factory=dict)

    def read_whole(self) -> str | bool:
        found = self._read_alternatives()
        if self.place < len(self.text):
            raise self._refuse("only outcomes, variables and comparisons can be translated")
        return found

    def _peek(self) -> str:
        found = _TOKEN.match(self.text, self.place)
        token = found[1] if found else ""
        return _WORDS.get(token.upper() if token.isalpha() else token, token)

    def _take(self) -> str:
        token, found = self._peek(), _TOKEN.match(self.text, self.place)
        if found is None:
            raise self._refuse("only outcomes, variables and comparisons can be translated")
        self.place = found.end()
        return token

    def _refuse(self, why: str) -> _UntranslatableError:
        return _UntranslatableError(self.place + 1, why)

    def _read_alternatives(self) -> str | bool:
        parts = [self._read_conjunction()]
        while self._peek() == "||":
            self._take()
            parts.append(self._read_conjunction())
        return _join_parts(parts, "||", decisive=True)

    def _read_conjunction(self) -> str | bool:
        parts = [self._read_part()]
        while self._peek() == "&&":
            self._take()
            parts.append(self._read_part())
        return _join_parts(parts, "&&", decisive=False)

    def _read_part(self) -> str | bool:
        first = self._peek()
        if first == "!":
            self._take()
            return _negate(self._read_part())
        if first == "(":
            return self._read_bracket()
        if first.lower() in ("true", "false"):
            return self._take().lower() == "true"
        start = self.place
        if first in ("&&", "||"):  # and(…, …), or(…, …)
            self._take()
            if self._peek() != "(":
                raise self._refuse("a condition is missing before it")
            return self._read_arguments(first)
        left = self._read_operand()
        if self._peek() == "(":
            self.place = start
            raise self._refuse(f"{left}(…) is a function call, and conditions cannot call functions")
        if self._peek() not in _COMPARISONS:
            return left
        operator = self._take()
        right = self._read_operand()
        return self._compare(left, operator, right)

    def _read_bracket(self) -> str | bool:
        self._take()
        inner = self._read_alternatives()
        if self._peek() != ")":
            raise self._refuse("a bracket is not closed")
        self._take()
        return inner if isinstance(inner, bool) else f"({inner})"

    def _read_arguments(self, operator: str) -> str | bool:
        self._take()
        parts = [self._read_alternatives()]
        while self._peek() == ",":
            self._take()
            parts.append(self._read_alternatives())
        if self._take() != ")":
            raise self._refuse("a bracket is not closed")
        joined = _join_parts(parts, operator, decisive=operator == "||")
        return joined if isinstance(joined, bool) or len(parts) == 1 else f"({joined})"

    def _read_operand(self) -> str:
        start, token = self.place, self._take()
        if token[0] in "\"'":
            inner = token[1:-1].strip()
            if "'" in inner or "\\" in inner:
                self.place = start
                raise self._refuse("a text with quotes cannot be translated")
            return f"'{inner}'"
        if token.startswith(STEP_PREFIX):
            return self._read_step(token, start)
        name = re.sub(r"^\$\{\s*|^variables\s*\[\s*[\"']|[\"']\s*\]$|\s*\}$", "", token)
        if not re.fullmatch(r"[A-Za-z0-9_.]+", name) or (name != token and name not in self.variables):
            self.place = start
            raise self._refuse("only outcomes, variables and comparisons can be translated")
        return self.variables.get(name, name)

    def _read_step(self, token: str, start: int) -> str:
        if token not in self.outcomes:
            self.mistakes.append(
                f"it asks for {token[:100]}, but no step before it has this name{_suggest_name(token, self.outcomes)}"
            )
            self.place = start
            raise self._refuse(f"no step before it is called {token.removeprefix(STEP_PREFIX)[:80]}")
        name = self.outcomes[token]
        if not name:
            return f"'{_NOT_NEEDED}'"
        self.written[name_step_variable(name)] = token
        return name_step_variable(name)

    def _compare(self, left: str, operator: str, right: str) -> str | bool:
        for outcome, word in ((left, right), (right, left)):
            is_outcome = outcome == "outcome" or outcome.startswith(STEP_PREFIX)
            foreign = word.startswith("'") and word.strip("'") not in list(Outcome)
            if is_outcome and foreign and operator in ("==", "!="):
                asked = f"{self.written.get(outcome, outcome)} {operator} {word}"
                self.mistakes.append(_explain_word(asked, word, always=operator == "!="))
                return operator == "!="
        if left.startswith("'") and right.startswith("'") and operator in ("==", "!="):
            return (left == right) == (operator == "==")
        return f"{left} {operator} {right}"


def _explain_word(asked: str, word: str, *, always: bool) -> str:
    of_checks = "; ERROR is an outcome of a check, whose step is then FAILED" if word == "'ERROR'" else ""
    how = "always" if always else "never"
    return f"{asked} is {how} true: a step or run is SUCCESS, WARNING, FAILED or ABORTED, not {word}{of_checks}"


def _suggest_name(token: str, names: Mapping[str, str]) -> str:
    alike = next((name for name in names if name.casefold() == token.casefold()), None)
    return f"; there is {alike[:100]}" if alike else ""


def _join_parts(parts: Sequence[str | bool], operator: str, *, decisive: bool) -> str | bool:
    """Join parts with && or ||; a part that decides the result replaces it, and one without effect is left out."""
    if decisive in [part for part in parts if isinstance(part, bool)]:
        return decisive
    texts = [part for part in parts if isinstance(part, str)]
    return f" {operator} ".join(texts) if texts else not decisive


def _negate(part: str | bool) -> str | bool:
    if isinstance(part, bool):
        return not part
    return f"!{part}" if part.startswith("(") else f"!({part})"
