"""Secrets: found at the moment of use, and kept out of everything that is written down.

Values are never part of a Project: what is logged, stored or compared cannot hold what it never had. Whoever writes
text that may quote a value (a server's error, a user's exception) passes it through `redact`.
"""

import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.errors import Diagnostic, SpecError
from engine.spec.project import Project
from engine.spec.render import MASK
from engine.spec.resources.project import Secret
from engine.spec.variables import fill, references

SHORTEST = 4
MAX_BYTES = 1 << 16


class Secrets:
    """The secrets of a project.

    Parameters
    ----------
    project
        Says which secrets there are, and where they are found.
    environ
        What `{env: NAME}` is read from.
    """

    def __init__(self, project: Project, environ: Mapping[str, str] = os.environ) -> None:
        self._project = project
        self._environ = environ
        self._hidden = re.compile("(?!)")
        self._texts: set[str] = set()
        for name, secret in project.secrets.items():
            self._hide(self._find(name, secret))

    def reveal(self, text: str) -> str | None:
        """Return the text with its secrets and variables filled in.

        Returns None where an optional secret in it is absent; raises SpecError where a required one is.
        """
        values: dict[str, str] = {}
        for reference in references(text):
            if reference.parts[0] == "secret":
                name = reference.parts[1]
                value = self._find(name, self._project.secrets[name])
                if value is None and self._project.secrets[name].optional:
                    return None
                if value is None:
                    raise SpecError((self._absent(name),))
                values[name] = value
        revealed = fill(text, {**self._project.variables, "secret": values})
        self._hide(revealed)
        return revealed

    def redact(self, text: str) -> str:
        """Return the text with every secret value in it masked, however it is encoded for a URL or JSON."""
        return self._hidden.sub(MASK, text)

    def _find(self, name: str, secret: Secret) -> str | None:
        if secret.env is not None:
            return self._environ.get(secret.env) or None
        path = self._project.folder_of("secrets", name) / (secret.file or "")
        try:
            with path.open("rb") as stream:
                raw = stream.read(MAX_BYTES)
        except OSError:
            return None
        return raw.decode("utf-8", errors="replace").rstrip("\r\n") or None

    def _absent(self, name: str) -> Diagnostic:
        secret = self._project.secrets[name]
        if secret.env is not None:
            what, help_ = f"the environment variable {secret.env} is not set", f"set {secret.env}"
        else:
            what, help_ = f"the file {secret.file} cannot be read or is empty", f"write the value to {secret.file}"
        at = self._project.position("secrets", name)
        return Diagnostic(at, "absent-secret", f'secret "{name}": {what}', f"{help_}; or say optional: true")

    def _hide(self, value: str | None) -> None:
        """Hide a value, and what it is made of if it is a URL: the server may quote the password alone."""
        if not value:
            return
        parts = {value, *value.splitlines()}
        try:
            url = urlsplit(value)
            parts |= {url.username or "", url.password or "", url.netloc.rpartition("@")[0]}
        except ValueError:
            pass  # no URL, no parts
        if value.startswith(("http://", "https://")) and (path := urlsplit(value).path.strip("/")):
            parts.add(path)  # a webhook's path is its key
        for part in {*parts, *map(unquote, parts)}:
            if len(part) >= SHORTEST:
                forms = {
                    part,
                    quote(part),
                    quote(part, safe=""),
                    quote_plus(part),
                    json.dumps(part)[1:-1],
                    repr(part)[1:-1],
                }
                self._texts |= forms
        longest_first = sorted(self._texts, key=len, reverse=True)
        if longest_first:
            self._hidden = re.compile("|".join(map(re.escape, longest_first)))
