"""The drawn scenes and the drawn film: true labels, fair classes, files that others read."""

import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from milliner.sources.drawing import Event, Scene, draw_scene, write_video
from milliner.sources.drawing.pen import Pen
from milliner.sources.drawing.worker import draw_worker, sample_pose, sample_worker

LABELS = ("helmet", "nohelmet")
COUNT = 60
SIDE = 160


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Scene]]:
    return {label: [draw_scene(seed, label, SIDE) for seed in range(COUNT)] for label in LABELS}


def pixels(scene: Scene) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(scene.encoded)))


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert draw_scene(3, "helmet") == draw_scene(3, "helmet")
    assert draw_scene(3, "helmet").encoded != draw_scene(4, "helmet").encoded
    assert draw_scene(3, "helmet").encoded != draw_scene(3, "nohelmet").encoded


@pytest.mark.parametrize("side", [64, 200, 320])
def test_scenes_are_square_rgb_jpegs_of_the_asked_side(side: int) -> None:
    with Image.open(io.BytesIO(draw_scene(1, "nohelmet", side).encoded)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (side, side))


@pytest.mark.parametrize(("seed", "label", "side"), [(0, "hat", 320), (-1, "helmet", 320), (0, "helmet", 63)])
def test_other_arguments_are_refused(seed: int, label: str, side: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        draw_scene(seed, label, side)


@pytest.mark.parametrize(("label", "name"), [("helmet", "helmet"), ("nohelmet", "head")])
def test_every_head_is_boxed_inside_the_picture_and_named_after_its_class(
    scenes: dict[str, list[Scene]], label: str, name: str
) -> None:
    for scene in scenes[label]:
        assert scene.label == label
        assert 1 <= len(scene.boxes) <= 4
        for box in scene.boxes:
            assert box.label == name
            assert 0 <= box.left < box.right <= SIDE
            assert 0 <= box.top < box.bottom <= SIDE
            assert box.bottom - box.top > 3


def test_heads_come_in_many_sizes(scenes: dict[str, list[Scene]]) -> None:
    heights = [(box.bottom - box.top) / SIDE for label in LABELS for scene in scenes[label] for box in scene.boxes]
    assert min(heights) < 0.08
    assert max(heights) > 0.3


def test_a_workers_box_holds_exactly_the_head() -> None:
    """The pixels that change with the helmet's colour lie in the box and reach its top."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        worker, pose = sample_worker(rng, helmeted=True), sample_pose(rng, 0.15, 1.0)
        images = []
        for colour in ((255, 0, 255), (0, 255, 0)):
            painted = replace(worker, head=replace(worker.head, colour=colour))
            image = Image.new("RGB", (400, 400), (90, 90, 90))
            left, top, right, bottom = draw_worker(Pen(image).at(200, 390, 40), painted, pose)
            images.append(np.asarray(image, np.int64))
        rows, columns = np.nonzero(np.abs(images[0] - images[1]).sum(axis=2))
        assert left - 1 <= columns.min() <= columns.max() <= right + 1
        assert top - 1 <= rows.min() <= rows.max() <= bottom + 1
        assert rows.min() - top < 6


def test_the_classes_differ_in_nothing_that_can_be_weighed(scenes: dict[str, list[Scene]]) -> None:
    brightness, weight, heads = [], [], []
    for label in LABELS:
        brightness.append(np.mean([pixels(scene).mean() for scene in scenes[label]]))
        weight.append(np.mean([len(scene.encoded) for scene in scenes[label]]))
        heads.append(np.mean([len(scene.boxes) for scene in scenes[label]]))
    assert abs(brightness[0] - brightness[1]) < 16
    assert 0.8 < weight[0] / weight[1] < 1.25
    assert abs(heads[0] - heads[1]) < 0.5


def histogram(scene: Scene) -> NDArray[np.float64]:
    red, green, blue = np.moveaxis(pixels(scene) // 64, 2, 0).astype(np.int64)
    return np.sqrt(np.bincount((red * 16 + green * 4 + blue).ravel(), minlength=64) / SIDE**2)


def test_colours_alone_do_not_tell_the_classes_apart(scenes: dict[str, list[Scene]]) -> None:
    """A ridge classifier on colour histograms, tested on scenes that it was not fitted to."""
    features = np.array([histogram(scene) for label in LABELS for scene in scenes[label]])
    targets = np.repeat([1.0, -1.0], COUNT)
    fitted = np.arange(2 * COUNT) % 3 != 0
    mean = features[fitted].mean(axis=0)
    train = features[fitted] - mean
    weights = np.linalg.solve(train.T @ train + 0.3 * np.eye(64), train.T @ targets[fitted])
    hits = np.sign((features[~fitted] - mean) @ weights) == targets[~fitted]
    assert hits.mean() < 0.75


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Event, ...]]:
    path = tmp_path_factory.mktemp("film") / "site.avi"
    return path, write_video(path, seed=1, seconds=6.0, fps=8, size=(320, 180))


def test_opencv_reads_every_frame_back(film: tuple[Path, tuple[Event, ...]]) -> None:
    capture = cv2.VideoCapture(str(film[0]))
    assert capture.get(cv2.CAP_PROP_FPS) == 8
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 48
    frames = 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        assert frame.shape == (180, 320, 3)
        frames += 1
    assert frames == 48
    capture.release()


def test_the_riff_sizes_add_up(film: tuple[Path, tuple[Event, ...]]) -> None:
    content = film[0].read_bytes()
    assert content[:4] == b"RIFF"
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    index = content.rindex(b"idx1")
    movi = content.index(b"movi")
    assert int.from_bytes(content[index + 4 : index + 8], "little") == 48 * 16
    for entry in range(48):
        start = index + 8 + entry * 16
        offset, size = (int.from_bytes(content[start + at : start + at + 4], "little") for at in (8, 12))
        chunk = movi + offset
        assert content[chunk : chunk + 4] == b"00dc"
        assert int.from_bytes(content[chunk + 4 : chunk + 8], "little") == size
        assert content[chunk + 8 : chunk + 10] == b"\xff\xd8"


def test_events_are_ordered_and_inside_the_film(film: tuple[Path, tuple[Event, ...]]) -> None:
    events = film[1]
    assert {event.label for event in events} == set(LABELS)
    assert all(0 <= event.start < event.end <= 6.0 for event in events)
    assert [event.start for event in events] == sorted(event.start for event in events)


def test_people_move_only_during_events(film: tuple[Path, tuple[Event, ...]]) -> None:
    capture = cv2.VideoCapture(str(film[0]))
    frames = np.array([capture.read()[1] for _ in range(48)], np.float64).mean(axis=3)
    capture.release()
    empty = np.median(frames, axis=0)
    change = np.array([cv2.blur(np.abs(frame - empty), (15, 15)).max() for frame in frames])
    present = np.array([any(event.start <= n / 8 < event.end for event in film[1]) for n in range(48)])
    assert present.any()
    assert not present.all()
    assert np.median(change[present]) > 2 * np.median(change[~present])


def test_events_lie_beside_the_film_as_json(film: tuple[Path, tuple[Event, ...]]) -> None:
    listing = json.loads(film[0].with_name("site.events.json").read_text())
    assert tuple(Event(**event) for event in listing) == film[1]
    assert sorted(path.name for path in film[0].parent.iterdir()) == ["site.avi", "site.events.json"]


def test_films_are_reproducible(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        write_video(tmp_path / name, seed=5, seconds=1.0, fps=4, size=(128, 96))
    assert (tmp_path / "a.avi").read_bytes() == (tmp_path / "b.avi").read_bytes()


def test_a_film_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a video needs"):
        write_video(tmp_path / "site.avi", seconds=0.0)
    assert list(tmp_path.iterdir()) == []
