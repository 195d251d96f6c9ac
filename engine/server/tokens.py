"""The owner of a token: for a server with a single token, and for a node with its own tokens."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Protocol

from engine.errors import StoreError, UsageError
from engine.server.answers import AnswerError
from engine.server.callers import Caller, Role
from engine.store.node import Tokens

TOKEN_LENGTH = 32
"""Least length of a given token: right guesses are not limited, so it must be long."""


class RefusedTokenError(Exception):
    """A token is not valid. The reason is reported to the operator of the server, not to the client."""


class TokenCheck(Protocol):
    """Finds the owner of a token.

    Attributes
    ----------
    help
        Help for clients without a token: where to get one.
    names_help
        Help for clients with a wrong Host: the setting that adds a name of the server.
    in_url
        Whether GET requests may have the token in their address, which browsers and logs store.
    """

    help: str
    names_help: str
    in_url: bool

    def identify(self, token: str) -> Caller:
        """Return the owner of a token.

        Raises
        ------
        RefusedTokenError
            The token is unknown, expired or revoked.
        AnswerError
            The token could not be looked up.
        """
        ...


class OneToken:
    """The single token of a server, which allows everything."""

    help = "send Authorization: Bearer TOKEN; engine serve prints the token when it starts"
    names_help = "server.url in the spec adds its own"
    in_url = True

    def __init__(self, token: str) -> None:
        self._digest = _digest_text(token)

    def identify(self, token: str) -> Caller:
        """Return the caller with all permissions."""
        # Digests of equal length: the time of a comparison tells neither the token nor its length.
        if not secrets.compare_digest(_digest_text(token), self._digest):
            raise RefusedTokenError
        return Caller("http", Role.ADMIN)


class NodeTokens:
    """The tokens that a node has made.

    Parameters
    ----------
    report
        Called when they cannot be looked up, and once for each that has ended and is still used, as text for those who
        run the node.
    """

    help = (
        "send Authorization: Bearer TOKEN; the owner of the node lists valid ones with engine node token list NODE, "
        "and creates one with engine node token create NODE NAME --role ROLE"
    )
    names_help = "url in node.yaml adds its own"
    in_url = False

    def __init__(self, tokens: Tokens, report: Callable[[str], None]) -> None:
        self._tokens, self._report = tokens, report
        self._problem = ""
        self._reported_ended: set[str] = set()

    def identify(self, token: str) -> Caller:
        """Return whose a token is, and record that it was used."""
        try:
            row = self._tokens.find(token)
        except StoreError as problem:
            self._note_problem(str(problem))
            raise AnswerError(503, "the tokens of this node cannot be read now", "try it again later") from None
        if row is None:
            raise RefusedTokenError
        if end := row.explain_end(self._tokens.now()):
            if row.id not in self._reported_ended:
                self._reported_ended.add(row.id)
                self._report(f"tokens: the token {row.id} of {row.name!r} {end}, and is still used")
            raise RefusedTokenError
        try:
            self._tokens.note_use(row)
        except StoreError as problem:  # reading goes on although nothing can be written
            self._note_problem(str(problem))
        else:
            self._problem = ""
        return Caller(row.name, Role[row.role.upper()])

    def _note_problem(self, text: str) -> None:
        if text != self._problem:
            self._report(f"tokens: {text}")
        self._problem = text


def make_token() -> str:
    """Return a new token for a server that has one alone, of 32 random bytes."""
    return f"eng_{secrets.token_urlsafe(32)}"


def check_token(text: str, source: str) -> str:
    """Return a token that was given to the server; raises UsageError if it can be guessed or cannot be sent."""
    token = text.strip()
    if len(token) < TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        message = f"the token in {source} is not {TOKEN_LENGTH} or more letters, digits and signs without spaces"
        raise UsageError(f'{message}: make one with python -c "import secrets; print(secrets.token_urlsafe(32))"')
    return token


def _digest_text(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
