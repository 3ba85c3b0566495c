"""``milliner fetch``."""

from collections.abc import Mapping
from pathlib import Path

import click

from milliner.cli.terminal import common_options, console, print_json, print_table, progress, seed_option


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The folder of class folders to fill.")
@click.option("--label", help="The class of all pictures, where the source does not say it.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many pictures of each class.")
@click.option("--endpoint", metavar="URL", help="Ask this mirror in place of every address's own host.")
@seed_option
@common_options
def fetch(
    sources: tuple[str, ...],
    into: Path,
    label: str | None,
    limit: int | None,
    endpoint: str | None,
    seed: int,
    as_json: bool,
) -> None:
    r"""Bring pictures from each SOURCE into a folder of class folders, with a ledger of where each came from.

    \b
    urls:FILE.csv   columns url, label, sha256 (or FILE.txt: an address a line, with --label)
    folder:PATH     a folder of class folders (or of pictures, with --label)
    scenes:N        N drawn scenes of workers with, and N without a helmet

    What is there already is not asked for again.
    """
    from milliner.sources.fetch import fetch as acquire

    result = acquire(sources, into=into, label=label, limit=limit, endpoint=endpoint, seed=seed, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    rows = [
        [row.source, row.label, str(row.stored), str(row.already), _reasons(row.rejected), _reasons(row.failed)]
        for row in result.classes
    ]
    print_table(["source", "class", "stored", "already", "rejected", "failed"], rows, numbers=(2, 3))
    console().print(f"{sum(row.bytes for row in result.classes) / 1e6:.1f} MB in {result.seconds:.1f} s", style="dim")


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "0"
