"""Embeddings of more than the whole pictures: heads are fitted to all of them, and perhaps asked about all of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from milliner.probe.head import Head

Floats = NDArray[np.float32]
Kind = TypeVar("Kind", np.bool_, np.int64)


@dataclass(frozen=True)
class OtherViews:
    """Of the same pictures, in the same order as their whole ones."""

    embeddings: tuple[Floats, ...] = ()
    """[n, width] for each view."""
    averaged: bool = False
    """Whether a picture's logits are the mean over its views and the whole."""

    def changed(self, change: Callable[[Floats], Floats]) -> "OtherViews":
        """Each view's embeddings changed as those of the whole pictures are, such as to some of them."""
        return replace(self, embeddings=tuple(change(each) for each in self.embeddings))

    def stacked(self, whole: Floats) -> Floats:
        """[n * views, width] one view behind the other, the whole pictures first."""
        return np.concatenate([whole, *self.embeddings]) if self.embeddings else whole

    def repeated(self, values: NDArray[Kind]) -> NDArray[Kind]:
        """[n] values of the pictures as [n * views] of the rows of `stacked`."""
        return np.concatenate([values] * (1 + len(self.embeddings)))

    def logits(self, head: Head, whole: Floats) -> Floats:
        """[n, classes] of the pictures."""
        seen = (whole, *self.embeddings) if self.averaged else (whole,)
        return np.asarray(np.mean([head.logits(each) for each in seen], axis=0), np.float32)


NO_VIEWS: Final = OtherViews()
