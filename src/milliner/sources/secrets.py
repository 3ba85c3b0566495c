"""Keys and tokens of the sources' owners: from the settings or the environment, never written anywhere."""

import os
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


def secrets_of(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """The given ones, and those of the environment where they are not given."""
    found = {name: os.environ[variable] for name, variable in SECRETS.items() if os.environ.get(variable)}
    return MappingProxyType({name: value.strip() for name, value in (found | dict(given or {})).items()})
