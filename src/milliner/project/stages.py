"""The project's stages, in order: what each reads, what it depends on, what it writes, and what it says of it."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

from milliner.core.address import without_login
from milliner.core.errors import FetchError
from milliner.core.progress import Progress
from milliner.curation.check import check
from milliner.curation.pack import pack
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.leak_words import in_short
from milliner.images.aside import holds_asides
from milliner.images.files import write_atomically
from milliner.images.folder import picture_files
from milliner.images.ledger import LEDGER_NAME, Ledger
from milliner.probe.cache import CACHE_NAME
from milliner.project.layout import Project
from milliner.project.state import Outcome, digest_of_files
from milliner.sources.fetch import fetch
from milliner.sources.result import FetchResult
from milliner.training.int8.quantise import int8_path
from milliner.training.train import train


class Stage(ABC):
    """One step of the loop over a project's folder."""

    name: ClassVar[str]

    @abstractmethod
    def settings(self, project: Project) -> Any:
        """The part of the settings that the result depends on, as JSON values."""

    @abstractmethod
    def inputs(self, project: Project) -> str:
        """A digest of what it reads."""

    @abstractmethod
    def outputs(self, project: Project) -> Iterable[Path]:
        """The files that it writes; where one of them changes, the stage runs again."""

    @abstractmethod
    def run(self, project: Project, progress: Progress) -> Outcome:
        """Does the work and sums it up in a few words."""


class Fetch(Stage):
    """Brings what the sources name into ``pictures/``."""

    name = "fetch"

    def settings(self, project: Project) -> Any:
        """Sources, limit and seed."""
        settings = project.settings
        by_class = {label: list(found.sources) for label, found in settings.classes.items()}
        manners = settings.fetch.model_dump(mode="json", exclude={"secrets"})
        return [settings.sources, by_class, settings.limit, settings.seed, settings.endpoint, manners]

    def inputs(self, project: Project) -> str:
        """The lists, folders and videos of this machine that sources name; others are not asked what is new there."""
        return digest_of_files(_local_files(project), project.folder)

    def outputs(self, project: Project) -> Iterable[Path]:
        """The class folders; pictures that were deleted or added by hand show in their time of change."""
        return _class_folders(project) if _batches(project) else ()

    def run(self, project: Project, progress: Progress) -> Outcome:
        """Fetches the project's sources, then those of each class."""
        counts: Counter[str] = Counter()
        faults: list[str] = []
        for label, sources in _batches(project):
            try:
                result = _fetch(project, label, sources, progress)
            except FetchError as error:
                faults.append(str(error))
            else:
                counts.update(result.totals())
                faults += result.faults
        if faults and not any(path.name != LEDGER_NAME for path in _pictures(project)):
            raise FetchError(" ".join(faults))
        shown = ("stored", "already", "rejected", "failed")
        summary = ", ".join(f"{counts[name]} {name}" for name in shown if counts[name] or name == "stored")
        if not _batches(project):
            summary = "no sources in milliner.toml; pictures/ is used as it is"
        if earlier := _of_earlier_sources(project):
            summary += f"; {earlier} of sources no longer listed are still in pictures/: delete what is not wanted"
        again = counts["transient"]
        unfinished = f"{again} pictures failed for a time" if again else "; ".join(faults)
        return Outcome(summary="; ".join([summary, *faults]), unfinished=unfinished)


_TOLD = ("two-labels", "mislabel", "near-duplicate", "sibling")  # what of the check is worth a word


class Check(Stage):
    """Sets aside what would spoil training."""

    name = "check"

    def settings(self, project: Project) -> Any:
        """None."""
        return None

    def inputs(self, project: Project) -> str:
        """Every picture."""
        return digest_of_files(_pictures(project), project.folder)

    def outputs(self, project: Project) -> Iterable[Path]:
        """The ledger is shared with fetching, so it tells nothing of this stage."""
        return ()

    def run(self, project: Project, progress: Progress) -> Outcome:
        """Looks at every picture that is new or has changed, with the embeddings that training uses afterwards."""
        result = check(project.pictures, cache=project.memory / CACHE_NAME, progress=progress)
        told = [f"{result.counts[kind]} {kind}" for kind in _TOLD if kind in result.counts]
        return Outcome(", ".join([f"{len(result.kept)} kept, {len(result.set_aside)} set aside", *told]))


class Pack(Stage):
    """Splits the pictures and writes one record file for each split."""

    name = "pack"

    def settings(self, project: Project) -> Any:
        """The split or lists, the seed, and ``[pack]``."""
        settings = project.settings
        return [settings.split, settings.lists, settings.seed, settings.pack.model_dump()]

    def inputs(self, project: Project) -> str:
        """Every picture, and the lists."""
        return digest_of_files([*_pictures(project), *_lists(project).values()], project.folder)

    def outputs(self, project: Project) -> Iterable[Path]:
        """The record files with what lies beside them."""
        names = project.settings.lists or project.settings.split
        return [
            project.packed / f"{name}{end}" for name in names for end in (".rec", ".idx", ".lst", ".labels", ".sums")
        ]

    def run(self, project: Project, progress: Progress) -> Outcome:
        """Packs ``pictures/`` into ``packed/``."""
        settings = project.settings
        result = pack(
            project.pictures,
            into=project.packed,
            split=None if settings.lists else settings.split,
            lists=_lists(project) or None,
            seed=settings.seed,
            **settings.pack.model_dump(),
            progress=progress,
        )
        counts = ", ".join(f"{shard.split} {shard.records}" for shard in result.shards)
        return Outcome("; ".join([counts, *result.notes]))


class Train(Stage):
    """Fits the model to the training split."""

    name = "train"

    def settings(self, project: Project) -> Any:
        """``[train]``, the classes' init, and the seed."""
        return [
            project.settings.train.model_dump(),
            project.settings.init,
            project.settings.seed,
            project.settings.name,
        ]

    def inputs(self, project: Project) -> str:
        """The training split, and the network's files where they are the user's."""
        name, weights = _backbone(project)
        files = [Path(name.removeprefix(_ONNX))] if name.startswith(_ONNX) else []
        files += [weights] if weights is not None else []
        split = [project.packed / "train.rec", project.packed / "train.labels"]
        return digest_of_files([*split, *files], project.folder)

    def outputs(self, project: Project) -> Iterable[Path]:
        """The model file, and the one in 8 bits where that is asked for."""
        small = [int8_path(project.model)] if project.settings.train.int8 else []
        return [project.model, *small]

    def run(self, project: Project, progress: Progress) -> Outcome:
        """Trains ``models/<name>.onnx``."""
        settings = project.settings
        name, weights = _backbone(project)
        result = train(
            project.packed / "train.rec",
            into=project.model,
            init=settings.init,
            wishes=settings.train.wishes,
            size=settings.train.size,
            pooling=settings.train.pooling,
            views=settings.train.views,
            average_views=settings.train.average_views,
            budget=settings.train.budget,
            backbone=name,
            weights=weights,
            seed=settings.seed,
            cache=project.memory / CACHE_NAME,
            fine_tune=settings.train.fine_tune.tuning if settings.train.fine_tune else None,
            int8=settings.train.int8,
            allow_drop=settings.train.allow_drop,
            progress=progress,
        )
        told = [f"{result.samples} pictures, cross-validated accuracy {result.choice.accuracy:.1%}"]
        if result.fine_tuning:
            told.append(f"fine-tuning {result.fine_tuning.sentence()}")
        if result.int8:
            told.append(f"in 8 bits accuracy {result.int8.before.accuracy:.1%} to {result.int8.after.accuracy:.1%}")
        if result.curve:
            told.append(result.curve.sentence)
        return Outcome("; ".join(told))


class Evaluate(Stage):
    """Tests the model on the split that nothing was chosen on."""

    name = "evaluate"

    def settings(self, project: Project) -> Any:
        """Only the name, which the report has too."""
        return project.settings.name

    def inputs(self, project: Project) -> str:
        """The model, the test split, and the training split that it is compared with."""
        splits = [project.packed / f"{split}.{kind}" for split in ("test", "train") for kind in ("rec", "labels")]
        return digest_of_files([project.model, *splits], project.folder)

    def outputs(self, project: Project) -> Iterable[Path]:
        """The report and the figures."""
        return [project.report, project.report.with_suffix(".json")]

    def run(self, project: Project, progress: Progress) -> Outcome:
        """Writes ``reports/<name>.html`` and ``.json``."""
        ledger = project.pictures / LEDGER_NAME
        result = evaluate(
            project.model,
            project.packed / "test.rec",
            report=project.report,
            train=project.packed / "train.rec",
            ledger=ledger if ledger.is_file() else None,
            cache=project.memory / CACHE_NAME,
            progress=progress,
        )
        document = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
        write_atomically(project.report.with_suffix(".json"), document.encode())
        leaks = [in_short(result.leakage)] if result.leakage else []
        return Outcome(" ".join([result.verdict, *result.notes, *leaks]))


STAGES: tuple[Stage, ...] = (Fetch(), Check(), Pack(), Train(), Evaluate())


_ONNX: Final = "onnx:"


def _backbone(project: Project) -> tuple[str, Path | None]:
    """The backbone's name and its given weights; paths begin in the project's folder."""
    chosen = project.settings.train
    name = chosen.backbone
    if name.startswith(_ONNX):
        name = f"{_ONNX}{project.folder / Path(name.removeprefix(_ONNX)).expanduser()}"
    return name, project.folder / Path(chosen.weights).expanduser() if chosen.weights else None


def _batches(project: Project) -> list[tuple[str | None, tuple[str, ...]]]:
    """Label and sources: first those that name the class of each picture, then those of each class."""
    settings = project.settings
    every = [(None, settings.sources), *((label, found.sources) for label, found in settings.classes.items())]
    return [(label, sources) for label, sources in every if sources]


def _of_earlier_sources(project: Project) -> int:
    """Pictures that were fetched from what the settings do not name any more."""
    path = project.pictures / LEDGER_NAME
    if not path.exists():
        return 0
    listed = {without_login(source) for _, sources in _batches(project) for source in sources}
    with Ledger.read(path) as ledger:
        files = {row.file for row in ledger.fetched() if row.file and row.source not in listed}
    return sum((project.pictures / file).exists() for file in files)


def _fetch(project: Project, label: str | None, sources: tuple[str, ...], progress: Progress) -> FetchResult:
    settings = project.settings
    return fetch(
        sources,
        into=project.pictures,
        label=label,
        limit=settings.limit,
        licenses=settings.fetch.licenses,
        min_side=settings.fetch.min_side,
        endpoint=settings.endpoint,
        seed=settings.seed,
        base=project.folder,
        manners=settings.fetch.manners,
        secrets=settings.fetch.secrets.given,
        progress=progress,
    )


def _local_files(project: Project) -> list[Path]:
    """What the sources' arguments name on this machine."""
    files: list[Path] = []
    for _, sources in _batches(project):
        for source in sources:
            path = project.folder / Path(source.partition(":")[2]).expanduser()
            if source.startswith("scenes:") or not path.exists():
                continue
            files += [path] if path.is_file() else list(picture_files(path))
    return files


def _lists(project: Project) -> dict[str, Path]:
    return {name: project.folder / path for name, path in project.settings.lists.items()}


def _class_folders(project: Project) -> list[Path]:
    if not project.pictures.is_dir():
        return []
    folders = (path for path in project.pictures.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in folders if not holds_asides(path)]


def _pictures(project: Project) -> list[Path]:
    return [path for folder in _class_folders(project) for path in folder.rglob("*") if path.name != LEDGER_NAME]
