"""How the web is asked: politely, never at private addresses, and with every lost connection made up for."""

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from conftest import noise_jpeg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from picture_server import Answer, PictureServer, endless, in_parts, picture, redirect, status

from milliner import __version__
from milliner.sources.web.address import is_private, literal_ip
from milliner.sources.web.answer import retry_after
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.manners import Manners
from milliner.sources.web.web import Web

GOOD: Final = noise_jpeg(1)
LOCAL: Final = Manners(allow_private=True, pause=0.01, attempts=2)
RUDE: Final = replace(LOCAL, robots_txt=False)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        running.serve("/a.jpg", picture(GOOD))
        running.serve("/b.jpg", picture(GOOD))
        yield running


@pytest.fixture
def other() -> Iterator[PictureServer]:
    """Another host: another port makes one."""
    with PictureServer() as running:
        running.serve("/a.jpg", picture(GOOD))
        yield running


def asked(*addresses: str, manners: Manners = LOCAL, endpoint: str | None = None) -> list[str]:
    """What becomes of each address: "came", or the reason why not."""
    with Web.open(manners, endpoint) as web, ThreadPoolExecutor(1) as pool:
        answers = [web.picture(address, len, pool) for address in addresses]
        reasons = []
        for answer in answers:
            try:
                reasons.append("came" if answer.result() else "nothing")
            except NoAnswerError as error:
                reasons.append(error.reason)
    return reasons


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (picture(b"User-agent: *\nDisallow:\n"), "came"),
        (picture(b"User-agent: *\nDisallow: /\n"), "robots.txt"),
        (picture(b"User-agent: *\nDisallow: /\nAllow: /a\n"), "came"),
        (picture(b"User-agent: *\nDisallow: /*.jpg$\n"), "robots.txt"),
        (picture(b"User-agent: *\nDisallow: /*.png$\n"), "came"),
        (picture(b"User-agent: *\nAllow: /\n\nUser-agent: Milliner\nDisallow: /\n"), "robots.txt"),
        (picture(b"User-agent: *\nDisallow: /\n\nUser-agent: milliner\nAllow: /\n"), "came"),
        (picture(b"User-agent: googlebot\nDisallow: /\n"), "came"),
        (picture(b"\xff\xfe\x00\nUser-agent: *\nDisallow: /\n"), "robots.txt"),
        (picture(b"<html>nothing here</html>"), "came"),
        (picture(b""), "came"),
        (picture(b"User-agent: *\nDisallow: /\n#" + b"x" * 2**20), "robots.txt"),
        (endless(b"User-agent: *\nDisallow: /\n"), "robots.txt"),
        (status(404), "came"),
        (status(403), "came"),
        (status(410), "came"),
        (status(500), "robots.txt unavailable"),
        (status(503), "robots.txt unavailable"),
        (status(429), "robots.txt unavailable"),
        (redirect("/elsewhere"), "robots.txt"),
        (redirect("/robots.txt"), "came"),
    ],
)
def test_robots_txt_is_obeyed(server: PictureServer, robots: Answer, reason: str) -> None:
    server.serve("/robots.txt", robots)
    server.serve("/elsewhere", picture(b"User-agent: *\nDisallow: /\n"))
    assert asked(f"{server.url}/a.jpg") == [reason]
    assert server.requests["/a.jpg"] == (reason == "came")
    assert asked(f"{server.url}/a.jpg", manners=RUDE) == ["came"]


def test_robots_txt_is_asked_for_once_a_host(server: PictureServer, other: PictureServer) -> None:
    asked(*[f"{each.url}/a.jpg?{number}" for each in (server, other) for number in range(8)])
    assert (server.robots_requests, other.robots_requests) == (1, 1)
    asked(f"{server.url}/a.jpg", manners=RUDE)
    assert server.robots_requests == 1


def test_a_robots_txt_that_cannot_be_had_is_not_asked_for_by_every_picture(server: PictureServer) -> None:
    server.serve("/robots.txt", status(500))
    assert set(asked(*[f"{server.url}/a.jpg?{number}" for number in range(8)])) == {"robots.txt unavailable"}
    assert server.robots_requests == LOCAL.attempts


def test_the_host_that_a_redirect_leads_to_is_asked_too(server: PictureServer, other: PictureServer) -> None:
    other.serve("/robots.txt", picture(b"User-agent: *\nDisallow: /\n"))
    server.serve("/moved.jpg", redirect(f"{other.url}/a.jpg"))
    assert asked(f"{server.url}/moved.jpg") == ["robots.txt"]
    assert (other.requests["/a.jpg"], other.robots_requests) == (0, 1)
    assert asked(f"{server.url}/moved.jpg", manners=RUDE) == ["came"]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (["noai"], "X-Robots-Tag"),
        (["noimageai"], "X-Robots-Tag"),
        (["noindex"], "X-Robots-Tag"),
        (["noimageindex"], "X-Robots-Tag"),
        (["none"], "X-Robots-Tag"),
        (["NoFollow, NOAI"], "X-Robots-Tag"),
        (["milliner: noai"], "X-Robots-Tag"),
        (["*: noai"], "X-Robots-Tag"),
        (["googlebot: noindex, milliner: noai"], "X-Robots-Tag"),
        (["max-image-preview:large, noai"], "X-Robots-Tag"),
        (["noindex, unavailable_after: 25 Jun 2010 15:00:00 PST"], "X-Robots-Tag"),
        (["unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, noai"], "X-Robots-Tag"),
        (["all", "noarchive", "noai"], "X-Robots-Tag"),
        (["googlebot: noindex", "noai"], "X-Robots-Tag"),
        (["all"], "came"),
        (["nofollow, noarchive, max-snippet:-1"], "came"),
        (["googlebot: noindex"], "came"),
        (["otherbot: noindex, noai"], "came"),
        (["googlebot: noindex", "milliner: all"], "came"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], "came"),
        ([":", "", ",,", "\xff: noai"], "came"),
    ],
)
def test_x_robots_tag_is_obeyed(server: PictureServer, tags: list[str], reason: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for tag in tags:
            handler.send_header("X-Robots-Tag", tag)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD)

    address = server.serve("/tagged.jpg", answer)
    assert asked(address) == [reason]
    assert asked(address, manners=replace(LOCAL, x_robots_tag=False)) == ["came"]


HOME: Final = (
    *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]"),
    *("[64:ff9b:1::1]", "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "224.0.0.1"),
    *("255.255.255.255", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021"),
)
"""Spellings of hosts that lead into a private network."""


@pytest.mark.parametrize("host", HOME)
def test_private_addresses_are_refused(server: PictureServer, host: str) -> None:
    port = server.url.rpartition(":")[2]
    manners = replace(LOCAL, allow_private=False, connect=2, attempts=1)
    assert asked(f"http://{host}:{port}/a.jpg", manners=manners) in (["private address"], ["not an http address"])
    assert not server.requests


@pytest.mark.parametrize("host", [host for host in HOME if host.isascii() and host != "127.0.0.1"])
def test_private_addresses_are_refused_after_a_redirect(server: PictureServer, host: str) -> None:
    server.serve("/moved.jpg", redirect(f"http://{host}:{server.url.rpartition(':')[2]}/a.jpg"))
    (reason,) = asked("http://h/moved.jpg", manners=replace(LOCAL, allow_private=False), endpoint=server.url)
    assert reason in ("private address", "redirected away from http", "not an http address")
    assert server.requests["/a.jpg"] == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1"])
def test_private_addresses_are_asked_when_that_is_allowed(server: PictureServer, host: str) -> None:
    assert asked(f"http://{host}:{server.url.rpartition(':')[2]}/a.jpg") == ["came"]


def test_a_name_that_leads_home_is_refused(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host == "pictures.example" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    address = f"http://pictures.example:{server.url.rpartition(':')[2]}/a.jpg"
    assert asked(address, manners=replace(LOCAL, allow_private=False)) == ["private address"]
    assert not server.requests
    assert asked(address) == ["came"]


def test_the_endpoint_may_be_anywhere(server: PictureServer, other: PictureServer) -> None:
    manners = replace(LOCAL, allow_private=False)
    assert asked("https://pictures.example/a.jpg", manners=manners, endpoint=server.url) == ["came"]
    named = server.url.replace("127.0.0.1", "localhost")
    assert asked("https://pictures.example/a.jpg", manners=manners, endpoint=named) == ["came"]
    moved = redirect(other.url.replace("127.0.0.1", "localhost") + "/a.jpg")
    server.serve("/a.jpg", moved)
    assert asked("https://pictures.example/a.jpg", manners=manners, endpoint=server.url) == ["private address"]


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_judged_alike(ip: Any) -> None:
    number = int(ip)
    spellings = [str(ip), str(number), hex(number), f"0{number:o}", f"{number >> 24}.{number & 0xFFFFFF}"]
    assert {literal_ip(each) for each in spellings} == {str(ip)}
    carried = [f"::ffff:{ip}", f"64:ff9b::{ip}", f"::{ip}", f"::ffff:0:{ip}"]
    assert {is_private(each) for each in carried} == {is_private(str(ip))}


@given(st.text(max_size=20))
def test_names_are_no_addresses(host: str) -> None:
    ip = literal_ip(host)
    assert ip is None or set(host.lower()) <= set("0123456789abcdefx.:%") or "%" in host


@pytest.mark.parametrize("later", ["0", formatdate(0, usegmt=True), "soon", "", "-5", "\u0663" * 12, "9" * 30 + " GMT"])
def test_retry_after_is_waited_for_in_either_form(server: PictureServer, later: str) -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        status(503, Retry_After=later.encode().decode("latin-1"))(handler)

    assert asked(server.serve("/busy.jpg", busy, picture(GOOD))) == ["came"]


@pytest.mark.parametrize("later", ["31", "999999999", formatdate(4e9, usegmt=True), "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_host_that_wants_a_long_pause_is_left_in_peace(server: PictureServer, later: str) -> None:
    assert asked(server.serve("/busy.jpg", status(429, Retry_After=later), picture(GOOD))) == ["status 429"]
    assert server.requests["/busy.jpg"] == 1


@given(st.text(max_size=40) | st.integers().map(str) | st.datetimes().map(str))
def test_no_retry_after_breaks_the_reader(value: str) -> None:
    pause = retry_after(value)
    assert pause is None or pause >= 0


def test_a_host_that_refuses_three_in_a_row_is_left_alone_by_all(server: PictureServer) -> None:
    refused = [server.serve(f"/{n}.jpg", status(429, Retry_After="1"), picture(GOOD)) for n in range(3)]
    manners = replace(RUDE, connections_per_host=1)
    assert asked(*refused, f"{server.url}/a.jpg", f"{server.url}/b.jpg", manners=manners) == ["came"] * 5
    times = [moment for moment, _ in server.arrivals]
    assert len(times) == 8
    assert times[3] - times[2] >= 0.95


def test_two_refusals_are_those_addresses_own(server: PictureServer) -> None:
    refused = [server.serve(f"/{n}.jpg", status(429, Retry_After="1"), picture(GOOD)) for n in range(2)]
    assert asked(*refused, f"{server.url}/a.jpg", manners=replace(RUDE, connections_per_host=1)) == ["came"] * 3
    (_, first), (before, second), (moment, third) = server.arrivals[:3]
    assert (first, second, third) == ("/0.jpg", "/1.jpg", "/a.jpg")
    assert moment - before < 0.9


def test_servers_are_told_who_asks_and_whom_to_complain_to(server: PictureServer) -> None:
    asked(f"{server.url}/a.jpg", manners=replace(LOCAL, contact="ann@example.org"))
    home = "https://github.com/milliner-vision/milliner"
    agents = {headers["User-Agent"] for path in ("/a.jpg", "/robots.txt") for headers in server.headers[path]}
    assert agents == {f"milliner/{__version__} (+{home}; ann@example.org)"}


def test_cookies_are_not_kept(server: PictureServer) -> None:
    server.serve("/a.jpg", picture(GOOD, Set_Cookie="track=me; Path=/"))
    server.serve("/moved.jpg", status(302, Location="/a.jpg", Set_Cookie="track=me; Path=/"))
    for _ in range(2):
        asked(f"{server.url}/a.jpg", f"{server.url}/moved.jpg")
    assert not [headers for sent in server.headers.values() for headers in sent if "Cookie" in headers]


@pytest.mark.parametrize("name", ["Cookie", "Authorization"])
def test_keys_go_to_nobody_else(server: PictureServer, other: PictureServer, name: str) -> None:
    other.serve("/back", redirect(f"{server.url}/list"))
    server.serve("/moved", redirect(f"{other.url}/back"))
    server.serve("/near", redirect("/list"))
    server.serve("/list", picture(b"x"))
    with Web.open(LOCAL) as web:
        for path in ("/moved", "/near"):
            stream, _ = web.stream(server.url + path, {name: "secret"})
            with stream:
                assert stream.read() == b"x"
    assert [headers[name] for headers in server.headers["/moved"] + server.headers["/near"]] == ["secret"] * 2
    assert [headers[name] for headers in other.headers["/back"]] == [None]
    assert [headers[name] for headers in server.headers["/list"]] == [None, "secret"]


def test_a_token_goes_to_nobody_else(server: PictureServer, other: PictureServer) -> None:
    server.serve("/api?q=1", redirect(f"{other.url}/api"))
    other.serve("/api", picture(b"{}"))
    with Web.open(LOCAL) as web:
        assert web.json(f"{server.url}/api", {"q": "1"}, "secret") == {}
    assert server.headers["/api?q=1"][0]["Authorization"] == "Bearer secret"
    assert other.headers["/api"][0]["Authorization"] is None


LONG: Final = bytes(range(256)) * 4096


@pytest.mark.parametrize(
    ("marks", "if_range"),
    [
        ({"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, '"1"'),
        ({"ETag": 'W/"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, "Wed, 21 Oct 2015 07:28:00 GMT"),
        ({}, None),
    ],
)
def test_a_stream_that_breaks_goes_on_where_it_broke(
    server: PictureServer, marks: dict[str, str], if_range: str | None
) -> None:
    broken = threading.Semaphore(0)
    server.serve("/long", in_parts(LONG, 300_000, broken, **marks))
    with Web.open(LOCAL) as web:
        stream, _ = web.stream(f"{server.url}/long", {"Cookie": "a=b"})
        with stream:
            come = b""
            while piece := stream.read(300_000):
                come += piece
                broken.release()
    assert come == LONG
    first, *others = server.headers["/long"]
    assert first["Range"] is None
    assert [sent["Range"] for sent in others] == [f"bytes={300_000 * part}-" for part in (1, 2, 3)]
    assert {(sent["If-Range"], sent["Cookie"]) for sent in others} == {(if_range, "a=b")}


@pytest.mark.parametrize(
    "second",
    [
        picture(LONG),
        status(416),
        status(404),
        status(206, LONG[300_000:]),
        status(206, LONG[:9], Content_Range=f"bytes 0-8/{len(LONG)}"),
    ],
)
def test_a_stream_that_goes_on_elsewhere_is_given_up(server: PictureServer, second: Answer) -> None:
    broken = threading.Semaphore(0)
    server.serve("/long", in_parts(LONG, 300_000, broken), second)
    with Web.open(LOCAL) as web:
        stream, _ = web.stream(f"{server.url}/long")
        with stream:
            assert stream.read(300_000) == LONG[:300_000]
            broken.release()
            with pytest.raises(NoAnswerError, match=r"connection lost|status 404"):
                stream.read()


def test_a_stream_that_brings_nothing_more_is_given_up(server: PictureServer) -> None:
    broken = threading.Semaphore(100)
    server.serve("/long", in_parts(LONG, 1000, broken), in_parts(LONG, 0, broken))
    with Web.open(LOCAL) as web:
        stream, _ = web.stream(f"{server.url}/long")
        with stream, pytest.raises(NoAnswerError, match="connection lost"):
            stream.read()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    certificate = builder.sign(key, hashes.SHA256())
    format_, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    (tmp_path / "both.pem").write_bytes(
        key.private_bytes(encoding, format_, serialization.NoEncryption()) + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://localhost:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_a_certificate_that_is_not_trusted_is_one_reason(stranger: str, server: PictureServer) -> None:
    assert asked(f"{stranger}/a.jpg", manners=RUDE) == ["TLS failure"]
    assert asked(f"{stranger}/a.jpg") == ["TLS failure"]
    moved = server.serve("/moved.jpg", redirect(f"{stranger}/a.jpg"))
    assert asked(moved, manners=RUDE) == ["TLS failure"]
    with Web.open(LOCAL) as web, pytest.raises(NoAnswerError, match="TLS failure"):
        web.stream(f"{stranger}/long")
