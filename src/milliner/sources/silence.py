"""Tells a machine that is offline from a list with dead addresses, before all of them are waited for."""

from typing import Final
from urllib.parse import urlsplit

from milliner.core.errors import FetchError
from milliner.sources.source import Finding, Missed

_START: Final = 20  # so many hosts without one answer mean that the network, not the list, is at fault


class Silence:
    """Listens to what comes of one source's addresses."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._unanswered = 0
        self._hosts: set[str] = set()
        self._rejected = 0
        self._answered = False
        self.known = False
        """Whether pictures of this source have come before; addresses that have failed before then tell nothing."""

    def note(self, finding: Finding, again: bool) -> None:
        """Counts one address; `again` says that it has failed before."""
        if not isinstance(finding, Missed) or finding.answered:
            self._answered = True
        elif finding.status == "rejected":
            self._rejected += 1
        elif not (self.known and again):
            self._unanswered += 1
            if len(self._hosts) < _START:
                self._hosts.add(urlsplit(finding.wanted.url or finding.wanted.address).netloc)

    def is_hopeless(self) -> bool:
        """Whether the first hosts were all silent."""
        return len(self._hosts) >= _START and not self._answered

    def fault(self) -> FetchError | None:
        """The error where every address that was asked was silent."""
        if self._answered or self._unanswered <= self._rejected or (self.known and not self.is_hopeless()):
            return None
        return FetchError(
            f"None of {self._unanswered} addresses of {self._source} answered; check the network or the list, "
            "then fetch again."
        )
