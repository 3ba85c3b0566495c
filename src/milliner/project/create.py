"""Makes a new project folder."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from milliner.core.errors import SettingsError
from milliner.images.files import write_atomically
from milliner.images.resize import DEFAULT_SIZE
from milliner.project.settings import SETTINGS_NAME
from milliner.sources.label import checked_label

DRAWN: Final = "scenes:200"

_NAMING_PATHS: Final = ("folder", "urls", "video")
"""Kinds of sources whose argument is a file or folder of this machine."""

_TEMPLATE: Final = """\
# A Milliner project. `milliner run` fetches, checks, packs, trains and evaluates what this file describes,
# and skips what is up to date.

name = {name}
seed = 0  # decides the split and the folds; another one also draws other scenes, beside those that are there
{endpoint}
# Where pictures come from; each source names their class itself.
#   "scenes:200"        200 drawn scenes of workers for each of helmet and nohelmet: something to start with
#   "folder:PATH"       a folder that holds a folder of pictures for each class
#   "urls:FILE.csv"     a list with the columns url, label and, if known, sha256
#   "s3://BUCKET/PATH"  a folder of class folders, or an archive, anywhere
# Or keep no source here, and put your own pictures into pictures/<class>/.
sources = {sources}

# A class may have sources of its own, whose pictures all get its name, such as "openverse:safety helmet",
# "commons:Category:Hard hats", "imagenet:n03492922", "openimages:Helmet" or "video:helmets.mp4?every=2". It may name
# the ImageNet class that means the same, so that evaluation can tell what the network knew before training.
{classes}
[fetch]
# contact = "you@example.org"           # for the owners of the servers that are asked
# licenses = ["by", "by-sa", "cc0"]     # only pictures of these licences

[split]
train = 0.7
test = 0.3

[pack]
# group = "creator"    # pictures of one creator stay on one side; also page, source ..., or a regular expression
# resize = 512         # pixels of the shorter side; without it the files are packed as they are

[train]
# backbone = "auto"   # or one of `milliner train --list-backbones`
size = {size}           # pixels a side that the network sees; smaller is faster, larger sees smaller things
# budget = 180        # seconds in which size, pooling and views are chosen by cross-validation; leave size out then
# views = "crops"     # fits the head to the middle of each picture as well
# average_views = true                # and averages answers over both, which takes twice as long
abstain_below = 0.0  # 0.8 would mark pictures whose best probability is under 80 % as doubtful
# abstain_far = 0.005               # marks what is unlike the training pictures; 0 never does
# min_recall = {{ nohelmet = 0.99 }}  # find at least 99 % of these, at the price of false alarms
"""

_EXAMPLE: Final = """#
# [classes.helmet]
# sources = ["folder:~/helmet-photos", "openverse:safety helmet worker"]
# init = "crash helmet"
"""


def new(
    name: str,
    sources: Sequence[str] = (),
    *,
    init: Mapping[str, str] | None = None,
    endpoint: str | None = None,
) -> Path:
    """Makes the folder `name` with a ``milliner.toml`` and a place for pictures; returns the folder.

    Args:
        name: the folder; its last part names the model.
        sources: where pictures come from, their paths relative to the current folder; drawn scenes, so that `run`
            works at once, when left out.
        init: label to the ImageNet class that means it, such as ``{"helmet": "crash helmet"}``.
        endpoint: a mirror that is asked in place of every address's own host.

    Raises:
        SettingsError: the folder holds a project already, its name cannot name a file, or a source names a file or
            folder that is not there.
        FetchError: a label of `init` cannot name a folder.
    """
    folder = Path(name)
    word = folder.resolve().name
    if not re.fullmatch(r"\w[\w.-]{0,63}", word):
        raise SettingsError(f"{word!r} cannot name a project; use letters, digits, dots, dashes and underscores.")
    path = folder / SETTINGS_NAME
    if path.exists():
        raise SettingsError(f"{path} exists already; choose another name, or go into {folder} and `milliner run`.")
    for label in init or {}:
        checked_label(label, "init")
    if not sources:
        sources, init = [DRAWN], init or {"helmet": "crash helmet"}
    named = [_seen_from(folder, source) for source in sources]
    classes = [f"[classes.{_key(label)}]\ninit = {_string(name)}\n" for label, name in (init or {}).items()]
    text = _TEMPLATE.format(
        name=_string(word),
        endpoint=f"endpoint = {_string(endpoint)}\n" if endpoint else "",
        sources="[" + ", ".join(_string(source) for source in named) + "]",
        classes="".join(classes) or _EXAMPLE,
        size=DEFAULT_SIZE,
    )
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return folder


def _seen_from(folder: Path, source: str) -> str:
    """A source as the project's settings must name it, where relative paths begin in the project's folder."""
    kind, _, argument = source.partition(":")
    if kind not in _NAMING_PATHS or "://" in argument:
        return source
    argument, mark, options = argument.partition("?") if kind == "video" else (argument, "", "")
    path = Path(os.path.expanduser(argument))  # noqa: PTH111  # pathlib's raises where there is no such user
    if not argument or not path.exists():
        raise SettingsError(f"There is no {argument or 'path'} for the source {source!r}; check the path.")
    if path.is_absolute():
        return source
    place, root = path.resolve(), folder.resolve()
    # A path inside the project stays relative, so that the project may be moved.
    return f"{kind}:{place.relative_to(root).as_posix() if place.is_relative_to(root) else place}{mark}{options}"


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _string(text)


def _string(text: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
