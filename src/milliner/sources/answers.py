"""What interfaces answer, read with suspicion: a field is there and of its kind, or it is None."""

import re
from html.parser import HTMLParser
from typing import Any, Final

MAX_TEXT: Final = 2000
"""Characters of one field; the rest is cut."""

MAX_NUMBER: Final = 2**53
"""Beyond which JSON's numbers are not exact."""

_ADDRESS: Final = re.compile(rf"https?://[^\s\x00-\x1f\ud800-\udfff]{{1,{4 * MAX_TEXT}}}", re.IGNORECASE)
_HIDDEN: Final = ("script", "style")
_INLINE: Final = ("a", "abbr", "b", "bdi", "em", "font", "i", "small", "span", "strong", "sub", "sup", "u")


class Fields:
    """A JSON object of unknown content."""

    def __init__(self, value: Any) -> None:
        self._fields: dict[str, Any] = value if isinstance(value, dict) else {}

    def text(self, name: str) -> str | None:
        """A string or number in one line, None where it is empty."""
        return _in_one_line(self._string(name))

    def html(self, name: str) -> str | None:
        """The same of a string that is written in HTML, without its tags."""
        return _in_one_line(_without_tags(self._string(name)))

    def address(self, name: str) -> str | None:
        """An http address, letter by letter as it is; None where it is none or absurdly long."""
        value = self._fields.get(name)
        return value if isinstance(value, str) and _ADDRESS.fullmatch(value) else None

    def number(self, name: str) -> int | None:
        """A whole number."""
        value = self._fields.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def decimal(self, name: str) -> float | None:
        """A number of any kind that is at least 0."""
        value = self._fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if 0 <= value < MAX_NUMBER else None

    def flag(self, name: str) -> bool:
        """Whether a field is there and true."""
        return self._fields.get(name) is True

    def list(self, name: str) -> list[Any]:
        """A list, empty where there is none."""
        value = self._fields.get(name)
        return value if isinstance(value, list) else []

    def object(self, name: str) -> "Fields":
        """An object, empty where there is none."""
        return Fields(self._fields.get(name))

    def _string(self, name: str) -> str:
        value = self._fields.get(name)
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        return storable(str(value)[: 8 * MAX_TEXT]) if plain else ""

    def texts(self) -> dict[str, str]:
        """Every field that is a short string or a number, as it is."""
        found = {name: storable(str(value)) for name, value in self._fields.items() if isinstance(value, str | int)}
        return {name: value for name, value in found.items() if len(value) <= MAX_TEXT}


def storable(text: str) -> str:
    """Text without the halves of characters that JSON allows and no file or database does."""
    return text.encode(errors="replace").decode()


def _in_one_line(text: str) -> str | None:
    return " ".join(text.split())[:MAX_TEXT] or None


class _Text(HTMLParser):
    """The words between tags, apart where a tag begins or ends a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden = tag in _HIDDEN
        self.parts += [] if tag in _INLINE else [" "]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False
        self.parts += [] if tag in _INLINE else [" "]

    def handle_data(self, data: str) -> None:
        self.parts += [] if self._hidden else [data]


def _without_tags(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text
    parser = _Text()
    parser.feed(text.replace("<![", "&lt;!["))  # at which the parser would give up
    parser.close()
    return "".join(parser.parts)
