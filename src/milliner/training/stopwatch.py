"""How long each stage of a training takes."""

from time import perf_counter


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._start = self._lap = perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Names what ended now and began with the lap before."""
        now = perf_counter()
        self._laps[name], self._lap = now - self._lap, now

    def seconds(self) -> dict[str, float]:
        """Every lap, and the `total` until now."""
        found = self._laps | {"total": perf_counter() - self._start}
        return {name: round(value, 3) for name, value in found.items()}
