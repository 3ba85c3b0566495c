"""Packs a labelled folder: check, split, and the files of each split."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from milliner.core.address import is_url
from milliner.core.errors import DatasetError, SettingsError
from milliner.core.plugins import find_plugin, find_plugins
from milliner.core.progress import Progress, silent
from milliner.core.seed import check_seed
from milliner.curation.earlier import packed_here
from milliner.curation.engine import engine as engine_of
from milliner.curation.plan import Order, Plan, SetAside
from milliner.curation.recipe import Recipe
from milliner.curation.write import Output, Shard, write
from milliner.images.local_copy import path_of
from milliner.images.published import published
from milliner.images.reencode import Reencoding
from milliner.shards.format import Format


@dataclass(frozen=True)
class PackResult:
    """The written splits, what was left out of them and why, and what a user should know of them."""

    shards: tuple[Shard, ...]
    set_aside: tuple[SetAside, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The `pack --json` shape."""
        return {
            "shards": [
                {"split": s.split, "path": str(s.path), "records": s.records, "per_class": dict(s.per_class)}
                for s in self.shards
            ],
            "set_aside": [{"file": row.file, "reason": row.reason} for row in self.set_aside],
            "notes": list(self.notes),
        }


def pack(
    folder: str | Path,
    *,
    into: str | Path,
    split: Mapping[str, float] | None = None,
    lists: Mapping[str, str | Path] | None = None,
    seed: int = 0,
    group: str | None = None,
    to: str = "recordio",
    shard_size: int | None = None,
    resize: int | None = None,
    quality: int | None = None,
    format: str | None = None,  # noqa: A002 - the name of the option
    center_crop: bool = False,
    check: bool = True,
    quick: bool = False,
    engine: str = "local",
    progress: Progress = silent,
) -> PackResult:
    """Packs ``<folder>/<label>/<file>`` into files named after their splits.

    The pictures' bytes pass through untouched unless `resize`, `quality`, `format` or `center_crop` asks for new ones;
    for the same list the record files equal those of MXNet's ``im2rec --pass-through`` byte for byte.

    A drawn split keeps pictures of one group on one side: near duplicates, frames of one video, and what `group`
    says. It is remembered in the ledger by the pictures' content: pictures that come later never move one that was
    there before, as long as shares, seed and group are the same. Findings and splits go into the folder's ledger; for
    given lists, and where the folder cannot be written to, into one beside the packed files.

    The same input gives the same bytes whatever the number of workers. What fails leaves nothing new; a run that was
    killed is gone on with by the next one like it.

    Args:
        folder: the labelled folder, or its URL, of which a copy is made in the user's cache.
        into: the folder that the packed files are written to, or its URL, to which they are uploaded when all are
            whole; all that was packed there before goes, also splits of other names and formats.
        split: name and share of each split, summing to 1; train 0.7 and test 0.3 when left out.
        lists: name and ``.lst`` file of each split, instead of `split`; their ids and labels are kept.
        seed: decides the split and the order of records.
        group: a column of the ledger (creator, page, provider, source ...), or a regular expression over the pictures'
            paths whose first group, or whole match, says which belong together.
        to: the format: recordio, webdataset, parquet, imagefolder.
        shard_size: bytes after which a format of many files begins the next one.
        resize: pixels of the shorter side, up to 8192.
        quality: 1 to 100, of new jpg and webp files; 95 when left out.
        format: of new files: jpg (when left out), png or webp.
        center_crop: keep the square in the middle of each picture.
        check: look at every picture first. Otherwise they are taken as they are, nothing is remembered, and only
            `group` says which belong together; what is no picture by its first bytes, or cannot be decoded where new
            files are made, is set aside all the same.
        quick: check without the network: of lookalikes only near duplicates that are no crops are found.
        engine: what computes it: local, or ray for several machines.
        progress: told of every picture.

    Raises:
        DatasetError: the folder or a list cannot be used.
        SettingsError: shares, names, seed, group or an option of the new pictures are not what they may be.
    """
    check_seed(seed)
    if lists and group is not None:
        raise SettingsError("Lists say where each picture goes, so there is nothing to group; leave one of them out.")
    if shard_size is not None and shard_size < 1:
        raise SettingsError(f"The size of a shard must be above 0 bytes, not {shard_size}.")
    root = path_of(folder, progress)
    with _published(into, progress) as target:
        _check_apart(root, target)
        order = Order(root, _ledger(root, target, drawn=not lists), check, quick, engine)
        recipe = Recipe(os.fspath(root), _reencoding(resize, quality, format, center_crop), check)
        output = Output(target, _format(to), shard_size, tuple(Path(path) for path in (lists or {}).values()))
        with _nothing_new_on_failure(target, order.ledger), engine_of(engine, [root]) as spread:
            plan = _plan(order, split, lists, seed, group, progress)
            shards, refused = write(plan, recipe, output, spread, progress)
    return PackResult(tuple(_at(into, shard) for shard in shards), (*plan.set_aside, *refused), plan.notes)


def _published(into: str | Path, progress: Progress) -> AbstractContextManager[Path]:
    """The folder to pack into; of a URL one whose files are uploaded in the end."""
    if not is_url(into):
        return nullcontext(Path(into))
    return published(str(into), obsolete=packed_here, progress=progress)


def _at(into: str | Path, shard: Shard) -> Shard:
    return replace(shard, path=f"{into}".rstrip("/") + f"/{Path(shard.path).name}") if is_url(into) else shard


def _plan(
    order: Order,
    split: Mapping[str, float] | None,
    lists: Mapping[str, str | Path] | None,
    seed: int,
    group: str | None,
    progress: Progress,
) -> Plan:
    # Imported here, since a plan from lists alone needs little, and im2rec's users pack small folders often.
    if lists:
        from milliner.curation.given import plan_given

        return plan_given(order, lists, progress)
    from milliner.curation.drawn import plan_drawn
    from milliner.curation.split import DEFAULT_SPLIT

    return plan_drawn(order, split or DEFAULT_SPLIT, seed, group, progress)


def _reencoding(resize: int | None, quality: int | None, name: str | None, center_crop: bool) -> Reencoding | None:
    if resize is None and quality is None and name is None and not center_crop:
        return None
    return Reencoding(resize, quality, name or "jpg", center_crop)


def _format(name: str) -> Format:
    found: Format | None = find_plugin("milliner.shards", "FORMAT", name)
    if found is None:
        known = ", ".join(find_plugins("milliner.shards", "FORMAT"))
        raise SettingsError(f"There is no format {name!r} to pack to; give one of {known}.")
    return found


def _check_apart(root: Path, target: Path) -> None:
    """Packed files inside a class folder, or in what would become one, would be taken for pictures."""
    inside = target.resolve().is_relative_to(root.resolve()) and target.resolve().relative_to(root.resolve()).parts
    if inside and not inside[0].startswith("."):
        raise DatasetError(
            f"{target} lies inside {root}, where it would be taken for a class; pack into another folder."
        )


def _ledger(root: Path, target: Path, drawn: bool) -> Path:
    """The folder's own where it may be written, so that a drawn split is known whatever it is packed into."""
    from milliner.images.ledger import LEDGER_NAME

    own = root / LEDGER_NAME
    writable = os.access(root, os.W_OK) and (os.access(own, os.W_OK) if own.exists() else drawn)
    return own if writable else target / LEDGER_NAME


@contextmanager
def _nothing_new_on_failure(target: Path, ledger: Path) -> Iterator[None]:
    """Takes away a new ledger and new folders where packing fails; who interrupts it keeps what was found."""
    folders = [folder for folder in (target, *target.parents) if not folder.exists()]
    files = [] if ledger.exists() else [ledger.with_name(f"{ledger.name}{end}") for end in ("", "-wal", "-shm")]
    try:
        yield
    except Exception:
        with suppress(OSError):  # what failed is to be told, not this
            for file in files:
                file.unlink(missing_ok=True)
            for folder in folders:
                folder.rmdir()
        raise
