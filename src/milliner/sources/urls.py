"""`urls:FILE`: pictures at the addresses that a list names."""

from pathlib import Path
from typing import Final

from milliner.sources.lists import read_list
from milliner.sources.source import Listing, Options


class _Urls:
    name: Final = "urls"
    usage: Final = "urls:FILE (a .csv, .tsv, .jsonl or .parquet list with a column url, or .txt, an address a line)"

    def open(self, argument: str, options: Options) -> Listing:
        path = options.base / Path(argument).expanduser()
        labels = set()
        total = 0
        for wanted in read_list(path, options.label):  # a mistake in the last line is told before the first is fetched
            labels.add(wanted.label)
            total += 1
        return Listing(read_list(path, options.label), total, labels.pop() if len(labels) == 1 else None)


SOURCE: Final = _Urls()
