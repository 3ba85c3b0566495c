"""From embeddings to a head: the choices by cross-validation, the fit, what it is worth, and the learning curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress, silent
from milliner.curation.shoots import shoots
from milliner.probe.choose import Choice, choose
from milliner.probe.class_weights import ClassWeights
from milliner.probe.head import Head, fit_head
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.probe.warm_start import Named, WarmStart
from milliner.training.learning_curve import LearningCurve, fit_with, learning_curve
from milliner.training.reliability import Reliability, class_weights, reliability
from milliner.training.wishes import Wishes


@dataclass(frozen=True)
class Fitted:
    """A head and how it was found."""

    head: Head
    """With the temperature in its weights."""
    choice: Choice
    reliability: Reliability
    """Its temperature and operating point, and what they give out of fold."""
    curve: LearningCurve | None
    """None where there are too few pictures for one, or it was not asked for."""

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata."""
        drawn = {"learning_curve": self.curve.to_json()} if self.curve else {}
        return {"cross_validated": self.choice.metrics(), **self.reliability.metrics(), **drawn}


def fit(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    labels: Sequence[str],
    seed: int = 0,
    progress: Progress = silent,
    *,
    widths: Sequence[int] = (),
    named: Named | None = None,
    wishes: Wishes | None = None,
    views: OtherViews = NO_VIEWS,
    curve: bool = True,
) -> Fitted:
    """What training does with [n, width] embeddings and [n] class numbers; every class needs two samples or more.

    What looks alike is left out together. `widths` are how many of the embedding's numbers a head may see, of which
    cross-validation chooses, `named` what it begins with, and `views` are of the same pictures. Raises DatasetError
    where no head can come of them, and SettingsError where the wishes contradict each other or ask more than so many
    pictures can promise.
    """
    wishes, classes = wishes or Wishes(), len(labels)
    weights, widths = class_weights(wishes, labels), tuple(widths) or (embeddings.shape[1],)
    warm = named.start(embeddings, targets, classes) if named else None
    groups = shoots(embeddings[:, : widths[0]], [labels[target] for target in targets])
    choice = choose(
        embeddings, targets, classes, seed, progress, weights, widths=widths, groups=groups, warm=warm, views=views
    )
    head, looked = chosen_head(embeddings, targets, classes, choice, weights, warm, views), choice.looked
    features = embeddings[looked.rows, : widths[0]]
    found = reliability(choice.logits, features, targets[looked.rows], looked.held_out, labels, wishes)
    begun, plain = fit_with(choice.strength, weights, named), fit_with(choice.strength, weights) if named else None
    together = groups if looked.grouped else None
    seen, narrow = embeddings[:, : choice.width], views.changed(lambda each: each[:, : choice.width])
    drawn = learning_curve(seen, targets, classes, begun, seed, together, plain, narrow) if curve else None
    return Fitted(found.calibration.apply(head), choice, found, drawn)


def chosen_head(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    choice: Choice,
    counted: ClassWeights,
    warm: WarmStart | None,
    views: OtherViews = NO_VIEWS,
) -> Head:
    """The head for [n, width] embeddings by the settings of a choice; what it does not see has no weight."""
    seen = views.stacked(embeddings)[:, : choice.width]
    targets = views.repeated(targets)
    head = fit_head(warm.extended(seen) if warm else seen, targets, classes, choice.strength, counted=counted)
    head = warm.folded(head) if warm else head
    missing = embeddings.shape[1] - choice.width
    return Head(np.pad(head.weight, ((0, 0), (0, missing))), head.bias)
