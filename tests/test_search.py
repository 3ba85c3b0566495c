"""Size, pooling and views chosen within a budget: what is tried, what is taken, and what is told."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import milliner as mn
from milliner.backbones.backbone import Backbone, backbone
from milliner.backbones.pooling import EVERY, POOLINGS, columns
from milliner.cli.main import call
from milliner.core.errors import MillinerError
from milliner.core.parallel import ordered_map
from milliner.core.progress import silent
from milliner.probe.embed import Embedder
from milliner.runtimes.runtime import open_runtime
from milliner.shards.dataset import open_dataset
from milliner.training.given import Given
from milliner.training.search import Search
from milliner.training.trials import Setting, Trial, cheapest_of_the_best

NET = backbone("efficientnet_lite0")


def trial(
    size: int, pooling: str, views: str, cost: float, losses: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> Trial:
    return Trial(Setting(size, pooling, views), cost, 0.9, float(losses.mean()), losses=losses)


LOSSES = np.random.default_rng(0).exponential(0.1, 400).astype(np.float32)
NOISE = np.random.default_rng(1).normal(0, 0.05, 400).astype(np.float32)


def test_the_cheapest_within_an_error_of_the_best_is_taken() -> None:
    worse, best = trial(256, "average", "none", 1, LOSSES + 0.05), trial(512, "generalised-mean", "none", 4, LOSSES)
    as_good = trial(384, "maximum", "none", 2, LOSSES + NOISE - NOISE.mean() + 0.001)
    assert cheapest_of_the_best([worse, best, as_good], NET) is as_good
    assert cheapest_of_the_best([worse, best], NET) is best


def test_of_equally_cheap_ones_the_usual_one_is_taken_unless_it_is_clearly_worse() -> None:
    usual = trial(512, "generalised-mean", "none", 4, LOSSES + NOISE - NOISE.mean() + 0.001)
    other, viewed = trial(512, "maximum", "none", 4, LOSSES), trial(512, "generalised-mean", "crops", 4, LOSSES)
    assert cheapest_of_the_best([other, viewed, usual], NET) is usual
    clearly = trial(512, "generalised-mean", "none", 4, LOSSES + 0.05)
    assert cheapest_of_the_best([clearly, viewed, other], NET) is other


@given(st.permutations(range(5)))
def test_the_order_of_the_trials_does_not_matter(order: list[int]) -> None:
    trials = [trial(32 * (1 + place), "average", "none", place, LOSSES + 0.01 * (4 - place)) for place in range(5)]
    assert cheapest_of_the_best([trials[place] for place in order], NET) is trials[4]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_embedding_holds_that_of_every_pooling(pooling: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    every, own = NET.pooled(EVERY), NET.pooled(POOLINGS[pooling])
    whole, alone = (
        open_runtime(net.onnx_file().read_bytes()).run(image, ["embedding"])["embedding"] for net in (every, own)
    )
    np.testing.assert_allclose(whole[:, columns(every.blocks, own.blocks)], alone, atol=1e-5)


def search(pictures: Path, given: Given, cache: Path, net: Backbone = NET) -> Search:
    return Search.on(open_dataset(pictures), net, given, cache, 0, silent, ordered_map)


def test_every_setting_is_told_and_one_that_was_asked_for_is_not_searched(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = class_folders(red=6, blue=5)
    found = search(pictures, Given(size=64, budget=600), tmp_path / "c.sqlite").run()
    assert {each.setting.size for each in found.trials} == {64}
    assert sum(each.setting.views == "none" for each in found.trials) == 4
    assert {each.setting.views for each in found.trials} == {"none", "mirror", "crops"}
    assert all(each.accuracy is not None for each in found.trials)
    assert found.pictures == 11
    fixed = Given(size=64, pooling="both", views="none", budget=600)
    given = search(pictures, fixed, tmp_path / "c.sqlite").run()
    assert [each.setting for each in given.trials] == [Setting(64, "both", "none")] == [given.setting]
    assert "lowest log loss" in given.sentence


def test_averaged_views_cost_a_network_each(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    given = Given(size=64, pooling="average", averaged=True, budget=600)
    found = search(class_folders(red=6, blue=5), given, tmp_path / "c.sqlite").run()
    costs = {each.setting.views: each.giga_multiplications for each in found.trials}
    assert costs["crops"] == costs["mirror"] == pytest.approx(2 * costs["none"], rel=0.01)


def test_without_time_the_first_size_alone_is_tried_and_the_others_say_why(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = class_folders(red=6, blue=5)
    found = search(pictures, Given(budget=1e-3), tmp_path / "c.sqlite").run()
    (tried,) = [each for each in found.trials if each.accuracy is not None]
    assert tried.setting.size == 512
    left = [each for each in found.trials if each.accuracy is None]
    assert {each.setting.size for each in left} >= {256, 384, 640}
    assert all("s were left" in each.left_out for each in left)
    assert len(found.metrics()["trials"]) == 1, "how long things would have taken is not the model's"
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_views_that_were_asked_for_are_taken_whatever_the_others_give(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = class_folders(red=6, blue=5)
    for averaged, budget in ((False, 600), (True, 600), (True, 1e-3)):
        given = Given(size=64, pooling="average", views="crops", averaged=averaged, budget=budget)
        found = search(pictures, given, tmp_path / "c.sqlite").run()
        assert found.setting == Setting(64, "average", "crops")
        assert [each.setting for each in found.trials] == [found.setting]


def test_a_network_of_one_size_is_tried_at_that_one(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    class Fixed(type(NET)):  # type: ignore[misc]
        input = replace(NET.input, size=96, fixed=True)

    found = search(class_folders(red=6, blue=5), Given(views="none", budget=600), tmp_path / "c.sqlite", Fixed()).run()
    assert {each.setting.size for each in found.trials} == {96}


def test_sizes_are_tried_once(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    class Small(type(NET)):  # type: ignore[misc]
        input = replace(NET.input, size=64)

    sizes = search(class_folders(red=3, blue=3), Given(budget=1), tmp_path / "c.sqlite", Small())._sizes()
    assert sizes[0] == 64
    assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("options", [{"size": 64, "budget": 600}, {"size": 64, "backbone": "auto"}])
def test_embeddings_that_are_no_numbers_end_in_one_sentence(
    options: dict[str, Any], class_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Embedder, encoded: bytes) -> tuple[str, Any]:
        return hashlib.sha256(encoded).hexdigest(), np.full(self.backbone.open().embedding_width, np.nan, np.float32)

    monkeypatch.setattr(Embedder, "__call__", broken)
    with pytest.raises(MillinerError, match="are not finite numbers"):
        mn.train(class_folders(red=6, blue=5), into=tmp_path / "m.onnx", cache=tmp_path / "c.sqlite", **options)
    assert not (tmp_path / "m.onnx").exists()


def test_with_time_enough_the_same_gives_the_same_bytes(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=6, blue=5)
    first, again = (
        mn.train(pictures, into=tmp_path / name, size=64, budget=600, cache=tmp_path / "c.sqlite").model.read_bytes()
        for name in ("first.onnx", "again.onnx")
    )
    assert first == again


def test_small_things_show_at_the_larger_size_alone(tmp_path: Path) -> None:
    """Dots of three pixels in a large picture are lost at a quarter of the size."""
    random = np.random.default_rng(0)
    for label, colour in (("dot", (255, 255, 255)), ("none", None)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(60, 120, (128, 128, 3)).astype(np.uint8)
            if colour:
                for _ in range(6):
                    y, x = random.integers(8, 116, 2)
                    pixels[y : y + 3, x : x + 3] = colour
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{number}.png")
    tried = [
        search(tmp_path / "pictures", Given(size, views="none", budget=600), tmp_path / "c.sqlite").run().trials[0]
        for size in (32, 128)
    ]
    assert tried[0].log_loss is not None
    assert tried[1].log_loss is not None
    assert tried[1].log_loss < tried[0].log_loss - 0.1


def test_training_trains_what_was_taken(
    class_folders: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(class_folders(red=8, blue=7)), "--into", str(tmp_path / "m.onnx"), "--size", "64"]
    assert call([*arguments, "--budget", "600"]) == 0
    told = capsys.readouterr().out
    assert "cross-validated on 15 pictures" in " ".join(told.split())
    (row,) = [line for line in told.splitlines() if line.rstrip().endswith("taken")]
    metadata = mn.load(tmp_path / "m.onnx").metadata
    assert len(metadata.metrics["search"]["trials"]) == 6
    assert metadata.lineage["pooling"] in row
    assert metadata.lineage["views"] in row
