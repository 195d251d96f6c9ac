"""Secret values: looked up at use, and masked in all written texts.

The values are not part of a project, so they are never logged, stored or compared with it. A text that may quote a
value, such as an error of a server or an exception of a user's function, must be passed through `redact`.
"""

import os
from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any, Self

from engine.errors import Diagnostic, SpecError
from engine.formatting.control_characters import make_encodable
from engine.spec.observations import note_unknown, note_variable
from engine.spec.project import ProjectSpec
from engine.spec.secrets.redaction import Redactor, SecretSearch, redact_values
from engine.spec.variables.references import fill_references, find_references

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
        self._redactor = Redactor()
        for name in project.list_secret_names():
            if value := self._read_secret(name):
                self._redactor.add(value)

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
                value = self._read_secret(name)
                if value is None and self._project.secrets[name].optional:
                    return None
                if value is None:
                    raise SpecError((self._diagnose_absence(name),))
                values[name] = value
        revealed = fill_references(text, {**self._project.names, "secret": values})
        self._redactor.add(revealed)
        return revealed

    def with_project(self, project: ProjectSpec) -> Self:
        """Return the secrets with the values that the variables have in another state of the project.

        Both objects mask the same values.
        """
        other = copy(self)
        other._project = project
        return other

    def list_absent(self, text: str) -> list[str]:
        """Return the names of the secrets in a text that have no value."""
        names = [reference.parts[1] for reference in find_references(text) if reference.parts[0] == "secret"]
        return [name for name in names if self._read_secret(name) is None]

    def search(self) -> SecretSearch:
        """Return a search for the values that the secrets have now."""
        found = {name: self._read_secret(name) for name in self._project.list_secret_names()}
        return SecretSearch({name: value for name, value in found.items() if value})

    def redact(self, text: str) -> str:
        """Return a text with all secret values masked, in every spelling that `Redactor` knows.

        Every text that leaves (log, files, messages, pages) passes through here, so it can be encoded afterwards.
        """
        return make_encodable(self._redactor.redact(text))

    def redact_values(self, value: Any) -> Any:
        """Return JSON-ready data with the secret values in all of its texts masked."""
        return redact_values(value, cache(self.redact))

    def _read_secret(self, name: str) -> str | None:
        source = self._project.find_secret_source(name)
        if source is None or source.file is None:
            value = self._environ.get(source.env) if source and source.env else None
            if value:
                note_unknown()  # results that depend on a secret are not cached, not even its digest
            elif source and source.env:
                note_variable(source.env, value)
            return value or None
        note_unknown()
        try:
            with source.file.open("rb") as stream:
                raw = stream.read(MAX_SECRET_BYTES)
        except OSError:
            return None
        return raw.decode("utf-8", errors="replace").rstrip("\r\n") or None

    def _diagnose_absence(self, name: str) -> Diagnostic:
        secret = self._project.secrets[name]
        if self._project.confinement is not None:
            what = "it has no value on this node: give it in node.yaml under secrets:"
            help_ = "let the owner of the node give it"
        elif secret.env is not None:
            what, help_ = f"the environment variable {secret.env} is not set", f"set {secret.env}"
        else:
            what, help_ = f"the file {secret.file} cannot be read or is empty", f"write the value to {secret.file}"
        at = self._project.position("secrets", name)
        return Diagnostic(
            at, "absent-secret", f'secret "{name}": {what}', f"{help_}, or declare the secret optional: true"
        )
