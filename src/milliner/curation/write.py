"""Writes all splits of a plan, which appear together or not at all."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from milliner.core.errors import DatasetError
from milliner.core.parallel import Spread
from milliner.core.progress import Advance, Progress
from milliner.curation.earlier import remove_earlier
from milliner.curation.encode import results
from milliner.curation.plan import Plan, SetAside
from milliner.curation.recipe import Recipe
from milliner.curation.refusals import Refusals, refusals
from milliner.images.reencode import renamed
from milliner.shards.format import Format, Record, Writer
from milliner.shards.lists import ListLine


@dataclass(frozen=True)
class Shard:
    """A split as it was written."""

    split: str
    path: Path | str
    """What opens it; a pattern where it is several files, and a URL where it was packed into one."""
    records: int
    per_class: Mapping[str, int]


@dataclass(frozen=True)
class Output:
    """Where a plan is written to, and as what."""

    folder: Path
    format: Format
    shard_size: int | None = None
    """Bytes after which a format of many files begins the next one."""
    spare: tuple[Path, ...] = ()
    """Files that stay although packing may have written them once: the lists that were given."""


def write(
    plan: Plan, recipe: Recipe, output: Output, spread: Spread, progress: Progress
) -> tuple[tuple[Shard, ...], tuple[SetAside, ...]]:
    """Writes the splits, going on where a killed run of the same plan has stopped; what was not usable comes second.

    Raises DatasetError where nothing of a split is usable, and UnreadableImageError for a checked file that is gone.
    """
    digest = plan.digest(f"{recipe.fingerprint} {output.shard_size}")
    keys = _keys(plan, recipe)
    total = sum(len(lines) for lines in plan.splits.values())
    with progress("pack", total) as advance, ExitStack() as files:
        # All splits are on the disk before one takes its name: a new train and an old test might share pictures.
        writers = {
            name: files.enter_context(
                output.format.writer(output.folder, name, plan.labels, plan=digest, shard_size=output.shard_size)
            )
            for name in plan.splits
        }
        noted = files.enter_context(refusals(output.folder, digest))
        untouched = recipe.checked and recipe.reencoding is None
        splits = _Splits(keys, recipe, plan.contents if untouched else {}, noted, spread, advance)
        counts = {name: splits.write(name, lines, writers[name]) for name, lines in plan.splits.items()}
        remove_earlier(output.folder, [path for writer in writers.values() for path in writer.files], output.spare)
    shards = (_shard(name, counts[name], writers[name].files, plan.labels) for name in plan.splits)
    return tuple(shards), noted.rows


@dataclass(frozen=True)
class _Splits:
    """Writes one split after the other."""

    keys: Mapping[str, str]
    recipe: Recipe
    sums: Mapping[str, str]
    """The sha256 that each path had when it was checked, of those that are to come untouched."""
    noted: Refusals
    spread: Spread
    advance: Advance

    def write(self, name: str, lines: Sequence[ListLine], writer: Writer) -> Counter[float]:
        """Returns the number of records by their first label."""
        begin = self.noted.behind(lines, writer.done)
        counts = Counter(line.labels[0] for line in lines[:begin] if not self.noted.has(line.path))
        self.advance(begin)
        rest = lines[begin:]
        for line, result in zip(rest, results(self.recipe, [each.path for each in rest], self.spread), strict=True):
            if isinstance(result, SetAside):
                self.noted.add(result)
            elif self._is_another(line.path, result):
                self.noted.add(SetAside(line.path, "changed since it was checked"))
            else:
                writer.add(Record(line.id, line.labels, result, self.keys[line.path]))
                counts[line.labels[0]] += 1
            self.advance()
        if not counts:
            raise DatasetError(f"No picture for {name} is usable; see `milliner check`.")
        writer.sync()
        return counts

    def _is_another(self, path: str, encoded: bytes) -> bool:
        """Disks rot, and some programs change a file and leave its time: check, which trusts it, would not notice."""
        known = self.sums.get(path)
        return known is not None and hashlib.sha256(encoded).hexdigest() != known


def _keys(plan: Plan, recipe: Recipe) -> Mapping[str, str]:
    """The records' keys by the pictures' paths."""
    paths = [line.path for lines in plan.splits.values() for line in lines]
    keys = renamed(paths, recipe.reencoding.format) if recipe.reencoding else paths
    return dict(zip(paths, keys, strict=True))


def _shard(split: str, counts: Counter[float], files: Sequence[Path], labels: Sequence[str]) -> Shard:
    first = files[0]
    path = first if len(files) == 1 else first.with_name(f"{split}-*{first.suffix}")
    per_class = {labels[int(number)] if labels else f"{number:g}": count for number, count in counts.items()}
    return Shard(split, path, counts.total(), dict(sorted(per_class.items())))
