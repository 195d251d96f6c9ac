"""Identifies the owners of tokens, and limits attempts with wrong ones."""

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
"""Most tokens that are looked up at the same time, so that wrong tokens do not use the threads of valid requests."""

FAILURES_PER_MINUTE = 10
ADDRESSES_REMEMBERED = 1000


class FailureLimit:
    """Counts failed requests per address, to refuse more than 10 per minute.

    A request with a valid token is always accepted, so that one client behind a shared address, such as that of a
    proxy, cannot lock out the others.
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
    """Identifies the callers of requests by their tokens.

    Parameters
    ----------
    tokens
        Finds the owner of a token.
    clock
        A monotonic clock in seconds.
    """

    def __init__(self, tokens: TokenCheck, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._limit = FailureLimit(clock)
        self._threads: anyio.CapacityLimiter | None = None
        self.help, self.names_help, self.in_url = tokens.help, tokens.names_help, tokens.in_url

    async def identify(self, token: str | None, request: HTTPConnection) -> Caller:
        """Return the owner of a token; raise AnswerError if it is missing or not valid."""
        caller = await self._look_up(token)
        if caller is not None:
            return caller
        if self._limit.count_failure(request.client.host if request.client else ""):
            raise AnswerError(
                429, "too many requests without a valid token", "wait a minute", {**CLOSE, "retry-after": "60"}
            )
        # The reason why a token is not valid is hidden, because it may have been guessed or found.
        problem = "the token is missing" if token is None else "the token is not valid"
        raise AnswerError(401, problem, self.help, {**CLOSE, "www-authenticate": 'Bearer realm="engine"'})

    async def identify_session(self, token: str | None) -> Caller:
        """Return the owner of a session's token; raise AnswerError if there is none, or if it was revoked since."""
        caller = await self._look_up(token)
        if caller is None:
            raise AnswerError(401, "nobody is logged in", self.help, CLOSE)
        return caller

    async def _look_up(self, token: str | None) -> Caller | None:
        if token is None:
            return None
        self._threads = self._threads or anyio.CapacityLimiter(TOKEN_THREADS)  # must be created in the event loop
        try:
            return await anyio.to_thread.run_sync(self._tokens.identify, token, limiter=self._threads)
        except RefusedTokenError:
            return None
