"""What a spec must keep beyond its shape: passes over the draft of a project that collect and never raise.

Each pass looks at one matter in the whole project. They run even where the shape has errors, on what is left: a user
who mistyped one key still learns of the step that does not exist.
"""

from collections.abc import Callable

from engine.spec.diagnostics import Findings
from engine.spec.rules.draft import Draft

__all__ = ["Draft", "check"]

PASSES: tuple[Callable[[Draft, Findings], None], ...] = ()


def check(draft: Draft, findings: Findings) -> None:
    """Run every pass."""
    for look in PASSES:
        look(draft, findings)
