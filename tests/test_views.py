"""Views of pictures: what they show, heads that are fitted to them, and models whose answers are averaged over them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fill_class_folders, noise_jpeg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import milliner as mn
from milliner.backbones.backbone import backbone
from milliner.classifier.metadata import Metadata
from milliner.classifier.model import Model
from milliner.cli.main import call
from milliner.core.errors import DatasetError, SettingsError
from milliner.images.decode import decode
from milliner.images.views import VIEWS, WHOLE, View, check_views, named
from milliner.probe import embed as embedding
from milliner.probe.choose import choose
from milliner.probe.head import Head
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.runtimes.runtime import open_runtime
from milliner.shards.dataset import open_dataset
from milliner.training.finetune.settings import FineTuning
from milliner.training.learning_curve import fit_with, learning_curve
from milliner.training.train import TrainResult

SIZE = 64
Floats = NDArray[np.float32]


def numbered(width: int, height: int) -> Image.Image:
    """Each pixel's red is its column and its green its row."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8))


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([0.0, 0.1, 0.125, 0.25, 0.49]), st.booleans())
def test_a_view_is_the_middle_of_the_picture(width: int, height: int, margin: float, mirrored: bool) -> None:
    found = np.asarray(View("v", margin, mirrored).of(numbered(width, height)))
    if mirrored:
        found = found[:, ::-1]
    left, right, top, bottom = found[0, 0, 0], found[0, -1, 0], found[0, 0, 1], found[-1, 0, 1]
    assert int(left) == width - 1 - int(right)
    assert int(top) == height - 1 - int(bottom)
    assert abs(len(found[0]) - width * (1 - 2 * margin)) <= 2
    assert len(found) >= 1


def test_the_whole_is_the_picture_itself() -> None:
    picture = numbered(9, 7)
    assert WHOLE.of(picture) is picture
    assert WHOLE.whole(512) == 512
    assert VIEWS["crops"][0].whole(300) == 400


def test_views_are_named_in_files_and_others_are_refused() -> None:
    for views in VIEWS.values():
        assert named([view.name for view in views]) == views
    wrong: list[Any]
    for wrong in (["whole"], ["corner"], ["centre", "centre"], [3], [[]], [{}]):
        with pytest.raises(ValueError, match="none that are known"):
            named(wrong)
    with pytest.raises(SettingsError, match="choose one of: none, mirror, crops"):
        check_views("tiles")


def clusters(count: int, width: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    targets = np.repeat([0, 1], count)
    centres = random.normal(size=(2, width))
    return (centres[targets] + 2 * random.normal(size=(2 * count, width))).astype(np.float32), targets


def test_heads_are_fitted_to_every_view_and_asked_about_the_whole() -> None:
    """A view that is the whole picture again changes nothing; one of other pictures does."""
    embeddings, targets = clusters(40, 30, 0)
    plain = choose(embeddings, targets, 2, seed=0)
    again = choose(embeddings, targets, 2, seed=0, views=OtherViews((embeddings,)))
    other = choose(embeddings, targets, 2, seed=0, views=OtherViews((clusters(40, 30, 1)[0],)))
    np.testing.assert_allclose(again.logits, plain.logits, atol=0.02)
    assert np.abs(other.logits - plain.logits).max() > 0.1


def test_logits_are_averaged_where_that_is_asked() -> None:
    random = np.random.default_rng(0)
    head = Head(random.normal(size=(2, 5)).astype(np.float32), random.normal(size=2).astype(np.float32))
    whole, first, second = random.normal(size=(3, 4, 5)).astype(np.float32)
    averaged = OtherViews((first, second), averaged=True)
    expected = (head.logits(whole) + head.logits(first) + head.logits(second)) / 3
    np.testing.assert_allclose(averaged.logits(head, whole), expected, atol=1e-6)
    for views in (NO_VIEWS, OtherViews((first, second))):
        np.testing.assert_array_equal(views.logits(head, whole), head.logits(whole))


def test_views_that_agree_are_better_together() -> None:
    """Noise of one view is not that of another: the average of two answers is right more often, and the curve tells."""
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1], 80)
    centres = random.normal(size=(2, 40))
    whole, other = ((centres[targets] + 5 * random.normal(size=(160, 40))).astype(np.float32) for _ in range(2))
    alone = choose(whole, targets, 2, seed=0)
    together = choose(whole, targets, 2, seed=0, views=OtherViews((other,), averaged=True))
    assert together.accuracy > alone.accuracy + 0.02
    curve = learning_curve(whole, targets, 2, fit_with(1e-1))
    better = learning_curve(whole, targets, 2, fit_with(1e-1), views=OtherViews((other,), averaged=True))
    assert curve is not None
    assert better is not None
    assert better.accuracy[-1] > curve.accuracy[-1] + 0.02


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    folder = tmp_path_factory.mktemp("averaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLINER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        pictures = fill_class_folders(folder / "pictures", red=8, blue=7)
        return mn.train(
            pictures, into=folder / "m.onnx", size=SIZE, views="crops", average_views=True, cache=folder / "c.sqlite"
        )


def by_hand(path: Path, encoded: bytes, images: Callable[[View], Image.Image]) -> Floats:
    """Probabilities from the mean logits of the whole picture and its centre."""
    model, runtime = mn.load(path), open_runtime(path.read_bytes())
    squares = [model.metadata.resize.apply(images(view)) for view in (WHOLE, *VIEWS["crops"])]
    logits = np.mean([runtime.run(square[None], ["logits"])["logits"][0] for square in squares], axis=0)
    raised = np.exp(logits - logits.max())
    return np.asarray(raised / raised.sum(), np.float32)


def test_answers_are_the_mean_over_the_picture_and_its_views(averaged: TrainResult) -> None:
    encoded, model = framed(), mn.load(averaged.model)
    expected = by_hand(averaged.model, encoded, lambda view: view.of(decode(encoded, shrink_to=view.whole(SIZE))))
    assert list(model.predict(encoded).probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    as_image = by_hand(averaged.model, encoded, view_of(image))
    assert list(model.predict(image).probabilities.values()) == pytest.approx(as_image.tolist(), abs=1e-6)
    assert list(model.predict(np.asarray(image)).probabilities.values()) == pytest.approx(as_image.tolist(), abs=1e-6)
    alone = model._runtime.run(model.metadata.resize.load(encoded)[None], ["probabilities"])["probabilities"][0]
    assert np.abs(alone - expected).max() > 1e-4, "the views say something else"


def framed() -> bytes:
    """The middle is of the other class than the edges, which only the whole picture shows."""
    picture = Image.open(io.BytesIO(noise_jpeg(9_000, side=200, tint=(0, 90, 0))))
    picture.paste(Image.open(io.BytesIO(noise_jpeg(9_001, side=150, tint=(90, 0, 0)))), (25, 25))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def view_of(image: Image.Image) -> Callable[[View], Image.Image]:
    return lambda view: view.of(image)


def test_heatmap_embedding_and_distance_are_the_whole_pictures(averaged: TrainResult) -> None:
    encoded, model = noise_jpeg(9_001), mn.load(averaged.model)
    plain = model._runtime.run(model.metadata.resize.load(encoded)[None], ["embedding", "heatmap", "distance"])
    look = model.look(encoded, ["embedding", "heatmap", "distance"])
    for name, value in plain.items():
        np.testing.assert_array_equal(look[name], value[0])


def test_the_file_says_what_its_answers_are_averaged_over(averaged: TrainResult, tmp_path: Path) -> None:
    metadata = mn.load(averaged.model).metadata
    assert metadata.views == VIEWS["crops"]
    document = json.loads(metadata.to_json())
    assert (document["schema"], document["views"]) == (3, ["centre"])
    assert Metadata.from_json(json.dumps({**document, "views": []})).views == ()
    del document["views"]
    assert Metadata.from_json(json.dumps(document)).views == (), "files of earlier versions have none"
    with pytest.raises(ValueError, match="none that are known"):
        Metadata.from_json(json.dumps({**document, "views": ["left"]}))
    told = averaged.to_json()
    assert told["views"] == {"names": "crops", "averaged": True}
    assert averaged.difference <= 1e-4


def test_evaluation_and_card_obey_the_views(averaged: TrainResult, tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "test", 500, red=4, blue=4)
    found = mn.evaluate(averaged.model, pictures, card=tmp_path / "card.md")
    model = mn.load(averaged.model)
    losses = [-np.log(model.predict(path).probabilities[path.parent.name]) for path in sorted(pictures.rglob("*.jpg"))]
    assert found.after.log_loss == pytest.approx(np.mean(losses), rel=1e-3)
    assert "averaged over it and its views (centre)" in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_what_does_not_ask_for_answers_looks_once(averaged: TrainResult, monkeypatch: pytest.MonkeyPatch) -> None:
    model, real, looks = mn.load(averaged.model), Model._run, []

    def counted(self: Model, square: Any, outputs: Any, alone: bool) -> Any:
        looks.append(outputs)
        return real(self, square, outputs, alone)

    monkeypatch.setattr(Model, "_run", counted)
    assert set(model.look(framed(), ["heatmap"])) == {"heatmap"}
    assert set(model.look(framed(), ["probabilities"])) == {"probabilities"}
    assert [len(each) for each in looks] == [1, 2, 1]


def test_views_that_are_not_averaged_only_teach(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=6, blue=5)
    plain, taught = (
        mn.train(pictures, into=tmp_path / f"{views}.onnx", size=SIZE, views=views, cache=tmp_path / "c.sqlite")
        for views in ("none", "mirror")
    )
    assert mn.load(taught.model).metadata.views == ()
    assert mn.load(taught.model).metadata.lineage["views"] == "mirror"
    assert plain.model.read_bytes() != taught.model.read_bytes()
    again = mn.train(pictures, into=tmp_path / "a.onnx", size=SIZE, views="mirror", cache=tmp_path / "c.sqlite")
    assert (again.hits, again.misses) == (11, 0)
    assert again.model.read_bytes() == taught.model.read_bytes()


def test_pictures_that_change_between_two_views_are_not_mixed(
    class_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = class_folders(red=6, blue=5)
    dataset, net = open_dataset(pictures), backbone("efficientnet_lite0")
    policy, real = net.input.resize(SIZE, net.name), embedding.embed

    def changing(*arguments: Any) -> Any:
        found = real(*arguments)
        (pictures / "red" / "000.jpg").write_bytes(noise_jpeg(77))
        return found

    monkeypatch.setattr(embedding, "embed", changing)
    with pytest.raises(DatasetError, match="changed while it was read"):
        embedding.embed_views(dataset, net, policy, tmp_path / "c.sqlite", VIEWS["crops"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"average_views": True}, "nothing to average over"),
        ({"average_views": True, "views": "none"}, "nothing to average over"),
        ({"views": "tiles"}, "choose one of: none, mirror, crops"),
        ({"pooling": "median"}, "choose one of: average, generalised-mean, maximum, both"),
        ({"average_views": True, "views": "none", "budget": 60}, "nothing to average over"),
        ({"pooling": ["both"]}, "pooling must be a name"),
        ({"views": 1}, "views must be a name"),
        ({"budget": "60"}, "budget must be a number of seconds"),
        ({"budget": 0}, "above 0 and at most"),
        ({"budget": float("nan")}, "above 0 and at most"),
        ({"views": "crops", "fine_tune": FineTuning()}, "Fine-tuning sees views of its own"),
        ({"budget": 10, "fine_tune": FineTuning()}, "Fine-tuning sees views of its own"),
    ],
)
def test_what_does_not_hold_together_is_refused(
    options: dict[str, object], said: str, class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=said):
        mn.train(class_folders(red=3, blue=3), into=tmp_path / "m.onnx", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "m.onnx").exists()


def test_the_command_takes_the_same(
    class_folders: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(class_folders(red=6, blue=5)), "--into", str(tmp_path / "m.onnx"), "--size", "64"]
    assert call([*arguments, "--views", "crops", "--average-views", "--pooling", "both"]) == 0
    assert "pooled by both, views: crops, averaged" in " ".join(capsys.readouterr().out.split())
    assert call([*arguments, "--average-views"]) == 1
    assert "nothing to average over" in " ".join(capsys.readouterr().err.split())
