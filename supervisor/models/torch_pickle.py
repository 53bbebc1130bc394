"""The table of tensors that `torch.save` pickles, read without running anything.

A pickle is a program that may call whatever it names. So it is not loaded here, not even by a
loader that allows less: it is read as a list of operations, of which those that a table of tensors
is made of are understood, as data, and everything else is refused.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import IO, Any, NamedTuple

_MAX_DIMENSIONS = 8
# torch's name of a storage: safetensors' name of its numbers, and the bytes of one.
KINDS = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_NAMES = {_DICT, _TENSOR, _PARAMETER, *(f"torch {kind}" for kind in KINDS)}


class Global(NamedTuple):
    """A function or class that the pickle names. It is never looked up."""

    name: str


class Storage(NamedTuple):
    """``length`` numbers of one kind, in the file ``data/<key>``."""

    key: str
    kind: str
    length: int


class Tensor(NamedTuple):
    """A run of the numbers in a storage; ``offset`` counts numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * KINDS[self.storage.kind][1]


class Refused(Exception):
    """The pickle is not a plain table of tensors."""


def read_table(file: IO[bytes]) -> dict[str, Tensor]:
    """The tensors that a pickle describes, by name. Raises `Refused` for any other pickle."""
    machine = _Machine()
    try:
        for operation, argument, _ in pickletools.genops(file):
            machine.take(operation.name, argument)
        (table,) = machine.stack
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise Refused(f"{type(error).__name__} in its table") from None
    if not isinstance(table, dict) or not table:
        raise Refused("it holds no table")
    for name, tensor in table.items():
        if not isinstance(tensor, Tensor):
            raise Refused(f"{name[:100]!r} is no tensor")
    return table


class _Machine:
    """The few operations of a pickle that a table of tensors needs, on plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def take(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        else:
            raise Refused(f"operation {name}")

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        at = self._marks.pop()
        taken = self.stack[at:]
        del self.stack[at:]
        return taken

    def mark(self, _: Any) -> None:
        self._marks.append(len(self.stack))

    def put(self, at: int) -> None:
        self._memo[at] = self.stack[-1]

    def get(self, at: int) -> None:
        self.stack.append(self._memo[at])

    def tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def tuple_of(self, count: int) -> None:
        taken = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(taken)))

    def set_items(self, items: list[Any]) -> None:
        table = self.stack[-1]
        for name, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(table, dict) or not isinstance(name, str):
                raise Refused("a table that is not by name")
            table[name] = value

    def name_global(self, argument: str) -> None:
        if argument not in _NAMES:
            raise Refused(f"it asks for {argument.replace(' ', '.')[:100]}")
        self.stack.append(Global(argument))

    def storage(self, _: Any) -> None:
        what, named, key, _device, count = self.pop()
        kind = named.name.partition(" ")[2]
        if what != "storage" or kind not in KINDS or not _is_key(key):
            raise Refused("numbers of an unknown kind")
        self.stack.append(Storage(key, kind, _natural(count)))

    def reduce(self, _: Any) -> None:
        arguments = self.pop()
        called = self.pop()
        self.stack.append(_CALLS[called.name](*arguments))

    def build(self, _: Any) -> None:
        """The state of the table: torch's notes on the versions of modules. Not needed."""
        self.pop()
        if not isinstance(self.stack[-1], dict):
            raise Refused("state for something else than a table")


def _make_dict(*items: Any) -> dict[str, Any]:
    if items:
        raise Refused("a table with more than names")
    return {}


def _make_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    known = isinstance(storage, Storage) and isinstance(shape, tuple)
    if not known or len(shape) > _MAX_DIMENSIONS:
        raise Refused("a tensor of an unknown kind")
    tensor = Tensor(storage, _natural(offset), tuple(map(_natural, shape)))
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            raise Refused("a tensor that is not stored in its own order")
        expected *= size
    if tensor.offset + math.prod(tensor.shape) > storage.length:
        raise Refused("a tensor larger than its storage")
    return tensor


def _make_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_PUSHED = {
    *("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda _machine, _: None,
    "STOP": lambda _machine, _: None,
    "MARK": _Machine.mark,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "SETITEM": lambda machine, _: machine.set_items(list(reversed([machine.pop(), machine.pop()]))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": _Machine.name_global,
    "BINPERSID": _Machine.storage,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
_CALLS: dict[str, Callable[..., Any]] = {
    _DICT: _make_dict,
    _TENSOR: _make_tensor,
    _PARAMETER: _make_parameter,
}


def _natural(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 40:
        raise Refused("a size that is none")
    return number


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit()
