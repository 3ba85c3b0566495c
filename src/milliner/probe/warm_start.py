"""Lets a class begin as the ImageNet class that means it.

What ImageNet's classifier says for a class is a direction in the embedding. How far a picture lies along it joins the
embedding as one more number, so large that the head's penalty hardly reaches it: a head that is fitted to few pictures
then begins with ImageNet's weights instead of with nothing (in Bayes' words, they are the mean of its prior, whose
scale is free). Afterwards the number is folded into the weights, and the head is as any other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from milliner.probe.head import Head

_TRUST: Final = 10.0
"""How many times the usual deviation of the embedding the new number has where a class has `_FEW` pictures; it falls
with the square root of their number. Chosen on draws from the helmets' training list."""

_FEW: Final = 5


@dataclass(frozen=True)
class WarmStart:
    """Directions of ImageNet classes in the embedding, scaled for one training set."""

    directions: NDArray[np.float32]
    """[named, width]; an embedding times one of them is the new number."""

    @classmethod
    def of(
        cls, weights: NDArray[np.float32], classes: Sequence[int], embeddings: NDArray[np.float32], pictures: int
    ) -> Self:
        """The directions of some ImageNet classes.

        Args:
            weights: [1000, features] of ImageNet's classifier; the embedding's first numbers are those features.
            classes: the numbers of the ImageNet classes, each once.
            embeddings: [n, width] of the training pictures, whose deviations give the scale.
            pictures: how many the smallest class has.
        """
        features = embeddings[:, : weights.shape[1]]
        chosen = weights[list(classes)] - weights.mean(axis=0)
        spread = (features @ chosen.T).std(axis=0).clip(np.finfo(np.float32).tiny)
        trust = _TRUST * math.sqrt(_FEW / max(pictures, 1)) * features.std(axis=0).mean()
        directions = np.zeros((len(chosen), embeddings.shape[1]), np.float32)
        directions[:, : weights.shape[1]] = chosen * (trust / spread)[:, None]
        return cls(directions)

    def extended(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, width] embeddings, or as many of their first numbers as a head sees, with the new ones behind them."""
        along = embeddings @ self.directions[:, : embeddings.shape[1]].T
        return np.concatenate([embeddings, along], axis=1)

    def folded(self, head: Head) -> Head:
        """A head on extended embeddings as the same head on plain ones."""
        named = len(self.directions)
        plain, along = head.weight[:, :-named], head.weight[:, -named:]
        weight = plain + along @ self.directions[:, : plain.shape[1]]
        return Head(np.asarray(weight, np.float32), head.bias)
