"""New files of pictures, pictures that are taken as they are, and runs that go on after a kill."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from milliner.core.errors import DatasetError, MillinerError, SettingsError, UnreadableImageError
from milliner.core.parallel import Spread, ordered_map
from milliner.core.progress import Advance, silent
from milliner.curation import pack as packing
from milliner.curation import workers
from milliner.curation.pack import PackResult, pack
from milliner.curation.plan import SetAside
from milliner.curation.recipe import Recipe
from milliner.curation.workers import by_workers
from milliner.images.reencode import FORMATS, Reencoding, renamed
from milliner.shards.dataset import open_dataset, open_packed

Folders = Callable[..., Path]


def a_picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """Left red, right blue, so that turning and cropping show."""
    values = np.zeros((height, width, 3), np.uint8)
    values[:, : width // 2, 0] = values[:, width // 2 :, 2] = 200
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, kind, **options)
    return file.getvalue()


def opened(encoded: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image


def pictures(path: Path) -> dict[str, bytes]:
    dataset = open_dataset(path)
    return {dataset.key(place): dataset[place].encoded for place in range(len(dataset))}


def left_out(result: PackResult) -> list[tuple[str, str]]:
    return sorted((row.file, row.reason) for row in result.set_aside)


def a_list(folder: Path, *keys: str) -> dict[str, Path]:
    path = folder / "all.lst"
    path.write_text("".join(f"{number}\t{number % 2}\t{key}\n" for number, key in enumerate(keys)))
    return {"all": path}


# Reencoding


@pytest.mark.parametrize(
    ("size", "resize", "crop", "expected"),
    [
        ((300, 200), 100, False, (150, 100)),
        ((200, 301), 100, False, (100, 150)),  # rounded down, as im2rec does
        ((50, 40), 100, False, (125, 100)),
        ((300, 200), 100, True, (100, 100)),
        ((300, 200), None, True, (200, 200)),
        ((3000, 2), 1, False, (1500, 1)),
        ((300, 200), None, False, (300, 200)),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_the_shorter_side_is_resized_and_the_middle_kept(
    name: str, size: tuple[int, int], resize: int | None, crop: bool, expected: tuple[int, int]
) -> None:
    image = opened(Reencoding(resize, format=name, center_crop=crop)(a_picture(*size)))
    assert (image.format, image.mode, image.size) == ({"jpg": "JPEG"}.get(name, name.upper()), "RGB", expected)
    if min(expected) > 20:
        left, right = (np.asarray(image)[expected[1] // 2, x] for x in (5, expected[0] - 5))
        assert left[0] > 180 > 20 > left[2]
        assert right[2] > 180 > 20 > right[0]


def test_new_pictures_are_upright_and_without_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = a_picture(80, 40, "JPEG", exif=exif, icc_profile=profile, comment=b"secret")
    for name in FORMATS:
        image = opened(Reencoding(format=name)(turned))
        assert image.size == (40, 80)
        assert not image.getexif()
        assert not {"icc_profile", "comment", "exif"} & image.info.keys()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1", "I;16"])
def test_new_pictures_are_rgb(mode: str) -> None:
    encoded = a_picture(40, 40, "TIFF", mode)
    assert opened(Reencoding(format="png")(encoded)).mode == "RGB"


def test_quality_is_95_unless_it_is_said() -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(noise, "PNG")
    sizes = [len(Reencoding(quality=quality)(noise.getvalue())) for quality in (10, 80, 95)]
    assert sizes == sorted(sizes)
    assert Reencoding()(noise.getvalue()) == Reencoding(quality=95)(noise.getvalue())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"resize": 0}, "1 to 8192 pixels"),
        ({"resize": 8193}, "1 to 8192 pixels"),
        ({"quality": 0}, "must be 1 to 100"),
        ({"quality": 101}, "must be 1 to 100"),
        ({"quality": 50, "format": "png"}, "PNG loses nothing"),
        ({"format": "gif"}, "jpg, png, webp, not 'gif'"),
    ],
)
def test_options_out_of_range_are_refused(
    class_folders: Folders, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        pack(class_folders(red=3, green=3), into=tmp_path / "p", **options)
    assert not (tmp_path / "p").exists()


def test_a_picture_that_would_grow_out_of_bounds_is_refused() -> None:
    for size, resize, name in (((4000, 2), 500, "png"), ((20_000, 20), None, "webp")):
        with pytest.raises(UnreadableImageError) as caught:
            Reencoding(resize, format=name)(a_picture(*size))
        assert caught.value.reason == "too many pixels"


@given(
    st.lists(st.text("ab/", min_size=1, max_size=4).map(lambda text: f"x/{text.strip('/')}y"), max_size=6),
    st.lists(st.sampled_from([".png", ".jpg", ".jpg.jpg", ".png.jpg", ".JPG", ""]), min_size=6, max_size=6),
    st.randoms(use_true_random=False),
)
def test_new_names_differ_whatever_the_order(stems: list[str], endings: list[str], random: Any) -> None:
    keys = sorted({f"{stem}{ending}" for stem in stems for ending in endings})
    new = dict(zip(keys, renamed(keys, "jpg"), strict=True))
    assert len(set(new.values())) == len(keys)
    assert all(name.endswith(".jpg") for name in new.values())
    assert all(name == key for key, name in new.items() if key.endswith(".jpg"))
    shuffled = random.sample(keys, len(keys))
    assert dict(zip(shuffled, renamed(shuffled, "jpg"), strict=True)) == new


# Packing them


def test_pictures_are_packed_anew_under_new_names(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=4, green=4)
    for path in (folder / "red").glob("*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    (folder / "red" / "000.jpg").write_bytes(a_picture(64, 64, "JPEG"))
    pack(folder, into=tmp_path / "p", split={"all": 1.0}, resize=32, quality=80)
    found = pictures(tmp_path / "p" / "all.rec")
    assert sorted(found) == [
        *(f"green/{number:03}.jpg" for number in range(4)),
        "red/000.jpg",
        "red/000.png.jpg",
        *(f"red/{number:03}.jpg" for number in range(1, 4)),
    ]
    assert {(image.format, image.size) for image in map(opened, found.values())} == {("JPEG", (32, 32))}
    assert found["green/001.jpg"] == Reencoding(32, 80)((folder / "green" / "001.jpg").read_bytes())


@pytest.mark.parametrize("options", [{}, {"resize": 20}], ids=["untouched", "resized"])
def test_any_number_of_workers_gives_the_same_bytes(
    class_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    folder = class_folders(red=40, green=40)
    monkeypatch.setattr("milliner.curation.encode._SLOW", 0.0)  # so that reading is spread as well
    monkeypatch.setattr("milliner.curation.encode._WORTH_A_PROCESS", 0)
    spreads: list[Spread] = [map, lambda function, items: ordered_map(function, items, 7), ordered_map]
    for number, spread in enumerate(spreads):

        @contextmanager
        def engine(name: str, reads: object, spread: Spread = spread) -> Iterator[Spread]:
            yield spread

        monkeypatch.setattr(packing, "engine_of", engine)
        pack(folder, into=tmp_path / str(number), **options)
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("0", "1", "2")]
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize("count", [1, 3])
def test_worker_processes_make_what_this_one_makes(class_folders: Folders, tmp_path: Path, count: int) -> None:
    folder = class_folders(red=30, green=1)
    (folder / "red" / "007.jpg").write_bytes(b"notes")
    (folder / "red" / "dé j\u00e0.jpg").write_bytes(a_picture(2000, 1500))
    recipe = Recipe(str(folder), Reencoding(900, format="png"), checked=False)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    made = list(by_workers(recipe, paths, count))
    assert made == [recipe.one(path) for path in paths]
    assert SetAside("red/007.jpg", "not a picture") in made


def test_a_checked_file_that_is_gone_is_an_error_of_workers_too(class_folders: Folders) -> None:
    recipe = Recipe(str(class_folders(red=2)), Reencoding())
    with pytest.raises(UnreadableImageError, match=r"gone\.jpg cannot be read: it is not there"):
        list(by_workers(recipe, ["red/000.jpg", "red/gone.jpg", "red/001.jpg"], 2))


def test_a_worker_that_is_killed_is_told(class_folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_folders(red=9)
    monkeypatch.setattr(workers, "_SERVE", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(MillinerError, match=r"has ended by itself \(exit status -9\)"):
        list(by_workers(Recipe(str(folder), Reencoding()), [f"red/{number:03}.jpg" for number in range(9)], 2))


@pytest.mark.parametrize("options", [{"check": False}, {"check": False, "resize": 32}], ids=["untouched", "resized"])
@pytest.mark.parametrize("given", [True, False])
def test_what_is_no_picture_is_set_aside_without_checking(
    class_folders: Folders, tmp_path: Path, options: dict[str, Any], given: bool
) -> None:
    folder = class_folders(red=4, green=4)
    (folder / "red" / "empty.jpg").touch()
    (folder / "red" / "page.jpg").write_bytes(b"<!doctype html><p>not found")
    (folder / "red" / "notes.jpg").write_bytes(b"notes")
    (folder / "red" / "a\tb.jpg").write_bytes(a_picture(20, 20, "JPEG"))
    (folder / "red" / "cut.jpg").write_bytes((folder / "red" / "000.jpg").read_bytes()[:700])
    keys = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/*")) if "\t" not in path.name]
    where = {"lists": a_list(tmp_path, *keys)} if given else {"split": {"all": 1.0}}
    result = pack(folder, into=tmp_path / "p", **where, **options)
    page = ("red/page.jpg", "not a picture" if "resize" in options else "web page")
    expected = [("red/empty.jpg", "empty"), ("red/notes.jpg", "not a picture"), page]
    expected += [] if given else [("red/a\tb.jpg", "name holds a tab or line break")]
    expected += [("red/cut.jpg", "truncated")] if "resize" in options else []  # bytes that pass through are not decoded
    assert left_out(result) == sorted(expected)
    (shard,) = result.shards
    assert shard.records == len(pictures(tmp_path / "p" / "all.rec")) == (8 if "resize" in options else 9)
    assert not (folder / "ledger.sqlite").exists()
    assert not (tmp_path / "p" / "ledger.sqlite").exists()


def test_without_checking_the_bytes_pass_and_twins_stay(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=4, green=4)
    (folder / "red" / "twin.jpg").write_bytes((folder / "red" / "000.jpg").read_bytes())
    pack(folder, into=tmp_path / "p", check=False, split={"all": 1.0})
    found = pictures(tmp_path / "p" / "all.rec")
    assert found == {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*")}


def test_a_given_split_gives_the_same_bytes_with_and_without_checking(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=4, green=4)
    lists = a_list(tmp_path, "red/001.jpg", "green/003.jpg", "red/000.jpg")
    for name, checked in (("one", True), ("two", False)):
        pack(folder, into=tmp_path / name, lists=lists, check=checked)
    assert (tmp_path / "one" / "all.rec").read_bytes() == (tmp_path / "two" / "all.rec").read_bytes()


def test_a_list_of_nothing_usable_leaves_nothing(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    (folder / "red" / "bad.jpg").write_bytes(b"<html>")
    with pytest.raises(DatasetError, match="No picture for all is usable"):
        pack(folder, into=tmp_path / "p", lists=a_list(tmp_path, "red/bad.jpg"), check=False)
    assert not (tmp_path / "p").exists()


def test_several_labels_and_ids_are_kept(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    lst = tmp_path / "all.lst"
    lst.write_text("7\t1\t0.5\t-2\tred/000.jpg\n5\t0\t0\t0\tgreen/000.jpg\n")
    for checked in (True, False):
        pack(folder, into=tmp_path / "p", lists={"all": lst}, check=checked)
        dataset = open_packed(tmp_path / "p" / "all.rec")
        records = [dataset.record(place) for place in range(2)]
        assert [(record.id, record.labels) for record in records] == [(7, (1.0, 0.5, -2.0)), (5, (0.0, 0.0, 0.0))]


def test_an_interrupted_run_with_refused_pictures_gives_what_another_would(
    class_folders: Folders, tmp_path: Path
) -> None:
    folder = class_folders(red=20, green=20)
    for number in range(0, 20, 3):
        (folder / "red" / f"{number:03}.jpg").write_bytes(b"<html>")

    @contextmanager
    def interrupted(task: str, total: int | None) -> Iterator[Advance]:
        done = 0
        with silent(task, total):

            def advance(count: int = 1, note: str = "") -> None:
                nonlocal done
                done += count
                if task == "pack" and done >= 25:
                    raise KeyboardInterrupt

            yield advance

    with pytest.raises(KeyboardInterrupt):
        pack(folder, into=tmp_path / "p", check=False, resize=20, progress=interrupted)
    again = pack(folder, into=tmp_path / "p", check=False, resize=20)
    fresh = pack(folder, into=tmp_path / "fresh", check=False, resize=20)
    assert left_out(again) == left_out(fresh)
    assert [shard.per_class for shard in again.shards] == [shard.per_class for shard in fresh.shards]
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("p", "fresh")]
    assert contents[0] == contents[1]


def test_a_format_that_is_none_is_refused(class_folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no format 'zip' to pack to; give one of .*recordio"):
        pack(class_folders(red=3, green=3), into=tmp_path / "p", to="zip")
    with pytest.raises(SettingsError, match="must be above 0 bytes"):
        pack(class_folders(red=3, green=3), into=tmp_path / "p", shard_size=0)


def test_a_file_that_changed_behind_the_back_of_check_is_not_packed(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=8, green=8)
    pack(folder, into=tmp_path / "before", quick=True)
    path = folder / "red" / "003.jpg"
    facts = path.stat()
    path.write_bytes(bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    result = pack(folder, into=tmp_path / "after", quick=True)
    assert left_out(result) == [("red/003.jpg", "changed since it was checked")]
    assert "red/003.jpg" not in {key for shard in result.shards for key in pictures(Path(shard.path))}


def test_groups_that_leave_a_split_empty_are_told_of_before_anything_is_written(
    class_folders: Folders, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"Nothing is left for \w+: the 8 pictures belong together"):
        pack(class_folders(red=4, green=4), into=tmp_path / "p", quick=True, group="[.]jpg")
    assert not (tmp_path / "p").exists()
