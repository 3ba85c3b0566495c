"""The training pipeline, top to bottom: open, embed, refuse, choose and fit, fine-tune, write, round, keep."""

from collections.abc import Mapping
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

from milliner import __version__
from milliner.backbones.backbone import DEFAULT
from milliner.classifier.metadata import BackboneIdentity, Metadata
from milliner.core.errors import ModelError
from milliner.core.picture_set import MAX_PICTURES, PictureSet
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.core.seed import check_seed
from milliner.curation.engine import engine as start_engine
from milliner.images.views import VIEWS
from milliner.probe.cache import default_cache
from milliner.probe.embed import Embedded, embed_views
from milliner.probe.views import OtherViews
from milliner.shards.dataset import open_dataset
from milliner.training.backbones import Request, Settled, begin_as
from milliner.training.export import export
from milliner.training.finetune.settings import FineTuning
from milliner.training.finetune.tune import Tuner, check_fine_tuning
from milliner.training.fit import fit
from milliner.training.given import Given
from milliner.training.int8.quantise import ALLOWED_DROP, check_allowed_drop, quantise
from milliner.training.pictures import compared_rows, describe
from milliner.training.refusals import (
    check_embedded,
    check_head,
    check_init,
    check_labels,
    check_model_path,
    check_types,
)
from milliner.training.result import TrainResult as TrainResult
from milliner.training.runs import Run, content_hash, record, sha256_of
from milliner.training.solution import Solution
from milliner.training.stopwatch import Stopwatch
from milliner.training.wishes import Wishes


def train(
    dataset: str | Path | Dataset,
    *,
    into: str | Path,
    init: Mapping[str, str] | None = None,
    wishes: Wishes | None = None,
    size: int | None = None,
    pooling: str | None = None,
    views: str | None = None,
    average_views: bool = False,
    budget: float | None = None,
    backbone: str = DEFAULT,
    weights: str | Path | None = None,
    seed: int = 0,
    engine: str = "local",
    cache: str | Path | None = None,
    fine_tune: FineTuning | None = None,
    int8: bool = False,
    allow_drop: float | None = None,
    progress: Progress = silent,
) -> TrainResult:
    """Fits a new head to a pretrained backbone and writes one ``.onnx`` file.

    Only the given dataset is looked at: give the training split. The same dataset, options and version give the
    same bytes, a `budget` aside. Each training also leaves a folder in ``runs/`` beside the model; see `history`.

    Args:
        dataset: a folder of class folders, a ``.rec`` file, a URL of one of these, or an open dataset.
        into: the model file, ending in ``.onnx``.
        init: label to the ImageNet class that means it, such as ``{"helmet": "crash helmet"}``; evaluations then
            compare with what the network could do before training.
        wishes: what is stated of its classes' recall, false alarms, costs and weights, and of when to abstain.
        size: pixels a side of the square that the network sees, a multiple of the backbone's stride; the backbone's
            own when left out.
        pooling: how a map's cells become one row: ``average``, ``generalised-mean``, ``maximum``, or ``both`` (average
            and maximum behind one another); the backbone's own when left out.
        views: what the head is fitted to besides the whole pictures: ``mirror``, ``crops`` or, when left out, ``none``.
        average_views: the model's answers are averaged over the whole picture and its views, which takes so many times
            as long.
        budget: about how many seconds may go into choosing those of `size`, `pooling` and `views` that are left out,
            by cross-validation; how far that gets depends on the machine.
        backbone: a name of `list_backbones`, ``onnx:FILE``, ``hf:REPO`` or ``timm:NAME``; ``auto`` compares those
            that are here by cross-validation.
        weights: a checkpoint of the same network in place of the published weights.
        seed: decides the folds of the cross-validation.
        engine: what embeds the pictures: ``local`` for this machine's cores, ``ray`` for a cluster's machines.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        fine_tune: trains the whole network on as well; it is written if it beats the linear head on pictures of the
            training split that are held out. Needs PyTorch.
        int8: writes the model in 8-bit integers as well, as ``m.int8.onnx`` beside ``m.onnx``; see `quantise`.
        allow_drop: points of accuracy that 8 bits may cost; 0.5 when left out.
        progress: told of every picture and fit.

    Raises:
        DatasetError: there are fewer than two classes, or names that differ only by case; a class has fewer than two
            usable pictures; all pictures are the same.
        ModelError: the written file does not do what was trained; 8 bits cost more than is allowed, in which case the
            model and its run stand.
        MillinerError: embeddings that are not finite; a cache or a run's folder that cannot be written.
        SettingsError: an option does not hold together.
    """
    watch = Stopwatch()
    check_seed(seed)
    given = Given(size, pooling, views, average_views, budget)
    check_types(init, wishes, given, fine_tune)
    path, request = check_model_path(into), Request.of(backbone, weights, init or {}, given)
    wishes = wishes or Wishes()
    if fine_tune is not None:
        check_fine_tuning(fine_tune, request)
    allowed = check_allowed_drop(ALLOWED_DROP if allow_drop is None else allow_drop)
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    check_labels(samples)
    named = check_init(init or {}, samples)
    wishes.check(samples.labels)
    memory = Path(cache) if cache else default_cache()

    with start_engine(engine) as spread:
        settled = request.settle(samples, memory, seed, progress, spread)
        net, policy = settled.net, settled.policy
        embedded, others = embed_views(samples, net, policy, memory, VIEWS[settled.views], progress, spread)
    watch.lap("embed")

    for each in (embedded, *others):
        check_embedded(samples, each, memory)
    beside = OtherViews(tuple(each.embeddings for each in others), settled.averaged)
    start = begin_as(net, named)
    fitted = fit(
        embedded.embeddings,
        embedded.targets,
        samples.labels,
        seed,
        progress,
        widths=net.widths,
        named=start,
        wishes=wishes,
        views=beside,
    )
    check_head(fitted.head)
    solution = Solution(net, fitted.head, policy, embedded.embeddings, fitted.reliability, fitted.metrics(), beside)
    watch.lap("fit")

    tuner = Tuner(net, fine_tune, policy, wishes, start, seed, memory, path, progress) if fine_tune else None
    tuned = tuner.run(samples, embedded, fitted.choice) if tuner else None
    if tuned:
        solution = tuned.instead_of(solution)
        watch.lap("fine-tune")

    settings = {
        **settled.settings,
        "init": named,
        **asdict(wishes),
        "seed": seed,
        "strength": fitted.choice.strength,
        "width": fitted.choice.width,
        "fine_tune": tuner.settings.to_json() if tuner else None,
        "int8": int8,
    }
    metadata = _metadata(samples, embedded, settled, solution, settings, wishes)
    replaced, difference = sha256_of(path), _export(path, solution, metadata, samples, embedded)
    if tuner:
        tuner.finish()

    metrics, small = dict(metadata.metrics), None
    try:
        if int8:
            small = quantise(path, samples, allow_drop=allowed, seed=seed, progress=progress)
            metrics["int8"] = small.metrics()
            watch.lap("int8")
    except ModelError as error:
        raise ModelError(f"{path} was written and stands, but {error}") from error
    finally:  # the model stands, whatever becomes of the smaller one
        seconds = watch.seconds()
        run = record(path, Run(settings, metadata.dataset, metrics, seconds), replaced)
    return TrainResult(
        model=path,
        labels=samples.labels,
        samples=len(embedded.targets),
        set_aside=embedded.set_aside,
        init=named,
        warm=start is not None,
        seconds=seconds,
        choice=fitted.choice,
        reliability=solution.reliability,
        hits=embedded.hits,
        misses=embedded.misses,
        difference=difference,
        settled=settled,
        curve=fitted.curve,
        run=run,
        fine_tuning=tuned,
        int8=small,
    )


def _metadata(
    samples: Dataset,
    embedded: Embedded,
    settled: Settled,
    solution: Solution,
    settings: Mapping[str, Any],
    wishes: Wishes,
) -> Metadata:
    """What the model file says of itself."""
    described = describe(samples, embedded)
    return Metadata(
        labels=samples.labels,
        resize=solution.policy,
        backbone=BackboneIdentity(settled.net.name, settled.net.sha256, solution.tuned),
        operating_point=solution.reliability.point,
        views=VIEWS[settled.views] if settled.averaged else (),
        init=settings["init"],
        dataset=described,
        trained_on=PictureSet.of(embedded.sha256 if len(embedded.sha256) <= MAX_PICTURES else ()),
        metrics={**solution.metrics, **settled.metrics},
        lineage={
            "milliner": __version__,
            **{name: settings[name] for name in ("seed", "strength", "width", "pooling", "views")},
            "run": content_hash(settings, described),
            **wishes.lineage(),
            **settled.lineage,
        },
    )


def _export(path: Path, solution: Solution, metadata: Metadata, samples: Dataset, embedded: Embedded) -> float:
    """Writes the model file; the largest difference between what it gives of some samples and what was trained."""
    rows = compared_rows(embedded)
    pictures = [samples[place].encoded for place in embedded.places[rows]]
    distance = solution.reliability.limit.distance
    views = solution.views.changed(itemgetter(rows))
    return export(path, solution.body, solution.head, metadata, pictures, solution.embeddings[rows], distance, views)
