"""Finds out whose a token is, and slows down whoever sends wrong ones."""

from collections import OrderedDict, deque
from collections.abc import Callable

import anyio
import anyio.to_thread
from starlette.requests import HTTPConnection

from engine.server.answers import AnswerError
from engine.server.bodies import CLOSE
from engine.server.callers import Caller
from engine.server.tokens import RefusedTokenError, TokenCheck

TOKEN_THREADS = 2
"""So many tokens are looked up at once; whoever sends wrong ones keeps those away that are answered."""

FAILURES_PER_MINUTE = 10
ADDRESSES_REMEMBERED = 1000


class FailureLimit:
    """Counts failed requests per address: of more than 10 in a minute, no further one is looked into.

    A request with the right token always passes. Otherwise whoever shares an address, such as that of a proxy, could
    lock the others out.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def count_failure(self, address: str) -> bool:
        """Count a failed request; return whether there have been too many before it."""
        now = self._clock()
        times = self._failures.setdefault(address, deque(maxlen=FAILURES_PER_MINUTE))
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES_REMEMBERED:
            self._failures.popitem(last=False)
        too_many = len(times) == FAILURES_PER_MINUTE and now - times[0] < 60
        if not too_many:
            times.append(now)
        return too_many


class TokenGate:
    """Finds out whose the tokens of requests are.

    Parameters
    ----------
    tokens
        Knows whose a token is.
    clock
        Returns seconds that never go back.
    """

    def __init__(self, tokens: TokenCheck, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._limit = FailureLimit(clock)
        self._threads: anyio.CapacityLimiter | None = None
        self.help, self.names_help, self.in_url = tokens.help, tokens.names_help, tokens.in_url

    async def identify(self, token: str | None, request: HTTPConnection) -> Caller:
        """Return whose a token is; raises AnswerError if it is missing, or does not count."""
        caller = await self._look_up(token)
        if caller is not None:
            return caller
        if self._limit.count_failure(request.client.host if request.client else ""):
            raise AnswerError(
                429, "too many requests without a valid token", "wait a minute", {**CLOSE, "retry-after": "60"}
            )
        # Why a token does not count is nothing for whoever may have guessed or found it.
        problem = "the token is missing" if token is None else "the token does not count"
        raise AnswerError(401, problem, self.help, {**CLOSE, "www-authenticate": 'Bearer realm="engine"'})

    async def identify_session(self, token: str | None) -> Caller:
        """Return whose the token of a session is; raises AnswerError if there is none, or if it was revoked since."""
        caller = await self._look_up(token)
        if caller is None:
            raise AnswerError(401, "nobody is logged in", self.help, CLOSE)
        return caller

    async def _look_up(self, token: str | None) -> Caller | None:
        if token is None:
            return None
        self._threads = self._threads or anyio.CapacityLimiter(TOKEN_THREADS)  # belongs to the loop that answers
        try:
            return await anyio.to_thread.run_sync(self._tokens.identify, token, limiter=self._threads)
        except RefusedTokenError:
            return None
