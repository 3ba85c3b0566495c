"""What every command shares: its common options, progress on stderr, results on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from milliner.cli.text import printable
from milliner.core.progress import Advance
from milliner.runtimes.runtime import DEFAULT_RUNTIME, RUNTIMES

Function = TypeVar("Function", bound=Callable[..., Any])

_SECONDS_BETWEEN_LINES = 5.0
_WIDE = 10_000  # columns where output goes to a file: nothing is wrapped there


def common_options(function: Function) -> Function:
    """Adds ``--json`` (as `as_json`) and ``--debug`` to a command."""
    debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the whole traceback of a failure.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
    return as_json(debug(function))


engine_option = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What computes: this machine's cores, or the Ray cluster of RAY_ADDRESS (without one: a Ray started here).",
)

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides all chance."
)


runtime_option = click.option(
    "--runtime",
    type=click.Choice(list(RUNTIMES)),
    default=DEFAULT_RUNTIME,
    show_default=True,
    help="What computes the network; openvino needs its extra.",
)


def print_json(document: Any) -> None:
    """The result as one JSON document on stdout, in ASCII: no name in it can write to the terminal."""
    click.echo(json.dumps(document, indent=1))


def console() -> Console:
    """Results go here. Colour only where a person reads it; ``NO_COLOR`` is obeyed."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, soft_wrap=not sys.stdout.isatty())


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    numbers: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> None:
    """An aligned table without lines; no header without names.

    `numbers` are the columns that are flush right, `whole` those that never break, however narrow the terminal.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns))
    for place, column in enumerate(columns):
        table.add_column(printable(column), justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    for place in whole:  # others are made narrower first, and these not even where that is not enough
        table.columns[place].no_wrap = True
        table.columns[place].min_width = max(cell_len(str(cell)) for cell in _texts(table.columns[place]))
    shown = console()
    with shown.capture() as captured:
        shown.print(table, crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().split("\n")), nl=False, color=shown.is_terminal)


def _texts(column: Column) -> Iterator[object]:
    """The header and the cells."""
    yield column.header
    yield from column.cells


@contextmanager
def progress(task: str, total: int | None) -> Iterator[Advance]:
    """The `Progress` of the command line: a bar with rate and time left on a terminal, plain lines elsewhere."""
    with _bar(task, total) if sys.stderr.isatty() else _lines(task, total) as advance:
        yield advance


@contextmanager
def _bar(task: str, total: int | None) -> Iterator[Advance]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        shown = bars.add_task(task, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            bars.update(shown, advance=count, note=note)

        yield advance


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


@contextmanager
def _lines(task: str, total: int | None) -> Iterator[Advance]:
    start = said = monotonic()
    done = 0

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, said
        done += count
        now = monotonic()
        if now - said >= _SECONDS_BETWEEN_LINES:
            said = now
            click.echo(_line(task, done, total, done / (now - start)) + (f", {note}" if note else ""), err=True)

    yield advance


def _line(task: str, done: int, total: int | None, rate: float) -> str:
    if total is None or not done:
        return f"{task} {done}, {rate:.0f}/s"
    return f"{task} {done}/{total}, {rate:.0f}/s, {(total - done) / rate:.0f} s left"
