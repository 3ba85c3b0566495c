"""What interfaces answer, read with suspicion: a field is there and of its kind, or it is None."""

from html.parser import HTMLParser
from typing import Any, Final

MAX_TEXT: Final = 2000
"""Characters of one field; the rest is cut."""


class Fields:
    """A JSON object of unknown content."""

    def __init__(self, value: Any) -> None:
        self._fields: dict[str, Any] = value if isinstance(value, dict) else {}

    def text(self, name: str) -> str | None:
        """A string in one line without tags, None where it is empty."""
        value = self._fields.get(name)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return None
        words = " ".join(_without_tags(str(value)).split())
        return words[:MAX_TEXT] or None

    def number(self, name: str) -> int | None:
        """A whole number."""
        value = self._fields.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def list(self, name: str) -> list[Any]:
        """A list, empty where there is none."""
        value = self._fields.get(name)
        return value if isinstance(value, list) else []

    def object(self, name: str) -> "Fields":
        """An object, empty where there is none."""
        return Fields(self._fields.get(name))

    def texts(self) -> dict[str, str]:
        """Every field that is a string or number, as it is."""
        return {name: str(value) for name, value in self._fields.items() if isinstance(value, str | int)}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def _without_tags(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text
    parser = _Text()
    parser.feed(text[: 8 * MAX_TEXT])
    parser.close()
    return "".join(parser.parts)
