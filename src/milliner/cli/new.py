"""``milliner new``."""

import shlex

import click

from milliner.cli.terminal import common_options, print_json


@click.command()
@click.argument("name")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@common_options
def new(name: str, sources: tuple[str, ...], as_json: bool) -> None:
    """Make the folder NAME with a milliner.toml.

    A SOURCE says where pictures come from: folder:PATH, urls:FILE.csv, or scenes:N (drawn; the default, so that
    `milliner run` works at once). Paths begin in the current folder. Edit milliner.toml to change it.
    """
    from milliner.project.create import new as create

    folder = create(name, sources)
    if as_json:
        print_json({"project": str(folder), "settings": str(folder / "milliner.toml")})
        return
    click.echo(f"Made {folder / 'milliner.toml'}. Next:\n  cd {shlex.quote(str(folder))}\n  milliner run")
