"""``milliner demo``."""

import shlex
from pathlib import Path

import click

from milliner.cli.program import typed
from milliner.cli.run import show_stages
from milliner.cli.terminal import common_options, console, print_json, progress
from milliner.cli.text import printable
from milliner.cli.verdicts import print_predictions


@click.command()
@click.option("--into", default="demo", show_default=True, type=click.Path(path_type=Path), help="The demo's folder.")
@click.option("--endpoint", metavar="URL", help="A mirror of the photographs.")
@common_options
def demo(into: Path, endpoint: str | None, as_json: bool) -> None:
    """Run the whole loop: who wears a safety helmet?

    On the 1,150 photographs of the original project; where they can't be reached, on drawn scenes.
    """
    from milliner.classifier.model import load
    from milliner.project.demo import prepare_demo, sample_pictures
    from milliner.project.layout import Project
    from milliner.project.run import run_stages

    demo = prepare_demo(into, endpoint=endpoint)
    if demo.drawn:
        click.echo(printable(_drawn(into, demo.earlier)), err=True)
    project = Project.open(demo.folder)
    reports = run_stages(project, progress)
    if as_json:
        stages = [report.to_json() for report in reports]
        predictions = load(project.model).predict(sample_pictures(into))
        print_json({"stages": stages, "predictions": [found.to_json() for found in predictions]})
        return
    show_stages(reports)
    console().print("\nPictures it was not trained on:")
    print_predictions(load(project.model).predict(sample_pictures(into)))
    here = shlex.quote(str(project.model))
    console().print(f"\nReport  {project.report}\nTry     {typed()} predict {here} YOUR_PICTURE.jpg", markup=False)


def _drawn(folder: Path, earlier: bool) -> str:
    if earlier:
        return f"The scenes in {folder} were drawn earlier; delete the folder to ask for the photographs again."
    return f"The photographs can't be reached from here, so scenes are drawn instead (delete {folder} to ask again)."
