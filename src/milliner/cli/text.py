"""Text from outside, made safe to show."""


def printable(text: str) -> str:
    """Line breaks, escape sequences and what else a file's name can do to a terminal, spelled out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
