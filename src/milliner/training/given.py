"""How pictures are to be seen: what is asked for, and in what time the rest is chosen."""

from dataclasses import dataclass
from typing import Final

from milliner.backbones.pooling import check_pooling
from milliner.core.errors import SettingsError
from milliner.images.views import check_views

MAX_BUDGET: Final = 86_400.0
"""Seconds: a day."""


@dataclass(frozen=True)
class Given:
    """None for what is not asked for: as the backbone has it, or chosen where there is a budget."""

    size: int | None = None
    pooling: str | None = None
    views: str | None = None
    averaged: bool = False
    """Whether answers are averaged over the views."""
    budget: float | None = None
    """Seconds in which the rest is chosen."""

    def check(self) -> None:
        """Raises SettingsError where it does not hold together; which sizes there are the backbone knows."""
        if self.pooling is not None:
            check_pooling(self.pooling)
        if self.views is not None:
            check_views(self.views)
        if self.budget is not None and not 0 < self.budget <= MAX_BUDGET:
            raise SettingsError(
                f"The budget must be above 0 and at most {MAX_BUDGET:,.0f} seconds, not {self.budget:g}."
            )
        if self.averaged and (self.views == "none" or (self.views is None and self.budget is None)):
            raise SettingsError(
                "There is nothing to average over; choose views, such as crops, or give a budget to choose them."
            )
