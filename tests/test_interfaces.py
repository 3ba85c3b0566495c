"""The sources that ask an interface on the web: what is special about each, and how they bear hostile answers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import imitations
import pytest
from conftest import noise_jpeg
from hypothesis import example, given, settings
from hypothesis import strategies as st
from picture_server import Answer, PictureServer, cut_short, endless, hang_up, picture, redirect, status

from milliner.core.errors import FetchError
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources import openimages
from milliner.sources.answers import MAX_TEXT, Fields
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.web import web
from milliner.sources.web.manners import Manners

LOCAL: Final = Manners(pause=0.01, attempts=2)
fetch: Any = partial(fetch_politely, manners=LOCAL)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture
def openverse(server: PictureServer) -> imitations.Openverse:
    """300 pictures, all of them served."""
    api = imitations.Openverse(server, 300)
    for number in range(300):
        server.serve(api.path(number), picture(noise_jpeg(number, side=16)))
    return api


@pytest.fixture
def commons(server: PictureServer) -> imitations.Commons:
    """7 pictures, all of them served."""
    api = imitations.Commons(server, 7)
    for number in range(7):
        server.serve(api.path(number), picture(noise_jpeg(number)))
    return api


def rows(folder: Path) -> list[FetchRow]:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return list(ledger.fetched())


Ask = Callable[..., Any]


@pytest.fixture
def ask(server: PictureServer, tmp_path: Path) -> Ask:
    """Fetches a source from the server into ``out``, of the class hat."""

    def fetch_from_server(spec: str, **options: Any) -> Any:
        return fetch(spec, **{"into": tmp_path / "out", "label": "hat", "endpoint": server.url} | options)

    return fetch_from_server


def test_openverse_shows_strangers_240_pictures_20_at_a_time(openverse: imitations.Openverse, ask: Ask) -> None:
    openverse.dead = 3
    result = ask("openverse:hard hat & boots")
    assert (result.classes[0].stored, result.faults) == (204, ())
    assert [query["page"] for query in openverse.queries] == [str(number) for number in range(1, 13)]
    assert {(query["q"], query["page_size"]) for query in openverse.queries} == {("hard hat & boots", "20")}


@pytest.mark.parametrize(
    "secrets", [{"openverse_client_id": "me", "openverse_client_secret": "secret"}, {"openverse_token": "fresh"}]
)
def test_openverse_shows_more_to_those_it_knows(
    openverse: imitations.Openverse, ask: Ask, secrets: dict[str, str]
) -> None:
    openverse.tokens = {"fresh"} if "openverse_token" in secrets else set()
    assert ask("openverse:hat", secrets=secrets).classes[0].stored == 300
    assert {query["page_size"] for query in openverse.queries} == {"50"}


@pytest.mark.parametrize(
    ("argument", "sent"),
    [
        ("hat?category=photograph&size=large", {"q": "hat", "category": "photograph", "size": "large"}),
        ("who wears it?", {"q": "who wears it?"}),
        ("hat?colour=red", {"q": "hat?colour=red"}),
    ],
)
def test_openverse_queries_may_be_narrowed(
    openverse: imitations.Openverse, ask: Ask, argument: str, sent: dict[str, str]
) -> None:
    ask(f"openverse:{argument}", limit=1)
    asked = {name: value for name, value in openverse.queries[0].items() if not name.startswith("page")}
    assert asked == sent


def test_an_openverse_key_that_is_not_confirmed_opens_no_more_than_none(
    openverse: imitations.Openverse, ask: Ask
) -> None:
    openverse.tokens, openverse.verified = {"fresh"}, False
    result = ask("openverse:hat", secrets={"openverse_token": "fresh"})
    assert (result.classes[0].stored, result.faults) == (240, ())


@pytest.mark.parametrize(
    ("secrets", "sentence"),
    [
        ({"openverse_token": "expired"}, "does not take the token; it may have expired"),
        ({"openverse_client_id": "me", "openverse_client_secret": "x"}, r"client id and secret \(status 401\)"),
    ],
)
def test_openverse_keys_that_are_not_taken_are_told(
    openverse: imitations.Openverse, ask: Ask, secrets: dict[str, str], sentence: str
) -> None:
    with pytest.raises(FetchError, match=sentence):
        ask("openverse:hat", secrets=secrets)


@pytest.mark.parametrize(("answer", "reason"), [(status(500), "status 500"), (picture(b"[]"), "gives no token")])
def test_openverse_trouble_is_not_blamed_on_the_keys(
    server: PictureServer, openverse: imitations.Openverse, ask: Ask, answer: Answer, reason: str
) -> None:
    server.route("/v1/auth_tokens/token/", answer)
    with pytest.raises(FetchError, match=reason) as caught:
        ask("openverse:hat", secrets={"openverse_client_id": "me", "openverse_client_secret": "secret"})
    assert "check both" not in str(caught.value)


def test_openverse_is_waited_for_when_it_asks_so(openverse: imitations.Openverse, ask: Ask) -> None:
    openverse.throttled = 1
    assert ask("openverse:hat", limit=3).classes[0].stored == 3


def test_openverse_that_has_had_enough_leaves_what_there_is(
    server: PictureServer, openverse: imitations.Openverse, ask: Ask
) -> None:
    openverse.pause = "86400"
    first = "/v1/images/?q=hat&page=1&page_size=20"
    server.serve(first, imitations.as_json(_first_page(openverse)))
    openverse.throttled = 1
    result = ask("openverse:hat")
    assert result.classes[0].stored == 20
    assert result.faults == (
        "Openverse has had enough of us for now; wait, or register at https://api.openverse.org/v1/ and set "
        "MILLINER_OPENVERSE_CLIENT_ID and MILLINER_OPENVERSE_CLIENT_SECRET for more.",
    )


def _first_page(api: imitations.Openverse) -> dict[str, Any]:
    return {"result_count": 240, "page_count": 12, "page_size": 20, "page": 1, "results": api.results[:20]}


def test_openverse_filters_licences_before_anything_is_downloaded(
    openverse: imitations.Openverse, server: PictureServer, ask: Ask
) -> None:
    for result in openverse.results[:290]:
        result["license"] = "by-nc"
    assert ask("openverse:hat", licenses=["by", "cc0"]).classes[0].stored == 10
    assert {query["license"] for query in openverse.queries} == {"by,cc0"}
    with pytest.raises(FetchError, match=r"finds nothing for 'hat'; use other words, or fewer --licenses\.$"):
        ask("openverse:hat", licenses=["pdm"])


def test_openverse_pictures_have_names_that_stay(openverse: imitations.Openverse, tmp_path: Path, ask: Ask) -> None:
    openverse.results[1]["id"] = "../../etc"
    ask("openverse:hat", limit=2)
    assert [row.address for row in rows(tmp_path / "out")] == [
        "https://api.openverse.org/v1/images/0aff3595-8168-440b-83ff-000000000000/",
        openverse.results[1]["url"],
    ]


def test_openverse_placeholders_are_recognized(
    server: PictureServer, openverse: imitations.Openverse, ask: Ask
) -> None:
    for number in range(5):
        server.serve(openverse.path(number), picture(noise_jpeg(999)))
    count = ask("openverse:hat", limit=10).classes[0]
    assert (count.stored, count.rejected) == (10, {"placeholder": 5})


@pytest.mark.parametrize(
    "spec", ["commons:Category:Hard hats", "commons:category: Hard hats", "commons:search:hard hat"]
)
def test_commons_answers_are_followed_to_their_end(commons: imitations.Commons, ask: Ask, spec: str) -> None:
    result = ask(spec)
    assert (result.classes[0].stored, result.faults, len(commons.queries)) == (7, (), 4)
    assert {query["iiurlwidth"] for query in commons.queries} == {"960"}


def test_commons_files_that_are_no_pictures_are_passed_over(
    commons: imitations.Commons, server: PictureServer, ask: Ask
) -> None:
    for number, mime in enumerate(("image/svg+xml", "application/pdf", "audio/midi", "video/webm", None)):
        commons.pages[number]["imageinfo"][0]["mime"] = mime
    del commons.pages[5]["imageinfo"]
    assert ask("commons:Category:Hard hats").classes[0].stored == 1
    assert [path for path in server.requests if path.startswith("/wikipedia")] == [commons.path(6)]


def test_commons_gets_three_connections_at_most(commons: imitations.Commons, server: PictureServer, ask: Ask) -> None:
    commons.batch = 7
    for number in range(7):
        server.answers[commons.path(number)] = [server.held(noise_jpeg(number), seconds=0.1)]
    assert ask("commons:Category:Hard hats").classes[0].stored == 7
    assert server.most_at_once == 3


def test_commons_that_lags_is_waited_for(commons: imitations.Commons, ask: Ask) -> None:
    commons.lagging = 3
    assert ask("commons:Category:Hard hats").classes[0].stored == 7
    commons.lagging = 100
    with pytest.raises(
        FetchError, match=r"refuses the query \(Waiting for .*\); check the name, or try again later\.$"
    ):
        ask("commons:search:others")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("commons:Category:", "must be commons:Category:NAME or commons:search:QUERY"),
        ("commons:hats", "must be commons:Category:NAME or commons:search:QUERY"),
        ("openverse:\udcff", "cannot be asked"),
        ("commons:search:\udcff", "cannot be asked"),
        ("openimages:\udcff", "has no class"),
        ("imagenet:n99999999", "has no synset n99999999; look it up at https://image-net.org"),
        ("imagenet:n1", "No ImageNet class called 'n1' is known here"),
        ("imagenet:hart hat", "did you mean 'hard hat'"),
        ("openimages:helm", "has no class 'helm'; did you mean 'Helmet' or 'Bicycle helmet'"),
        ("openimages:boxes:zebra", "has no class 'zebra'; see its list of classes"),
    ],
)
def test_sources_that_make_no_sense_are_told_in_a_sentence(
    server: PictureServer, ask: Ask, spec: str, sentence: str
) -> None:
    imitations.OpenImages(server, validation=1)
    with pytest.raises(FetchError, match=sentence):
        ask(spec)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("openverse:hat", "Openverse finds nothing for 'hat'; use other words"),
        ("commons:search:hat", "Wikimedia Commons has nothing for 'search:hat'; check the name"),
        ("openimages:Helmet", "The sources have no pictures; check them"),
        ("imagenet:n03492922", "The sources have no pictures; check them"),
    ],
)
def test_nothing_found_is_a_sentence(server: PictureServer, ask: Ask, spec: str, sentence: str) -> None:
    imitations.Openverse(server, 0)
    imitations.Commons(server, 0)
    imitations.OpenImages(server)
    imitations.ImageNet(server, {"n03492922": []})
    with pytest.raises(FetchError, match=sentence):
        ask(spec)


def test_open_images_has_confirmed_pictures_and_boxed_ones(server: PictureServer, tmp_path: Path, ask: Ask) -> None:
    imitations.OpenImages(server, validation=3)
    for number in range(3):
        server.serve(imitations.OpenImages.path("validation", number), picture(noise_jpeg(number)))
    assert ask("openimages:Helmet").classes[0].stored == 3
    assert ask("openimages:boxes:/m/0zvk5", into=tmp_path / "boxed").classes[0].stored == 1
    assert {path for path in server.requests if path.endswith(".jpg")} == {
        imitations.OpenImages.path("validation", number) for number in range(3)
    }


def test_open_images_whose_origin_no_list_tells_come_without_a_licence(
    server: PictureServer, tmp_path: Path, ask: Ask
) -> None:
    api = imitations.OpenImages(server, test=2)
    for number in range(2):
        server.serve(api.path("test", number), picture(noise_jpeg(number)))
    lines = api.lists["2018_04/test/test-images-with-rotation.csv"].splitlines(keepends=True)
    api.lists["2018_04/test/test-images-with-rotation.csv"] = "".join(lines[:2])
    count = ask("openimages:Helmet", licenses=["by"]).classes[0]
    assert (count.stored, count.rejected) == (1, {"licence": 1})
    ask("openimages:Helmet")
    assert [row.licence for row in rows(tmp_path / "out")] == ["by", None]


def test_open_images_lists_are_left_once_there_is_enough(server: PictureServer, ask: Ask) -> None:
    imitations.OpenImages(server, validation=3, test=3)
    for number in range(3):
        server.serve(imitations.OpenImages.path("validation", number), picture(noise_jpeg(number)))
    ask("openimages:Helmet", limit=2)
    assert not any("test" in path or "train" in path for path in server.requests)


@pytest.mark.parametrize(
    ("secrets", "field"),
    [({"imagenet_cookie": "session=1"}, "cookie"), ({"imagenet_token": "abc"}, "token")],
)
def test_imagenet_takes_a_cookie_or_a_token(
    server: PictureServer, ask: Ask, secrets: dict[str, str], field: str
) -> None:
    api = imitations.ImageNet(server, {"n03492922": [noise_jpeg(1)]})
    setattr(api, field, next(iter(secrets.values())))
    assert ask("imagenet:hard hat", secrets=secrets).classes[0].stored == 1
    assert server.robots_requests == 0


@pytest.mark.parametrize(
    ("closed", "sentence"),
    [
        (status(401), "is closed to us .status 401"),
        (status(403), "is closed to us .status 403"),
        (picture(b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8"), "answers with a web page"),
    ],
)
def test_imagenet_that_wants_a_login_says_how(server: PictureServer, ask: Ask, closed: Answer, sentence: str) -> None:
    api = imitations.ImageNet(server, {"n03492922": [noise_jpeg(1)]})
    api.cookie, api.closed = "session=1", closed
    with pytest.raises(FetchError, match=f"{sentence}.* set MILLINER_IMAGENET_COOKIE .*MILLINER_IMAGENET_TOKEN"):
        ask("imagenet:n03492922", secrets={"imagenet_cookie": "session=2"})


def test_imagenet_goes_on_after_a_synset_that_is_not_there(server: PictureServer, ask: Ask) -> None:
    imitations.ImageNet(server, {"n03492922": [noise_jpeg(1)]})
    result = ask("imagenet:n99999999,n03492922,n88888888", label=None)
    assert [(count.label, count.stored) for count in result.classes] == [("hard hat", 1)]
    assert result.faults == ("ImageNet has no synset n99999999, n88888888; look it up at https://image-net.org.",)


def test_imagenet_leaves_a_synset_that_has_enough_for_the_next(server: PictureServer, ask: Ask) -> None:
    many = [noise_jpeg(number, side=128) for number in range(8)]
    api = imitations.ImageNet(server, {"n03127747": many, "n03492922": [noise_jpeg(9)]})
    content = api.tars["n03127747"]
    sent = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        server.held(content, before=len(content) * 3 // 4)(handler)
        sent.set()

    server.route("/data/winter21_whole/n03127747.tar", slow)
    result = ask("imagenet:n03127747,n03492922", label=None, limit=1)
    assert [(count.label, count.stored) for count in result.classes] == [("crash helmet", 1), ("hard hat", 1)]
    assert not sent.is_set()


PLACES: Final = {
    "openverse:hat": ["/v1/images/"],
    "commons:search:hat": ["/w/api.php"],
    "openimages:Helmet": [
        "/openimages/v7/oidv7-class-descriptions.csv",
        "/openimages/v7/oidv7-val-annotations-human-imagelabels.csv",
        "/openimages/2018_04/validation/validation-images-with-rotation.csv",
    ],
    "imagenet:n03492922": ["/data/winter21_whole/n03492922.tar"],
}
"""Where each source asks first."""

HOSTILE: Final[dict[str, Answer]] = {
    "empty": picture(b""),
    "null": picture(b"null"),
    "list": picture(b"[[]]"),
    "number": picture(b"1e999"),
    "text": picture(b'"yes"'),
    "object": picture(b'{"results": {"a": 1}, "result_count": [], "query": [], "continue": 1, "error": []}'),
    "deep": picture(b'{"a":' * 100_000),
    "digits": picture(b'{"result_count": ' + b"9" * 100_000 + b"}"),
    "cut": picture(b'{"result_count": 2, "results": ['),
    "html": picture(b"<!doctype html><html>Log in</html>", Content_Type="text/html"),
    "latin": picture(b'{"error": {"info": "\xe9"}}'),
    "long": picture(b'{"error": {"code": "' + b"x" * 10**7 + b'", "info": "' + b"<" * 10**7 + b'"}}'),
    "packed": picture(b"\x1f\x8b", Content_Encoding="gzip"),
    "endless": endless(b'{"result_count": 2'),
    "endless lines": endless(b"LabelName,DisplayName,ImageID,Confidence,License\n"),
    "private": redirect("http://169.254.169.254/latest/meta-data/"),
    "inside": redirect("http://10.0.0.1/"),
    "file": redirect("file:///etc/passwd"),
    "loop": redirect("?again"),
    "silent": hang_up,
    "short": cut_short(b'{"result_count": 2}' * 9),
    "closed": status(403),
    "gone": status(404),
    "broken": status(500, b"<html>"),
    "odd": status(299),
    "later": status(503, Retry_After="4000000000"),
}


@pytest.mark.parametrize("answer", HOSTILE)
@pytest.mark.parametrize("spec", PLACES)
def test_hostile_answers_are_a_sentence(server: PictureServer, ask: Ask, spec: str, answer: str) -> None:
    for place in PLACES[spec]:
        imitations.OpenImages(server, validation=1)
        server.route(place, HOSTILE[answer])
        with pytest.raises(FetchError, match=r"^[^\n]{20,3000}\.$"):
            ask(spec)


def test_a_list_that_never_ends_is_left(server: PictureServer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openimages, "_MAX_CLASSES", 2**20)

    server.route(PLACES["openimages:Helmet"][0], endless(b"LabelName,DisplayName\n" + b"a,b\n" * 2**19))
    with pytest.raises(FetchError, match="it does not end"):
        ask("openimages:Helmet")


def test_commons_that_leads_in_circles_is_left(server: PictureServer, commons: imitations.Commons, ask: Ask) -> None:
    commons.pages[0]["imageinfo"] = [{"mime": "audio/ogg"}]
    first = imitations.as_json({"continue": {"x": 1}, "query": {"pages": commons.pages[:1]}})
    server.route("/w/api.php", first)
    with pytest.raises(FetchError, match="have no pictures"):
        ask("commons:search:hat")
    numbers = iter(range(10**6))

    def onwards(handler: Any) -> None:
        imitations.as_json({"continue": {"x": next(numbers)}, "query": {"pages": commons.pages[:1]}})(handler)

    server.route("/w/api.php", onwards)
    with pytest.raises(FetchError, match="have no pictures"):
        ask("commons:search:hat")
    assert next(numbers) == 100


def test_answers_over_the_bound_are_not_read(
    server: PictureServer, openverse: imitations.Openverse, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "MAX_DOCUMENT", 2**14)
    with pytest.raises(FetchError, match=r"openverse:hat cannot be asked \(too many bytes\)"):
        ask("openverse:hat")


VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["\ud800", "<![x[", "&#xd800;", "\x00", "x" * 10**5, "http://[", "http://127.0.0.1:9/\ud800", "a/b"]
    )
    | st.integers(10**20, 10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with every key or index in it."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [place for key in keys for place in [(document, key), *places(document[key])]]


def document_of(kind: str, server: PictureServer) -> dict[str, Any]:
    if kind == "openverse":
        return _first_page(imitations.Openverse(server, 2)) | {"result_count": 2, "page_count": 1}
    return {"batchcomplete": True, "continue": {}, "query": {"pages": imitations.Commons(server, 2).pages}}


@pytest.mark.parametrize(("kind", "path"), [("openverse", "/v1/images/"), ("commons", "/w/api.php")])
@given(where=st.integers(0, 10**6), value=VALUES)
@settings(max_examples=40, deadline=None)
def test_no_field_of_an_answer_breaks_the_fetch(
    tmp_path_factory: pytest.TempPathFactory, kind: str, path: str, where: int, value: Any
) -> None:
    with PictureServer() as server:
        document = document_of(kind, server)
        found = places(document)
        container, key = found[where % len(found)]
        container[key] = value
        server.route(path, imitations.as_json(document))
        out = tmp_path_factory.mktemp("out")
        with suppress(FetchError):
            fetch(f"{kind}:search:hat", into=out, label="hat", endpoint=server.url)
        assert all(len(str(value)) < 10**4 for row in rows(out) for value in vars(row).values())


@given(st.text() | st.sampled_from(["<![x[", "<!x", "<!--", "<?", "</", "&#1234567890;"]).map(lambda text: text * 3))
@example("<![if foo")
def test_any_html_becomes_one_short_line(text: str) -> None:
    found = Fields({"a": text}).html("a")
    assert found is None or (found == " ".join(found.split()) and 0 < len(found) <= MAX_TEXT)


@given(st.text(st.characters(exclude_characters="<&\x00", codec="utf-8")))
def test_plain_text_keeps_its_words(text: str) -> None:
    assert (Fields({"a": text}).text("a") or "").split() == text[: MAX_TEXT * 8].split()
    assert (Fields({"a": text}).html("a") or "").split() == text.split()
