"""``milliner shards``: looking into packed files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from milliner.cli.options import Place, Size
from milliner.cli.terminal import common_options, console, print_json, print_table, progress
from milliner.cli.text import printable

if TYPE_CHECKING:
    from milliner.shards.format import Damage


@click.group()
def shards() -> None:
    """Look into packed files: list what is in them, verify, repair and convert them.

    FILES is a .rec, .tar or .parquet file, a pattern in quotes such as 'train-*.tar' or
    'train-{000000..000003}.tar', or the folder of an imagefolder split. Each command takes --json and --debug.
    """


@shards.command("ls")
@click.argument("files")
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many keys are shown.")
@common_options
def ls(files: str, limit: int, as_json: bool) -> None:
    """List what is in packed FILES: records, bytes, classes and the first keys."""
    from milliner.shards.look import look

    found = look(files, limit=limit, progress=progress)
    if as_json:
        print_json(found.to_json())
        return
    print_table(["file", "bytes"], [[str(path), f"{size:,}"] for path, size in found.files.items()], numbers=(1,))
    console().print()
    rows = [[label, f"{count:,}"] for label, count in found.classes.items()]
    print_table(["class", "records"], [*rows, ["all", f"{found.records:,}"]], numbers=(1,))
    if found.keys:
        console().print()
        print_table([f"first {len(found.keys)} keys"], [[key] for key in found.keys])


@shards.command()
@click.argument("files", nargs=-1, required=True)
@common_options
def verify(files: tuple[str, ...], as_json: bool) -> None:
    """Compare every record of packed FILES with the checksums that were written with it.

    Exits 1 where something is damaged, and says in which file, in which record and at which byte.
    """
    from milliner.core.errors import DatasetError
    from milliner.shards.verify import verify as compare

    found = compare(files, progress=progress)
    if as_json:
        print_json(found.to_json())
    elif found.damage:
        rows = [[str(item.file), str(item.offset), item.record, item.what] for item in found.damage]
        print_table(["damaged file", "byte", "record", "what"], rows, numbers=(1,))
    else:
        looked = "can be decoded" if found.unchecked else "are as they were written"
        console().print(f"{found.records:,} records, which all {looked}", style="dim")
    for path in found.unchecked:
        click.echo(
            f"{printable(str(path))} has no checksums; a picture that is damaged but decodes is not found.", err=True
        )
    if found.damage:
        raise DatasetError(found.advice)


@shards.command()
@click.argument("file", type=Place())
@click.option("--into", required=True, type=Place(), help="The folder of the new files.")
@common_options
def repair(file: Path | str, into: Path | str, as_json: bool) -> None:
    """Write every whole record of the damaged FILE (.rec or .tar) into a new file; FILE itself stays as it is."""
    from milliner.shards.repair import repair as salvage

    repaired = salvage(file, into=into, progress=progress)
    if as_json:
        lost = [_described(item) for item in repaired.lost]
        print_json({"kept": repaired.kept, "lost": lost, "files": [str(path) for path in repaired.files]})
        return
    if repaired.lost:
        rows = [[str(item.offset), item.record, item.what] for item in repaired.lost]
        print_table(["lost at byte", "record", "what"], rows, numbers=(0,))
        console().print()
    print_table(["new file", "records"], [[str(path), f"{repaired.kept:,}"] for path in repaired.files], numbers=(1,))


@shards.command()
@click.argument("source")
@click.option("--into", required=True, type=Place(), help="The folder of the new files, or its URL.")
@click.option(
    "--to", required=True, type=click.Choice(["recordio", "webdataset", "parquet", "imagefolder"]), help="The format."
)
@click.option("--split", help="What the new files are named after.  [default: as SOURCE]")
@click.option("--shard-size", type=Size(), help="When to begin the next .tar or .parquet.  [default: 256MB]")
@common_options
def convert(source: str, into: Path | str, to: str, split: str | None, shard_size: int | None, as_json: bool) -> None:
    """Write SOURCE, packed files or a folder of class folders, in another format, without loss."""
    from milliner.shards.convert import convert as rewrite

    converted = rewrite(source, into=into, to=to, split=split, shard_size=shard_size, progress=progress)
    if as_json:
        print_json(converted.to_json())
        return
    print_table(["new file"], [[str(path)] for path in converted.files])
    resumed = f", {converted.resumed:,} of them by an earlier run" if converted.resumed else ""
    console().print(f"{converted.records:,} records{resumed}", style="dim")


def _described(item: "Damage") -> dict[str, Any]:
    return {"file": str(item.file), "offset": item.offset, "record": item.record, "what": item.what}
