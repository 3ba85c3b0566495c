"""What a training came to, before it is written: a network, the head that belongs to it, and what both were given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.images.resize import ResizePolicy
from milliner.probe.head import Head
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.training.export import Body
from milliner.training.reliability import Reliability


@dataclass(frozen=True)
class Solution:
    """A classifier that can be exported."""

    body: Body
    head: Head
    policy: ResizePolicy
    embeddings: NDArray[np.float32]
    """[n, width] of every usable picture of the training split, by this body."""
    reliability: Reliability
    """When to believe it."""
    metrics: Mapping[str, Any]
    """For the metadata: figures from inside the training split."""
    views: OtherViews = NO_VIEWS
    """Of the same pictures."""
    tuned: bool = False
    """Whether the body's weights were trained on."""
