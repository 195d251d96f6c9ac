"""Login sessions: a browser has a random id in a cookie, and the server keeps the token for it.

The token is looked up again at each request, so that its revocation or a change of its role takes effect at once.
Sessions are only in memory, so browsers must log in again after a restart of the server. The cookie is `SameSite=Lax`
instead of `Strict`, because a link in a mail would otherwise lead to the login page; a changing request must come from
a page of this server in any case (`engine.server.access`).
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from starlette.responses import Response

SESSION_COOKIE = "engine_session"
SESSION_SECONDS = 12 * 3600
IDLE_SECONDS = 2 * 3600
MOST_SESSIONS = 1000


@dataclass(slots=True)
class _Session:
    token: str
    begun: float
    used: float


class Sessions:
    """The sessions of a server. They end after 12 hours, after 2 hours without a request, or by a logout.

    Parameters
    ----------
    clock
        Returns seconds that never go back.
    secure
        Whether the cookie is sent over TLS alone.
    """

    def __init__(self, clock: Callable[[], float], *, secure: bool) -> None:
        self._clock, self._secure = clock, secure
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = Lock()

    def begin(self, token: str, response: Response) -> None:
        """Begin a session for a valid token, and set its cookie; if there are too many, end the longest unused one."""
        id_, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._sessions[_digest_id(id_)] = _Session(token, now, now)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        response.set_cookie(
            SESSION_COOKIE, id_, max_age=SESSION_SECONDS, httponly=True, samesite="lax", secure=self._secure
        )

    def find_token(self, id_: str) -> str | None:
        """Return the token of a session, and record its use; None if there is no session, or it has ended."""
        key, now = _digest_id(id_), self._clock()
        with self._lock:
            found = self._sessions.get(key)
            if found is None:
                return None
            if now - found.begun > SESSION_SECONDS or now - found.used > IDLE_SECONDS:
                del self._sessions[key]
                return None
            found.used = now
            self._sessions.move_to_end(key)
            return found.token

    def end(self, id_: str, response: Response) -> None:
        """End a session, and remove its cookie."""
        with self._lock:
            self._sessions.pop(_digest_id(id_), None)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax", secure=self._secure)


def _digest_id(id_: str) -> str:
    return hashlib.sha256(id_.encode("utf-8", "surrogatepass")).hexdigest()
