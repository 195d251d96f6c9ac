"""Checks addresses of object stores, and normalizes paths below a prefix."""

import posixpath
import re
from contextlib import suppress
from ipaddress import ip_address

from engine.connections.object_store_errors import ObjectStoreError


def find_address_problem(bucket: str, endpoint: str | None, *, path_style: bool, allow_http: bool) -> str:
    """Return why a bucket cannot be reached at an address; an empty text if it can."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", bucket) or ".." in bucket:
        return "the name of a bucket has 3 to 63 letters, digits, - . and _, and no two dots in a row"
    if endpoint is None:
        return ""
    found = re.fullmatch(r"(https?)://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?", endpoint)
    if found is None or not 0 < int((found[3] or ":443")[1:]) < 65_536:
        return "the endpoint must be written https://host or https://host:port"  # it may contain a login
    host, numeric = found[2].strip("[]"), False
    with suppress(ValueError):
        numeric = bool(ip_address(host).version)
    labels = host.split(".")
    if not numeric and (":" in host or labels[-1].isdigit() or not all(0 < len(one) < 64 for one in labels)):
        return f"the host of the endpoint {endpoint[:80]!r} is neither an address nor a name"
    if numeric and not path_style:
        return (
            f"the endpoint {endpoint[:80]!r} is an IP address, so the bucket cannot be part of its host name: write "
            "path_style: true"
        )
    if found[1] == "http" and not allow_http:
        return f"the endpoint {endpoint[:80]!r} is not encrypted: write https, or allow_http: true if that is meant"
    return ""


def normalize_object_path(path: str) -> str:
    """Return a path below the prefix without `.` and `..`; raise ObjectStoreError if it leaves the prefix."""
    normal = posixpath.normpath(path)
    if normal.startswith(("..", "/")):
        raise ObjectStoreError(f"the path {path[:80]!r} leads out of the bucket and its prefix")
    return "" if normal == "." else normal
