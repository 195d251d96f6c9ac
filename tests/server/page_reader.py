"""Reads pages as a browser would: their links, forms and texts, and what no page may have."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class PageReader(HTMLParser):
    """What a page has."""

    def __init__(self, text: str, url: str = "") -> None:
        super().__init__()
        self.url = url
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.forms: list[Form] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.faults: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        self.faults += [f"{tag} {name}" for name in values if name == "style" or name.startswith(("on", "hx-on"))]
        self.faults += [f"{tag} {name}={value}" for name, value in values.items() if value.startswith("javascript:")]
        if tag == "script":
            if "src" not in values:
                self.faults.append("script without src")
            self.loaded.append(values.get("src", ""))
        elif tag == "link":
            self.loaded.append(values["href"])
        elif tag == "img":
            self.faults.append("an image")
        elif tag == "a" and not values.get("href", "").startswith("#"):
            self.links.append(self._join(values.get("href", "")))
        elif tag == "form":
            self.forms.append(Form(values.get("method", "get"), self._join(values.get("action", self.url))))
        elif values.get("type") == "checkbox" and "checked" not in values:
            pass  # it is not sent
        elif tag in ("input", "button", "select") and self.forms and "name" in values:
            self.forms[-1].fields.setdefault(values["name"], values.get("value", ""))
        elif tag == "option" and self.forms:
            last = next(reversed(self.forms[-1].fields), None)
            if last is not None and not self.forms[-1].fields[last]:
                self.forms[-1].fields[last] = values.get("value", "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def find_form(self, ending: str) -> Form:
        """Return the form whose action ends so."""
        return next(form for form in self.forms if urlsplit(form.action).path.endswith(ending))

    def _join(self, address: str) -> str:
        parts = urlsplit(urljoin(self.url, address))
        return f"{parts.path}?{parts.query}" if parts.query else parts.path
