"""Under which licences pictures are, where the ledger beside them tells."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from milliner.core.sample import Dataset
from milliner.images.folder import FolderDataset
from milliner.images.ledger import LEDGER_NAME, FetchRow, Ledger

NOT_STATED = "not stated"


def licences_of(dataset: Dataset, keys: Iterable[str]) -> Mapping[str, int]:
    """Licences of the pictures with these keys, with how many have each; empty where there is no ledger."""
    ledger = Path(dataset.name, LEDGER_NAME)
    if not isinstance(dataset, FolderDataset) or not ledger.is_file():
        return {}
    with Ledger.read(ledger) as book:
        known = {row.file: _licence(row) for row in book.fetched() if row.file}
    return Counter(known.get(key, NOT_STATED) for key in keys) if known else {}


def _licence(row: FetchRow) -> str:
    return " ".join(part for part in (row.licence or NOT_STATED, row.licence_version) if part)
