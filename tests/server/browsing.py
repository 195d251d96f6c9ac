"""A browser without JavaScript for tests: it logs in, follows links, submits forms, and checks each page."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from .page_reader import PageReader

HTML = {"accept": "text/html,application/xhtml+xml"}
FROM_PAGE = {**HTML, "sec-fetch-site": "same-origin"}


class BrowsedPage(PageReader):
    """A page with the answer in which it came."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.text, response.url.path)
        self.response, self.path = response, response.url.path
        self.text = " ".join(self.text.split())


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
        assert (response.status_code, page.faults) == (status, []), (path, response.text[-2000:])
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        return page

    def read_json(self, path: str) -> Any:
        return json.loads(self.client.get(f"{path}.json").text)

    def read_csv(self, path: str, query: Mapping[str, str] | None = None) -> str:
        response = self.client.get(f"{path}.csv", params=dict(query or {}))
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        return response.text

    def submit(self, action: str, fields: Mapping[str, str] | None = None, **headers: str) -> httpx2.Response:
        return self.client.post(action, data=dict(fields or {}), headers={**FROM_PAGE, **headers})

    def crawl(self, start: str) -> Iterator[BrowsedPage]:
        """Yield all pages that links lead to; every link must lead to something."""
        waiting, seen = [start], {start}
        while waiting:
            path = waiting.pop(0)
            if re.search(r"\.(json|csv)(\?|$)", path):
                response = self.client.get(path)
                assert response.status_code == 200, (path, response.text)
                continue
            page = self.open(path)
            yield page
            waiting += [link for link in dict.fromkeys(page.links) if link not in seen]
            seen.update(page.links)
