"""``milliner fetch``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from milliner.cli.terminal import common_options, console, print_json, print_table, progress, seed_option
from milliner.cli.text import printable

if TYPE_CHECKING:
    from milliner.sources.result import FetchResult


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1)
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The folder of class folders to fill.")
@click.option("--label", help="The class of all pictures, where the source does not say it.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many pictures in each class folder.")
@click.option("--licenses", metavar="CODES", help="Only pictures of these licences: by,by-sa,cc0,pdm,...")
@click.option(
    "--min-side", type=click.IntRange(min=1), default=16, show_default=True, help="Pixels; smaller ones are rejected."
)
@click.option(
    "--retry-failed", is_flag=True, help="Ask again for what failed for good, such as addresses that were gone."
)
@click.option("--report", is_flag=True, help="Show what the ledger says of all fetches into the folder.")
@click.option(
    "--attribution",
    metavar="FILE.md|csv",
    type=click.Path(path_type=Path),
    help="Write the credits that the licences ask for.",
)
@click.option("--endpoint", metavar="URL", help="Ask this server in place of every address's own host.")
@click.option("--contact", metavar="WHO", help="An e-mail or web address for the servers' owners, sent along.")
@click.option(
    "--connections", type=click.IntRange(1, 256), default=32, show_default=True, help="At once, to all hosts."
)
@click.option(
    "--connections-per-host", type=click.IntRange(1, 64), default=12, show_default=True, help="At once, to one host."
)
@click.option("--allow-private", is_flag=True, help="Also ask private, loopback and link-local addresses.")
@click.option("--robots-txt/--no-robots-txt", default=True, show_default=True, help="Obey robots.txt.")
@click.option(
    "--x-robots-tag/--no-x-robots-tag", default=True, show_default=True, help="Obey noai, noindex and the like."
)
@seed_option
@common_options
def fetch(
    sources: tuple[str, ...],
    into: Path,
    label: str | None,
    limit: int | None,
    licenses: str | None,
    min_side: int,
    retry_failed: bool,
    report: bool,
    attribution: Path | None,
    endpoint: str | None,
    seed: int,
    as_json: bool,
    **manners: bool | int | str | None,
) -> None:
    """Bring pictures from each SOURCE into a folder of class folders, with a ledger of where each came from.

    \b
    urls:FILE             .csv .tsv .jsonl .parquet: columns url, label, sha256
                          .txt: an address a line, with --label
    folder:PATH           class folders, or with --label pictures of one class
    imagenet:WNID,...     ImageNet synsets, or by name: imagenet:"hard hat"
    openverse:QUERY       openly licensed pictures of api.openverse.org
    commons:Category:NAME or commons:search:QUERY, of Wikimedia Commons
    openimages:CLASS      Open Images V7, such as openimages:Helmet
    video:FILE            frames of a video, or of a camera: video:rtsp://...
    s3://... gs://...     a folder or archive anywhere; https://....tar or .zip
    scenes:N              drawn scenes of workers, N of each class

    What is there already is not asked for again. Without a SOURCE: --report, --attribution.
    """  # noqa: D301 - click wants the sign itself
    from milliner.sources.fetch import fetch as acquire
    from milliner.sources.report import fetch_report, write_attribution
    from milliner.sources.web.manners import Manners

    if not sources and not report and attribution is None:
        raise click.UsageError("Name a SOURCE, or ask for --report or --attribution.")
    result = None
    if sources:
        result = acquire(
            sources,
            into=into,
            label=label,
            limit=limit,
            licenses=[code.strip() for code in (licenses or "").split(",") if code.strip()],
            min_side=min_side,
            retry_failed=retry_failed,
            endpoint=endpoint,
            seed=seed,
            manners=Manners(**manners),  # type: ignore[arg-type]
            progress=progress,
        )
        for fault in result.faults:
            click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {printable(fault)}", err=True)
    if report:
        result = fetch_report(into)
    credited = write_attribution(into, attribution) if attribution else None
    if as_json:
        document = result.to_json() if result else {"into": str(into)}
        print_json(document | ({"credited": credited} if attribution else {}))
        return
    if result:
        _show(result)
    if attribution:
        console().print(printable(f"Credits for {credited} pictures  {attribution}"), markup=False)


def _show(result: "FetchResult") -> None:
    rows = [
        [
            row.source,
            row.label,
            str(row.wanted),
            str(row.stored),
            str(row.already),
            _reasons(row.rejected),
            _reasons(row.failed),
        ]
        for row in result.classes
    ]
    print_table(["source", "class", "wanted", "stored", "already", "rejected", "failed"], rows, numbers=(2, 3, 4))
    size = sum(row.bytes for row in result.classes) / 1e6
    stored = sum(row.stored for row in result.classes)
    rate = f", {stored / result.seconds:,.0f} pictures/s" if stored and result.seconds else ""
    console().print(f"{size:.1f} MB in {result.seconds:.1f} s{rate}", style="dim")


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "0"
