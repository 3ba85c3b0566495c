"""``milliner pack``."""

from collections.abc import Mapping
from pathlib import Path

import click

from milliner.cli.options import Pairs, Place
from milliner.cli.terminal import common_options, console, print_json, print_table, progress, seed_option


@click.command()
@click.argument("folder", type=Place())
@click.option("--into", required=True, type=Place(), help="Folder or URL where the record files are written.")
@click.option("--split", type=Pairs(numbers=True), help="Share of each split.  [default: train=0.7,test=0.3]")
@click.option("--lists", type=Pairs(), help="A given split: train=a.lst,test=b.lst")
@seed_option
@common_options
def pack(
    folder: Path | str,
    into: Path | str,
    split: Mapping[str, float] | None,
    lists: Mapping[str, str] | None,
    seed: int,
    as_json: bool,
) -> None:
    """Check FOLDER/<class>/, split it by class, and pack each split into RecordIO (.rec, .idx, .lst, .labels)."""
    from milliner.curation.pack import pack as write

    if split and lists:
        raise click.UsageError("Give --split or --lists, not both.")
    result = write(folder, into=into, split=split, lists=lists, seed=seed, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    print_table(["shard", "records"], [[str(shard.path), str(shard.records)] for shard in result.shards], numbers=(1,))
    console().print()
    labels = sorted({label for shard in result.shards for label in shard.per_class})
    rows = [[label, *(str(shard.per_class.get(label, 0)) for shard in result.shards)] for label in labels]
    print_table(["class", *(shard.split for shard in result.shards)], rows, numbers=range(1, 1 + len(result.shards)))
    if result.set_aside:
        console().print()
        print_table(["set aside", "reason"], [[row.file, row.reason or ""] for row in result.set_aside])
