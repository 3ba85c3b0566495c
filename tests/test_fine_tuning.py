"""Fine-tuning: kept only if better, killed and gone on with, the same bytes, and what is said where it cannot be."""

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import fill_class_folders, noise_jpeg
from PIL import Image

import milliner
from milliner import FineTuning
from milliner.cli.main import call
from milliner.cli.training_texts import result_rows
from milliner.core.errors import DatasetError, MillinerError, SettingsError
from milliner.images.resize import ResizePolicy
from milliner.project.settings import load_settings
from milliner.training import export as exporting
from milliner.training.finetune.augment import Augmentation
from milliner.training.finetune.checkpoint import Checkpoint
from milliner.training.finetune.figures import Epoch, Figures
from milliner.training.finetune.memory import kept_memory
from milliner.training.train import TrainResult

TUNING = FineTuning(epochs=3, size=64, batch=8, rate=5e-3, head_rate=5e-3, average=0.9, smoothing=0.1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two processes of tests would wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def striped(seed: int, upright: bool) -> bytes:
    """Stripes so fine that at half the size nothing is left of them."""
    random = np.random.default_rng(seed)
    grey = np.tile(np.where((np.arange(64) + random.integers(2)) % 2 < 1, 160.0, 90.0), (64, 1))
    values = (grey if upright else grey.T)[..., None] + random.normal(0, 40, (64, 64, 3)) + random.normal(0, 40, 3)
    buffer = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that a network can tell apart at 64 pixels and not at 32."""
    folder = tmp_path_factory.mktemp("stripes")
    for label, upright in (("level", False), ("upright", True)):
        (folder / label).mkdir()
        for number in range(12):
            (folder / label / f"{number:02}.png").write_bytes(striped(number + 100 * upright, upright))
    return folder


def tune(dataset: Path, into: Path, tuning: FineTuning = TUNING, **options: Any) -> TrainResult:
    """The linear model sees 32 pixels."""
    return milliner.train(dataset, into=into, size=32, cache=into.parent / "cache.sqlite", fine_tune=tuning, **options)


@pytest.fixture(scope="module")
def tuned(stripes: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A fine-tuned model that is better than the linear one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLINER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        result = tune(stripes, tmp_path_factory.mktemp("tuned") / "m.onnx", init={"level": "crash helmet"})
    torch.set_num_threads(threads)
    return result


def test_a_better_network_is_kept_in_one_file_that_says_so(tuned: TrainResult, stripes: Path) -> None:
    found = tuned.fine_tuning
    assert found is not None
    assert found.kept
    assert found.tuned.log_loss < found.linear.log_loss
    assert found.tuned.accuracy >= found.linear.accuracy
    assert found.sentence().startswith("kept: on ")
    onnx.checker.check_model(onnx.load(tuned.model), full_check=True)
    model = milliner.load(tuned.model)
    assert model.metadata.backbone.tuned
    assert model.metadata.resize.size == 64
    figures = json.loads(json.dumps(tuned.to_json()))["fine_tuning"]
    assert model.metadata.metrics["fine_tuning"] == figures
    assert model.metadata.metrics["temperature"] == tuned.reliability.calibration.temperature
    assert [each["number"] for each in figures["epochs"]] == [1, 2, 3]
    assert "fine-tune" in tuned.seconds
    pictures = sorted(stripes.rglob("*.png"))
    said = [prediction.label for prediction in model.predict(pictures)]
    assert np.mean([label == path.parent.name for label, path in zip(said, pictures, strict=True)]) >= 0.9


def test_its_rows_tell_whose_figures_they_are(tuned: TrainResult) -> None:
    rows = result_rows(tuned)
    assert next(text for term, text in rows if term == "linear head").startswith("cross-validated: accuracy")
    assert re.search(r"on \d+ pictures held out, a little flattered since they chose", dict(rows)["fine-tuned"])
    assert [term for term, _ in rows].index("fine-tuned") < [term for term, _ in rows].index("temperature")
    many = dict(result_rows(replace(tuned, labels=tuple(f"class{number}" for number in range(12)))))
    assert many["classes"].endswith("class9 and 2 more")


def test_its_logits_are_those_that_validation_found(tuned: TrainResult, stripes: Path) -> None:
    found = tuned.fine_tuning
    assert found is not None
    best = found.epochs[found.best - 1].validation
    assert (best.pictures, best.accuracy) == (found.tuned.pictures, found.tuned.accuracy)
    assert best.log_loss == pytest.approx(found.tuned.log_loss, abs=1e-4)
    assert min(epoch.validation.log_loss for epoch in found.epochs) == best.log_loss
    model = milliner.load(tuned.model)
    keys = milliner.open_dataset(stripes)
    places = np.flatnonzero(found.held_out)
    looks = [model.look(keys[int(place)].encoded, ["logits"])["logits"] for place in places]
    np.testing.assert_allclose(looks, found.logits / tuned.reliability.calibration.temperature, atol=1e-4)


def test_before_is_what_the_published_backbone_knew(tuned: TrainResult, stripes: Path, tmp_path: Path) -> None:
    linear = milliner.train(stripes, into=tmp_path / "l.onnx", size=64, init={"level": "crash helmet"})
    for label, upright in (("level", False), ("upright", True)):
        (tmp_path / "test" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "test" / label / f"{number}.png").write_bytes(striped(900 + number + 50 * upright, upright))
    ours = milliner.evaluate(tuned.model, tmp_path / "test", report=tmp_path / "r.html")
    theirs = milliner.evaluate(linear.model, tmp_path / "test")
    assert ours.before.log_loss == pytest.approx(theirs.before.log_loss, rel=1e-4)
    assert ours.before_kind == theirs.before_kind
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "all its weights were trained on" in page
    assert "the linear head accuracy" in page


def test_the_same_seed_gives_the_same_bytes_and_nothing_is_left_beside(
    tuned: TrainResult, stripes: Path, tmp_path: Path
) -> None:
    again = tune(stripes, tmp_path / "m.onnx", init={"level": "crash helmet"})
    assert (again.hits, again.misses) == (0, 24)
    assert again.model.read_bytes() == tuned.model.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.sqlite", "m.onnx", "runs"]


KILLED = """
import sys, torch, milliner
from dataclasses import replace
torch.set_num_threads(1)
said = lambda epoch: print(epoch.number, flush=True)
numbers = {"rate": 5e-3, "head_rate": 5e-3, "average": 0.9, "smoothing": 0.1}
tuning = milliner.FineTuning(epochs=3, size=64, batch=8, **numbers, on_epoch=said)
pictures, into, cache = sys.argv[1:]
milliner.train(pictures, into=into, size=32, cache=cache, init={"level": "crash helmet"}, fine_tune=tuning)
"""


def test_a_killed_training_goes_on_as_if_nothing_had_happened(
    tuned: TrainResult, stripes: Path, tmp_path: Path
) -> None:
    path, cache = tmp_path / "m.onnx", tmp_path / "cache.sqlite"
    command = [sys.executable, "-c", KILLED, str(stripes), str(path), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not path.exists()
    assert (tmp_path / ".m.onnx.checkpoint").exists()
    heard: list[int] = []
    tuning = replace(TUNING, on_epoch=lambda epoch: heard.append(epoch.number))
    again = tune(stripes, path, tuning, init={"level": "crash helmet"})
    assert heard in ([2, 3], [3])
    assert path.read_bytes() == tuned.model.read_bytes()
    assert again.hits == 24
    assert not (tmp_path / ".m.onnx.checkpoint").exists()


def test_a_network_that_is_no_better_is_not_written(tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "p", red=12, blue=10)
    options = {"size": 64, "cache": tmp_path / "cache.sqlite"}
    linear = milliner.train(pictures, into=tmp_path / "linear.onnx", **options)  # type: ignore[arg-type]
    tuning = FineTuning(epochs=20, size=64, batch=8, rate=1e-1, head_rate=1e-1, patience=1)
    result = milliner.train(pictures, into=tmp_path / "m.onnx", fine_tune=tuning, **options)  # type: ignore[arg-type]
    found = result.fine_tuning
    assert found is not None
    assert not found.kept
    assert found.sentence().startswith("not kept, the linear head is written")
    assert len(found.epochs) < 20, "it should have ended early"
    assert len(found.epochs) == found.best + 1
    one, other = milliner.load(linear.model), milliner.load(tmp_path / "m.onnx")
    assert not other.metadata.backbone.tuned
    assert other.metadata.metrics["cross_validated"] == one.metadata.metrics["cross_validated"]
    assert other.metadata.metrics["fine_tuning"]["kept"] is False
    picture = noise_jpeg(900)
    assert one.predict(picture).probabilities == other.predict(picture).probabilities


@pytest.mark.parametrize(
    ("accuracy", "log_loss", "better"),
    [(0.9, 0.2, True), (0.8, 0.29, True), (0.9, 0.3, False), (0.79, 0.1, False), (0.9, float("nan"), False)],
)
def test_better_is_a_lower_log_loss_at_no_lower_accuracy(accuracy: float, log_loss: float, better: bool) -> None:
    assert Figures(10, accuracy, log_loss).beats(Figures(10, 0.8, 0.3)) is better


def test_a_graph_that_does_something_else_than_torch_is_not_written(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from milliner.training.finetune.network import Network

    written = Network.written

    def slightly_wrong(network: Network) -> onnx.ModelProto:
        other = network.with_weights({name: value * 1.001 for name, value in network.weights.items()})
        return written(other)

    monkeypatch.setattr(Network, "written", slightly_wrong)
    with pytest.raises(MillinerError, match="differs by"):
        tune(stripes, tmp_path / "m.onnx", replace(TUNING, epochs=1))
    assert not (tmp_path / "m.onnx").exists()


def test_a_model_that_cannot_be_written_loses_no_epoch(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    tuning = replace(TUNING, epochs=1, on_epoch=lambda epoch: heard.append(epoch.number))
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "TOLERANCE", -1.0)
        with pytest.raises(MillinerError, match="was not written"):
            tune(stripes, tmp_path / "m.onnx", tuning)
    assert heard == [1]
    tune(stripes, tmp_path / "m.onnx", tuning)
    assert heard == [1]


def test_a_loss_without_bounds_ends_in_one_sentence(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda logits, *_, **__: logits.sum() * torch.inf)
    with pytest.raises(SettingsError, match="give it lower rates"):
        tune(stripes, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_without_torch_one_sentence_names_the_extra_before_any_work(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SettingsError, match=r"pip install 'milliner\[torch\]'"):
        tune(stripes, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_training_without_it_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None; import milliner; "
        f"milliner.train({str(fill_class_folders(tmp_path / 'p', red=3, blue=3))!r}, "
        f"into={str(tmp_path / 'm.onnx')!r}, size=32, cache={str(tmp_path / 'c.sqlite')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_another_pooling_is_trained_on_as_well(stripes: Path, tmp_path: Path) -> None:
    found = tune(stripes, tmp_path / "m.onnx", pooling="both")
    assert found.fine_tuning is not None
    assert found.fine_tuning.kept
    assert found.difference <= 1e-4
    assert milliner.load(found.model).metadata.lineage["pooling"] == "both"


def test_what_classes_count_counts_for_the_whole_network_too(stripes: Path, tmp_path: Path) -> None:
    brief = replace(TUNING, epochs=1)
    equal = tune(stripes, tmp_path / "equal.onnx", brief).fine_tuning
    uneven = tune(stripes, tmp_path / "m.onnx", brief, wishes=milliner.Wishes(class_weight={"level": 50})).fine_tuning
    assert equal is not None
    assert uneven is not None
    assert uneven.epochs[0].training_loss != pytest.approx(equal.epochs[0].training_loss, rel=1e-3)


def test_too_few_pictures_to_hold_some_out_are_refused(tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "p", red=5, blue=2)
    with pytest.raises(DatasetError, match=r"'blue' .* too few pictures to fine-tune"):
        tune(pictures, tmp_path / "m.onnx")
    fill_class_folders(pictures, red=5, blue=3)
    assert tune(pictures, tmp_path / "m.onnx", replace(TUNING, epochs=1)).model.exists()


def test_a_size_that_the_backbone_cannot_see_is_refused_before_any_work(stripes: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="multiple of 32"):
        tune(stripes, tmp_path / "m.onnx", replace(TUNING, size=100))
    assert list(tmp_path.iterdir()) == []


def test_a_card_that_is_not_there_is_refused(stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="no CUDA card"):
        tune(stripes, tmp_path / "m.onnx", replace(TUNING, device="cuda"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "epochs must be 1 to 1000, not 0"),
        ({"batch": 5000}, "batch must be 1 to 1024"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"head_rate": float("nan")}, "head_rate must be above 0"),
        ({"smoothing": 1.0}, "below 1"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
    ],
)
def test_values_that_do_not_hold_together_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        FineTuning(**wrong)


def test_the_command_says_every_epoch_and_the_verdict(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["train", str(stripes), "--into", "m.onnx", "--size", "32"]
    assert call([*arguments, "--fine-tune", "--epochs", "1", "--fine-tune-size", "64", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert "epoch 1/1: training loss " in err
    assert "validation loss " in err
    assert "fine-tuning" in out
    assert "linear head accuracy" in out
    assert call([*arguments, "--epochs", "3"]) == 2
    assert "--epochs goes with --fine-tune" in capsys.readouterr().err
    assert call([*arguments, "--fine-tune", "--epochs", "0"]) == 1
    assert "epochs must be 1 to 1000" in capsys.readouterr().err


def test_a_project_asks_for_it_by_a_table(tmp_path: Path) -> None:
    path = tmp_path / "milliner.toml"
    path.write_text("[train]\nsize = 384\n")
    assert load_settings(path).train.fine_tune is None
    path.write_text("[train.fine_tune]\n")
    found = load_settings(path).train.fine_tune
    assert found is not None
    assert found.tuning == FineTuning()
    path.write_text("[train.fine_tune]\nepochs = 20\nsize = 256\n")
    found = load_settings(path).train.fine_tune
    assert found is not None
    assert (found.tuning.epochs, found.tuning.size) == (20, 256)
    for text, said in (("epoch = 3", "did you mean 'epochs'"), ("epochs = 0", "epochs must be 1 to 1000")):
        path.write_text(f"[train.fine_tune]\n{text}\n")
        with pytest.raises(SettingsError, match=f"line [12].*{said}"):
            load_settings(path)


def test_augmented_pictures_are_decided_by_chance_alone(tmp_path: Path) -> None:
    look = Augmentation(ResizePolicy(64))
    first, again, other = (look(striped(1, True), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other.astype(int)).mean() > 1


def test_an_augmented_picture_is_about_as_bright_and_as_upright_as_prediction_sees_it() -> None:
    shade = np.linspace(0, 200, 90, dtype=np.uint8)[:, None, None].repeat(120, 1).repeat(3, 2)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 3  # upside down
    Image.fromarray(shade).save(buffer, "JPEG", exif=exif)
    policy = ResizePolicy(64)
    plain = policy.load(buffer.getvalue()).astype(float)
    assert plain[0].mean() > plain[-1].mean()
    looks = [Augmentation(policy)(buffer.getvalue(), np.random.default_rng(seed)).astype(float) for seed in range(40)]
    assert all(look[:16].mean() > look[-16:].mean() for look in looks)
    assert np.mean(looks) == pytest.approx(plain.mean(), rel=0.1)


def test_checkpoints_of_other_trainings_and_damaged_ones_are_left_unread(tmp_path: Path) -> None:
    mine = Checkpoint.of(tmp_path / "m.onnx", {"seed": 1})
    assert mine.load() is None
    arrays = {"a b": np.arange(6.0).reshape(2, 3), "steps": np.array(3)}
    mine.save(arrays, {"epochs": [1, 2]})
    loaded = mine.load()
    assert loaded is not None
    np.testing.assert_array_equal(loaded[0]["a b"], arrays["a b"])
    assert int(loaded[0]["steps"]) == 3
    assert loaded[1] == {"epochs": [1, 2]}
    assert Checkpoint.of(tmp_path / "m.onnx", {"seed": 2}).load() is None
    whole = mine.path.read_bytes()
    random = np.random.default_rng(0)
    for cut in random.integers(0, len(whole), 20):
        mine.path.write_bytes(whole[:cut])
        assert mine.load() is None
    with mine.path.open("wb") as file:
        np.savez(file, np.array([{"a": 1}], dtype=object))  # a pickle, which is never opened
    assert mine.load() is None


def test_an_epoch_survives_its_json() -> None:
    epoch = Epoch(2, 9, 0.1 + 0.2, Figures(7, 1 / 3, 2 / 3))
    assert Epoch.from_json(json.loads(json.dumps(epoch.to_json()))) == epoch


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is glibc's")
def test_memory_that_is_freed_and_asked_for_again_costs_no_page_fault() -> None:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(60):
            torch.ones(4 << 20)  # 16 MiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    usual = faults()
    with kept_memory():
        kept = faults()
    assert kept < usual / 4
