"""Jinja2 environments for the engine's HTML templates. Users' texts are values in a template, never templates."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def create_html_environment(folders: Sequence[Path], redact: Callable[[str], str]) -> "jinja2.Environment":
    """Return an environment for the templates in `folders` that escapes every value.

    `redact` masks secrets in every text before escaping: a secret with `&` could not be found afterwards.
    """
    import jinja2
    from markupsafe import Markup

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: redact(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
