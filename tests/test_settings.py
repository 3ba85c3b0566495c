"""milliner.toml: what is accepted, and errors that name the line and the remedy."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milliner.core.address import without_login
from milliner.core.errors import SettingsError
from milliner.project.create import new
from milliner.project.settings import Settings, line_of, load_settings
from milliner.sources.secrets import secrets_of
from milliner.training.wishes import Wishes


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "milliner.toml").touch()
    assert load_settings(tmp_path / "milliner.toml") == Settings()


def test_everything_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "milliner.toml"
    path.write_text(
        """
        name = "hats"
        seed = 4
        limit = 100
        sources = ["folder:photos"]
        endpoint = "http://127.0.0.1:8000"
        [classes.helmet]
        sources = ["urls:helmets.txt"]
        init = "crash helmet"
        [classes."no helmet"]
        [split]
        train = 0.6
        test = 0.4
        [train]
        size = 320
        abstain_below = 0.8
        max_false_alarms = 0.01
        min_recall = {"no helmet" = 0.99}
        class_weight.helmet = 2
        """
    )
    settings = load_settings(path)
    assert settings.init == {"helmet": "crash helmet"}
    assert set(settings.classes) == {"helmet", "no helmet"}
    assert settings.split == {"train": 0.6, "test": 0.4}
    assert settings.train.size == 320
    assert settings.train.wishes == Wishes(
        abstain_below=0.8, max_false_alarms=0.01, min_recall={"no helmet": 0.99}, class_weight={"helmet": 2}
    )


WRONG = [
    ('nam = "x"', 1, "no setting 'nam'; did you mean 'name'"),
    ('name = "x"\n\n[train]\nsiz = 3', 4, "no setting 'siz' in [train]; did you mean 'size'"),
    ("[train]\nzzz = 3", 2, "the keys are backbone, weights, size, min_recall, "),
    ('[classes.a]\n[classes."b c"] # said\ninti = "x"', 3, "no setting 'inti' in [classes.b c]; did you mean 'init'"),
    ("seed = 1\ntrain.size = 'big'", 2, "train.size: input should be a valid integer"),
    ('# a comment\nname = "../up"', 2, "name: it must be letters"),
    ("[train]\nabstain_below = 1.0", 2, "abstain_below: input should be less than 1"),
    ("[train]\nsize = 64\nmin_recall = {a = 2}", 3, "train.min_recall: min_recall must be over 0 and below 1, not 2"),
    ("[train.cost]\na = 0", 1, "train.cost: cost must be between"),
    ("[train]\nabstain_far = 0.7", 2, "train.abstain_far: input should be less than or equal to 0.5"),
    ("[split]\ntrain = 1.0", 1, "split: both train and test are needed"),
    ("sources = 'folder:x'", 1, "sources: it must be a list"),
    ('[fetch]\ncontakt = "me"', 2, "no setting 'contakt' in [fetch]; did you mean 'contact'"),
    ('[fetch]\nlicenses = ["by", "mit"]', 2, "fetch.licenses: there is no licence 'mit'; the codes are cc0"),
    ("limit = 0", 1, "limit: input should be greater than 0"),
    ("[train]\nallow_drop = 1", 2, "train.allow_drop: allow_drop goes with int8 = true"),
    ("[train]\nint8 = true\nallow_drop = 101", 3, "train.allow_drop: The allowed drop is in points of accuracy"),
    ("[train]\nsize = 33", 2, "train.size: The size must be a multiple of 32 from 32 to 2048"),
    ("[train]\nsize = 40\nbackbone = 'squeezenet1_1'", 2, "train.size: The size must be a multiple of 16 from 32"),
    ("[train]\nbackbone = 'squeezenet'", 2, "train.backbone: There is no backbone 'squeezenet'; did you mean"),
    ("seed = 1\n[split]\ntrain = 0.7\ntest = 0.5", 2, "split: The split {'train': 0.7, 'test': 0.5} must have shares"),
    ('[classes."../evil"]', None, "has the label '../evil', which cannot name a folder"),
    ("train = 5", 1, "train: it must be a table"),
    ('[classes.red]\ninit = "crash helmit"', 2, "ImageNet has no class 'crash helmit'; did you mean 'crash helmet'"),
    ("[trane]\nsize = 3", 1, "no setting 'trane'; did you mean 'train'"),
    ("seed = ", None, "not valid TOML: Invalid value (at end of document)"),
    ("seed = 1\nseed 2", None, "line 2"),
]


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    path = tmp_path / "milliner.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(path)
    assert said in str(raised.value)
    if line:
        assert f"milliner.toml, line {line}: " in str(raised.value)


@pytest.mark.parametrize("name", ["auto", "efficientnet_lite0", "squeezenet1_1", "hf:ann/dino", "onnx:net.onnx"])
def test_a_backbone_can_be_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "milliner.toml").write_text(f"[train]\nsize = 64\nbackbone = '{name}'\nweights = 'w.pth'\n")
    found = load_settings(tmp_path / "milliner.toml").train
    assert (found.backbone, found.size, found.weights) == (name, 64, "w.pth")


def test_a_missing_and_a_foreign_file_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="milliner new"):
        load_settings(tmp_path / "milliner.toml")
    (tmp_path / "milliner.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(tmp_path / "milliner.toml")


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)


@given(tables=st.lists(KEYS, min_size=1, max_size=5, unique=True), data=st.data())
def test_any_key_is_found_on_its_line(tables: list[str], data: st.DataObject) -> None:
    lines, places = [], {}
    for table in tables:
        lines.append(f"[{quoted(table)}]")
        key = data.draw(KEYS)
        lines.append(f"{quoted(key)} = 1  # [not.a.table]")
        places[table, key] = len(lines)
    tomllib.loads("\n".join(lines))
    for place, line in places.items():
        assert line_of("\n".join(lines), place) == line


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_keys_are_read_from_the_settings_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "milliner.toml"
    path.write_text('[fetch]\ncontact = "me@example.org"\n[fetch.secrets]\nopenverse_token = "geheim"\n')
    settings = load_settings(path)
    assert settings.fetch.secrets.given == {"openverse_token": "geheim"}
    assert "geheim" not in f"{settings!r} {settings.model_dump()}"
    monkeypatch.setenv("MILLINER_OPENVERSE_TOKEN", "other")
    monkeypatch.setenv("MILLINER_IMAGENET_COOKIE", "biscuit")
    given = secrets_of(settings.fetch.secrets.given)
    assert given == {"openverse_token": "geheim", "imagenet_cookie": "biscuit"}
    path.write_text('[fetch.secrets]\nopenverse_token = ["geheim"]\n')
    with pytest.raises(SettingsError) as raised:
        load_settings(path)
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam/stream?user=admin&pwd=s3cret&ch=1", "rtsp://cam/stream?user=…&pwd=…&ch=1"),
        ("https://host/x.tar?X-Amz-Signature=ab%2Fc&size=2", "https://host/x.tar?X-Amz-Signature=…&size=2"),
        ("rtsp://me:s3cret@cam:554/x", "rtsp://cam:554/x"),
        ("openverse:hat", "openverse:hat"),
        ("s3://bucket/a@b/c.tar", "s3://bucket/a@b/c.tar"),
    ],
)
def test_an_address_is_shown_without_what_opens_it(address: str, shown: str) -> None:
    assert without_login(address) == shown


def test_a_new_project_is_valid_and_begins_with_drawn_scenes(tmp_path: Path) -> None:
    folder = new(str(tmp_path / "hats"))
    settings = load_settings(folder / "milliner.toml")
    assert (settings.name, settings.sources) == ("hats", ("scenes:200",))
    assert settings.init == {"helmet": "crash helmet"}
    assert (folder / "pictures").is_dir()


LABELS = st.text(st.characters(codec="utf-8", categories=["L", "N"], include_characters="-_ '"), min_size=1, max_size=8)


@given(
    source=st.text(st.characters(codec="utf-8"), max_size=30), label=LABELS.filter(lambda text: text == text.strip())
)
def test_any_source_and_label_survive_being_written(
    tmp_path_factory: pytest.TempPathFactory, source: str, label: str
) -> None:
    folder = new(
        str(tmp_path_factory.mktemp("p") / "hats"), [source], init={label: "crash helmet"}, endpoint=source or None
    )
    settings = load_settings(folder / "milliner.toml")
    assert (settings.sources, settings.init) == ((source,), {label: "crash helmet"})
    assert settings.endpoint == (source or None)


def test_a_project_is_never_overwritten(tmp_path: Path) -> None:
    folder = new(str(tmp_path / "hats"))
    (folder / "milliner.toml").write_text("seed = 9\n")
    with pytest.raises(SettingsError, match="exists already"):
        new(str(folder))
    assert load_settings(folder / "milliner.toml").seed == 9
