"""What the model card says in sentences, each of which follows from a fact."""

from collections.abc import Iterator
from typing import Final

from milliner.classifier.metadata import Metadata
from milliner.evaluation.before import training_counts
from milliner.evaluation.formats import count, percent, pictures, points
from milliner.evaluation.likenesses import Leakage
from milliner.evaluation.result import Evaluation

_FEW_TRAINING: Final = 50  # pictures of a class
_FEW_TESTED: Final = 100
_UNCALIBRATED: Final = 0.05
_NAMED: Final = 5  # classes that are told one by one
_CELL: Final = 32  # pixels of the square that the network's last layer sees as one


def operating_point(metadata: Metadata) -> str:
    """When the model says what, and when it abstains."""
    point = metadata.operating_point
    parts = []
    if point.stated:
        parts.append(point.stated)
    parts.append(_weights(metadata))
    rules = []
    if point.abstain_below:
        rules.append(f"below a probability of {point.abstain_below:g}")
    if point.min_margin:
        rules.append(f"where two classes are within {point.min_margin:g} of each other")
    if point.max_distance is not None:
        rules.append("far from everything that it was trained on")
    parts.append(f"abstains {' or '.join(rules)}" if rules else "never abstains")
    return "; ".join(parts)


def _weights(metadata: Metadata) -> str:
    factors = metadata.operating_point.factors(metadata.labels)
    if len(set(factors.tolist())) == 1:
        return "says the most probable class"
    if len(factors) == 2:
        threshold = factors[0] / factors.sum()
        return f"says {metadata.labels[1]} from a probability of {threshold:.3g} on"
    weighed = [f"{label} {factor:.3g}" for label, factor in zip(metadata.labels, factors, strict=True) if factor != 1]
    return f"says the class with the highest probability times weight ({', '.join(weighed[:_NAMED])}; all others 1)"


def intended_use(metadata: Metadata, evaluation: Evaluation) -> Iterator[str]:
    """What the model can be asked."""
    labels = metadata.labels
    named = " or ".join(labels) if len(labels) <= _NAMED else f"one of {count(len(labels))} classes"
    yield f"Says of a whole picture whether it is {named}, with a probability for each."
    yield (
        f"The figures hold for pictures like those of {evaluation.dataset}; for another camera or place, test it on "
        "pictures from there first."
    )


def limits(metadata: Metadata, evaluation: Evaluation) -> Iterator[str]:
    """What the figures say it cannot do."""
    yield from _misses(evaluation)
    yield _strangers(metadata)
    size = metadata.resize.size
    yield (
        f"It sees every picture at {size} by {size} pixels, in {size // _CELL} by {size // _CELL} cells: what takes up "
        "much less than a cell of the picture is easily overlooked."
    )
    few = [label for label, number in training_counts(metadata).items() if number < _FEW_TRAINING]
    if few:
        yield f"Trained on fewer than {_FEW_TRAINING} pictures of {_each(few)}."
    untested = [label for label, each in evaluation.after.per_class.items() if each.support < _FEW_TESTED]
    if untested:
        whose = "their" if len(untested) > 1 else "its"
        yield f"Tested on fewer than {_FEW_TESTED} pictures of {_each(untested)}: {whose} figures are uncertain."
    error = evaluation.after.figures["calibration_error"].value
    if error is not None and error > _UNCALIBRATED:
        yield f"Its probabilities are off by {error * 100:.0f} points on average: do not take them at their word."
    yield from _unfair(evaluation.leakage)


def _misses(evaluation: Evaluation) -> Iterator[str]:
    """Of the classes with the lowest recall, how many pictures are called something else."""
    tested = [(each.recall, label) for label, each in evaluation.after.per_class.items() if each.support]
    for recall, label in sorted(tested)[:2]:
        low, high = evaluation.after.per_class[label].figures["recall"].interval or (0.0, 1.0)
        rest = f"({points(1 - high)} to {percent(1 - low)})"
        yield f"Of pictures of {label}, {percent(1 - recall)} {rest} are called something else."


def _strangers(metadata: Metadata) -> str:
    point = metadata.operating_point
    names = " or ".join(metadata.labels) if len(metadata.labels) <= _NAMED else "one of its classes"
    if point.max_distance is not None:
        return f"A picture of something else altogether is mostly abstained on, but may still be called {names}."
    if point.abstain_below or point.min_margin:
        return f"A picture of something else altogether is called {names} unless it happens to abstain."
    return f"A picture of something else altogether is called {names} all the same: it never abstains."


def _unfair(leakage: Leakage | None) -> Iterator[str]:
    if leakage is None:
        return
    if leakage.across is not None and leakage.across.found:
        alike = len(leakage.across.found)
        looks = "looks like a training picture" if alike == 1 else "look like training pictures"
        yield f"The test may flatter it: {pictures(alike)} of it {looks}."
    if leakage.within.repeated:
        yield f"{pictures(leakage.within.repeated)} of the test are nearly the same as another one of it."


def _each(labels: list[str]) -> str:
    """Where a number is said of several classes it is said of each."""
    return f"each of {_list(labels)}" if len(labels) > 1 else _list(labels)


def _list(labels: list[str]) -> str:
    if len(labels) > _NAMED:
        return f"{', '.join(labels[:_NAMED])} and {count(len(labels) - _NAMED)} others"
    return ", ".join(labels[:-1]) + (" and " if len(labels) > 1 else "") + labels[-1]
