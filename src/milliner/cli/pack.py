"""``milliner pack``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from milliner.cli.options import Pairs, Place, Size
from milliner.cli.terminal import common_options, console, engine_option, print_json, print_table, progress, seed_option
from milliner.cli.text import printable

if TYPE_CHECKING:
    from milliner.curation.pack import PackResult


@click.command()
@click.argument("folder", type=Place())
@click.option("--into", required=True, type=Place(), help="Folder or URL where the packed files are written.")
@click.option("--split", type=Pairs(numbers=True), help="Share of each split.  [default: train=0.7,test=0.3]")
@click.option("--lists", type=Pairs(), help="A given split: train=a.lst,test=b.lst")
@click.option(
    "--group",
    help="What else stays on one side: a column of the ledger (creator, page, source, ...), or a regular expression "
    r"over the pictures' paths, such as '([^/]+)\.rf\.'",
)
@click.option(
    "--to",
    default="recordio",
    show_default=True,
    help="recordio (.rec, .idx, .lst, .labels), webdataset (.tar), parquet or imagefolder.",
)
@click.option("--shard-size", type=Size(), help="Begin the next file after so many bytes: 500MB. Not for recordio.")
@click.option("--resize", type=click.IntRange(1, 8192), help="Pixels of the shorter side; pictures are made anew.")
@click.option("--quality", type=click.IntRange(1, 100), help="Of new jpg and webp files.  [default: 95]")
@click.option("--format", type=click.Choice(["jpg", "png", "webp"]), help="Of new files.  [default: jpg]")
@click.option("--center-crop", is_flag=True, help="Keep the square in the middle of each picture.")
@click.option(
    "--check/--no-check",
    default=True,
    help="Look at every picture first; without, take them as they are and remember no split.  [default: check]",
)
@click.option("--quick", is_flag=True, help="Check without the network, which finds near duplicates.")
@engine_option
@seed_option
@common_options
def pack(
    folder: Path | str,
    into: Path | str,
    split: Mapping[str, float] | None,
    lists: Mapping[str, str] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Check FOLDER/<class>/, split it by class and group, and pack each split.

    The pictures' bytes pass through untouched unless --resize, --quality, --format or --center-crop asks for new ones.
    A split is remembered: pictures that are added later never move another one.
    """
    from milliner.curation.pack import pack as write

    if split and lists:
        raise click.UsageError("Give --split or --lists, not both.")
    if lists and options["group"]:
        raise click.UsageError("Give --group or --lists, not both.")
    result = write(folder, into=into, split=split, lists=lists, progress=progress, **options)
    if as_json:
        print_json(result.to_json())
    else:
        _show(result)


def _show(result: "PackResult") -> None:
    print_table(["shard", "records"], [[str(shard.path), str(shard.records)] for shard in result.shards], numbers=(1,))
    console().print()
    labels = sorted({label for shard in result.shards for label in shard.per_class})
    rows = [[label, *(str(shard.per_class.get(label, 0)) for shard in result.shards)] for label in labels]
    print_table(["class", *(shard.split for shard in result.shards)], rows, numbers=range(1, 1 + len(result.shards)))
    if result.set_aside:
        console().print()
        print_table(["set aside", "reason"], [[row.file, row.reason] for row in result.set_aside])
    for note in result.notes:
        console().print()
        console().print(printable(note), style="dim", markup=False)
