"""Secret values: looked up when they are used, and masked in all texts that are written.

The values are not part of a project, so they cannot end up in what is logged, stored or compared. A text that may quote
a value, such as an error of a server or an exception of a user's function, must be passed through `redact`.
"""

import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.errors import Diagnostic, SpecError
from engine.spec.project import ProjectSpec
from engine.spec.project_yaml import MASK
from engine.spec.resources.project import Secret
from engine.spec.variable_references import fill_references, find_references

MIN_REDACTED_LENGTH = 4
"""Shorter values are not masked: they would make other texts unreadable, and are not secret anyway."""
MAX_SECRET_BYTES = 1 << 16


class Secrets:
    """The secrets of a project: fills them into texts, and masks them in texts.

    Parameters
    ----------
    project
        Declares the secrets and their sources.
    environ
        The environment variables that `{env: NAME}` refers to.
    """

    def __init__(self, project: ProjectSpec, environ: Mapping[str, str] = os.environ) -> None:
        self._project = project
        self._environ = environ
        self._hidden = re.compile("(?!)")
        self._texts: set[str] = set()
        for name, secret in project.secrets.items():
            self._register_secret(self._read_secret(name, secret))

    def reveal(self, text: str) -> str | None:
        """Return a text with its secrets and variables filled in, or None if an optional secret in it is absent.

        Raises
        ------
        SpecError
            A required secret in the text is absent.
        """
        values: dict[str, str] = {}
        for reference in find_references(text):
            if reference.parts[0] == "secret":
                name = reference.parts[1]
                value = self._read_secret(name, self._project.secrets[name])
                if value is None and self._project.secrets[name].optional:
                    return None
                if value is None:
                    raise SpecError((self._diagnose_absence(name),))
                values[name] = value
        revealed = fill_references(text, {**self._project.variables, "secret": values})
        self._register_secret(revealed)
        return revealed

    def redact(self, text: str) -> str:
        """Return a text with all secret values masked, also where they are encoded for a URL, JSON or Python."""
        return self._hidden.sub(MASK, text)

    def _read_secret(self, name: str, secret: Secret) -> str | None:
        if secret.env is not None:
            return self._environ.get(secret.env) or None
        path = self._project.folder_of("secrets", name) / (secret.file or "")
        try:
            with path.open("rb") as stream:
                raw = stream.read(MAX_SECRET_BYTES)
        except OSError:
            return None
        return raw.decode("utf-8", errors="replace").rstrip("\r\n") or None

    def _diagnose_absence(self, name: str) -> Diagnostic:
        secret = self._project.secrets[name]
        if secret.env is not None:
            what, help_ = f"the environment variable {secret.env} is not set", f"set {secret.env}"
        else:
            what, help_ = f"the file {secret.file} cannot be read or is empty", f"write the value to {secret.file}"
        at = self._project.position("secrets", name)
        return Diagnostic(
            at, "absent-secret", f'secret "{name}": {what}', f"{help_}, or declare the secret optional: true"
        )

    def _register_secret(self, value: str | None) -> None:
        """Add a value to those that `redact` masks, and the parts of a URL: a server may quote the password alone."""
        if not value:
            return
        parts = {value, *value.splitlines()}
        try:
            url = urlsplit(value)
            parts |= {url.username or "", url.password or "", url.netloc.rpartition("@")[0]}
        except ValueError:
            pass  # the value is not a URL
        if value.startswith(("http://", "https://")) and (path := urlsplit(value).path.strip("/")):
            parts.add(path)  # the path of a webhook is its key
        for part in {*parts, *map(unquote, parts)}:
            if len(part) >= MIN_REDACTED_LENGTH:
                forms = {
                    part,
                    quote(part),
                    quote(part, safe=""),
                    quote_plus(part),
                    json.dumps(part)[1:-1],
                    repr(part)[1:-1],
                }
                self._texts |= forms
        # Longest first: otherwise a part would be masked inside a longer value, and leave the rest of it readable.
        longest_first = sorted(self._texts, key=len, reverse=True)
        if longest_first:
            self._hidden = re.compile("|".join(map(re.escape, longest_first)))
