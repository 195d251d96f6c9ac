"""Creates, lists, revokes and looks up the tokens for requests to a node.

A token is its id followed by 32 random bytes: `eng_1f9c03ab_…`. The database contains only its SHA-256, so the database
or a copy of it does not give access to the node. A slow hash as for passwords would not protect better: nobody can try
2**256 tokens.
"""

import hashlib
import re
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from engine.errors import UsageError
from engine.store.node.node_database import NodeDatabase
from engine.store.node.records import TokenRow
from engine.store.node.tables import tokens

USE_SECONDS = 60
"""The use of a token is recorded at most once in this many seconds, so that most requests do not write."""

VALID_PER_NAME = 2
"""Most valid tokens with the same name: the one in use, and its replacement."""

_TOKEN = re.compile(r"eng_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


class Tokens:
    """The tokens of a node. The row of a revoked token stays, so that its users get a clear message."""

    def __init__(self, database: NodeDatabase) -> None:
        self._database = database
        self.now = database.now

    def create(self, name: str, role: str, by: str, expires: datetime | None = None) -> tuple[str, TokenRow]:
        """Create a token; return it with its row. The token cannot be recovered later.

        Raises
        ------
        UsageError
            Two valid tokens have this name already.
        """
        now = self._database.now()
        id_ = secrets.token_hex(4)
        token = f"eng_{id_}_{secrets.token_urlsafe(32)}"
        row = TokenRow(id_, _digest_token(token), name, role, now, by, expires, None, None)
        with self._database.begin_write() as connection:
            known = [TokenRow(**one) for one in connection.execute(select(tokens).order_by(tokens.c.made)).mappings()]
            valid = [one.id for one in known if one.name == name and not one.explain_end(now)]
            if len(valid) >= VALID_PER_NAME:
                raise UsageError(
                    f"{name!r} has {len(valid)} valid tokens already, {' and '.join(valid)}: "
                    "revoke the one that is not used any more, then make the new one"
                )
            connection.execute(insert(tokens).values(asdict(row)))
        return token, row

    def list_all(self) -> list[TokenRow]:
        """Return all tokens, oldest first, including expired and revoked ones."""
        with self._database.begin_read() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.made, tokens.c.id)).mappings().all()
        return [TokenRow(**row) for row in rows]

    def find(self, token: str) -> TokenRow | None:
        """Return the row of a token, valid or not; None if the node has not issued it."""
        form = _TOKEN.fullmatch(token)
        if form is None:
            return None
        with self._database.begin_read() as connection:
            found = connection.execute(select(tokens).where(tokens.c.id == form[1])).mappings().first()
        if found is None or not secrets.compare_digest(found["digest"], _digest_token(token)):
            return None
        return TokenRow(**found)

    def note_use(self, row: TokenRow) -> None:
        """Record that a token was used now, unless a use in the last USE_SECONDS is recorded."""
        now = self._database.now()
        if row.last_used is None or abs(now - row.last_used) >= timedelta(seconds=USE_SECONDS):
            with self._database.begin_write() as connection:
                connection.execute(update(tokens).where(tokens.c.id == row.id).values(last_used=now))

    def revoke(self, row: TokenRow) -> None:
        """Revoke a token; if it was revoked before, its time stays."""
        with self._database.begin_write() as connection:
            which = (tokens.c.id == row.id) & tokens.c.revoked.is_(None)
            connection.execute(update(tokens).where(which).values(revoked=self._database.now()))


def _digest_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
