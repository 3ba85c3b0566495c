"""``milliner shards``: what is in packed files, what is damaged, what can be saved, and any format from any other."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import Run, run
from test_convert import pattern
from test_formats import FORMATS, NAMES, RECORDS, everything, write

from milliner.cli.options import Size
from milliner.shards.dataset import open_packed

__all__ = ["run"]


@pytest.fixture
def tars(tmp_path: Path) -> tuple[Path, ...]:
    return write(FORMATS["webdataset"], tmp_path / "in", RECORDS, shard_size=1)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)


def test_ls_shows_what_is_in_there(run: Run, tars: tuple[Path, ...]) -> None:
    given = str(tars[0].with_name("train-*.tar"))
    code, out, err = run("shards", "ls", given, "--limit", 2)
    assert (code, err) == (0, "")
    assert re.search(rf"train-000004\.tar +{tars[4].stat().st_size:,}$", out, re.MULTILINE)
    assert re.search(r"^apple +3\npear +2\nno picture is of this +0\nall +5$", out, re.MULTILINE)
    assert re.search(r"^first 2 keys *\nb/one\.jpg *\na/two words é\.jpg *$", out, re.MULTILINE)
    code, out, err = run("shards", "ls", given, "--limit", 0, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert [Path(file["path"]).name for file in document["files"]] == [path.name for path in tars]
    assert [file["bytes"] for file in document["files"]] == [path.stat().st_size for path in tars]
    del document["files"]
    assert document == {"records": 5, "classes": {"apple": 3, "pear": 2, NAMES[2]: 0}, "keys": []}


@pytest.mark.parametrize("to", FORMATS)
def test_ls_and_verify_know_every_format(to: str, run: Run, tmp_path: Path) -> None:
    write(FORMATS[to], tmp_path, RECORDS)
    given = pattern(tmp_path, to)
    assert json.loads(run("shards", "ls", given, "--json")[1])["records"] == 5
    code, out, err = run("shards", "verify", given)
    assert (code, out.strip(), err) == (0, "5 records, which all are as they were written", "")


def test_verify_tells_of_every_damage(run: Run, tars: tuple[Path, ...]) -> None:
    flip(tars[1], 520)
    flip(tars[4], 50_000)
    code, out, err = run("shards", "verify", *map(str, tars))
    assert code == 1
    assert re.search(rf"^{tars[1]} +0  {RECORDS[1].key} +the sample is not as it was written", out, re.MULTILINE)
    assert re.search(rf"^{tars[4]} +0  {RECORDS[4].key} +the sample is not as it was written", out, re.MULTILINE)
    assert err == (
        f"error: 2 places are damaged; restore {tars[1]} from a copy, "
        f"or save what is whole with `milliner shards repair {tars[1]} --into FOLDER`.\n"
    )
    code, out, _ = run("shards", "verify", tars[4].with_name("train-*.tar"), "--json")
    assert code == 1
    document = json.loads(out)
    assert (document["records"], document["unchecked"]) == (5, [])
    assert document["damage"][1] == {
        "file": str(tars[4]),
        "offset": 0,
        "record": RECORDS[4].key,
        "what": "the sample is not as it was written",
    }


def test_verify_says_where_there_is_nothing_to_compare_with(run: Run, tmp_path: Path) -> None:
    (path,) = write(FORMATS["webdataset"], tmp_path, [RECORDS[2]])
    path.with_suffix(".sums").unlink()
    code, out, err = run("shards", "verify", path)
    assert (code, out.strip()) == (0, "1 records, which all can be decoded")
    assert err == f"{path} has no checksums; a picture that is damaged but decodes is not found.\n"
    assert json.loads(run("shards", "verify", path, "--json")[1])["unchecked"] == [str(path)]


@pytest.mark.parametrize("kind", ["recordio", "webdataset"])
def test_repair_saves_what_is_whole(kind: str, run: Run, tmp_path: Path) -> None:
    (path,) = write(FORMATS[kind], tmp_path / "in", RECORDS)
    flip(path, path.read_bytes().index(RECORDS[2].encoded) + 3)
    damaged = path.read_bytes()
    code, out, err = run("shards", "repair", path, "--into", tmp_path / "out", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["kept"], document["files"]) == (4, [str(tmp_path / "out" / path.name)])
    assert RECORDS[2].key in [item["record"] for item in document["lost"]]
    assert everything(open_packed(tmp_path / "out" / path.name)) == [*RECORDS[:2], *RECORDS[3:]]
    assert path.read_bytes() == damaged
    code, out, _ = run("shards", "repair", path, "--into", tmp_path / "table")
    assert code == 0
    assert re.search(r"a/three\.jpg", out)
    assert re.search(rf"^{tmp_path / 'table' / path.name} +4$", out, re.MULTILINE)


@pytest.mark.parametrize("to", FORMATS)
def test_convert_writes_any_format(to: str, run: Run, tars: tuple[Path, ...], tmp_path: Path) -> None:
    given = tars[0].with_name("train-{000000..000004}.tar")
    code, out, err = run("shards", "convert", given, "--into", tmp_path / "out", "--to", to, "--split", "new")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("5 records")
    assert everything(open_packed(pattern(tmp_path / "out", to, "new"))) == RECORDS
    options = ["--into", tmp_path / "again", "--to", to, "--shard-size", "90kB", "--json"]
    document = json.loads(run("shards", "convert", given, *options)[1])
    assert (document["format"], document["split"], document["records"], document["resumed"]) == (to, "train", 5, 0)
    assert len(document["files"]) == (2 if to in ("webdataset", "parquet") else 1)
    assert all(Path(path).exists() for path in document["files"])


MISTAKES: list[tuple[list[str], int, str]] = [
    (["shards"], 2, "Usage"),
    (["shards", "fly"], 2, "No such command"),
    (["shards", "ls"], 2, "Missing argument"),
    (["shards", "ls", "{tmp}/nowhere.rec"], 1, "There is no"),
    (["shards", "ls", "{pictures}"], 1, "is a folder of pictures and not packed"),
    (["shards", "verify", "{tmp}/text.tar"], 1, "is damaged"),
    (["shards", "ls", "{tmp}/text.rec"], 1, "copy or pack it again"),
    (["shards", "repair", "{tmp}/text.tar", "--into", "{tmp}"], 1, "the damaged file itself"),
    (["shards", "repair", "{tmp}/text.txt", "--into", "{tmp}/out"], 1, "of no kind that can be repaired"),
    (["shards", "repair", "{tmp}/text.tar", "--into", "{tmp}/out"], 1, "can be saved"),
    (["shards", "convert", "{pictures}", "--into", "{tmp}/out", "--to", "zip"], 2, "is not one of"),
    (["shards", "convert", "{pictures}", "--into", "{tmp}/o", "--to", "parquet", "--shard-size", "x"], 2, "is no size"),
    (["shards", "convert", "{pictures}", "--into", "{pictures}/out", "--to", "parquet"], 1, "lies inside"),
    (["shards", "convert", "{pictures}", "--into", "/dev/null/out", "--to", "webdataset"], 1, "/dev/null"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "said"), MISTAKES)
def test_every_mistake_is_one_sentence_with_a_remedy(
    class_folders: Callable[..., Path], run: Run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    pictures = class_folders(red=2, blue=2)
    for name in ("text.tar", "text.rec", "text.txt"):
        (tmp_path / name).write_bytes(b"hello" * 500)
    before = sorted(tmp_path.rglob("*"))
    found, _, err = run(*(argument.format(tmp=tmp_path, pictures=pictures) for argument in arguments))
    assert (found, said in err) == (code, True), err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before
    if code == 1:
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1
        assert err.rstrip().endswith(".")


@pytest.mark.parametrize(
    ("text", "size"),
    [("300000", 300_000), ("64kB", 64_000), ("256MB", 256_000_000), ("1.5GiB", 3 * 2**29), (" 2 MB ", 2_000_000)],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size
