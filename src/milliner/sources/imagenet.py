"""`imagenet:WNID[,WNID…]`: whole synsets of ImageNet, each a tar file, by WordNet id or by name."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from milliner.core.credit import Credit
from milliner.core.errors import FetchError, SettingsError
from milliner.core.imagenet import synset
from milliner.sources.label import checked_label
from milliner.sources.source import Listing, Options, Wanted
from milliner.sources.tars import WebPageError, tar_on_the_web
from milliner.sources.web.failure import NoAnswerError

ADDRESS: Final = "https://image-net.org/data/winter21_whole/{wnid}.tar"

_LOGIN: Final = (
    "ImageNet wants to know who asks: sign in at https://image-net.org, accept its terms, and set "
    "MILLINER_IMAGENET_COOKIE to the Cookie header that your browser then sends there, or MILLINER_IMAGENET_TOKEN to "
    "an access token"
)


class _ImageNet:
    name: Final = "imagenet"
    usage: Final = 'imagenet:WNID[,WNID…] (such as n03492922) or imagenet:"NAME" (such as hard hat)'

    def open(self, argument: str, options: Options) -> Listing:
        try:
            wanted = [synset(name) for name in argument.strip("\"'").split(",")]
        except SettingsError as error:
            raise FetchError(str(error)) from error
        labels = {wnid: options.label or checked_label(lemmas[0], wnid) for wnid, lemmas in wanted}
        one = next(iter(labels.values())) if len(set(labels.values())) == 1 else None
        full: set[str] = set()
        return Listing(_pictures(labels, options, full), label=one, full=full)


SOURCE: Final = _ImageNet()


class _UnknownSynsetError(Exception):
    pass


def _pictures(labels: dict[str, str], options: Options, full: set[str]) -> Iterator[Wanted]:
    unknown = []
    for wnid, label in labels.items():
        try:
            for wanted in _synset(wnid, label, options):
                yield wanted
                if label in full:  # the rest of the tar need not come
                    break
        except _UnknownSynsetError:
            unknown.append(wnid)
    if unknown:
        raise FetchError(f"ImageNet has no synset {', '.join(unknown)}; look it up at https://image-net.org.")


def _synset(wnid: str, label: str, options: Options) -> Iterator[Wanted]:
    address = ADDRESS.format(wnid=wnid)
    credit = Credit(page=f"https://image-net.org/synset?wnid={wnid}", provider="ImageNet")
    try:
        for wanted in tar_on_the_web(address, address, label, options, _login(options)):
            yield replace(wanted, credit=credit)
    except WebPageError as error:
        raise FetchError(f"{address} answers with a web page. {_LOGIN}.") from error
    except NoAnswerError as error:
        if error.reason in ("status 401", "status 403"):
            raise FetchError(f"{address} is closed to us ({error.reason}). {_LOGIN}.") from error
        if error.reason == "status 404":
            raise _UnknownSynsetError(wnid) from error
        raise


def _login(options: Options) -> dict[str, str]:
    cookie, token = (options.secrets.get(f"imagenet_{name}") for name in ("cookie", "token"))
    return ({"Cookie": cookie} if cookie else {}) | ({"Authorization": f"Bearer {token}"} if token else {})
