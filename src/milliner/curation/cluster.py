"""Spreads work over the machines of a Ray cluster with Ray Data; results come in order, windows of items at a time."""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from milliner import __version__
from milliner.core.errors import MillinerError, SettingsError
from milliner.core.parallel import Spread, available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_WINDOW: Final = 4096  # items that one run of Ray Data is given, which needs to know them all
_WINDOW_BYTES: Final = 2**27  # of items that are bytes
_BLOCK: Final = 32  # items that a worker is handed at once, at most
_SECONDS_TO_ANSWER: Final = 10
_QUIET: Final = ("ray", "ray.data")


@contextmanager
def cluster(reads: Sequence[Path]) -> Iterator[Spread]:
    """A connection to the cluster of RAY_ADDRESS, or to a Ray of this machine that lasts as long as this.

    A program that is connected already stays so. Raises SettingsError without Ray, MillinerError where no cluster is
    reached or a machine of it lacks this version of Milliner or cannot see one of `reads`.
    """
    ray = _import()
    with _silenced(), ExitStack() as open_rows:
        connected = ray.is_initialized()
        try:
            if not connected:
                _connect(ray)
            with _in_one_sentence(ray):
                _check_machines(ray, reads)
            yield _Spread(ray, open_rows)
        finally:
            open_rows.close()
            if not connected:
                ray.shutdown()


class _Spread:
    """What was begun and left, by an exception or for want of more, is closed as long as Ray is there."""

    def __init__(self, ray: Any, open_rows: ExitStack) -> None:
        self._ray, self._open_rows = ray, open_rows

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yields ``function(item)`` in the order of `items`."""
        call = _Call(function, str(Path.cwd()))
        for window in _windows(items):
            with _in_one_sentence(self._ray):
                rows = self._open_rows.enter_context(closing(_rows(self._ray, call, window)))
            while (row := _next(self._ray, rows)) is not None:
                if row.error is not None:
                    raise row.error
                yield row.value


@dataclass(frozen=True)
class _Held:
    """Any value as a cell of a table, or why there is none."""

    value: Any
    error: Exception | None = None


@dataclass(frozen=True)
class _Call:
    """The function as workers are sent it; relative paths mean there what they mean here."""

    function: Callable[[Any], Any]
    folder: str

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        with suppress(OSError):  # then there is nothing relative to it either
            os.chdir(self.folder)
        try:
            return {"held": _Held(self.function(row["held"].value))}
        except Exception as error:  # noqa: BLE001 - it is raised where the result would have come
            return {"held": _Held(None, error)}


def _windows(items: Iterable[Item]) -> Iterator[list[Item]]:
    window: list[Item] = []
    weight = 0
    for item in items:
        window.append(item)
        weight += len(item) if isinstance(item, bytes) else 0
        if len(window) == _WINDOW or weight >= _WINDOW_BYTES:
            yield window
            window, weight = [], 0
    if window:
        yield window


def _rows(ray: Any, call: _Call, window: list[Any]) -> Generator[dict[str, _Held], None, None]:
    cores = int(ray.cluster_resources().get("CPU", 1))
    blocks = min(len(window), max(-(-len(window) // _BLOCK), 4 * cores))  # few items may be large ones
    data = ray.data.from_items([{"held": _Held(item)} for item in window], override_num_blocks=blocks)
    data.context.execution_options.preserve_order = True
    data.context.enable_progress_bars = False
    yield from data.map(call).iter_rows()


def _next(ray: Any, rows: Iterator[Any]) -> _Held | None:
    with _in_one_sentence(ray):
        row = next(rows, None)
    return None if row is None else row["held"]


@contextmanager
def _in_one_sentence(ray: Any) -> Iterator[None]:
    """Turns what Ray itself fails with into MillinerError."""
    try:
        yield
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise MillinerError(
            f"The Ray cluster failed ({said[-1].strip()[:200]}); run the command again, which goes on where it stopped."
        ) from error


def _import() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers; read once, at the import
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # it would warn that this is going to change
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SettingsError("The engine ray needs another package; pip install 'milliner[ray]'.") from error
    return ray


@contextmanager
def _silenced() -> Iterator[None]:
    """What Ray's loggers say is what progress and errors say."""
    loggers = [logging.getLogger(name) for name in _QUIET]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _connect(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS") or "local"
    here = {"num_cpus": available_cores(), "include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:  # it fails in many ways
        said = " ".join(str(error).split())[:200]
        raise MillinerError(
            f"There is no Ray cluster at {address} ({said}); start one with `ray start --head`, or unset RAY_ADDRESS."
        ) from error


def _knock(address: str) -> None:
    """Raises OSError where nobody listens, for which Ray itself would wait some minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_ANSWER).close()


def _check_machines(ray: Any, reads: Sequence[Path]) -> None:
    """Asks every machine, since what one of them cannot see would look like damaged pictures."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    paths = [str(path.absolute()) for path in reads]
    look = ray.remote(num_cpus=0)(_look)
    machines = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    asked = {
        name: look.options(scheduling_strategy=On(machine, soft=False)).remote(paths)
        for machine, name in machines.items()
    }
    for name, answer in asked.items():
        version, unseen = ray.get(answer)
        if version != __version__:
            raise MillinerError(
                f"The machine {name} has milliner {version}; install {__version__} on it: others may write other bytes."
            )
        if unseen:
            raise MillinerError(
                f"The machine {name} of the Ray cluster does not see {unseen[0]}; "
                "every machine must reach the pictures under the same path, as on a shared disk."
            )


def _look(paths: list[str]) -> tuple[str, list[str]]:
    return __version__, [path for path in paths if not Path(path).exists()]
