"""Pickled weights become safetensors without a line of them being run, or are refused.

The files are written as `torch.save` writes them, by Python's own pickle, so torch is not needed;
tests/contract has the same from torch itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from supervisor.models import to_safetensors
from supervisor.models.archive import FetchError
from supervisor.models.torch_pickle import Refused, read_table


class Stored:
    """A storage, as the pickler is to name it."""

    def __init__(self, kind: str, key: str, count: int) -> None:
        self.kind, self.key, self.count = kind, key, count


class Called:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """As much of torch as the pickler looks up to name it."""
    fake, utils = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("FloatStorage", "BFloat16Storage", "LongStorage"):
        setattr(fake, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        made = type(name, (), {"__module__": "torch._utils"})
        setattr(utils, name, made)
    fake._utils = utils  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return fake


@pytest.fixture
def tensor(torch: ModuleType) -> Callable[..., Called]:
    def make(
        key: str,
        shape: tuple[int, ...],
        *,
        kind: str = "FloatStorage",
        count: int | None = None,
        offset: int = 0,
        strides: tuple[int, ...] | None = None,
    ) -> Called:
        ordered = [1]
        for size in reversed(shape[1:]):
            ordered.insert(0, ordered[0] * size)
        total = ordered[0] * shape[0]
        stored = Stored(kind, key, total if count is None else count)
        rebuild = torch._utils._rebuild_tensor_v2
        strides = tuple(ordered) if strides is None else strides
        return Called(rebuild, stored, offset, shape, strides, False, OrderedDict())

    return make


def pickled(table: Any) -> bytes:
    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            if not isinstance(thing, Stored):
                return None
            kind = getattr(sys.modules["torch"], thing.kind)
            return ("storage", kind, thing.key, "cpu", thing.count)

    out = io.BytesIO()
    Pickler(out, protocol=2).dump(table)
    return out.getvalue()


def write_bin(path: Path, table: bytes, numbers: dict[str, bytes], **zipped: Any) -> Path:
    with zipfile.ZipFile(path, "w", **zipped) as archive:
        archive.writestr("archive/data.pkl", table)
        archive.writestr("archive/byteorder", "little")
        for key, data in numbers.items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def read_safetensors(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    rest = data[8 + length :]
    return {
        name: (one["dtype"], one["shape"], rest[slice(*one["data_offsets"])])
        for name, one in header.items()
    }


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def refusal(path: Path) -> str:
    with pytest.raises(FetchError) as raised:
        to_safetensors.convert(path.parent, silent)
    assert path.name in str(raised.value)
    return str(raised.value)


FLOATS = struct.pack("<6f", *range(6))


def test_tensors_are_copied_bit_by_bit(tmp_path: Path, tensor: Callable[..., Called]) -> None:
    table = OrderedDict(
        {
            "weight": tensor("0", (2, 3)),
            "half": tensor("1", (2,), kind="BFloat16Storage"),
            "number": tensor("2", (1,), kind="LongStorage"),
            "part": tensor("0", (2,), count=6, offset=4),
        }
    )
    table._metadata = {"version": 1}  # type: ignore[attr-defined]
    numbers = {"0": FLOATS, "1": b"\x80?\x00@", "2": struct.pack("<q", 7)}
    write_bin(tmp_path / "pytorch_model.bin", pickled(table), numbers)
    to_safetensors.convert(tmp_path, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert read_safetensors(tmp_path / "model.safetensors") == {
        "weight": ("F32", [2, 3], FLOATS),
        "half": ("BF16", [2], numbers["1"]),
        "number": ("I64", [1], numbers["2"]),
        "part": ("F32", [2], FLOATS[16:]),
    }


def test_parts_keep_their_index(tmp_path: Path, tensor: Callable[..., Called]) -> None:
    names = [f"pytorch_model-0000{at}-of-00002.bin" for at in (1, 2)]
    for at, name in enumerate(names):
        write_bin(tmp_path / name, pickled({f"w{at}": tensor("0", (6,))}), {"0": FLOATS})
    index = {"metadata": {}, "weight_map": {f"w{at}": name for at, name in enumerate(names)}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    to_safetensors.convert(tmp_path, silent)
    found = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert found == {f"w{at}": f"model-0000{at + 1}-of-00002.safetensors" for at in (0, 1)}
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.safetensors.index.json",
        *found.values(),
    }


TRAPS: dict[str, Callable[[Path], Any]] = {
    "a shell": lambda mark: Called(os.system, f"touch {mark}"),
    "code": lambda mark: Called(eval, f"open({str(mark)!r}, 'w')"),
    "a program": lambda mark: Called(subprocess.Popen, ["touch", str(mark)]),
    "a file": lambda mark: Called(open, str(mark), "w"),
    "an attribute": lambda _: Called(getattr, "text", "upper"),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("where", ["alone", "as a tensor", "as state"])
def test_a_pickle_that_calls_anything_is_refused_and_not_run(
    tmp_path: Path, tensor: Callable[..., Called], trap: str, where: str
) -> None:
    mark = tmp_path / "was-run"
    evil = TRAPS[trap](mark)
    table: Any = OrderedDict(weight=tensor("0", (6,)))
    if where == "as a tensor":
        table["evil"] = evil
    if where == "as state":
        table._metadata = evil
    data = pickled(evil if where == "alone" else table)
    file = write_bin(tmp_path / "pytorch_model.bin", data, {"0": FLOATS})
    assert "it asks for" in refusal(file)
    assert not mark.exists()


def test_numbers_beyond_their_storage_are_refused(
    tmp_path: Path, tensor: Callable[..., Called]
) -> None:
    file = tmp_path / "pytorch_model.bin"
    for wrong in (
        tensor("0", (7,), count=6),
        tensor("0", (6,), offset=1, count=6),
        tensor("0", (6,), offset=-1),
        tensor("0", (2, 3), strides=(1, 2)),
        tensor("0", (2, 3), strides=(0, 0)),
        tensor("0", (7,)),
        tensor("1", (6,)),
        tensor("../0", (6,)),
        tensor("0", (1,) * 9),
    ):
        refusal(write_bin(file, pickled({"weight": wrong}), {"0": FLOATS}))


@pytest.mark.parametrize(("shape", "offset"), [((7,), 0), ((2, 4), 0), ((6,), 1)])
def test_a_tensor_ends_within_its_storage_whatever_its_file_holds(
    tensor: Callable[..., Called], shape: tuple[int, ...], offset: int
) -> None:
    table = pickled({"weight": tensor("0", shape, offset=offset, count=6)})
    with pytest.raises(Refused, match="larger than its storage"):
        read_table(io.BytesIO(table))


def test_a_small_file_does_not_become_a_large_one(
    tmp_path: Path, tensor: Callable[..., Called]
) -> None:
    same = {f"w{at}": tensor("0", (60_000,)) for at in range(1000)}
    file = tmp_path / "pytorch_model.bin"
    assert "over and over" in refusal(write_bin(file, pickled(same), {"0": FLOATS * 10_000}))
    table = pickled({"weight": tensor("0", (6,))})
    packed = write_bin(file, table, {"0": FLOATS}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(packed)


@pytest.mark.parametrize(
    "table",
    [{}, [], {"weight": 1}, {1: "weight"}, "weight", {"weight": {"deeper": None}}],
    ids=repr,
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path, table: Any) -> None:
    refusal(write_bin(tmp_path / "pytorch_model.bin", pickled(table), {"0": FLOATS}))


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pytorch_model.bin"
    for data in (b"", b"garbage", pickle.dumps({"weight": 1})):
        file.write_bytes(data)
        refusal(file)


def test_numbers_that_have_rotted_are_noticed(
    tmp_path: Path, tensor: Callable[..., Called]
) -> None:
    file = write_bin(
        tmp_path / "pytorch_model.bin", pickled({"weight": tensor("0", (6,))}), {"0": FLOATS}
    )
    file.write_bytes(file.read_bytes().replace(FLOATS, FLOATS[::-1]))
    refusal(file)


def test_no_bytes_do_more_than_be_refused(tensor: Callable[..., Called]) -> None:
    """Every byte of a table changed to others: it is read, or refused, and nothing else."""
    whole = pickled(OrderedDict(weight=tensor("0", (2, 3)), other=tensor("1", (2,))))
    for at in range(len(whole)):
        for value in (0, 1, 40, 82, 99, 116, 133, 255):
            changed = whole[:at] + bytes([value]) + whole[at + 1 :]
            with contextlib.suppress(Refused):
                read_table(io.BytesIO(changed))
