"""Which of a ledger's verdicts on pictures still hold: those on the file alone, and those on its twins."""

from dataclasses import replace
from pathlib import Path

from milliner.images.inspect import RULES
from milliner.images.ledger import PictureRow


def stands(row: PictureRow, path: Path) -> bool:
    """Whether a row still tells of its file: neither the file nor the rules have changed."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return (row.bytes, row.modified_ns, row.rules) == (facts.st_size, facts.st_mtime_ns, RULES)


def set_twins_aside(rows: list[PictureRow]) -> list[PictureRow]:
    """Judges equality anew over all of a folder's rows, since a twin may have come or gone since a row was written."""
    alone = [_without_twin(row) for row in rows]
    twins: dict[str, list[PictureRow]] = {}
    for row in alone:
        if row.status == "kept" and row.sha256:
            twins.setdefault(row.sha256, []).append(row)
    return [_judge(row, twins.get(row.sha256 or "", [row])) for row in alone]


def _without_twin(row: PictureRow) -> PictureRow:
    if row.reason and row.reason.startswith("equals "):
        return replace(row, status="kept", reason=None)
    return row


def _judge(row: PictureRow, twins: list[PictureRow]) -> PictureRow:
    if row.status == "set aside" or len(twins) == 1:
        return row
    other = next((twin for twin in twins if twin.label != row.label), twins[0])
    if other.label != row.label:
        return replace(row, status="set aside", reason=f"equals {other.file} of another class")
    return row if other is row else replace(row, status="set aside", reason=f"equals {other.file}")
