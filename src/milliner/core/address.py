"""Addresses as people write them: which text is one, and how one may be shown."""

import re
from typing import Final

_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")  # two letters at least: C:// is a disk

_LOGIN: Final = re.compile(r"://([^/?#\s]*@|[^/?#\s:@\[\]]*:(?!\d*([/?#\s]|$))\S*@)")


_KEY: Final = re.compile(
    r"([?&](?:user\w*|usr|login|pass\w*|pwd|token|secret|sig\w*|key|api_?key|access_?\w*|auth\w*|x-amz-[\w-]+)=)[^&#\s]*",
    re.IGNORECASE,
)


def is_url(text: object) -> bool:
    """Whether this is an address with a scheme, such as ``s3://bucket/train.rec``, and not a path of this machine."""
    return isinstance(text, str) and _SCHEME.match(text) is not None


def without_user(address: str) -> str:
    """An address without user name and password; the rest, which may be what tells it from others, stays."""
    return _LOGIN.sub("://", address) if "@" in address else address


def without_login(text: str) -> str:
    """An address, or what speaks of one, as it may be shown: without user names, passwords, tokens and signatures.

    Also where the password has signs that do not belong into an address.
    """
    return _KEY.sub(r"\1…", _LOGIN.sub("://", text))
