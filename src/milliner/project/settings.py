"""``milliner.toml``: what it may say, and errors that name the line."""

import difflib
import re
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from milliner.backbones.policy import DEFAULT, DEFAULT_INPUT
from milliner.core.credit import LICENCES
from milliner.core.errors import MillinerError, SettingsError
from milliner.core.imagenet import class_index
from milliner.curation.groups import Grouping
from milliner.curation.split import DEFAULT_SPLIT, check_shares
from milliner.images.inspect import MIN_SIDE
from milliner.images.reencode import Reencoding
from milliner.images.resize import MAX_SIZE
from milliner.sources.label import checked_label
from milliner.sources.web.manners import POLITE, Manners
from milliner.training.finetune.settings import FineTuning
from milliner.training.given import Given
from milliner.training.wishes import DEFAULT_FAR, Wishes

SETTINGS_NAME: Final = "milliner.toml"


def _checked(check: Callable[..., object], *values: object) -> None:
    """Runs another floor's check where pydantic knows the place of the value."""
    try:
        check(*values)
    except MillinerError as error:
        raise ValueError(str(error).rstrip(".")) from error


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassSettings(_Strict):
    """``[classes.NAME]``."""

    sources: tuple[str, ...] = ()
    """Where pictures of this class come from."""
    init: str | None = None
    """The ImageNet class that means this one: evaluations compare with what the network knew before training."""

    @field_validator("init")
    @classmethod
    def _check_init(cls, value: str | None) -> str | None:
        if value is not None:
            _checked(class_index, value)
        return value


_TUNING: Final = FineTuning()


class FineTuneSettings(_Strict):
    """``[train.fine_tune]``: where the table is there, the whole network is trained on."""

    epochs: int = _TUNING.epochs
    """Times that every picture is seen, at most."""
    size: Annotated[int, Field(ge=32, le=MAX_SIZE)] | None = None
    """Pixels a side that the network sees; as many as the linear head's where it is left out."""
    batch: int = _TUNING.batch
    """Pictures a step."""
    rate: float = _TUNING.rate
    """Highest learning rate of the backbone, as a share of its weights' size."""
    head_rate: float = _TUNING.head_rate
    """Highest learning rate of the head, as a share of its weights' size."""
    patience: int = _TUNING.patience
    """Epochs in a row that may bring no lower validation loss."""
    device: Literal["auto", "cpu", "cuda"] = _TUNING.device

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        _checked(lambda: self.tuning)
        return self

    @property
    def tuning(self) -> FineTuning:
        """For the training."""
        return FineTuning(**self.model_dump())


class TrainSettings(_Strict):
    """``[train]``."""

    backbone: str = DEFAULT
    """One of `milliner train --list-backbones`, or `auto`."""
    weights: str | None = None
    """A checkpoint of the same network in place of the published weights; a path from the project's folder."""
    size: Annotated[int, Field(ge=32, le=MAX_SIZE)] | None = None
    """Pixels a side of the square that the network sees, a multiple of its stride; without it the backbone's own."""
    min_recall: dict[str, float] = {}
    """Of each class named: the share of its pictures that must be found."""
    max_false_alarms: float | dict[str, float] = {}
    """The share of the pictures of other classes that may be called a class; a number is for those named elsewhere."""
    cost: dict[str, float] = {}
    """Of each class named: what it costs to miss it."""
    class_weight: dict[str, float] = {}
    """Of each class named: a factor on what its pictures count in the fit."""
    balanced: bool = True
    """Every class counts the same in the fit, however many pictures it has."""
    abstain_below: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The model abstains where the probability of what it says is lower."""
    abstain_margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The model abstains where the best two classes are closer."""
    abstain_far: Annotated[float, Field(ge=0, le=0.5)] = DEFAULT_FAR
    """The model abstains on what is unlike the training pictures: on this share of pictures like these."""
    pooling: str | None = None
    """How a map becomes one row; the backbone's own where it is left out."""
    views: str | None = None
    """What the head is fitted to besides the whole pictures."""
    average_views: bool = False
    """Average answers over the picture and its views."""
    budget: float | None = None
    """Seconds in which size, pooling and views are chosen, where they are left out."""
    int8: bool = False
    """Write the model in 8-bit integers as well."""
    allow_drop: float | None = None
    """Points of accuracy that 8 bits may cost."""
    fine_tune: FineTuneSettings | None = None

    @field_validator("allow_drop")
    @classmethod
    def _check_allow_drop(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None:
            return value
        if not info.data.get("int8"):
            raise ValueError("allow_drop goes with int8 = true")
        from milliner.training.int8.quantise import check_allowed_drop  # which needs onnx

        _checked(check_allowed_drop, value)
        return value

    @field_validator("backbone")
    @classmethod
    def _check_backbone(cls, value: str) -> str:
        _check_backbone(value, None)
        return value

    @field_validator("size")
    @classmethod
    def _check_size(cls, value: int | None, info: ValidationInfo) -> int | None:
        _check_backbone(info.data.get("backbone", DEFAULT), value)
        return value

    @field_validator("min_recall", "max_false_alarms", "cost", "class_weight")
    @classmethod
    def _check_wish(cls, value: float | dict[str, float], info: ValidationInfo) -> float | dict[str, float]:
        wish: dict[str, Any] = {str(info.field_name): value}
        _checked(lambda: Wishes(**wish))
        return value

    @model_validator(mode="after")
    def _check_given(self) -> Self:
        _checked(Given(None, self.pooling, self.views, self.average_views, self.budget).check)
        return self

    @property
    def wishes(self) -> Wishes:
        """What training is asked for."""
        return Wishes(**{wish.name: getattr(self, wish.name) for wish in fields(Wishes)})


def _check_backbone(name: str, size: int | None) -> None:
    """Without importing the backbones, which takes time, where it is the default one."""
    if name == DEFAULT:
        _checked(DEFAULT_INPUT.resize, size, name)
    elif name != "auto":
        from milliner.backbones.backbone import check_name

        _checked(check_name, name, size)


class PackSettings(_Strict):
    """``[pack]``; without a key the pictures' bytes pass through untouched."""

    group: str | None = None
    """What else stays on one side of the split: a column of the ledger, or a regular expression over the paths."""
    resize: int | None = None
    """Pixels of the shorter side."""
    quality: int | None = None
    """1 to 100, of new jpg and webp files."""
    format: Literal["jpg", "png", "webp"] | None = None
    """Of new files."""
    center_crop: bool = False
    """Keep the square in the middle of each picture."""

    @field_validator("group")
    @classmethod
    def _check_group(cls, value: str | None) -> str | None:
        if value is not None:
            _checked(Grouping.of, value)
        return value

    @model_validator(mode="after")
    def _check_pictures(self) -> Self:
        _checked(Reencoding, self.resize, self.quality, self.format or "jpg", self.center_crop)
        return self


class SecretSettings(_Strict):
    """``[fetch.secrets]``; the environment is the better place, and `sources.secrets` names its variables."""

    imagenet_cookie: SecretStr | None = None
    imagenet_token: SecretStr | None = None
    openverse_client_id: SecretStr | None = None
    openverse_client_secret: SecretStr | None = None
    openverse_token: SecretStr | None = None

    @property
    def given(self) -> dict[str, str]:
        """Those that are set, in the clear; never to be shown."""
        return {name: value.get_secret_value() for name, value in self if value is not None}


class FetchSettings(_Strict):
    """``[fetch]``."""

    contact: str | None = None
    """An e-mail or web address that servers see in the User-Agent."""
    robots_txt: bool = True
    """Leave out what a host's robots.txt closes."""
    x_robots_tag: bool = True
    """Leave out what is marked noai, noimageai, noindex or noimageindex."""
    allow_private: bool = False
    """Also ask addresses of private networks."""
    connections: Annotated[int, Field(ge=1, le=256)] = POLITE.connections
    """At once, to all hosts together."""
    connections_per_host: Annotated[int, Field(ge=1, le=64)] = POLITE.connections_per_host
    min_side: Annotated[int, Field(ge=1)] = MIN_SIDE
    """Pixels; pictures with a shorter side are rejected."""
    licenses: tuple[str, ...] = ()
    """Fetch only pictures of these licences."""
    secrets: SecretSettings = SecretSettings()

    @field_validator("licenses")
    @classmethod
    def _check_licenses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for licence in value:
            if licence not in LICENCES:
                raise ValueError(f"there is no licence {licence!r}; the codes are {', '.join(LICENCES)}")
        return value

    @property
    def manners(self) -> Manners:
        """For the downloads."""
        names = ("contact", "robots_txt", "x_robots_tag", "allow_private", "connections", "connections_per_host")
        return Manners(**{name: getattr(self, name) for name in names})


class Settings(_Strict):
    """The whole file; every key may be left out."""

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]{0,63}$")] = "model"
    """The model file's name."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the split, drawn scenes and the folds of the cross-validation."""
    sources: tuple[str, ...] = ()
    """Sources that name a label for every picture themselves."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """At most this many fetched pictures of each class."""
    endpoint: str | None = None
    """A mirror that is asked in place of every address's own host."""
    classes: dict[str, ClassSettings] = {}
    split: dict[str, float] = DEFAULT_SPLIT
    """Share of each split; `train` and `test` are needed."""
    lists: dict[str, str] = {}
    """A .lst file for each split, instead of `split`."""
    fetch: FetchSettings = FetchSettings()
    pack: PackSettings = PackSettings()
    train: TrainSettings = TrainSettings()

    @field_validator("split", "lists")
    @classmethod
    def _check_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value and not {"train", "test"} <= set(value):
            raise ValueError("both train and test are needed")
        return value

    @field_validator("split")
    @classmethod
    def _check_shares(cls, value: dict[str, float]) -> dict[str, float]:
        _checked(check_shares, value)
        return value

    @field_validator("classes")
    @classmethod
    def _check_labels(cls, value: dict[str, ClassSettings]) -> dict[str, ClassSettings]:
        for label in value:
            _checked(checked_label, label, "[classes]")
        return value

    @property
    def init(self) -> dict[str, str]:
        """Label to ImageNet class, for those that name one."""
        return {label: found.init for label, found in self.classes.items() if found.init is not None}


def load_settings(path: Path) -> Settings:
    """Reads and checks the file; raises SettingsError with the line and, for a misspelt key, the likely one."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise SettingsError(
            f"There is no {path}; run `milliner new NAME` to make a project, or go into its folder."
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(str(part) for part in first["loc"])
        line = line_of(text, place)
        where = f"{path}, line {line}" if line else str(path)
        raise SettingsError(f"{where}: {_explain(first['type'], place, first['msg'])}") from error


_PLAIN: Final = {
    "tuple_type": 'it must be a list, such as ["scenes:200"]',
    "model_type": "it must be a table, with keys of its own",
    "dict_type": "it must be a table, with keys of its own",
    "string_pattern_mismatch": "it must be letters, digits, dots, dashes and underscores",
}
"""Where pydantic's words are about Python."""


def _explain(kind: str, place: tuple[str, ...], message: str) -> str:
    *table, key = place or ("",)
    if kind != "extra_forbidden":
        own = kind == "value_error"
        wrong = message.removeprefix("Value error, ") if own else _PLAIN.get(kind, message[:1].lower() + message[1:])
        return f"{'.'.join(place)}: {wrong.rstrip('?')}{'?' if wrong.endswith('?') else '.'}"
    near = difflib.get_close_matches(key, _keys_of(table), n=1)
    known = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(_keys_of(table))}."
    return f"there is no setting {key!r}{' in [' + '.'.join(table) + ']' if table else ''}; {known}"


def _keys_of(table: list[str]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "classes": ClassSettings,
        "fetch": FetchSettings,
        "fetch.secrets": SecretSettings,
        "pack": PackSettings,
        "train": TrainSettings,
        "train.fine_tune": FineTuneSettings,
    }
    name = "classes" if table[:1] == ["classes"] else ".".join(table)
    return list(tables.get(name, Settings).model_fields)


_PART: Final = r"""(?:[\w-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY: Final = re.compile(rf"^\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


def line_of(text: str, place: tuple[str, ...]) -> int | None:
    """The line (from 1) where a TOML text sets the key at `place`, or the table nearest to it; None for no place."""
    table: tuple[str, ...] = ()
    best, best_depth = None, 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("["):
            table = found = _path(line)
        elif key := _KEY.match(line):
            found = table + _path(f"{key[1]} = 0")
        else:
            continue
        depth = _common(found, place)
        if depth > best_depth and (depth == len(found) or depth == len(place)):
            best, best_depth = number, depth
    return best


def _path(line: str) -> tuple[str, ...]:
    """The parts of a line's table header or dotted key; the TOML parser itself takes quotes and escapes apart."""
    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:  # a line inside a longer value
        return ()
    parts = []
    while isinstance(value, dict) and value:
        ((name, value),) = value.items()
        parts.append(name)
    return tuple(parts)


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count
