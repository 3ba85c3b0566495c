"""Decoding and resizing: whatever a stranger's file holds, upright RGB pixels come out, or one kind of error."""

import io
import json
import resource
import struct
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, features

from milliner.core.errors import UnreadableImageError
from milliner.images.decode import MAX_BYTES, decode, pixels
from milliner.images.resize import ResizePolicy

Pixels = NDArray[np.uint8]


def scene(width: int = 48, height: int = 32) -> Pixels:
    """Smooth, and different from all its mirror images."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    values = np.stack([255 * x, 255 * y**2, 255 * (1 - x) * y], axis=-1).astype(np.uint8)
    values[: height // 4, : width // 4] = (250, 20, 20)
    return values


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of tag, type, count and value, which no library would have written."""
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


# How a camera lays down an upright scene for each orientation (EXIF 2.3, table 6).
LAID_DOWN = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: np.rot90(upright, 2),
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", LAID_DOWN)
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_every_exif_orientation_comes_out_upright(kind: str, options: dict[str, bool], orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(LAID_DOWN[orientation](scene())))
    encoded = encode(stored, kind, exif=exif_of(orientation), **options)
    assert np.array_equal(pixels(decode(encoded)), scene())


@pytest.mark.parametrize("orientation", LAID_DOWN)
def test_a_jpeg_decoded_at_a_smaller_scale_comes_out_upright_too(orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(LAID_DOWN[orientation](scene(480, 320))))
    decoded = decode(encode(stored, "JPEG", exif=exif_of(orientation)), shrink_to=40)
    assert decoded.size == (120, 80)
    expected = Image.fromarray(scene(480, 320)).resize(decoded.size, Image.Resampling.BOX)
    assert np.abs(pixels(decoded).astype(int) - pixels(expected)).mean() < 3


@pytest.mark.parametrize("orientation", [0, 9, 274])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation: int) -> None:
    encoded = encode(Image.fromarray(scene()), "PNG", exif=exif_of(orientation))
    assert np.array_equal(pixels(decode(encoded)), scene())


SIX = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (exif_block(SIX), (32, 48)),
        (exif_block((0x0100, 2, 3, b"ab\0\0"), SIX), (32, 48)),
        (exif_block(SIX, (0x8769, 4, 1, struct.pack("<I", 9999))), (32, 48)),
        (exif_block((0x0112, 2, 2, b"6\0\0\0")), (48, 32)),
        (b"Exif\0\0rubbish!", (48, 32)),
    ],
    ids=["sound", "width as text", "pointer out of the file", "orientation as text", "rubbish"],
)
def test_a_damaged_exif_block_does_not_cost_the_picture(block: bytes, size: tuple[int, int]) -> None:
    assert decode(encode(Image.fromarray(scene()), "JPEG", exif=block)).size == size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "PPM"])
def test_grey_pictures_have_three_equal_channels(kind: str) -> None:
    grey = Image.fromarray(scene()).convert("L")
    decoded = pixels(decode(encode(grey, kind)))
    assert (decoded == decoded[..., :1]).all()
    assert np.abs(decoded[..., 0].astype(int) - np.asarray(grey)).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_pictures_have_the_colours_that_pillow_gives_them(kind: str) -> None:
    encoded = encode(Image.fromarray(scene()).convert("CMYK"), kind)
    expected = Image.open(io.BytesIO(encoded)).convert("RGB")
    assert np.array_equal(pixels(decode(encoded)), pixels(expected))
    assert np.abs(pixels(decode(encoded)).astype(int) - scene()).mean() < 4


def test_lab_pictures_keep_their_colours() -> None:
    encoded = encode(Image.fromarray(scene()).convert("LAB"), "TIFF")
    assert np.abs(pixels(decode(encoded)).astype(int) - scene()).mean() < 8


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_transparency_is_laid_on_white(kind: str, options: dict[str, bool]) -> None:
    image = Image.new("RGBA", (40, 20), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    image.paste((0, 0, 0, 128), (30, 0, 40, 20))
    decoded = pixels(decode(encode(image, kind, **options)))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 25].tolist() == [200, 0, 0]
    assert np.abs(decoded[0, 35].astype(int) - 127).max() <= 1


@pytest.mark.parametrize(("mode", "clear"), [("P", 0), ("P", bytes([0])), ("L", 0), ("RGB", (0, 0, 0)), ("1", 0)])
def test_colours_that_are_declared_transparent_turn_white(mode: str, clear: Any) -> None:
    if mode == "P":
        image = Image.new("P", (20, 10), 1)
        image.putpalette([0, 0, 0, 90, 60, 30])
    else:
        image = Image.new(mode, (20, 10), "white" if mode == "1" else "gray")
    image.paste(0, (0, 0, 10, 10))
    decoded = pixels(decode(encode(image, "PNG", transparency=clear)))
    assert decoded[5, 5].tolist() == [255, 255, 255]
    expected = {"P": [90, 60, 30], "1": [255] * 3}.get(mode, [128] * 3)
    assert decoded[5, 15].tolist() == expected


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("PPM", "I;16")])
def test_sixteen_bit_grey_is_scaled_to_eight(kind: str, mode: str) -> None:
    values = np.linspace(0, 65535, 48 * 32).astype(np.uint16).reshape(32, 48)
    order = ">u2" if mode == "I;16B" else "<u2"
    image = Image.frombytes(mode, (48, 32), values.astype(order).tobytes())
    decoded = pixels(decode(encode(image, kind)))
    assert np.abs(decoded[..., 0].astype(int) - (values >> 8)).max() <= 1
    assert (decoded == decoded[..., :1]).all()


@pytest.mark.parametrize(("top", "white"), [(0.7, 1), (200.0, 255), (50_000.0, 65535), (9e6, 9e6)])
def test_thirty_two_bit_grey_is_scaled_by_the_range_that_it_uses(top: float, white: float) -> None:
    values = np.linspace(0, top, 48 * 32, dtype=np.float32).reshape(32, 48)
    expected = values / white * 255
    assert np.abs(pixels(decode(encode(Image.fromarray(values), "TIFF")))[..., 0] - expected).max() <= 1
    if top > 1:
        whole = Image.fromarray(values.astype(np.int32))
        assert np.abs(pixels(decode(encode(whole, "TIFF")))[..., 0] - expected).max() <= 2


def test_values_that_are_no_numbers_come_out_black() -> None:
    values = np.array([[np.nan, np.inf], [-np.inf, 1.0]], np.float32)
    decoded = pixels(decode(encode(Image.fromarray(values), "TIFF")))
    assert decoded[..., 0].tolist() == [[0, 0], [0, 255]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_stands_for_an_animation(kind: str) -> None:
    red, blue = Image.new("RGB", (32, 32), (255, 0, 0)), Image.new("RGB", (32, 32), (0, 0, 255))
    encoded = encode(red, kind, save_all=True, append_images=[blue, red, blue], duration=50)
    assert Image.open(io.BytesIO(encoded)).n_frames > 1  # type: ignore[attr-defined]
    assert np.abs(pixels(decode(encoded))[16, 16].astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "BMP", "JPEG"])
def test_the_usual_formats_come_out_as_they_went_in(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    decoded = pixels(decode(encode(Image.fromarray(scene()), kind)))
    assert np.abs(decoded.astype(int) - scene()).mean() < 6


def reason_of(encoded: bytes) -> tuple[str, str]:
    with pytest.raises(UnreadableImageError) as caught:
        decode(encoded)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_picture_that_ends_early_is_refused(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(noise), kind)
    assert reason_of(whole[: int(share * len(whole))])[0] in ("truncated", "undecodable", "not a picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_download_that_broke_off_is_called_truncated(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(noise), kind)
    reason, sentence = reason_of(whole[: len(whole) // 2])
    assert reason == "truncated"
    assert "fetch or copy it again" in sentence


@pytest.mark.parametrize(
    ("encoded", "reason", "hint"),
    [
        (b"", "empty", "fetch or export it again"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not a picture", "web page"),
        (b"\n  <HTML><head></head></HTML>", "not a picture", "web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not a picture", "export it as JPEG"),
        (b"%PDF-1.7 and so on", "not a picture", "use JPEG, PNG"),
        (b"\x89PNG\r\n\x1a\n", "not a picture", "use JPEG, PNG"),
    ],
    ids=["empty", "web page", "web page after blanks", "heic", "pdf", "png signature alone"],
)
def test_what_is_no_picture_is_named(encoded: bytes, reason: str, hint: str) -> None:
    found, sentence = reason_of(encoded)
    assert found == reason
    assert hint in sentence


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_a_damaged_avif_is_undecodable() -> None:
    whole = encode(Image.fromarray(scene()), "AVIF")
    assert reason_of(whole[:-50] + bytes(50))[0] == "undecodable"  # Pillow raises RuntimeError


def test_a_file_of_too_many_bytes_is_refused() -> None:
    assert reason_of(bytes(MAX_BYTES + 1))[0] == "too many bytes"


def png_header(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


def bmp_header(side: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


# Pillow itself warns of 10,000 x 10,000 pixels and refuses 60,000 x 60,000.
@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.parametrize("header", [png_header, bmp_header])
def test_a_decompression_bomb_is_refused_before_memory_is_set_aside(header: Any, side: int) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    reason, sentence = reason_of(header(side))
    assert reason == "too many pixels"
    assert "shrink it first" in sentence
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; the pixels would be 300,000


def test_a_large_picture_within_the_limit_is_read() -> None:
    assert decode(encode(Image.new("1", (8000, 8000)), "PNG")).size == (8000, 8000)


def real_files() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    files = [encode(image, kind, exif=exif_of(6)) for kind in ("JPEG", "PNG", "WEBP")]
    files += [encode(image, kind) for kind in ("BMP", "PPM", "TIFF")]
    files += [encode(image.convert("P"), "GIF", save_all=True, append_images=[image.rotate(180).convert("P")])]
    files += [encode(image.convert("CMYK"), "JPEG"), encode(image.convert("RGBA"), "PNG")]
    files += [encode(image, "JPEG", exif=exif_block(SIX, (0x0100, 2, 3, b"ab\0\0"), (0x8769, 4, 1, b"\xff\0\0\0")))]
    files += [encode(image.convert("F"), "TIFF"), encode(image, "TIFF", compression="tiff_lzw")]
    return files + ([encode(image, "AVIF")] if features.check("avif") else [])


FILES = real_files()


def decodes_or_says_why(encoded: bytes, shrink_to: int | None) -> None:
    with suppress(UnreadableImageError):
        assert decode(encoded, shrink_to).mode == "RGB"


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from([b"", *(file[:16] for file in FILES)]))
def test_random_bytes_decode_or_are_refused(tail: bytes, head: bytes) -> None:
    decodes_or_says_why(head + tail, None)


@settings(deadline=None, max_examples=600)
@given(
    file=st.sampled_from(FILES),
    # Headers are where the damage is interesting: small places are as likely as all others together.
    changes=st.lists(
        st.tuples(st.integers(0, 120) | st.integers(0, 4000), st.binary(max_size=4)), min_size=1, max_size=5
    ),
    end=st.none() | st.integers(1, 4000),
    shrink_to=st.none() | st.just(8),
)
def test_damaged_files_decode_or_are_refused(
    file: bytes, changes: list[tuple[int, bytes]], end: int | None, shrink_to: int | None
) -> None:
    damaged = bytearray(file)
    for place, value in changes:
        damaged[place : place + len(value)] = value
    decodes_or_says_why(bytes(damaged[:end]), shrink_to)


WARNED_OF = [
    encode(Image.fromarray(scene()), "JPEG", exif=exif_block(SIX)[:-6]),
    encode(Image.fromarray(scene()), "JPEG", exif=exif_block(SIX, (0x010F, 2, 9999, b"\xff\0\0\0"))),
]


@pytest.mark.parametrize("encoded", WARNED_OF)
def test_pillows_warnings_are_not_passed_on(encoded: bytes) -> None:
    with pytest.warns(UserWarning, match=r"Truncated|Tag data|Corrupt"):
        Image.open(io.BytesIO(encoded)).getexif()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        decode(encoded)
    assert said == []


def test_decoding_in_many_threads_warns_in_none_and_leaves_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(decode, WARNED_OF * 100))
    assert len(images) == 200
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


@pytest.mark.parametrize("filter_name", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(48, 32), (32, 500), (20, 20), (700, 900)])
def test_a_picture_of_any_shape_becomes_the_square(filter_name: str, shape: tuple[int, int]) -> None:
    loaded = ResizePolicy(96, filter_name).load(encode(Image.fromarray(scene(*shape)), "PNG"))
    assert loaded.shape == (96, 96, 3)
    assert loaded.dtype == np.uint8


def test_the_whole_picture_is_squeezed_so_that_its_edges_stay() -> None:
    wide = np.zeros((50, 400, 3), np.uint8)
    wide[:, :40], wide[:, -40:] = (255, 0, 0), (0, 0, 255)
    loaded = ResizePolicy(64).load(encode(Image.fromarray(wide), "PNG"))
    assert loaded[32, 1].tolist() == [255, 0, 0]
    assert loaded[32, -2].tolist() == [0, 0, 255]


def test_shrinking_averages_so_that_fine_patterns_do_not_flicker() -> None:
    board = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    loaded = ResizePolicy(64).load(encode(Image.fromarray(board), "PNG"))
    assert np.abs(loaded.astype(int) - 127).max() <= 3


def test_a_jpeg_that_is_shrunk_while_decoding_looks_as_if_it_were_not() -> None:
    encoded = encode(Image.fromarray(scene(1600, 1200)), "JPEG", quality=90)
    policy = ResizePolicy(224)
    assert decode(encoded, shrink_to=224).size == (800, 600)
    fast, full = policy.load(encoded), policy.apply(decode(encoded))
    assert np.abs(fast.astype(int) - full).mean() < 1


@pytest.mark.parametrize("size", [31, 2049, 0, -1])
def test_a_side_that_no_network_has_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 to 2048"):
        ResizePolicy(size)


@given(st.integers(32, 2048), st.sampled_from(["bilinear", "bicubic"]))
def test_a_resize_policy_survives_being_saved(size: int, filter_name: str) -> None:
    policy = ResizePolicy(size, filter_name)
    assert ResizePolicy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


GOOD = {"mode": "squeeze", "size": 224, "filter": "bilinear"}


@pytest.mark.parametrize(
    "value",
    [
        None, 224, "squeeze", [], {}, list(GOOD.items()),
        {**GOOD, "mode": "crop"}, {**GOOD, "size": "224"}, {**GOOD, "size": 224.0}, {**GOOD, "size": True},
        {**GOOD, "size": 7}, {**GOOD, "filter": "nearest"}, {**GOOD, "filter": None}, {**GOOD, "filter": ["bilinear"]},
        {**GOOD, "crop": 0.875}, {"mode": "squeeze", "size": 224},
    ],
)  # fmt: skip
def test_a_saved_policy_that_this_version_does_not_know_is_refused(value: Any) -> None:
    assert ResizePolicy.from_json(GOOD) == ResizePolicy(224)
    with pytest.raises(ValueError, match=r"not one that this version knows|must be"):
        ResizePolicy.from_json(value)
