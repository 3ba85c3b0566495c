"""Keys and tokens of the sources' owners: from the settings or the environment, never written anywhere."""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SECRETS: Final = {
    "imagenet_cookie": "MILLINER_IMAGENET_COOKIE",
    "imagenet_token": "MILLINER_IMAGENET_TOKEN",
    "openverse_client_id": "MILLINER_OPENVERSE_CLIENT_ID",
    "openverse_client_secret": "MILLINER_OPENVERSE_CLIENT_SECRET",
    "openverse_token": "MILLINER_OPENVERSE_TOKEN",
}
"""The environment variable of each."""

_LOGIN: Final = re.compile(r"://([^/?#\s]*@|[^/?#\s:@\[\]]*:(?!\d*([/?#\s]|$))\S*@)")


_KEY: Final = re.compile(
    r"([?&](?:user\w*|usr|login|pass\w*|pwd|token|secret|sig\w*|key|api_?key|access_?\w*|auth\w*|x-amz-[\w-]+)=)[^&#\s]*",
    re.IGNORECASE,
)


def without_user(address: str) -> str:
    """An address without user name and password; the rest, which may be what tells it from others, stays."""
    return _LOGIN.sub("://", address) if "@" in address else address


def without_login(text: str) -> str:
    """An address, or what speaks of one, as it may be shown: without user names, passwords, tokens and signatures.

    Also where the password has signs that do not belong into an address.
    """
    return _KEY.sub(r"\1…", _LOGIN.sub("://", text))


def secrets_of(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """The given ones, and those of the environment where they are not given."""
    found = {name: os.environ[variable] for name, variable in SECRETS.items() if os.environ.get(variable)}
    return MappingProxyType({name: value.strip() for name, value in (found | dict(given or {})).items()})
