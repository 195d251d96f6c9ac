"""The addresses of the pages, which are built only here.

Each page has its own address, which contains everything that is chosen on it. The last part is a word or an id, never a
user's name, so that `.json` and `.csv` can always be appended.
"""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, urlencode

START = "/"
PROJECTS = "/projects"
LOGIN = "/login"
LOGOUT = "/logout"
STATIC = "/static/"
PROJECT = "/p/{project}/status"
STORE = "/p/{project}/stores/{store}/evaluations"
CHECK = "/p/{project}/stores/{store}/check"
COMPARED = "/p/{project}/stores/{store}/compared"
REMOVAL = "/p/{project}/stores/{store}/removal"
EVALUATION = "/p/{project}/stores/{store}/evaluations/{evaluation}"
DRIFT = "/p/{project}/stores/{store}/evaluations/{evaluation}/drift"
COMPUTE = "/p/{project}/stores/{store}/evaluations/{evaluation}/compute"
COLUMN = "/p/{project}/stores/{store}/evaluations/{evaluation}/column"
SCENARIOS = "/p/{project}/scenarios"
SCENARIO = "/p/{project}/scenarios/{scenario}/runs"
RUN_REQUEST = "/p/{project}/scenarios/{scenario}/start"
PAUSE = "/p/{project}/scenarios/{scenario}/pause"
RESUME = "/p/{project}/scenarios/{scenario}/resume"
FIRE = "/p/{project}/fires/{number}"
RUN = "/p/{project}/runs/{run}"
RUN_LOG = "/p/{project}/runs/{run}/log"
ABORT = "/p/{project}/runs/{run}/abort"
OUTBOX = "/p/{project}/outbox"
MESSAGE_RETRY = "/p/{project}/outbox/{message}/retry"
MESSAGE_DROP = "/p/{project}/outbox/{message}/drop"
DEPLOYMENTS = "/deployments"
DEPLOYMENT = "/deployments/{deployment}/operations"
OPERATION = "/deployments/{deployment}/operations/{operation}"
DEPLOY = "/deployments/{deployment}/deploy"
ROLL_BACK = "/deployments/{deployment}/rollback"
DISABLE = "/deployments/{deployment}/disable"
BUNDLES = "/bundles"
BUNDLE = "/bundles/{bundle}/content"
BUNDLE_DIFF = "/bundles/{bundle}/diff"
BUNDLE_DEPLOYMENT = "/bundles/{bundle}/deploy"
BUNDLE_REMOVAL = "/bundles/{bundle}/remove"
SPEC = "/p/{project}/spec"
RELOAD = "/p/{project}/spec/reload"
FLOW = "/p/{project}/flow"

PAGE_PATHS = (START, PROJECTS, f"{PROJECTS}.json", f"{PROJECTS}.csv", LOGIN, LOGOUT)
PAGE_PREFIXES = ("/p/", "/runs/", DEPLOYMENTS, BUNDLES)
"""The paths for which a session cookie is accepted; all others need a token."""

OPEN_PREFIX = STATIC


def build_link(pattern: str, query: Mapping[str, object] | None = None, **names: str) -> str:
    """Return the address of a page.

    Parameters
    ----------
    pattern
        One of the patterns of this module.
    query
        The choices on the page; values that are None or empty are left out.
    names
        The names in the pattern, not yet quoted.
    """
    path = pattern.format(**{name: _quote_name(value) for name, value in names.items()})
    return add_query(path, query or {})


@lru_cache(maxsize=1024)
def _quote_name(name: str) -> str:
    return quote(name, safe="")


def add_query(path: str, query: Mapping[str, object]) -> str:
    """Return an address with the choices on its page; values that are None or empty are left out."""
    chosen = {key: str(value) for key, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(chosen)}" if chosen else path


def is_page(path: str) -> bool:
    """Return whether a path is one of the pages for people."""
    return path in PAGE_PATHS or path.startswith(PAGE_PREFIXES)


def is_local(target: str) -> bool:
    """Return whether an address is a page of this server, and not a foreign one from a manipulated link."""
    return is_page(target.partition("?")[0]) and "\\" not in target and not target.startswith("//")
