"""Text from outside, made safe to show."""

from typing import Final

_PLAIN: Final = {ord("\N{NO-BREAK SPACE}"): " ", ord("\N{NARROW NO-BREAK SPACE}"): " "}


def printable(text: str) -> str:
    """Line breaks, escape sequences and what else a file's name can do to a terminal, spelled out.

    Spaces that do not break, as sentences have them beside numbers, become plain ones.
    """
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text.translate(_PLAIN))
