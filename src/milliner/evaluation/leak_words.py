"""What the page says of leaks: a sentence for each thing that a fair test needs, and pairs of pictures as examples."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from milliner.core.sample import Dataset
from milliner.evaluation.formats import count, percent, pictures, points
from milliner.evaluation.gallery import picture_of
from milliner.evaluation.likenesses import Across, Alike, Leakage, Share, Within
from milliner.evaluation.result import TRAINED_ON, Classifier, Evaluation

_PAIRS: Final = 8
_SIDE: Final = 180  # pixels
_WORDS: Final = {"exact": "The same file", "near duplicate": "Nearly the same", "sibling": "Of the same scene"}


@dataclass(frozen=True)
class Sentence:
    """What was found of one thing."""

    kind: Literal["good", "bad", "unknown"]
    title: str
    text: str


@dataclass(frozen=True)
class PairShown:
    """Two pictures that look alike."""

    alike: Alike
    words: str
    home: str
    """Where the second one stands: ``test`` or ``training``."""
    picture: str | None
    """A JPEG as a data URI; None where it cannot be read any more. So is `other_picture`."""
    other_picture: str | None


@dataclass(frozen=True)
class LeakSection:
    """That part of the page."""

    sentences: tuple[Sentence, ...]
    pairs: tuple[PairShown, ...]


def leak_section(evaluation: Evaluation, model: Classifier, dataset: Dataset, train: Dataset | None) -> LeakSection:
    """Words and examples for what was found; `dataset` and `train` give the pictures."""
    sentences, leakage = [_exact(evaluation, model)], evaluation.leakage
    if leakage is None:
        return LeakSection(tuple(sentences), ())
    sentences += [_within(leakage.within), _across(leakage.across)]
    return LeakSection(tuple(sentences), tuple(_examples(leakage, dataset, train)))


def findings(leakage: Leakage) -> tuple[Sentence, ...]:
    """The same for a terminal: what was looked at alone, within the test set and, where it was given, the training."""
    told = _within(leakage.within), _across(leakage.across)
    return tuple(each for each in told if each.kind != "unknown")


def in_short(leakage: Leakage) -> str:
    """One line, with plain spaces: titles, and what follows from those that are bad news."""
    parts = [f"{each.title} {each.text}" if each.kind == "bad" else each.title for each in findings(leakage)]
    return " ".join(" ".join(parts).split())


def _exact(evaluation: Evaluation, model: Classifier) -> Sentence:
    seen = sum(each.reason == TRAINED_ON for each in evaluation.set_aside)
    title = "No picture that it was trained on is counted."
    if not model.metadata.trained_on:
        return Sentence(
            "unknown",
            "Whether it was trained on some of these pictures is not known.",
            "The model file does not say which pictures those were: train it again to have that checked.",
        )
    if seen:
        return Sentence("good", title, f"{pictures(seen)} of the test set were, byte for byte, and are set aside.")
    return Sentence("good", title, "None of the test set was among them, byte for byte.")


def _within(within: Within) -> Sentence:
    if not within.repeated or within.once is None:
        return Sentence("good", "Every test picture is another one.", "No two of them are nearly the same.")
    return Sentence(
        "bad",
        f"{pictures(within.repeated)} are nearly the same as another test picture.",
        "Each of them counts as if it were a test of its own, more than it should. "
        f"With one of each kept, {_told(within.once)}.",
    )


def _across(across: Across | None) -> Sentence:
    if across is None:
        return Sentence(
            "unknown",
            "Whether test pictures look like training pictures was not checked.",
            "To have them compared, give those as well: milliner evaluate MODEL DATASET --train TRAINING.",
        )
    total = sum(across.counts.values())
    if not total:
        return Sentence(
            "good",
            "No test picture looks like a training picture.",
            f"Compared with the {pictures(across.pictures)} of {across.train}, by their network's view and laid over "
            "each other.",
        )
    parts = [
        f"{count(across.counts[kind])} {words}"
        for kind, words in (
            ("exact", "in the very same file"),
            ("near duplicate", "in nearly the same picture"),
            ("sibling", "in a photograph of the same scene"),
        )
        if across.counts.get(kind)
    ]
    text = f"Seen in {across.train}: {', '.join(parts)}."
    if across.without_duplicates is not None and total > across.counts.get("sibling", 0):
        text += f" Without copies and near duplicates, {_told(across.without_duplicates)}."
    if across.without_any is not None and across.counts.get("sibling"):
        text += f" Without any of them, {_told(across.without_any)}."
    return Sentence("bad", f"{pictures(total)} {'looks' if total == 1 else 'look'} like a training picture.", text)


def _told(share: Share) -> str:
    low, high = share.interval
    return (
        f"{percent(share.accuracy)} of {pictures(share.pictures)} are named correctly "
        f"({points(low)} to {percent(high)})"
    )


def _examples(leakage: Leakage, dataset: Dataset, train: Dataset | None) -> Iterator[PairShown]:
    found = leakage.across.found if leakage.across is not None else ()
    across = found[: max(_PAIRS // 2, _PAIRS - len(leakage.within.pairs))]
    for each in across:
        yield _pair(each, "training", dataset, train if train is not None else dataset)
    for each in leakage.within.pairs[: _PAIRS - len(across)]:
        yield _pair(each, "test", dataset, dataset)


def _pair(each: Alike, home: str, dataset: Dataset, other: Dataset) -> PairShown:
    return PairShown(
        each,
        _WORDS[each.kind],
        home,
        picture_of(dataset, each.place, _SIDE),
        picture_of(other, each.other_place, _SIDE),
    )
