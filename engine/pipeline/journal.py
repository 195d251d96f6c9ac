"""The mutable records of a step: its actions, its check results, and the logged texts.

A context is frozen; the records that it collects are here. So they are kept if the step fails.
"""

from dataclasses import dataclass, field

from engine.evaluation.record import CheckResult
from engine.pipeline.actions import Action


@dataclass(slots=True)
class Journal:
    """The actions of one step, and the check results of the datasets that it read, in order."""

    actions: list[Action] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)

    def clear(self) -> None:
        """Remove all entries, because the step restarts."""
        self.actions.clear()
        self.checks.clear()


class LoggedTexts:
    """The texts about data that were logged in one call of the engine, so that each is logged once."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, text: str, *equivalent: str) -> bool:
        """Record a text as logged; return whether neither it nor an `equivalent` one was logged before.

        Only the text itself is recorded: the same words at another place of the spec are still logged.
        """
        new = self._texts.isdisjoint((text, *equivalent))
        self._texts.add(text)
        return new
