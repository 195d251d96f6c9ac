"""A browser without JavaScript for tests: it logs in, follows links, submits forms, and checks each page."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx2

HTML = {"accept": "text/html,application/xhtml+xml"}
FROM_PAGE = {**HTML, "sec-fetch-site": "same-origin"}


@dataclass
class Form:
    """A form of a page: how and where it is sent, and its fields with what they hold."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class BrowsedPage(HTMLParser):
    """A page as it is read: its text, its links, its forms, the ids in it, and what no page may have."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.response, self.status = response, response.status_code
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.ids: set[str] = set()
        self.forbidden: list[str] = []
        self.elements: list[str] = []
        self._texts: list[str] = []
        self._in_script = False
        self.feed(response.text)

    @property
    def text(self) -> str:
        return " ".join("".join(self._texts).split())

    def find_form(self, action: str) -> Form:
        return next(form for form in self.forms if form.action.endswith(action))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append(tag)
        self._in_script = tag == "script"
        self.ids |= {given["id"]} if "id" in given else set()
        self.forbidden += [f"{tag} {name}" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        self.forbidden += [f"{tag} {url}" for url in (given.get("src"), given.get("href")) if _is_elsewhere(url)]
        if tag == "script" and "src" not in given:
            self.forbidden.append("script in the page")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self.forms.append(Form(given.get("method", "get"), given.get("action", "")))
        is_set = given.get("type") != "checkbox" or "checked" in given
        if tag in ("input", "select", "button") and self.forms and given.get("name") and is_set:
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.forbidden.append("script in the page")
        self._texts.append(data)


def _is_elsewhere(url: str | None) -> bool:
    return url is not None and (bool(urlsplit(url).netloc) or urlsplit(url).scheme not in ("", "data"))


class Browser:
    """Somebody who is logged in at a server."""

    def __init__(self, url: str, token: str) -> None:
        self.client = httpx2.Client(base_url=url, timeout=60, headers=HTML)
        answered = self.client.post("/login", data={"token": token}, headers=FROM_PAGE)
        assert answered.status_code == 303, answered.text

    def close(self) -> None:
        self.client.close()

    def open(self, path: str, status: int = 200) -> BrowsedPage:
        """Return a page, after it was checked for what holds of each."""
        response = self.client.get(path, follow_redirects=True)
        page = BrowsedPage(response)
        assert (response.status_code, page.forbidden) == (status, []), (path, response.text[-2000:])
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        return page

    def read_json(self, path: str) -> dict[str, object]:
        address, _, query = path.partition("?")
        return json.loads(self.client.get(f"{address}.json?{query}").text)

    def read_csv(self, path: str) -> str:
        response = self.client.get(f"{path}.csv")
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        return response.text

    def submit(self, action: str, fields: Mapping[str, str] | None = None, **headers: str) -> httpx2.Response:
        return self.client.post(action, data=dict(fields or {}), headers={**FROM_PAGE, **headers})

    def crawl(self, start: str) -> Iterator[BrowsedPage]:
        """Yield all pages that links lead to, their other forms among them; every link must lead to something."""
        waiting, seen = [start], {start}
        while waiting:
            path = waiting.pop(0)
            if re.search(r"\.(json|csv)(\?|$)", path):
                response = self.client.get(path)
                assert response.status_code == 200, (path, response.text)
                continue
            page = self.open(path)
            yield page
            for link in page.links:
                target, fragment = urldefrag(urljoin(path, link))
                assert not fragment or target != path or fragment in page.ids, (path, link)
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
