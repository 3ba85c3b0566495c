"""``milliner check``."""

from pathlib import Path

import click

from milliner.cli.options import Place
from milliner.cli.terminal import common_options, console, engine_option, print_json, print_table, progress


@click.command()
@click.argument("folder", type=Place())
@engine_option
@common_options
def check(folder: Path | str, engine: str, as_json: bool) -> None:
    """Look at every picture of FOLDER/<class>/ and set aside what would spoil training.

    Undecodable, tiny, blank and exactly duplicate files are noted in FOLDER/ledger.sqlite with the reason; nothing
    is moved or deleted. Only files that are new or have changed are opened.
    """
    from milliner.curation.check import check as look

    result = look(folder, engine=engine, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    if result.set_aside:
        print_table(["set aside", "reason"], [[row.file, row.reason or ""] for row in result.set_aside])
        console().print()
    kept = result.to_json()["kept"]
    print_table(["class", "kept"], [[label, str(count)] for label, count in kept.items()], numbers=(1,))
    summary = f"{len(result.kept)} kept, {len(result.set_aside)} set aside, {result.looked_at} looked at just now"
    console().print(summary, style="dim")
