"""The errors of object stores, with explanations of obstore's messages."""

import re

from engine.errors import DataError


class ObjectStoreError(DataError):
    """An object store cannot be reached, or refuses a request."""


class ObjectChangedError(ObjectStoreError):
    """An object has changed since it was listed."""


class ConnectionLostError(ObjectStoreError):
    """The connection was lost before the answer came."""


class ObjectMissingError(ObjectStoreError):
    """The object does not exist."""


class ObjectExistsError(ObjectStoreError):
    """The object exists already."""


def build_request_error(text: str, place: str, where: str, bucket: str) -> ObjectStoreError:
    """Return the error for a failed request, with an explanation of obstore's message.

    Parameters
    ----------
    text
        The message of obstore, with the response of the server if there was one.
    place
        The requested object or folder.
    where
        The server.
    """
    for pattern, meaning in _MEANINGS.items():
        if re.search(pattern, text):
            kind = ConnectionLostError if meaning == _LOST else ObjectStoreError
            return kind(f"{place}: {meaning.format(where=where, bucket=bucket)}")
    return ObjectStoreError(f"{place}: {shorten_message(text)}")


_LOST = "the connection to {where} was lost"

_MEANINGS = {
    r"169\.254\.\d+\.\d+": "no keys were found in the environment or on the machine: declare access_key and "
    "secret_key, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    r"<Code>NoSuchBucket": "there is no bucket {bucket!r} at {where}",
    r"<Code>NoSuchUpload": "the answer to the end of the upload was lost, so it is not known whether the object was "
    "written: write it again",
    r"<Code>InvalidAccessKeyId": "the object store does not accept the access_key",
    r"<Code>SignatureDoesNotMatch": "the store does not accept the secret_key",
    r"<Code>(?:RequestTimeTooSkewed|RequestExpired)": "the clock of this machine and that of the store differ by more "
    "than the store allows: set this machine's clock",
    r"<Code>(?:ExpiredToken|TokenRefreshRequired)": "the session_token has expired",
    r"<Code>InvalidToken": "the store does not accept the session_token",
    r"<Code>(?:PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)|301 Moved|"
    r"redirect without LOCATION": "the bucket {bucket!r} is in another region: set region: of the connection",
    r"<Code>(?:AccessDenied|AllAccessDisabled)|403 Forbidden|401 Unauthorized": "the store refuses this: the key needs "
    "s3:ListBucket for the bucket {bucket!r} and s3:GetObject for its objects, and s3:PutObject to write",
    r"<Code>(?:SlowDown|ServiceUnavailable)|503 Service|429 Too": "the store is overloaded: try again later",
    r"(?i:invalid path|illegal character|Error parsing Path)": "an object there has a name that no file can have (an "
    "empty part, . or ..): rename it, or name a folder without it",
    r"(?i:invalid peer certificate|certificate|InvalidContentType|HandshakeFailure)": "the TLS certificate of {where} "
    "cannot be trusted, or there is no TLS: set certificate: to the file of the authority that signed it",
    r"(?i:dns error|failed to lookup|name resolution)": "the host of {where} cannot be found (DNS); with path_style: "
    "false, the name of the bucket comes before it",
    r"(?i:connection refused)": "{where} cannot be reached: connection refused. Is it running?",
    r"timed out|TimedOut|deadline has elapsed": "{where} does not answer in the given time; raise timeout: of the "
    "connection if it is slow",
    r"(?i:connection reset|connection closed|IncompleteMessage|error decoding|end of file|broken pipe|"
    r"error sending request|unexpected eof)": _LOST,
}
"""Explanations by pattern of obstore's message; the first match wins."""


def shorten_message(text: str) -> str:
    """Return the first line of a message, with only the error text of the server's response."""
    line = text.partition("\n\nDebug source")[0]
    if message := re.search(r"<Message>(.*?)</Message>", line, re.DOTALL):
        code = re.search(r"<Code>(\w+)</Code>", line)
        return f"{message[1].strip()[:300]} ({code[1]})" if code else message[1].strip()[:300]
    return " ".join(line.split())[:300]
