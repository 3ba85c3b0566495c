"""The command line: which commands there are, and how every failure ends."""

import importlib
import io
import os
import sqlite3
import sys
from typing import Any, Final

import click

from milliner import __version__
from milliner.cli.text import printable
from milliner.core.errors import MillinerError

COMMANDS: Final = {
    "new": "Make a project folder with its settings.",
    "run": "Fetch, check, pack, train and evaluate a project; skip what is up to date.",
    "demo": "Run the whole loop on helmet photographs, or drawn scenes when offline.",
    "fetch": "Bring labelled pictures from anywhere, with a ledger of where each came from.",
    "check": "Say what is wrong with the pictures, one by one and together.",
    "pack": "Split a folder of pictures and pack it into record files.",
    "shards": "Look into packed files: list, verify, repair and convert them.",
    "train": "Fit a classifier and write it as one .onnx file.",
    "evaluate": "Measure a model on pictures it has not seen.",
    "predict": "Classify pictures with a model.",
}
"""Kept here, so that the list of commands costs no import of theirs."""

_DONE, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"milliner.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `milliner demo`, or `milliner new NAME`. Every command explains itself with --help.",
)
@click.version_option(__version__, message="milliner %(version)s")
def milliner() -> None:
    """Fit a new head to a pretrained network: a picture classifier of your own, from photographs to a camera."""


def main() -> None:
    """The console script: exit 0 done, 1 a failure in one sentence, 2 wrong usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack the sign that a file's name has
    sys.exit(call(sys.argv[1:]))


def call(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code; failures are explained on stderr."""
    # Read here as well as declared by every command, because a failure can come before its options are parsed.
    debug = "--debug" in arguments
    try:
        milliner.main(arguments, prog_name="milliner", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted; the same command goes on where this one stopped.", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _DONE
    except Exception as error:
        if debug:
            raise
        click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(_explain(error))}", err=True)
        return _FAILED
    return _DONE


def _explain(error: Exception) -> str:
    """One sentence for any failure."""
    if isinstance(error, MillinerError):
        return _sentence(str(error))
    if isinstance(error, OSError) and error.strerror:
        where = f" at {error.filename}" if error.filename else ""
        return f"The system refused{where}: {error.strerror}; check the path, its rights and the free space."
    if isinstance(error, sqlite3.Error):
        return f"A ledger or cache could not be used: {error}; check its folder's rights and free space."
    if isinstance(error, MemoryError):
        return "The memory ran out; close other programs or give less at once."
    kind: Any = type(error).__name__
    return f"Something unforeseen happened ({kind}: {error}); run the command again with --debug to see where."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
