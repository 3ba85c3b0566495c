"""A picture host with the faults of the real web: `python -m benchmarks.picture_host [--faults [--ends]]`.

It prints its port, runs in a process of its own, serves the helmet photographs from memory, and answers each request
20 ms late. With faults, every 100 pictures have 5 dead addresses, 2 that are cut short, 2 web pages, 1 endless body, 10
that answer 503 the first time, and 1 that answers 429 with Retry-After; where everything ends, the endless one is dead
as well.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.figures import DATA

LATENCY: Final = 0.02
DEAD, CUT, PAGE, ENDLESS, BUSY, THROTTLED, FINE = "dead", "cut", "page", "endless", "busy", "throttled", "fine"

_SHARES: Final = ((DEAD, 5), (CUT, 2), (PAGE, 2), (ENDLESS, 1), (BUSY, 10), (THROTTLED, 1))
_MOST: Final = 2**30  # of an endless body, so that a client without a bound ends too
_PIECE: Final = 2**16


def pictures() -> list[Path]:
    """The 1,150 photographs, in an order in which classes alternate."""
    return sorted((DATA / "helmets").glob("*/*.jpg"), key=lambda path: (path.stem, path.parent.name))


def fault_of(number: int) -> str:
    """What is wrong with a picture, spread evenly over the list."""
    place = number * 37 % 100
    for fault, share in _SHARES:
        if place < share:
            return fault
        place -= share
    return FINE


class _Connection(asyncio.Protocol):
    bodies: dict[str, bytes]
    faults: bool
    ends: bool
    asked: Counter[str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.poured = -1
        self.paused = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            asyncio.get_running_loop().call_later(LATENCY, self.answer, path)

    def answer(self, path: str) -> None:
        body = self.bodies.get(path)
        if body is None:
            self.say("404 Not Found", b"")
            return
        fault = fault_of(int(path[1:-4])) if self.faults else FINE
        if fault == ENDLESS and self.ends:
            fault = DEAD
        self.asked[path] += 1
        first = self.asked[path] == 1
        if fault == DEAD:
            self.say("404 Not Found", b"gone")
        elif fault == CUT:
            self.say("200 OK", body[: len(body) // 2])
        elif fault == PAGE:
            self.say("200 OK", b"<!doctype html><title>Gone</title>" + b"<p>We have moved.</p>" * 50, "text/html")
        elif fault == BUSY and first:
            self.say("503 Service Unavailable", b"")
        elif fault == THROTTLED and first:
            self.say("429 Too Many Requests", b"", extra="Retry-After: 1\r\n")
        elif fault == ENDLESS:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n" + body[:512]
            )
            self.poured = 0
            self.pour()
        else:
            self.say("200 OK", body)

    def say(self, status: str, body: bytes, kind: str = "image/jpeg", extra: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)

    def pour(self) -> None:
        while not self.paused and not self.transport.is_closing() and self.poured < _MOST:
            self.transport.write(bytes(_PIECE))
            self.poured += _PIECE
        if self.poured >= _MOST and not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.poured >= 0:
            self.pour()


async def serve(*, faults: bool, ends: bool) -> None:
    """Serves for ever on a free port, which is printed."""
    _Connection.bodies = {f"/{number}.jpg": path.read_bytes() for number, path in enumerate(pictures())}
    _Connection.faults, _Connection.ends = faults, ends
    _Connection.asked = Counter()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # clients that hang up in the middle are what this host is for
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(faults="--faults" in sys.argv[1:], ends="--ends" in sys.argv[1:]))
