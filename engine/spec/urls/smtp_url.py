"""The URL of a mail server, as a channel of kind mail or a secret holds it."""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from engine.errors import DeliveryError

URL_HELP = "Write smtp://user:password@host:587 or smtps://user:password@host, special characters percent-encoded."


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """An SMTP server as its URL describes it. `tls` is implicit, starttls or none."""

    host: str
    port: int
    tls: str
    user: str | None
    password: str
    ca: str | None

    @classmethod
    def parse(cls, url: str) -> "SmtpServer":
        """Parse smtp://user:password@host:port?tls=starttls|none&ca=path or smtps://….

        An error never quotes a wrong URL: an unescaped character can move a part of the password anywhere in it.

        Raises
        ------
        DeliveryError
            The URL is wrong.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
            (host or "").encode("idna")
            query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise DeliveryError(f"the mail URL cannot be read. {URL_HELP}") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise DeliveryError(f"the mail URL does not start with smtp:// or smtps://. {URL_HELP}")
        if not host or parts.path.strip("/") or parts.fragment:
            raise DeliveryError(f"the mail URL must contain a host and no path. {URL_HELP}")
        if query.keys() - {"tls", "ca"} or any(len(values) > 1 for values in query.values()):
            raise DeliveryError(f"after ? the mail URL can contain tls and ca, once each. {URL_HELP}")
        tls = cls._choose_tls(parts, host, query.get("tls", [None])[0], verified="ca" in query)
        return cls(
            host=host,
            port=port or {"implicit": 465, "starttls": 587, "none": 25}[tls],
            tls=tls,
            user=None if parts.username is None else unquote(parts.username),
            password=unquote(parts.password or ""),
            ca=query.get("ca", [None])[0],
        )

    @staticmethod
    def _choose_tls(parts: SplitResult, host: str, asked: str | None, *, verified: bool) -> str:
        if parts.scheme == "smtps":
            if asked is not None:
                raise DeliveryError("smtps:// always uses TLS: remove tls=, or write smtp://.")
            return "implicit"
        if asked is None:
            return "none" if _is_loopback(host) and not verified else "starttls"
        if asked not in ("starttls", "none"):
            raise DeliveryError("tls= of the mail URL must be starttls or none.")
        return asked


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
