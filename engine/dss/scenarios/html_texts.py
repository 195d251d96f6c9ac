"""Convert HTML messages to plain text, because messages of the spec are text."""

import re
from html.parser import HTMLParser

_LINES = frozenset({"br", "p", "div", "tr", "li", "ul", "ol", "table", "hr", "h1", "h2", "h3", "h4", "h5", "h6"})
_UNSEEN = frozenset({"style", "script", "head", "title"})


def read_html_text(text: str) -> str:
    """Return the visible text of HTML, a line for each block; the address of a link follows its text."""
    reader = _TextReader()
    reader.feed(text)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _TextReader(HTMLParser):
    """Collects the texts; `links` holds the addresses of open links, `unseen` counts open elements without text."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.links: list[str] = []
        self.unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LINES:
            self.parts.append("\n")
        elif tag == "td":
            self.parts.append(" ")
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")
        elif tag in _UNSEEN:
            self.unseen += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _LINES and tag != "br":
            self.parts.append("\n")
        elif tag == "a" and self.links and (address := self.links.pop()):
            self.parts.append(f" ({address})")
        elif tag in _UNSEEN and self.unseen:
            self.unseen -= 1

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(" ".join(re.split(r"\s+", data)))
