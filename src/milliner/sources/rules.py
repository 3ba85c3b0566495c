"""What pictures must be like to be let in, and which earlier verdicts still stand under that."""

from dataclasses import dataclass

from milliner.images.inspect import MIN_SIDE
from milliner.images.ledger import FetchRow
from milliner.sources.source import Wanted
from milliner.sources.web.manners import POLITE, Manners


@dataclass(frozen=True)
class Rules:
    """The conditions of one fetch."""

    manners: Manners = POLITE
    licences: tuple[str, ...] = ()
    """Codes of `core.credit.LICENCES`; empty for all, also unknown ones."""
    min_side: int = MIN_SIDE
    """Pixels."""
    retry_failed: bool = False
    """Ask again for what failed for good, too."""

    def allow(self, wanted: Wanted) -> bool:
        """Whether the picture's licence is one of those that may be fetched."""
        return not self.licences or wanted.credit.licence in self.licences

    def stands(self, row: FetchRow, wanted: Wanted) -> bool:
        """Whether an earlier fetch's verdict on a picture that is not in the folder would be given again."""
        if row.status == "failed":
            return not (self.retry_failed or row.transient)
        match row.reason:
            case "licence":
                return not self.allow(wanted)
            case "robots.txt":
                return self.manners.robots_txt
            case "X-Robots-Tag":
                return self.manners.x_robots_tag
            case "private address":
                return not self.manners.allow_private
            case "too small":
                return min(row.width or 0, row.height or 0) < self.min_side
            case "wrong sha256":
                return wanted.sha256 not in (None, row.sha256)
            case _:
                return True
