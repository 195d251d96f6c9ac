"""Print JSON on standard output."""

import json
import sys
from typing import Any

from engine.spec.secrets.redaction import redact_values


def print_json(text: str) -> None:
    """Print JSON. Secrets are masked only in texts: a number stays a number, whatever the secrets are."""
    stream: Any = sys.stdout
    redact = getattr(stream, "redact", None)
    in_unicode = stream.encoding.lower().startswith("utf")
    if redact is None and in_unicode:
        print(text)
        return
    document = json.loads(text)
    if redact is not None:
        document = redact_values(document, redact)
    masked = json.dumps(document, ensure_ascii=not in_unicode, indent=1)
    getattr(stream, "write_redacted", stream.write)(f"{masked}\n")
