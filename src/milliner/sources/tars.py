"""A tar file on the web, begun where an earlier fetch has left off."""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.sources.archives import tar_pictures
from milliner.sources.source import Options, Wanted


class WebPageError(FetchError):
    """A page came instead of an archive, such as one that asks who we are."""


def tar_on_the_web(
    address: str, shown: str, label: str | None, options: Options, headers: Mapping[str, str] | None = None
) -> Iterator[Wanted]:
    """The pictures of a tar file, those that the ledger has settled first and without asking for their bytes again.

    From the beginning where the server cannot begin elsewhere, or the file is another one by now.

    Args:
        address: where it is.
        shown: the address as the ledger has it.
        label: the class of all pictures; their folders' names when left out.
        options: what was asked of the source.
        headers: for the server.

    Raises:
        FetchError: it is a web page, damaged or a bomb, or a picture has no label.
        NoAnswerError: it does not come.
    """
    known, begin = options.known.spans(f"{shown}#", label)
    stream, kind, begun = options.web.stream_from(address, headers, begin)
    with stream:
        if kind == "text/html":
            raise WebPageError(f"{shown} is a web page, not an archive; give the archive's own address.")
        pictures = tar_pictures(stream, shown, label, begun)
        if not begun:
            yield from pictures
            return
        try:
            first = next(pictures, None)
        except FetchError:
            first = None
            known = []
        yield from (Wanted(name, of, read=partial(_gone, name), in_order=True) for name, of in known)
        yield from chain([first] if first else [], pictures)
    if not known:
        yield from _from_the_beginning(address, shown, label, options, headers)


def _from_the_beginning(
    address: str, shown: str, label: str | None, options: Options, headers: Mapping[str, str] | None
) -> Iterator[Wanted]:
    stream, _, _ = options.web.stream_from(address, headers, 0)
    with stream:
        yield from tar_pictures(stream, shown, label)


def _gone(name: str) -> bytes:
    """A picture that was there a moment ago; the next fetch begins before it."""
    raise UnreadableImageError("unreadable", f"{name} was taken away meanwhile")
