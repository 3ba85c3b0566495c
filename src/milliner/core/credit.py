"""Whose a picture is, and under which licence: what has to be said wherever it is used."""

import re
from dataclasses import dataclass
from typing import Final

LICENCES: Final = ("cc0", "pdm", "by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")
"""The codes that licences are known by: Creative Commons' own, and `pdm` for the public domain."""

_FREE_OF_CREDIT: Final = ("cc0", "pdm")
_VERSION: Final = re.compile(r"\b([1-4]\.[0-9])\b")
_CODE: Final = re.compile(r"\bby((?:-(?:nc|sa|nd))*)\b")
_NAMES: Final = {
    "creative-commons": "cc",
    "attribution": "by",
    "non-commercial": "nc",
    "noncommercial": "nc",
    "share-alike": "sa",
    "sharealike": "sa",
    "no-derivatives": "nd",
    "no-derivs": "nd",
    "noderivatives": "nd",
    "noderivs": "nd",
}
"""What the letters of Creative Commons' licences stand for, as it is spelled."""
_CC: Final = re.compile(r"\bcc-|creativecommons\.org-licen[sc]es-")
_BARE: Final = re.compile(r"by(-(nc|sa|nd))*(-[1-4]\.[0-9])?")
_PUBLIC: Final = re.compile(r"(cc-)?(pdm|pd|public-domain)(-[a-z]*mark)?(-1\.0)?|pd-.*|.*publicdomain-mark.*")


@dataclass(frozen=True)
class Credit:
    """What a source tells of a picture's origin; every part may be unknown."""

    licence: str | None = None
    """One of `LICENCES`, or the source's own words where they are none of them."""
    licence_version: str | None = None
    licence_url: str | None = None
    creator: str | None = None
    attribution: str | None = None
    """The sentence that the source asks to be printed."""
    title: str | None = None
    page: str | None = None
    """The address of the page that shows the picture."""
    provider: str | None = None
    """Who has it, where that is not who was asked."""

    @property
    def needed(self) -> bool:
        """Whether the licence asks for credit; a licence that is not known is taken to."""
        return self.licence not in _FREE_OF_CREDIT


UNKNOWN: Final = Credit()


def parse_licence(text: str) -> tuple[str | None, str | None]:
    """A licence's code and version from its name or address: ``CC BY-SA 4.0``, ``https://…/licenses/by/2.0/``, ``cc0``.

    Text that names none of `LICENCES` comes back as it is; empty text as (None, None).
    """
    plain = re.sub(r"[\s_/-]+", "-", text.strip().lower())
    bare = _BARE.fullmatch(plain)
    for name, letters in _NAMES.items():
        plain = re.sub(rf"\b{name}\b", letters, plain)
    version = _VERSION.search(plain)
    number = version.group(1) if version else None
    if "cc0" in plain or "cc-zero" in plain or "publicdomain-zero" in plain:
        return "cc0", number
    if _PUBLIC.fullmatch(plain):
        return "pdm", number
    code = _CODE.search(plain)
    if code and (bare or _CC.search(plain)):
        parts = code.group(1).split("-")
        known = "-".join(["by", *(part for part in ("nc", "sa", "nd") if part in parts)])
        if known in LICENCES:  # a licence cannot both ask for the same licence and forbid changes
            return known, number
    return text.strip() or None, None
