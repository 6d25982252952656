"""The text of a page."""

from html.parser import HTMLParser
from pathlib import Path


class Words(HTMLParser):
    """The text a reader sees, and every tag and address."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags = [""]
        self.addresses: list[str] = []
        self.parts: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))
        self.text = " ".join("".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.parts.append(" " if tag in ("p", "div", "td", "h2", "h3", "li", "figcaption") else "")
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_data(self, data: str) -> None:
        self.parts.append(data if self.tags[-1] != "style" else "")
