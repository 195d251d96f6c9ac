"""Explains errors of PostgreSQL and libpq in terms of the spec."""

import re

from engine.connections.database_errors import DatabaseError

_LOGIN = r"(?:[^:/?#\[\]@%\s]|%[0-9A-Fa-f]{2})*"
_URL = re.compile(rf"postgres(?:ql)?://(?:{_LOGIN}(?::{_LOGIN})?@)?[^/?#@\s]*(?:/[^?#\s]*)?(?:\?[^#\s]*)?")
_UNKNOWN_PARAMETER = re.compile(r'invalid URI query parameter: "([^"]*)"')

_REFUSALS = {
    r'password authentication failed for user "(.*?)"': "the server does not accept the password of user {0!r}",
    r'role "(.*?)" does not exist': "the server has no user {0!r}",
    r'database "(.*?)" does not exist': "there is no database {0!r} on this server",
    r'could not translate host name "(.*?)"': "there is no host {0!r}, or its name cannot be looked up",
    r"fe_sendauth: no password supplied": "the server asks for a password, and the url has none",
    r"does not support SSL": "the server offers no encryption, and the url asks for it (sslmode)",
    r"certificate verify failed": "the certificate of the server is not one that sslrootcert= trusts, or it has "
    "expired",
    r'root certificate file "(.*?)"': "the certificates of sslrootcert= cannot be read: {0}",
    r'server certificate for "(.*?)".* does not match host name "(.*?)"': "the certificate of the server is for {0!r}, "
    "and not for {1!r}",
    r"no pg_hba\.conf entry for host .*?, (no encryption|SSL)": "the server does not accept this user from this "
    "machine ({0}; pg_hba.conf)",
}
"""Explanations by pattern of libpq's message, for refused connections that are not retried.

Many servers lock an account after several wrong passwords.
"""

NO_CONNECTION_LEFT = (
    r"too many clients|too many connections for|remaining connection slots|no more connections allowed|"
    r"query_wait_timeout"
)
"""Messages of a server or a pooler without free connections; they come without a SQLSTATE."""

_NOT_READY = {
    r"Connection refused": "the server cannot be reached: connection refused. Is it running, and are host and port "
    "those of the server?",
    r"timeout expired": "the server does not answer in the given time; raise timeout: of the connection if it is slow",
    NO_CONNECTION_LEFT: "the server has no connection left",
    r"the database system is (starting up|shutting down)": "the server is {0}",
}
"""Explanations by pattern of libpq's message, for connections that may succeed later."""

_LOST = ("closed the connection", "terminating connection", "connection not open", "no connection to the server",
         "Failed to begin transaction", "could not receive data", "could not send data", "SSL SYSCALL", "reset by peer",
         "Connection timed out")  # fmt: skip
"""Parts of messages about a connection that was lost."""

_TRANSIENT = ("08", "40", "53", "57P", "55P03")
"""Prefixes of the SQLSTATEs of transient errors: lost connections, conflicts, missing resources, a shutdown."""

_MEANINGS = {
    "42501": "the user has no permission: {0}; the owner of the table can GRANT it",
    "42P01": "{0}",
    "53100": "the disk of the server is full: {0}",
    "53300": "the server has no connection left: {0}",
    "55P03": "another session holds a lock, for more than a minute: {0}",
    "57014": "the server has cancelled the query: {0}",
    "25006": "nothing can be written: {0}",
}


_TOO_SLOW = (
    "the query took longer than the server allows (statement_timeout); read fewer rows, or raise the limit of this user"
)


def check_postgresql_url(url: str) -> None:
    """Raise a DatabaseError unless a text is a URL of PostgreSQL with a correctly encoded login.

    Otherwise libpq would take a part of the password for the host and show it in messages.
    """
    if not _URL.fullmatch(url):
        raise DatabaseError(
            "its url must be written postgresql://user:password@host:port/database; in the user and the password, "
            "write each of the characters : / ? # [ ] @ % as its code, such as %40 for @"
        )


def explain_postgresql_error(text: str, code: str | None, place: str) -> DatabaseError:
    """Return an error that explains one of the driver.

    Parameters
    ----------
    text
        The message of the driver, with that of libpq or the server.
    code
        The SQLSTATE, if the server sent one.
    place
        The server and the database.
    """
    message = _clean_message(text)
    if code == "57014" and "statement timeout" in message:
        return DatabaseError(f"{place}: {_TOO_SLOW}", code)
    if code:
        meaning = _MEANINGS.get(code, "{0}").format(message)
        return DatabaseError(f"{place}: {meaning}", code, transient=code.startswith(_TRANSIENT))
    if any(part in text for part in _LOST) and "Failed to connect" not in text:
        return explain_stream_error(text, place)
    for pattern, meaning in {**_REFUSALS, **_NOT_READY}.items():
        if found := re.search(pattern, text):
            code = "53300" if pattern == NO_CONNECTION_LEFT else ""
            return DatabaseError(f"{place}: {meaning.format(*found.groups())}", code, transient=pattern in _NOT_READY)
    if found := _UNKNOWN_PARAMETER.search(text):
        return DatabaseError(f"{place}: its url has a parameter that libpq does not support: {found[1]!r}")
    return DatabaseError(f"{place}: {message}")


def explain_stream_error(text: str, place: str) -> DatabaseError:
    """Return the error of an incomplete stream of rows: a lost connection, or a value that cannot be computed."""
    message = _clean_message(text)
    if any(part in text for part in _LOST):
        return DatabaseError(f"{place}: the connection was lost: {message}", "08006", transient=True)
    if "statement timeout" in message:
        return DatabaseError(f"{place}: {_TOO_SLOW}", "57014")
    return DatabaseError(f"{place}: {message}", "22003" if "is out of range for type" in text else "")


def _clean_message(text: str) -> str:
    """Return the server's message on one line, without the text of the driver and the query."""
    text = re.split(r"\n\s*Query was:|\. SQLSTATE: |\nLINE \d+:", text, maxsplit=1)[0]
    text = re.sub(r"^(?:got external error: )?(?:[A-Z_]+: )?(?:\[libpq\] )?", "", text.strip())
    text = re.sub(r"^(?:Failed to [a-z ]+|could not begin COPY|PQ\w+\(\) failed|Failed to \w+ \w+ \w+): ", "", text)
    text = re.sub(r"^(?:could not begin COPY: |Execution error \[\w+\]: )?(?:ERROR|FATAL):\s+", "", text)
    text = re.sub(r'"(\S{20})\S{20,}"', r'"\1…"', text)
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or "no reason was given"
