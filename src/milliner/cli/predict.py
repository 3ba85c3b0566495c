"""``milliner predict``."""

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from milliner.classifier.model import Model, load
from milliner.cli.terminal import common_options, console, print_json, progress, runtime_option
from milliner.cli.text import printable
from milliner.cli.verdicts import print_predictions
from milliner.core.errors import MillinerError, SettingsError, UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.prediction import Box, Prediction
from milliner.images.boxes import boxes as find_boxes
from milliner.images.decode import MAX_BYTES, decode, upright_size
from milliner.images.files import write_atomically
from milliner.images.folder import picture_files, read_bounded
from milliner.images.heatmap import outline, overlay, to_jpeg
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.manners import Manners
from milliner.sources.web.web import Web

_OVERLAY_SIDE: Final = 1024  # pixels; larger pictures are shrunk to it


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True)
@click.option("--heatmap", type=click.Path(path_type=Path), help="A folder for pictures of where the model looked.")
@click.option("--boxes", is_flag=True, help="Find the parts of each picture that speak for its label.")
@runtime_option
@common_options
def predict(
    model: Path, pictures: tuple[str, ...], heatmap: Path | None, boxes: bool, runtime: str, as_json: bool
) -> None:
    """Classify each PICTURE with MODEL: a file, a folder, an http(s) address, or - for stdin.

    Unreadable pictures are named on stderr; the exit code is then 1, after all others were classified.
    """
    loaded = load(model, runtime)
    sources = list(_expand(pictures))
    if heatmap:
        _check_heatmaps(heatmap, pictures, sources)
    if not sources:
        raise MillinerError(f"There is no file in {', '.join(pictures)}; give pictures or a folder that holds some.")
    found: list[Prediction] = []
    unreadable = 0
    with progress("predict", len(sources)) as advance:
        for source, verdict in _predict_all(loaded, sources, heatmap, boxes):
            if isinstance(verdict, UnreadableImageError):
                unreadable += 1
                click.echo(printable(f"{source}: {verdict}"), err=True)
            else:
                found.append(verdict)
            advance()
    if as_json:
        print_json([prediction.to_json() for prediction in found])
    elif found:
        print_predictions(found)
        if heatmap:
            console().print(f"\nHeatmaps  {heatmap}", markup=False)
    if unreadable:
        raise MillinerError(f"{unreadable} of {len(sources)} pictures could not be read; the lines above say why.")


def _expand(pictures: tuple[str, ...]) -> Iterator[str]:
    """Folders become the files below them."""
    for picture in pictures:
        if Path(picture).is_dir():
            yield from (str(path) for path in picture_files(Path(picture)))
        else:
            yield picture


def _check_heatmaps(folder: Path, given: tuple[str, ...], sources: list[str]) -> None:
    """Raises SettingsError where it is no folder, or the next look at the pictures would find the heatmaps as well."""
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file, and heatmaps go into a folder; give another name.")
    here = folder.resolve()
    looked_at = {Path(source).resolve().parent for source in sources if Path(source).is_file()}
    below = [Path(each).resolve() for each in given if Path(each).is_dir()]
    if here in looked_at or any(here.is_relative_to(each) for each in below):
        raise SettingsError(
            f"{folder} is among the pictures that are looked at: its heatmaps would be taken for pictures; "
            "give another folder."
        )


def _predict_all(
    model: Model, sources: list[str], heatmap: Path | None, boxes: bool
) -> Iterator[tuple[str, Prediction | UnreadableImageError]]:
    """Verdicts in the order of the sources; a few pictures at a time are in memory."""

    def look(source: str) -> Prediction | UnreadableImageError:
        try:
            encoded = _read(source)
            prediction = model.predict_encoded(encoded, source)
        except UnreadableImageError as error:
            return error
        prediction = replace(prediction, heatmap=None, embedding=None)
        if heatmap or boxes:
            evidence = model.evidence(encoded, prediction.label)
            if boxes:
                found = find_boxes(evidence, prediction.label, upright_size(encoded))
                prediction = replace(prediction, boxes=found)
            if heatmap:
                drawn = _overlay(encoded, evidence, prediction.boxes or ())
                write_atomically(_overlay_path(heatmap, source, encoded), drawn)
        return prediction

    yield from zip(sources, ordered_map(look, sources), strict=True)


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if not source.lower().startswith(("http://", "https://")):
        return read_bounded(Path(source))
    # What the user types may be private, and is not for training.
    try:
        with Web.open(Manners(allow_private=True)) as web:
            return web.content(source, MAX_BYTES)
    except NoAnswerError as error:
        raise UnreadableImageError(error.reason, f"it did not come: {error.reason}; check the address") from error


def _overlay_path(folder: Path, source: str, encoded: bytes) -> Path:
    """The content's digest keeps pictures of one name in different folders apart."""
    name = "stdin" if source == "-" else Path(source).stem
    stem = re.sub(r"[^\w.-]+", "_", name)[:64] or "picture"
    return folder / f"{stem}-{hashlib.sha256(encoded).hexdigest()[:8]}.jpg"


def _overlay(encoded: bytes, evidence: NDArray[np.float32], boxes: Sequence[Box]) -> bytes:
    image = decode(encoded, shrink_to=_OVERLAY_SIDE)
    image.thumbnail((_OVERLAY_SIDE, _OVERLAY_SIDE))
    return to_jpeg(outline(overlay(image, evidence), boxes, upright_size(encoded)))
