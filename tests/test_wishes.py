"""Wishes from the command line to the model file, and strangers that a model of real photographs abstains on."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from milliner import Wishes, evaluate, load, train
from milliner.cli.main import call
from milliner.core.sample import Sample
from milliner.training.train import TrainResult

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: exit code, stdout, stderr."""

    def call_it(*arguments: object) -> tuple[int, str, str]:
        code = call([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call_it


def test_wishes_reach_the_model_and_are_told(run: Run, class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, model = class_folders(red=20, blue=20), tmp_path / "m.onnx"
    wishes = ["--min-recall", "red=0.9", "--max-false-alarms", "0.1", "--cost", "red=3", "--abstain-below", "0.55"]
    more = ["--abstain-margin", "0.2", "--class-weight", "none", "--class-weight", "red=2"]
    code, out, err = run("train", pictures, "--into", model, "--size", 64, *wishes, *more, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert set(document["operating_point"]) == {"recall", "false_alarms", "abstained"}
    assert document["operating_point"]["recall"]["red"]["pictures"] == 20
    assert document["calibration"]["log_loss"]["after"] <= document["calibration"]["log_loss"]["before"]
    metadata = load(model).metadata
    point = metadata.operating_point
    assert point.stated == "recall of red at least 0.9, false alarms at most 0.1, a missed red costs 3"
    assert (point.abstain_below, point.min_margin) == (0.55, 0.2)
    assert point.max_distance is not None
    assert metadata.lineage["class_weight"] == {"red": 2}
    assert metadata.lineage["balanced"] is False
    assert metadata.metrics["temperature"] == document["temperature"]
    code, out, err = run("train", pictures, "--into", model, "--size", 64, "--abstain-far", 0)
    assert code == 0, err
    assert "never abstains" in out
    assert load(model).metadata.operating_point.max_distance is None
    assert load(model).predict(pictures / "red" / "000.jpg").distance is not None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--min-recall", "0.9"], 2, "'0.9' is not of the form label=number"),
        (["--cost", "red=much"], 2, "'red=much' is not of the form label=number"),
        (["--min-recall", "red=.9", "--min-recall", "red=.99"], 2, "'red' is given twice"),
        (["--max-false-alarms", "0.1", "--max-false-alarms", "0.2"], 2, "A number alone is given twice"),
        (["--cost", "red=2", "--cost", "red=2"], 2, "'red' is given twice"),
        (["--class-weight", "red=2", "--class-weight", "red=3"], 2, "'red' is given twice"),
        (["--init", "red=bee", "--init", "red=ant"], 2, "'red' is given twice"),
        (["--cost", "red=inf"], 1, "cost must be between 1e-6 and 1e6, not inf"),
        (["--max-false-alarms", "1"], 1, "over 0 and below 1, not 1; 0.01 is 1 %"),
        (["--class-weight", "heavy"], 2, "or balanced, or none"),
        (["--class-weight", "balanced", "--class-weight", "none"], 1, "either balanced or none"),
        (["--max-false-alarms", "0.1", "--max-false-alarms", "red=0.2"], 1, "one number alone or numbers for labels"),
        (["--min-recall", "green=0.9"], 1, "min_recall names the class 'green', but the classes are blue, red."),
        (["--min-recall", "red=0.9"], 1, "needs 9 pictures of it to be promised, and there are 3: ask for at most"),
        (["--abstain-below", "1"], 1, "abstain_below must be at least 0 and below 1, not 1"),
    ],
)
def test_wrong_wishes_are_one_sentence_and_no_model(
    run: Run, class_folders: Callable[..., Path], tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    pictures, model = class_folders(red=3, blue=3), tmp_path / "m.onnx"
    found, out, err = run("train", pictures, "--into", model, "--size", 64, *arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert not model.exists()


def test_help_lists_wishes_in_a_section_of_their_own(run: Run) -> None:
    _, out, _ = run("train", "--help")
    options, _, wishes = out.partition("What the model says:")
    assert "--into" in options
    assert "--min-recall" in wishes
    assert "--min-recall" not in options


def test_a_label_may_hold_an_equals_sign(run: Run, class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(**{"a=b": 8, "none": 8})
    code, _, err = run(
        "train", pictures, "--into", tmp_path / "m.onnx", "--size", 64, "--cost", "a=b=5", "--class-weight", "none=2"
    )
    assert code == 0, err
    metadata = load(tmp_path / "m.onnx").metadata
    assert metadata.operating_point.weights == {"a=b": 5}
    assert metadata.lineage["class_weight"] == {"none": 2}


class _Listed:
    """So many pictures of each class of the helmets' list, evenly spread."""

    def __init__(self, folder: Path, split: str, each: int) -> None:
        rows = [line.split("\t") for line in (folder / f"{split}.lst").read_text().splitlines()]
        self.name, self.labels = split, ("helmet", "nohelmet")
        of_class = [[row[2] for row in rows if int(float(row[1])) == label] for label in (0, 1)]
        chosen = [[files[i * len(files) // each] for i in range(each)] for files in of_class]
        self.files = [(folder / file, label) for label, files in enumerate(chosen) for file in files]
        self.targets = [label for _, label in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def key(self, place: int) -> str:
        return self.files[place][0].name

    def __getitem__(self, place: int) -> Sample:
        path, label = self.files[place]
        return Sample(path.name, self.labels[label], path.read_bytes())


@pytest.fixture(scope="module")
def helmets(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A model of some of the helmets' training list."""
    folder = tmp_path_factory.mktemp("helmets")
    wishes = Wishes(min_recall={"nohelmet": 0.9})
    return train(
        _Listed(test_data / "helmets", "train", 60),
        into=folder / "helmets.onnx",
        size=128,
        cache=folder / "cache.sqlite",
        wishes=wishes,
    )


def _walls() -> list[Any]:
    random = np.random.default_rng(0)
    plain = [np.full((90, 120, 3), random.integers(0, 256, 3), np.uint8) for _ in range(6)]
    rough = [(wall * 0.8 + random.integers(0, 50, wall.shape)).astype(np.uint8) for wall in plain]
    noise = [random.integers(0, 256, (90, 120, 3)).astype(np.uint8) for _ in range(4)]
    return plain + rough + noise


def test_walls_and_ants_are_abstained_on_and_helmets_are_not(test_data: Path, helmets: TrainResult) -> None:
    model = load(helmets.model)
    for found in model.predict(_walls()):
        assert found.reason == "unlike anything it was trained on"
    insects = sorted((test_data / "ants-bees" / "train").glob("*/*.jpg"))[::12]
    assert sum(found.abstained for found in model.predict(insects)) >= 0.5 * len(insects)
    tested = evaluate(model, _Listed(test_data / "helmets", "test", 30))
    assert tested.abstained <= 2


def test_the_distance_is_in_the_file_itself(helmets: TrainResult) -> None:
    assert helmets.difference < 1e-4
    picture = io.BytesIO()
    Image.fromarray(_walls()[0]).save(picture, "PNG")
    look = load(helmets.model).look(picture.getvalue(), ("distance",))
    assert look["distance"].shape == ()
    assert look["distance"] > 1
