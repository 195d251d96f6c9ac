"""The user who acts, as `user@host`, for the records of runs, removals and dropped messages."""

import getpass
import os
import platform


def describe_acting_user() -> str:
    """Return the user and the host, `ada@web1`; a user without a name, as in containers, is `uid 54321@web1`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # the user database lacks this number, and no variable names a user
        name = f"uid {os.getuid()}"
    return f"{name}@{platform.node()}"
