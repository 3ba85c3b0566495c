"""Saves the whole samples of a damaged tar."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from milliner.core.errors import DatasetError
from milliner.core.progress import Advance, Progress
from milliner.images.files import atomic_file, write_atomically
from milliner.shards.classes import LABELS_SUFFIX, names_text
from milliner.shards.format import Damage
from milliner.shards.glance import undecodable
from milliner.shards.parts import sums_beside
from milliner.shards.repair import Repaired
from milliner.shards.sample_writer import SampleWriter
from milliner.shards.samples import Samples, Span
from milliner.shards.sums import SUFFIX, Sums
from milliner.shards.tars import names_beside, split_of


@dataclass(frozen=True)
class _Whole:
    """A sample that is as it was written."""

    start: int
    end: int
    label: float
    key: str


def repair(path: Path, *, into: Path, progress: Progress) -> Repaired:
    """Copies every whole sample of `path` into the tar `into`; raises DatasetError where there is none.

    With checksums beside it a sample is whole where its bytes are as they were written, wherever they lie now;
    without, where its members hold together and its picture can be decoded.
    """
    samples = Samples(path)
    sums, _ = sums_beside(path)
    lost: list[Damage] = []
    with progress("repair", len(samples.content)) as advance:
        found = list(_by_sums(samples, sums, lost, advance) if sums else _by_looks(samples, lost, advance))
    if not found:
        raise DatasetError(f"Nothing in {path} can be saved; restore it from a copy or pack it again.")
    names, labels = names_beside(path, sums), into.with_name(split_of(into) + LABELS_SUFFIX)
    with atomic_file(into) as file:
        writer = SampleWriter(file, names)
        for whole in found:
            samples.touch(whole.end - whole.start)
            cut = bytes(max(0, whole.end - len(samples.content)))  # zeros behind the last content that went missing
            writer.add([samples.content[whole.start : whole.end], cut], whole.label, whole.key)
        if names:
            write_atomically(labels, names_text(names))
        writer.finish(into.with_suffix(SUFFIX), into.name, labels.name)
    return Repaired(len(found), tuple(lost), (into,))


def _by_sums(samples: Samples, sums: Sums, lost: list[Damage], advance: Advance) -> Iterator[_Whole]:
    """The samples in their order; those that are not where they were are looked for in the whole tar."""
    moved: dict[tuple[int, int], tuple[int, int]] | None = None
    for index in range(len(sums)):
        position, size, crc, label = sums.row(index)
        key, place = sums.key(index), position
        if not samples.fits(position, size, crc):
            moved = _moved(samples) if moved is None else moved
            place, _ = moved.get((size, crc), (-1, 0))
        advance(size)
        if place >= 0:
            yield _Whole(place, place + size, label, key)
        else:
            lost.append(Damage(samples.path, position, key, "the sample is not as it was written"))


def _moved(samples: Samples) -> dict[tuple[int, int], tuple[int, int]]:
    """Every sample that can be made out, by its size and CRC-32."""
    spans = [span for span in candidates(samples) if span.members]
    return {(span.end - span.start, samples.crc32(span.start, span.end)): (span.start, span.end) for span in spans}


def _by_looks(samples: Samples, lost: list[Damage], advance: Advance) -> Iterator[_Whole]:
    spans = list(candidates(samples))
    ours = sum("json" in span.members and samples.is_described(span) for span in spans) * 2 > len(spans)
    seen: defaultdict[str, int] = defaultdict(int)
    for number, span in enumerate(spans):
        what = _fault(samples, span, number, ours) or ("it comes a second time" if seen[span.key] else "")
        advance(span.end - span.start)
        if what:
            lost.append(Damage(samples.path, span.start, samples.record_key(span), what))
            continue
        seen[span.key] += 1
        yield _Whole(span.start, span.end, samples.first_label(span), samples.record_key(span))


def _fault(samples: Samples, span: Span, number: int, ours: bool) -> str:
    """Why a sample without a checksum is not kept; empty where it is."""
    if not span.members:
        return "there is no sample where one must be"
    try:
        record = samples.record(span, number)
        if ours and not samples.is_described(span):
            return "its json member is missing or damaged"
        return undecodable(record.encoded)
    except DatasetError as error:
        return str(error)


def candidates(samples: Samples) -> Iterator[Span]:
    """Everything that looks like a sample; from a damaged place to the next header there is one without members."""
    place, size = 0, len(samples.content)
    while place < size:
        span = samples.as_far_as_whole(place)
        if span is None:
            start = samples.next_header(place + 1)
            if any(samples.content[place:start]):
                yield Span("", place, start)
            place = start
        else:
            yield span
            place = span.end
