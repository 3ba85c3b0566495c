"""Which of two models is better, on the same pictures."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import Z
from milliner.evaluation.compared import Comparison, Disagreement
from milliner.evaluation.exact import mcnemar
from milliner.evaluation.figures import Figure, Interval
from milliner.evaluation.intervals import evidence, reaching, spread
from milliner.evaluation.opponent import OtherAnswer
from milliner.evaluation.resampling import RESAMPLES, resamples
from milliner.evaluation.result import Answers
from milliner.evaluation.scores import Answered, Scores
from milliner.evaluation.sums import Floats

_FIGURES: Final = {"accuracy": "accuracy", "roc_auc": "area", "log_loss": "log_loss"}
"""What is compared, and where it stands in `Scores`."""

_POINT: Final = 0.01
_Z_OF_FOUR_IN_FIVE: Final = 0.8416212335729143  # the 80 % point of the normal distribution


def compare(
    names: tuple[str, str],
    labels: tuple[str, ...],
    answers: Answers,
    others: Sequence[OtherAnswer | None],
    *,
    seed: int = 0,
) -> Comparison | None:
    """Compares what two models say of the pictures that neither was trained on; None where there are none.

    Args:
        names: of the model and of the other one.
        labels: the classes, in the order of the model's numbers.
        answers: the model's, of n pictures.
        others: [n] the other one's; None of pictures that it was trained on.
        seed: decides the resamples, which are the same for both.
    """
    places = np.array([place for place, other in enumerate(others) if other is not None], np.int64)
    if not len(places):
        return None
    known = [other for other in others if other is not None]
    targets, groups = answers.targets[places], np.unique(answers.groups[places], return_inverse=True)[1]
    mine = Answered(answers.probabilities[places], targets, answers.said[places])
    theirs = Answered(
        np.array([other.probabilities for other in known]), targets, np.array([other.said for other in known])
    )
    only, only_other = int((mine.right & ~theirs.right).sum()), int((theirs.right & ~mine.right).sum())
    ones = np.ones((1, len(places)))
    values, values_of_other = _values(mine.weighed(ones)), _values(theirs.weighed(ones))
    return Comparison(
        model=names[0],
        other=names[1],
        samples=len(places),
        left_out=len(others) - len(places),
        figures=values,
        figures_of_other=values_of_other,
        differences=_differences(mine, theirs, groups, seed),
        only_right=only,
        only_other_right=only_other,
        p=mcnemar(only, only_other),
        pictures_for_a_point=pictures_to_show(_POINT, (only + only_other) / len(places)),
        disagreements=_disagreements(mine, theirs, [answers.keys[place] for place in places], labels),
    )


def pictures_to_show(difference: float, discordant: float) -> int:
    """How many pictures McNemar's test needs to show a difference in accuracy in four cases of five (Connor 1987).

    `difference` and `discordant` are shares of pictures, above 0 and of 0 to 1: by how much one model is more often
    right, and how often just one of the two is.
    """
    share = max(difference, discordant)
    root = Z * math.sqrt(share) + _Z_OF_FOUR_IN_FIVE * math.sqrt(share - difference**2)
    return math.ceil((root / difference) ** 2)


def _values(scores: Scores) -> dict[str, float | None]:
    found = {name: float(getattr(scores, place)[0]) for name, place in _FIGURES.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def _differences(mine: Answered, theirs: Answered, groups: NDArray[np.int64], seed: int) -> dict[str, Figure]:
    def difference(weights: Floats) -> dict[str, Floats]:
        one, other = mine.weighed(weights), theirs.weighed(weights)
        return {name: getattr(one, place) - getattr(other, place) for name, place in _FIGURES.items()}

    value = {name: float(found[0]) for name, found in difference(np.ones((1, len(groups)))).items()}
    blocks = [difference(block) for block in resamples(groups, RESAMPLES, seed)] if groups.max() > 0 else []
    drawn = {name: _unless_one(np.concatenate([block[name] for block in blocks])) if blocks else None for name in value}
    ends = _of_shares(mine.right, theirs.right, groups)
    drawn["accuracy"] = reaching(drawn["accuracy"] or ends, *ends, value["accuracy"])
    return {name: Figure(None) if math.isnan(found) else Figure(found, drawn[name]) for name, found in value.items()}


def _unless_one(values: Floats) -> Interval | None:
    """The spread of resamples; None where all are the same, which says nothing of pictures that are not there."""
    found = spread(values)
    return None if found is None or found[0] == found[1] else found


def _of_shares(mine: NDArray[np.bool_], theirs: NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """The interval of a difference of paired shares with half a picture more in each cell (Agresti & Min 2005)."""
    worth = evidence(mine == theirs, groups)
    pictures = worth + 2
    better, worse = (float(only.mean()) * worth + 0.5 for only in (mine & ~theirs, theirs & ~mine))
    centre = (better - worse) / pictures
    half = Z * math.sqrt(max(0.0, better + worse - (better - worse) ** 2 / pictures)) / pictures
    return max(-1.0, centre - half), min(1.0, centre + half)


def _disagreements(
    mine: Answered, theirs: Answered, files: list[str], labels: tuple[str, ...]
) -> tuple[Disagreement, ...]:
    """Those that the other one names correctly first, then those that the model does, then what both get wrong."""
    rows = np.flatnonzero(mine.said != theirs.said)
    order = sorted(rows.tolist(), key=lambda row: (not theirs.right[row], not mine.right[row], row))
    return tuple(
        Disagreement(
            file=files[row],
            truth=labels[mine.targets[row]],
            said=labels[mine.said[row]],
            said_by_other=labels[theirs.said[row]],
            probability=float(mine.probabilities[row, mine.said[row]]),
            probability_by_other=float(theirs.probabilities[row, theirs.said[row]]),
        )
        for row in order
    )
