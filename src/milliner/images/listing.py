"""Which files of a store make up the dataset that an address names."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from milliner.core.errors import DatasetError
from milliner.images.ledger import LEDGER_NAME
from milliner.images.remote import RemoteFile, in_one_sentence, on_the_web

COMPANIONS: Final = (".idx", ".lst", ".labels", ".sums")
"""Endings of what may lie beside a packed file."""

RECORDS_NAME: Final = ".records.jsonl"
"""The one hidden file that belongs to a dataset: the list of records in a folder that was packed as pictures."""

_MAX_FILES: Final = 10**7
_ASKED_AT_ONCE: Final = 16
_ASKED_ALONE: Final = 8  # files of a folder; for more it is listed
_SIGNS: Final = re.compile(r"[*?\[{]")
_SIGNS_ON_THE_WEB: Final = re.compile(r"[*{]")  # the others have a meaning of their own in a web address
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Found:
    """A dataset's files by their paths below one folder, and its own path there: a file, a pattern or a folder."""

    files: Mapping[str, RemoteFile]
    name: str


def find(system: Any, path: str, address: str) -> Found:
    """Lists a packed file with what lies beside it, the files of a pattern, or all visible files of a folder.

    Raises DatasetError where there are none, or one has a name that cannot be kept here.
    """
    with in_one_sentence(address):
        system.invalidate_cache()
        try:
            found = _pattern(system, path) if _pattern_in(path) else _file_or_folder(system, path)
        except FileNotFoundError as error:
            if on_the_web(path) and error.__cause__:  # whatever a server or the way to it does ends up as this
                raise error.__cause__ from error
            raise DatasetError(f"There is no {address}; check the address.") from error
    if not found.files:
        raise DatasetError(f"There is nothing at {address}; check the address.")
    if len(found.files) > _MAX_FILES:
        raise DatasetError(f"{address} has over {_MAX_FILES} files; pack them, or give a folder inside it.")
    for name in found.files:
        if not _keepable(name):
            raise DatasetError(f"{address} has a file named {name!r}, which cannot be kept here; rename it there.")
    return found


def expand_braces(pattern: str) -> Iterator[str]:
    """``a-{000..011}.tar`` and ``{a,b}.tar`` as a shell reads them; raises DatasetError above ten million."""
    counts = 1
    for inside in _BRACES.findall(pattern):
        counts *= len(_choices(inside))
        if counts > _MAX_FILES:
            raise DatasetError(f"{pattern} stands for over {_MAX_FILES} files; give fewer.")
    yield from _expanded(pattern)


def _expanded(pattern: str) -> Iterator[str]:
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for choice in _choices(braces[1]):
        for rest in _expanded(pattern[braces.end() :]):
            yield f"{pattern[: braces.start()]}{choice}{rest}"


class _Numbers:
    """The numbers of ``{000..011}``, as wide as they are written; not one by one until they are asked for."""

    def __init__(self, first: str, last: str) -> None:
        self._numbers = range(int(first), int(last) + 1)
        self._width = len(first) if first.startswith("0") or len(first) == len(last) else 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        return (f"{number:0{self._width}}" for number in self._numbers)


def _choices(inside: str) -> "list[str] | _Numbers":
    numbers = _RANGE.fullmatch(inside)
    return _Numbers(numbers[1][-18:], numbers[2][-18:]) if numbers else inside.split(",")


def _pattern_in(path: str) -> "re.Match[str] | None":
    return _SIGNS_ON_THE_WEB.search(path.partition("?")[0]) if on_the_web(path) else _SIGNS.search(path)


def _pattern(system: Any, path: str) -> Found:
    sign = _pattern_in(path)
    folder = path[: sign.start() if sign else None].rpartition("/")[0]
    files: dict[str, RemoteFile] = {}
    exact: list[str] = []
    for each in expand_braces(path):
        if _pattern_in(each):
            found = system.glob(each, detail=True).values()
            files |= {_below(folder, info["name"]): RemoteFile.of(info) for info in found if info["type"] == "file"}
        else:
            exact.append(each)
    files |= _ask(system, folder, exact)
    split = path[len(folder) + 1 : sign.start() if sign else None].rstrip("-_.")
    stems = dict.fromkeys([*([split] if split else []), *(str(PurePosixPath(name).with_suffix("")) for name in files)])
    names = [f"{folder}/{stem}{ending}" for stem in stems for ending in COMPANIONS]
    beside = _ask(system, folder, names, optional=True)
    return Found({**beside, **files} if files else {}, path[len(folder) :].lstrip("/"))


def _file_or_folder(system: Any, path: str) -> Found:
    bare = path.partition("?")[0] if on_the_web(path) else path.rstrip("/")
    folder, _, name = bare.rpartition("/")
    info = system.info(path)
    if info["type"] != "file":
        return Found(_below_folder(system, path.rstrip("/"), name), name or "files")
    beside: Mapping[str, RemoteFile] = {}
    if path == bare:  # a signature in an address is good for one file alone
        stem = bare.removesuffix(PurePosixPath(name).suffix)
        split = re.sub(r"[-_.]\d+$", "", stem)
        names = dict.fromkeys(f"{start}{ending}" for start in (stem, split) for ending in COMPANIONS)
        beside = _ask(system, folder, [each for each in names if each != bare], optional=True)
    return Found({**beside, name: RemoteFile.of(info)}, name)


def _below_folder(system: Any, path: str, name: str) -> dict[str, RemoteFile]:
    """Everything visible, but for the ledger: what it says is of the files as they lie there."""
    found = system.find(path, detail=True).items()
    files = {_below(path, each): RemoteFile.of(info) for each, info in found if info["type"] == "file"}
    return {f"{name or 'files'}/{each}": file for each, file in files.items() if belongs(each)}


def belongs(name: str) -> bool:
    """Whether a folder's file belongs to its dataset: all visible ones but ledgers do, and `RECORDS_NAME`."""
    *folders, last = name.split("/")
    visible = not any(part.startswith(".") for part in folders) and (last == RECORDS_NAME or not last.startswith("."))
    return visible and not last.startswith(LEDGER_NAME) and last != ""


def _below(folder: str, path: str) -> str:
    return path.removeprefix(folder).lstrip("/")


def _ask(system: Any, folder: str, paths: list[str], *, optional: bool = False) -> dict[str, RemoteFile]:
    """Files by their names below the folder; raises FileNotFoundError for what is not `optional`."""

    def ask(path: str) -> RemoteFile | None:
        try:
            return RemoteFile.of(system.info(path))
        except FileNotFoundError:
            if optional:
                return None
            raise
        except Exception:
            if optional and on_the_web(path):  # servers refuse what is not there in many ways
                return None
            raise

    if not paths:
        return {}
    if len(paths) > _ASKED_ALONE and not on_the_web(folder) and all("/" not in _below(folder, path) for path in paths):
        listed = {_below(folder, info["name"]): RemoteFile.of(info) for info in system.ls(folder, detail=True)}
        found = {name: listed[name] for name in (_below(folder, path) for path in paths) if name in listed}
        if not optional and len(found) < len(paths):
            raise FileNotFoundError(folder)
        return found
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        answers = zip(paths, pool.map(ask, paths), strict=True)
        return {_below(folder, path): file for path, file in answers if file is not None}


def _keepable(name: str) -> bool:
    """Whether a name from elsewhere is one of a file below a folder here, on any system."""
    parts = name.split("/")
    inside = all(part not in ("", ".", "..") for part in parts) and "\0" not in name and "\\" not in name
    return inside and not PureWindowsPath(name).drive
