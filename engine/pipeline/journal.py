"""What changes while a step works: the actions that it has decided on, the checks that it has applied, what was said.

A context is frozen; what it holds that grows is here. So what a step has found stays known if it fails midway.
"""

from dataclasses import dataclass, field

from engine.evaluation.record import CheckResult
from engine.pipeline.actions import Action


@dataclass(slots=True)
class Journal:
    """The actions of one step, and the results of the checks of the datasets that it has read, in order."""

    actions: list[Action] = field(default_factory=list)
    checks: list[CheckResult] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything, because the step begins again."""
        self.actions.clear()
        self.checks.clear()


class SaidTexts:
    """The texts that have been said about the data in one call of the engine, so that each is said once."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, text: str, *equivalent: str) -> bool:
        """Note that a text is said now; return whether neither it nor an `equivalent` one was said before.

        Only the text itself is noted: the same words at another place of the spec are still to be said.
        """
        new = self._texts.isdisjoint((text, *equivalent))
        self._texts.add(text)
        return new
