"""Brings pictures from sources into a labelled folder, each once; a run that was killed goes on where it stopped."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from milliner.core.address import without_login
from milliner.core.credit import LICENCES
from milliner.core.errors import FetchError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Progress, silent
from milliner.images.inspect import MIN_SIDE
from milliner.images.ledger import LEDGER_NAME, Ledger
from milliner.sources.intake import Fault, Intake
from milliner.sources.label import checked_label
from milliner.sources.lock import filling
from milliner.sources.result import ClassCount, FetchResult, summed
from milliner.sources.rules import Rules
from milliner.sources.secrets import secrets_of
from milliner.sources.source import Listing, Options, Source
from milliner.sources.store import FolderError, Store
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.manners import POLITE, Manners
from milliner.sources.web.web import Web

_REMEDIES: Final = {
    "no connection": "check the network, then fetch again",
    "timed out": "check the network, then fetch again",
    "connection lost": "fetch again; it goes on where it stopped",
    "TLS failure": "check the machine's clock and certificates, and that no proxy stands between",
    "private address": "pass --allow-private if you trust it",
    "status 404": "check its name",
    "status 401": "log in, and give the token as the README says",
    "status 403": "ask its owner for access, and give the token as the README says",
    "status 429": "it has had enough of us; wait, or give a token as the README says",
}


def fetch(
    sources: Sequence[str] | str,
    *,
    into: str | Path,
    label: str | None = None,
    limit: int | None = None,
    licenses: Sequence[str] = (),
    min_side: int = MIN_SIDE,
    retry_failed: bool = False,
    endpoint: str | None = None,
    seed: int = 0,
    base: str | Path = "",
    manners: Manners = POLITE,
    secrets: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> FetchResult:
    """Fetches the pictures of all `sources` into ``<into>/<label>/<16 hex of sha256>.<format>``.

    What became of each address is a row in ``<into>/ledger.sqlite``. Pictures that are there are not asked for
    again, nor are those that were rejected or failed for good; those that failed for a time are.

    Args:
        sources: each ``kind:argument``, such as ``urls:list.csv``, ``commons:search:hard hat`` or ``s3://bucket/x``.
        into: the folder, made where it is missing. A second fetch into it waits for the first to end.
        label: the class of pictures for which the source names none.
        limit: at most so many pictures in each class folder.
        licenses: codes such as ``by`` and ``cc0``; pictures of other licences, or of none known, are not asked for.
        min_side: pixels; pictures with a shorter side are rejected.
        retry_failed: also ask again for what failed for good, such as addresses that were gone.
        endpoint: scheme, host and port, such as ``http://127.0.0.1:8000``, to ask instead of every address's own.
        seed: chooses other drawn scenes.
        base: where relative paths of the sources begin; the current folder when left out.
        manners: how servers are treated, and how long they are worth waiting for.
        secrets: keys and tokens, by the names of `sources.secrets.SECRETS`; the environment's when left out.
        progress: told of every picture.

    Returns:
        The counts. A source that cannot be used, or not to its end, is a sentence in `faults`, unless it leaves
        nothing to show.

    Raises:
        FetchError: a source, label or option makes no sense, the folder cannot be written, or not one picture
            was stored or there already; the sentence then says why.
        DatasetError: the ledger cannot be used.
    """
    started = time.monotonic()
    specs = [sources] if isinstance(sources, str) else list(sources)
    plugins = [_plugin(spec) for spec in specs]
    rules = _rules(licenses, min_side, retry_failed, manners)
    folder = Path(into)
    _check(specs, limit, seed)
    own_label = None if label is None else checked_label(label, "--label")
    with Web.open(manners, endpoint) as web:
        known = _Known()
        options = Options(
            into=folder,
            web=web,
            known=known,
            label=own_label,
            limit=limit,
            seed=seed,
            base=Path(base),
            licences=rules.licences,
            endpoint=endpoint,
            secrets=secrets_of(secrets),
        )
        listings, faults = _open_all(specs, plugins, options)
        if not listings:
            raise FetchError(" ".join(faults))
        counts: list[ClassCount] = []
        with filling(folder, progress), Ledger.open(folder / LEDGER_NAME) as ledger:
            store = known.store = Store(folder, ledger, rules)
            for spec, listing in listings:
                found, fault = Intake(spec, listing, store, web, rules, limit).run(progress)
                for count in found:
                    store.note(count)
                counts += found
                faults += [] if fault is None else [_sentence(spec, fault)]
                if isinstance(fault, FolderError):
                    break
    result = FetchResult(folder, tuple(counts), tuple(faults), time.monotonic() - started)
    full = limit is not None and counts and not any(count.wanted for count in counts)
    if faults or not full:  # where every class was full before, nothing had to come
        _check_any(result)
    return result


class _Known:
    """What the ledger knows, for sources that were opened before it and ask later."""

    store: Store | None = None

    def spans(self, prefix: str, label: str | None) -> tuple[list[tuple[str, str]], int]:
        return self.store.spans(prefix, label) if self.store else ([], 0)


def _check(specs: list[str], limit: int | None, seed: int) -> None:
    if not specs:
        raise FetchError("There is no source to fetch from; give one, such as urls:list.csv.")
    if limit is not None and limit < 1:
        raise FetchError(f"The limit must be 1 or more, not {limit}; leave it out to fetch everything.")
    if seed < 0:
        raise FetchError(f"The seed must be 0 or more, not {seed}.")


def _rules(licenses: Sequence[str], min_side: int, retry_failed: bool, manners: Manners) -> Rules:
    for licence in licenses:
        if licence not in LICENCES:
            raise FetchError(f"There is no licence {licence!r}; the codes are {', '.join(LICENCES)}.")
    if min_side < 1:
        raise FetchError(f"The smallest side must be 1 pixel or more, not {min_side}.")
    return Rules(manners, tuple(licenses), min_side, retry_failed)


def _plugin(spec: str) -> tuple[Source, str]:
    """The kind of source that a text asks for, and what it is to open."""
    plugins: dict[str, Source] = find_plugins("milliner.sources", "SOURCE")
    kind, colon, argument = spec.partition(":")
    if argument.startswith("//"):
        return plugins["files"], spec
    if not colon or not argument or kind not in plugins:
        usages = ", ".join(plugin.usage for plugin in plugins.values())
        raise FetchError(f"{without_login(spec)!r} is no source; give one of: {usages}.")
    return plugins[kind], argument


def _open_all(
    specs: list[str], plugins: list[tuple[Source, str]], options: Options
) -> tuple[list[tuple[str, Listing]], list[str]]:
    """Opens what can be opened, before the folder is touched; the rest become sentences."""
    listings: list[tuple[str, Listing]] = []
    faults: list[str] = []
    for spec, (plugin, argument) in zip(specs, plugins, strict=True):
        try:
            listings.append((without_login(spec), plugin.open(argument, options)))
        except (FetchError, NoAnswerError) as error:
            faults.append(_sentence(without_login(spec), error))
    return listings, faults


def _sentence(source: str, fault: Fault) -> str:
    """Why a source could not be used, with the remedy."""
    if isinstance(fault, FetchError):
        return str(fault)
    remedy = _REMEDIES.get(fault.reason, "check the address, and try again later")
    return f"{source} cannot be asked ({fault.reason}); {remedy}."


def _check_any(result: FetchResult) -> None:
    totals = result.totals()
    if totals["stored"] + totals["already"]:
        return
    if result.faults:
        raise FetchError(" ".join(result.faults))
    reasons = summed(count.rejected for count in result.classes) + summed(count.failed for count in result.classes)
    told = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common(3))
    raise FetchError(
        f"Not one picture of {sum(reasons.values())} could be used ({told}); check the source."
        if reasons
        else "The sources have no pictures; check them."
    )
