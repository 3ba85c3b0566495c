"""A web server on this machine that answers as well or as badly as a test wants."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Answer = Callable[[BaseHTTPRequestHandler], None]


class PictureServer:
    """Serves `answers`: a path's answers are given one after the other, the last again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.routes: dict[str, Answer] = {}
        """For paths, whatever their query, that no answer is set for."""
        self.fallback = status(404)
        """For paths that have neither."""
        self.requests: Counter[str] = Counter()
        """By path; those for robots.txt are in `robots_requests`."""
        self.robots_requests = 0
        self.user_agents: set[str] = set()
        self.headers: dict[str, list[Message]] = {}
        """Of every request, by path; robots.txt's too."""
        self.arrivals: list[tuple[float, str]] = []
        """When each request came, on the monotonic clock, and its path."""
        self.logins: dict[str, str | None] = {}
        """The Authorization of a path's latest request."""
        self.most_at_once = 0
        self.released = threading.Event()
        """Set it to let the answers of `held` go."""
        self._at_once = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, path: str, *answers: Answer) -> str:
        """Sets a path's answers and returns its address."""
        self.answers[path] = list(answers)
        return self.url + path

    def route(self, path: str, answer: Answer) -> None:
        """Sets what answers a path with any query."""
        self.routes[path] = answer

    def wait_for_requests(self, count: int, seconds: float = 20) -> None:
        """Returns once so many requests have come; raises TimeoutError if they do not."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.requests.total() >= count, seconds):
                raise TimeoutError(f"{self.requests.total()} requests of {count} came")

    def held(self, content: bytes, *, before: int = 0, seconds: float = 20) -> Answer:
        """A picture that comes, but for `before` bytes of it, once `released` is set or the time is up."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if before:
                _head(handler, 200, Content_Length=str(len(content)))
                handler.wfile.write(content[:before])
            self.released.wait(seconds)
            if before:
                handler.wfile.write(content[before:])
            else:
                picture(content)(handler)

        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._answer(self)

            def do_POST(self) -> None:
                outer._answer(self)

            def do_HEAD(self) -> None:
                outer._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        with self._lock:
            self.headers.setdefault(path, []).append(handler.headers)
        if path == "/robots.txt":
            self.robots_requests += 1
            answers = self.answers.get(path, [status(404)])
            answers[min(self.robots_requests, len(answers)) - 1](handler)
            return
        with self._lock:
            self.requests[path] += 1
            self.arrivals.append((time.monotonic(), path))
            self.user_agents.add(handler.headers["User-Agent"])
            self.logins[path] = handler.headers["Authorization"]
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._arrived.notify_all()
            answers = self.answers.get(path) or [self.routes.get(path.partition("?")[0], self.fallback)]
            answer = answers[min(self.requests[path], len(answers)) - 1]
        try:
            answer(handler)
        finally:
            with self._lock:
                self._at_once -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up in the middle are what many tests are about."""


def picture(content: bytes, **headers: str) -> Answer:
    """The content, as it should be."""
    return status(200, content, **headers)


def status(code: int, content: bytes = b"", **headers: str) -> Answer:
    """Any status; header names are written with _ for -."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    return answer


def redirect(location: str) -> Answer:
    """A redirect with a body that never ends, for whoever reads it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 302, Location=location)
        _pour(handler)

    return answer


def endless(beginning: bytes) -> Answer:
    """A body that begins so and never ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200)
        handler.wfile.write(beginning)
        _pour(handler)

    return answer


def cut_short(content: bytes) -> Answer:
    """Half of what was announced."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, Content_Length=str(len(content)))
        handler.wfile.write(content[: len(content) // 2])

    return answer


def in_parts(content: bytes, size: int, broken: threading.Semaphore, **headers: str) -> Answer:
    """A file of which a connection brings no more than `size` bytes, and breaks once `broken` is released."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        place = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        length = {"Content-Length": str(len(content) - start)}
        _head(handler, 206 if start else 200, **headers | place | length)
        handler.wfile.write(content[start : start + size])
        broken.acquire(timeout=20)

    return answer


def in_pieces(content: bytes, piece: int, *, ranges: bool = True, kind: str = "application/x-tar") -> Answer:
    """The content, but every connection breaks after so many bytes; `ranges` says whether it can be gone on with."""
    tag = f'"{len(content)}"'

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range", "") if handler.headers.get("If-Range", tag) == tag else ""
        begin = int(asked.removeprefix("bytes=").rstrip("-") or 0) if ranges else 0
        length = str(len(content) - begin)
        headers = {"Content_Length": length, "Content_Type": kind, "ETag": tag}
        if begin:
            headers["Content_Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        _head(handler, 206 if begin else 200, **headers)
        handler.wfile.write(content[begin : begin + piece])

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.close_connection = True


def _head(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    handler.close_connection = True
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def _pour(handler: BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(bytes(2**16))
