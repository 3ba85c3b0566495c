"""Motion-JPEG in an AVI container: each frame a JPEG file, with an index, in one RIFF file below 2 GiB.

Layout: Microsoft's "AVI RIFF File Reference" (AVI 1.0): ``hdrl`` with ``avih``, ``strh`` and ``strf``, then
``movi`` with one ``00dc`` chunk for each frame, then ``idx1``.
"""

import struct
from collections.abc import Iterable
from typing import IO, Final

_LIMIT: Final = 2**31 - 1  # readers of AVI 1.0 take sizes as signed 32-bit numbers
_HAS_INDEX: Final = 0x10
_KEY_FRAME: Final = 0x10


def write_avi(file: IO[bytes], frames: Iterable[bytes], fps: int, size: tuple[int, int]) -> int:
    """Writes JPEG frames of `size` (width, height) to an empty seekable file; the number of frames.

    Raises ValueError where the frames come to 2 GiB or more.
    """
    file.write(_head(0, 0, 0, fps, size))  # the counts are known at the end; the length is the same
    index = bytearray()
    offset, largest, count = 4, 0, 0  # offsets in the index count from the word "movi"
    for frame in frames:
        chunk = _chunk(b"00dc", frame)
        index += struct.pack("<4sIII", b"00dc", _KEY_FRAME, offset, len(frame))
        offset += len(chunk)
        largest, count = max(largest, len(frame)), count + 1
        if offset + len(index) + 1024 > _LIMIT:
            raise ValueError(f"the video would pass 2 GiB at frame {count}; make it shorter or smaller")
        file.write(chunk)
    file.write(_chunk(b"idx1", bytes(index)))
    end = file.tell()
    file.seek(0)
    file.write(_head(count, largest, offset, fps, size, end))
    file.seek(end)
    return count


def _chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk; contents of odd length are followed by a zero that the length does not count."""
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def _head(count: int, largest: int, movi: int, fps: int, size: tuple[int, int], end: int = 8) -> bytes:
    """Everything before the first frame."""
    width, height = size
    rate = largest * fps
    main = struct.pack("<14I", round(1e6 / fps), rate, 0, _HAS_INDEX, count, 0, 1, largest, width, height, 0, 0, 0, 0)
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H",
        *(b"vids", b"MJPG", 0, 0, 0, 0, 1, fps, 0, count, largest, 0xFFFFFFFF, 0, 0, 0, width, height),
    )
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    lists = _chunk(b"LIST", b"strl" + _chunk(b"strh", stream) + _chunk(b"strf", picture))
    header = _chunk(b"LIST", b"hdrl" + _chunk(b"avih", main) + lists)
    return struct.pack("<4sI4s", b"RIFF", end - 8, b"AVI ") + header + struct.pack("<4sI4s", b"LIST", movi, b"movi")
