"""``milliner run``."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.text import Text

from milliner.cli.terminal import common_options, console, print_json, progress

if TYPE_CHECKING:
    from milliner.project.run import StageReport


@click.command()
@click.argument("folder", default=".", type=click.Path())
@common_options
def run(folder: str, as_json: bool) -> None:
    """Run the project in FOLDER (here, when left out): fetch, check, pack, train, evaluate.

    A stage runs only where its input, its settings or Milliner itself changed since its last run.
    """
    from milliner.project.layout import Project
    from milliner.project.run import run_stages

    project = Project.open(folder)
    reports = run_stages(project, progress)
    if as_json:
        print_json({"stages": [report.to_json() for report in reports]})
        return
    show_stages(reports)
    console().print(f"\nModel   {project.model}\nReport  {project.report}", markup=False)


def show_stages(reports: Iterable["StageReport"]) -> None:
    """A line for each stage as it is done: what it made, and why it ran or did not."""
    out = console()
    for report in reports:
        sign = ("✓ ", "green") if report.ran else ("· ", "dim")
        verb = f"ran because {report.reason}, {report.seconds:.1f} s" if report.ran else f"skipped: {report.reason}"
        out.print(Text.assemble(sign, (f"{report.stage:<9}", "bold"), f" {report.summary} ", (f"({verb})", "dim")))
