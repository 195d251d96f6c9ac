"""Who runs this process, as runs and removals record it."""

import getpass
import os
import platform


def describe_current_user() -> str:
    """Return `name@host`; `uid 54321@host` for a user whom the system knows no name of, as containers have them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # KeyError until Python 3.12, then OSError
        name = f"uid {os.getuid()}"
    return f"{name}@{platform.node()}"
