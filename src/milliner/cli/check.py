"""``milliner check``."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from milliner.cli.options import Pairs, Place
from milliner.cli.terminal import common_options, console, engine_option, print_json, print_table, progress
from milliner.cli.text import printable

if TYPE_CHECKING:
    from milliner.curation.check import CheckResult
    from milliner.curation.findings import Finding

_SHOWN: Final = 10  # findings of a kind on the terminal
_ACTIONS: Final = {"set aside": "left out of training", "kept": "used all the same", "look": "for you to judge"}


@click.command()
@click.argument("folder", type=Place(), required=False)
@click.option("--quick", is_flag=True, help="Without the network: no siblings, no mislabels, no crops.")
@click.option("--splits", type=Pairs(), help="Look for leaks instead: train=DIR,test=DIR, or .lst files of FOLDER.")
@click.option(
    "--fix",
    is_flag=False,
    flag_value="",
    metavar="[KINDS]",
    help="Move what training leaves out to FOLDER/set-aside/, or the files of these kinds: near-duplicate,blurred.",
)
@click.option("--undo", is_flag=True, help="First move back all that was moved.")
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML page with every finding's pictures.")
@engine_option
@common_options
def check(
    folder: Path | str | None,
    quick: bool,
    splits: Mapping[str, str] | None,
    fix: str | None,
    undo: bool,
    report: Path | None,
    engine: str,
    as_json: bool,
) -> None:
    """Look at every picture of FOLDER/<class>/ and at all of them together, and say what would spoil training.

    Undecodable, blank, tiny, placeholder and exactly duplicate files are left out of training; near duplicates,
    siblings, likely mislabels, blur and odd files are told. All is noted in FOLDER/ledger.sqlite, so that only what is
    new is looked at again. Nothing is moved without --fix, and nothing is ever deleted.
    """
    from milliner.curation.check import check as look

    if folder is None and not splits:
        raise click.UsageError("Give a FOLDER, or --splits.")
    kinds = [kind.strip() for kind in (fix or "").split(",") if kind.strip()]
    result = look(
        folder,
        splits=splits,
        quick=quick,
        fix=kinds or fix is not None,
        undo=undo,
        report=report,
        engine=engine,
        progress=progress,
    )
    if as_json:
        print_json(result.to_json())
        return
    _print_leaks(result)
    _print_findings(result.findings, report)
    if not splits:
        kept = result.to_json()["kept"]
        print_table(["class", "kept"], [[label, str(count)] for label, count in kept.items()], numbers=(1,))
    _print_summary(result, report)


def _print_leaks(result: "CheckResult") -> None:
    if not result.leaks:
        return
    rows = []
    for each in result.leaks:
        cells = [f"{number} ({each.share(level):.1%})" if number else "0" for level, number in each.counts.items()]
        rows.append([f"{each.split}, seen in {each.other}", str(each.pictures), *cells])
    columns = ["split", "pictures", "same bytes", "nearly the same", "same scene"]
    print_table(columns, rows, numbers=range(1, len(columns)))
    console().print()


def _print_findings(findings: "Sequence[Finding]", report: Path | None) -> None:
    from milliner.curation.findings import KINDS

    groups = [(KINDS[name], list(group)) for name, group in groupby(findings, key=lambda each: each.kind)]
    if not groups:
        return
    counts = [[kind.name, str(len(found)), _ACTIONS[kind.action]] for kind, found in groups]
    print_table(["finding", "count", ""], counts, numbers=(1,))
    console().print()
    for kind, found in groups:
        rows = [[each.files[0] if each.files else "", _told(each)] for each in found[:_SHOWN]]
        print_table([kind.name, ""], rows)
        if len(found) > _SHOWN:
            where = printable(str(report)) if report else "--report PAGE.html or --json"
            console().print(f"... and {len(found) - _SHOWN} more, see {where}", style="dim", markup=False)
        console().print()


def _told(finding: "Finding") -> str:
    others = ", ".join(file for file in finding.files[1:] if file not in finding.note)
    return f"{finding.note}: {others}" if others else finding.note


def _print_summary(result: "CheckResult", report: Path | None) -> None:
    parts = [f"{len(result.kept)} kept", f"{len(result.set_aside)} set aside", f"{result.looked_at} looked at just now"]
    if result.moved:
        parts.append(f"{len(result.moved)} moved to set-aside/ (--undo moves them back)")
    if result.put_back:
        parts.append(f"{len(result.put_back)} moved back")
    if result.stuck:
        parts.append(f"{len(result.stuck)} stay in set-aside/, since other files have taken their places")
    if report:
        parts.append(f"see {report}")
    console().print(printable(", ".join(parts)), style="dim", markup=False)
