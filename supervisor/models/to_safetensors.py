"""Model repositories that publish their weights only as a pickle, rewritten as safetensors.

`torch.save` writes a zip: ``data.pkl`` describes the tensors (`supervisor.models.torch_pickle`
reads it), and ``data/<key>`` holds the numbers of each. Those are copied as they are.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import IO, Any

from supervisor.models.archive import CHUNK_BYTES, FetchError, Report
from supervisor.models.torch_pickle import KINDS, Refused, Tensor, read_table

# Of names and shapes. BGE-M3 has 391 tensors, which take 60 kB.
_MAX_TABLE_BYTES = 16 << 20
_INDEX = "pytorch_model.bin.index.json"


def convert(folder: Path, report: Report) -> None:
    """Replace each ``pytorch_model*.bin`` below ``folder`` by the same in safetensors.

    Raises `FetchError` naming the file that holds anything but tensors.
    """
    for file in sorted(folder.rglob("pytorch_model*.bin")):
        rewrite(file, file.with_name(_renamed(file.name)), report)
        file.unlink()
    for index in sorted(folder.rglob(_INDEX)):
        table = json.loads(index.read_bytes())
        table["weight_map"] = {key: _renamed(name) for key, name in table["weight_map"].items()}
        index.with_name("model.safetensors.index.json").write_text(json.dumps(table, indent=2))
        index.unlink()


def rewrite(source: Path, target: Path, report: Report) -> None:
    """Write the tensors of the pickle ``source`` into ``target`` as safetensors.

    Raises `FetchError`.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            root = _root(archive)
            with archive.open(f"{root}/data.pkl") as table:
                tensors = read_table(table)
            _check_sizes(archive, root, tensors)
            with target.open("wb") as out:
                _write(archive, root, tensors, out, report)
    except (Refused, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(
            f"{source.name} is not a plain table of tensors ({error}), so nothing in it is used; "
            "ask its publisher for safetensors"
        ) from None


def _renamed(name: str) -> str:
    """``pytorch_model-00001-of-00002.bin`` as transformers names it in safetensors."""
    return name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors"


def _root(archive: zipfile.ZipFile) -> str:
    """The folder inside the zip that everything is in. Raises `Refused`."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise Refused("it is compressed")
    tables = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
    if len(tables) != 1 or tables[0].file_size > _MAX_TABLE_BYTES:
        raise Refused("it has no table of a fair size")
    root = tables[0].filename.removesuffix("/data.pkl")
    order = f"{root}/byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise Refused("its numbers are in another byte order")
    return root


def _check_sizes(archive: zipfile.ZipFile, root: str, tensors: dict[str, Tensor]) -> None:
    """Every tensor's numbers are there, and few are in several tensors. Raises `Refused`."""
    held = sum(info.file_size for info in archive.infolist())
    for storage in {tensor.storage for tensor in tensors.values()}:
        name = f"{root}/data/{storage.key}"
        size = storage.length * KINDS[storage.kind][1]
        if name not in archive.NameToInfo or archive.getinfo(name).file_size < size:
            raise Refused("numbers are missing")
    if sum(tensor.size_bytes for tensor in tensors.values()) > 2 * held:
        raise Refused("it names the same numbers over and over")


def _write(
    archive: zipfile.ZipFile,
    root: str,
    tensors: dict[str, Tensor],
    out: IO[bytes],
    report: Report,
) -> None:
    """The safetensors format: the header's length, the header, and the numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.size_bytes
        kind = KINDS[tensor.storage.kind][0]
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)
    for tensor in tensors.values():
        with archive.open(f"{root}/data/{tensor.storage.key}") as numbers:
            numbers.seek(tensor.offset * KINDS[tensor.storage.kind][1])
            _copy(numbers, out, tensor.size_bytes)
        report("writing safetensors", out.tell(), end)


def _copy(source: IO[bytes], target: IO[bytes], count: int) -> None:
    while count:
        chunk = source.read(min(CHUNK_BYTES, count))
        if not chunk:
            raise Refused("numbers are missing")
        target.write(chunk)
        count -= len(chunk)
