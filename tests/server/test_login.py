"""Logging in: the cookie of a session, whom it lets do what, and what other pages cannot do with it."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.responses import Response

import engine.server
from engine.server.pages.sessions import IDLE_SECONDS, SESSION_COOKIE, SESSION_SECONDS, Sessions
from engine.server.tokens import make_token

from .small_server import SmallServer

BROWSER = {"accept": "text/html,*/*", "sec-fetch-site": "same-origin"}


@pytest.fixture
def visitor(address: str) -> Iterator[httpx2.Client]:
    """Return a browser that has not logged in."""
    with httpx2.Client(base_url=address, headers=BROWSER, timeout=20) as client:
        yield client


def test_who_is_not_logged_in_is_led_to_the_form_and_back(served: SmallServer, visitor: httpx2.Client) -> None:
    led = visitor.get("/p/shop/status?a=1")
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Fp%2Fshop%2Fstatus%3Fa%3D1")
    form = visitor.get(led.headers["location"])
    assert 'name="token"' in form.text
    wrong = visitor.post("/login", data={"token": make_token(), "next": "/p/shop/status?a=1"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    right = visitor.post("/login", data={"token": served.token, "next": "/p/shop/status?a=1"})
    assert (right.status_code, right.headers["location"]) == (303, "/p/shop/status?a=1")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert served.token not in cookie
    assert visitor.get("/p/shop/status").status_code == 200
    assert visitor.get("/projects.json").json()["projects"][0]["name"] == "shop"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/p/x", "/\\evil.example", "javascript:1", ""]
)
def test_the_form_leads_to_pages_of_this_server_alone(served: SmallServer, visitor: httpx2.Client, target: str) -> None:
    assert "evil" not in visitor.get("/login", params={"next": target}).text
    led = visitor.post("/login", data={"token": served.token, "next": target})
    assert led.headers["location"] == "/projects"


def test_the_address_that_is_printed_begins_a_session_and_loses_its_token(
    served: SmallServer, visitor: httpx2.Client, address: str
) -> None:
    led = visitor.get(f"/p/shop/status?token={served.token}&a=1")
    assert (led.status_code, led.headers["location"]) == (303, "/p/shop/status?a=1")
    assert visitor.get("/p/shop/status").status_code == 200
    wrong = httpx2.get(f"{address}/p/shop/status?token={make_token()}", headers=BROWSER)
    assert (wrong.status_code, wrong.headers["location"]) == (303, "/login?next=%2Fp%2Fshop%2Fstatus")


def test_a_logout_ends_the_session_for_all_who_have_its_cookie(served: SmallServer, visitor: httpx2.Client) -> None:
    visitor.post("/login", data={"token": served.token})
    cookie = visitor.cookies[SESSION_COOKIE]
    assert visitor.post("/logout").headers["location"] == "/login"
    with httpx2.Client(base_url=visitor.base_url, headers=BROWSER, cookies={SESSION_COOKIE: cookie}) as other:
        assert other.get("/projects").status_code == 303


def test_a_session_is_for_pages_and_not_for_what_programs_ask(served: SmallServer, visitor: httpx2.Client) -> None:
    visitor.post("/login", data={"token": served.token})
    assert visitor.get("/projects").status_code == 200
    for path in ("/healthz", "/metrics", "/projects/shop/fires"):
        assert visitor.get(path).status_code == 401, path
    assert visitor.post("/projects/shop/scenarios/nightly/runs").status_code == 401
    assert served.store.fires.count() == 0


def test_a_change_must_come_from_a_page_of_this_server(served: SmallServer, visitor: httpx2.Client) -> None:
    visitor.post("/login", data={"token": served.token})
    start = "/p/shop/scenarios/nightly/start"
    for site in ("cross-site", "same-site", "none", ""):
        refused = visitor.post(start, headers={"sec-fetch-site": site})
        assert (refused.status_code, "not asked by a page" in refused.text) == (403, True), site
    for origin in ("https://evil.example", "null", f"{visitor.base_url}.evil.example"):
        assert visitor.post(start, headers={"origin": origin}).status_code == 403, origin
    assert visitor.post(start, headers={"host": "evil.example"}).status_code == 421
    assert (
        visitor.post("/login", data={"token": served.token}, headers={"sec-fetch-site": "cross-site"}).status_code
        == 403
    )
    assert served.store.fires.count() == 0
    assert visitor.post(start).status_code == 303
    assert served.store.fires.count() == 1


def test_guesses_of_the_token_are_slowed_and_the_form_says_so(served: SmallServer, visitor: httpx2.Client) -> None:
    codes = [visitor.post("/login", data={"token": make_token()}).status_code for _ in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert visitor.post("/login", data={"token": served.token}).status_code == 303


def test_a_session_ends_by_its_age_and_by_idleness() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0], secure=True)
    response = Response()
    sessions.begin("token", response)
    found = re.match(rf"{SESSION_COOKIE}=([^;]+);.*Secure", response.headers["set-cookie"])
    assert found
    while now[0] <= SESSION_SECONDS:
        assert sessions.find_token(found[1]) == "token"
        now[0] += IDLE_SECONDS
    assert sessions.find_token(found[1]) is None
    sessions.begin("token", idle := Response())
    id_ = idle.headers["set-cookie"].partition("=")[2].partition(";")[0]
    now[0] += IDLE_SECONDS + 1
    assert sessions.find_token(id_) is None
    assert sessions.find_token("\udc80 no id") is None


def test_errors_are_pages_for_browsers_and_json_for_programs(served: SmallServer, visitor: httpx2.Client) -> None:
    visitor.post("/login", data={"token": served.token})
    missing = visitor.get("/p/shap/status")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Did you mean" in missing.text
    assert visitor.get("/nowhere", headers={"authorization": f"Bearer {served.token}"}).status_code == 404
    program = visitor.get("/p/shap/status", headers={"accept": "*/*"})
    assert program.json()["help"] == 'did you mean "shop"?'


def test_only_a_person_who_is_logged_in_learns_that_an_address_does_not_exist(
    served: SmallServer, visitor: httpx2.Client
) -> None:
    unknown = ("/nowhere", "/Projects", "/projects/", "/p", "/HEALTHZ", "/projects/shop/nothing", "/favicon.ico")
    for path in unknown:
        assert visitor.get(path).status_code == 401, path
    visitor.post("/login", data={"token": served.token})
    for path in unknown * 2:  # more often than failures are looked into
        found = visitor.get(path)
        assert (found.status_code, "There is no such page" in found.text) == (404, True), path
    assert visitor.head("/nowhere").status_code == 404
    assert visitor.post("/nowhere").status_code == 404
    for path in ("/healthz", "/reload"):  # exists, for programs
        refused = visitor.get(path)
        assert (refused.status_code, 'href="/login"' in refused.text) == (401, False), path


def test_a_form_that_is_sent_without_a_session_did_nothing_and_leads_to_the_login(
    served: SmallServer, visitor: httpx2.Client
) -> None:
    refused = visitor.post("/p/shop/scenarios/nightly/start")
    assert (refused.status_code, "Nothing was done" in refused.text) == (401, True)
    assert 'href="/login"' in refused.text
    assert "Authorization" not in refused.text
    assert served.store.fires.count() == 0


def test_all_methods_of_a_path_are_reported(served: SmallServer, visitor: httpx2.Client) -> None:
    found = visitor.delete("/login")
    assert (found.status_code, found.headers["allow"]) == (405, "GET, HEAD, POST")


def test_the_files_of_others_are_as_they_were_published() -> None:
    folder = Path(engine.server.__file__).parent / "static"
    rows = re.findall(r"^\| (\S+\.(?:js|css)) \|.*\| ([0-9a-f]{64}) \|$", (folder / "VENDORED.md").read_text(), re.M)
    assert {name for name, _ in rows} == {path.name for path in folder.iterdir() if ".min." in path.name}

    for name, digest in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
