"""What would keep a model from starting on this box as it is now, as far as that shows without
starting anything. It may pass, as a GPU that comes up late: so it is for `check` to tell, and a
start goes on and tries."""

from __future__ import annotations

import os
import shlex
import shutil
import ssl
import symtable
from importlib.machinery import PathFinder
from pathlib import Path

from ipc.engine_options import CommandOptions, RemoteOptions
from ipc.engines import ENGINES, is_own, serving
from ipc.messages.spec import Spec
from ipc.options import decode
from supervisor.host.hardware import Box


def obstacles(spec: Spec, box: Box) -> list[str]:
    """Each with the way out."""
    found = [_absent_device(spec, box)]
    served = serving(spec.engine, spec.task)
    match decode(served.options, spec.options) if served else None:
        case CommandOptions() as options:
            found.append(_absent_program(options, spec.path))
        case RemoteOptions() as options:
            found += [_unset_key(options), _unreadable_certificate(options)]
        case None if is_own(spec.engine):
            found.append(_absent_class(spec.engine))
    return [obstacle for obstacle in found if obstacle is not None]


def _absent_device(spec: Spec, box: Box) -> str | None:
    kind, _, index = spec.device.partition(":")
    if kind == "mps" and not box.mps:
        return "device: mps is there on Macs with Apple silicon only; set auto"
    if kind != "cuda":
        return None
    if int(index or 0) >= box.gpus:
        has = f"{box.gpus} GPUs, from cuda:0 on" if box.gpus else "no GPU"
        return f"device: {spec.device} is not there: the NVIDIA driver has {has}; set another"
    engine = ENGINES.get(spec.engine)
    cuda_by = engine.cuda_by if engine else "torch"
    if cuda_by == "onnxruntime":
        return None if box.onnxruntime else _absent_onnxruntime(spec.device)
    if not box.cuda and cuda_by != "a program":
        return f"device: the torch that is installed cannot use {spec.device}; install a CUDA build"
    if cuda_by == "torch and cublas12" and not box.cublas12:
        return (
            f"device: CTranslate2 needs libcublas.so.12 to use {spec.device}, and the system's "
            "loader does not find it; install cuBLAS 12, or set device: cpu"
        )
    return None


def _absent_onnxruntime(device: str) -> str:
    return (
        f"device: the ONNX Runtime that is installed cannot use {device}; replace the package "
        "onnxruntime with onnxruntime-gpu, or set device: cpu"
    )


def _absent_program(options: CommandOptions, path: str) -> str | None:
    program = shlex.split(options.command)[0].replace("{path}", path)
    if shutil.which(program) is None:
        return f"options.command: there is no program {program!r}; install it or write its path"
    return None


def _unset_key(options: RemoteOptions) -> str | None:
    variable = options.api_key_env
    if variable is None or os.environ.get(variable, "").strip():
        return None
    return f"options.api_key_env: {variable} is not set; set it to the server's key"


def _unreadable_certificate(options: RemoteOptions) -> str | None:
    file = options.verify
    if not isinstance(file, str):
        return None
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        return f"options.verify: {file} cannot be read: {why}; name a file of certificates"
    return None


def _absent_class(engine: str) -> str | None:
    """By reading alone: running it is the worker's."""
    *modules, name = engine.split(".")
    folders: list[str] | None = None
    source = None
    for at in range(1, len(modules) + 1):
        module = ".".join(modules[:at])
        found = PathFinder.find_spec(module, folders)
        if found is None:
            return f"engine: no Python module {module!r} is found; put its folder into PYTHONPATH"
        folders, source = list(found.submodule_search_locations or ()), found.origin
    if source is None or not source.endswith(".py") or _may_define(Path(source), name):
        return None
    return f"engine: {source} defines no {name}; write the name of its class"


def _may_define(source: Path, name: str) -> bool:
    """Whether the module has ``name``, as far as that shows without running it."""
    try:
        text = source.read_text()
        table = symtable.symtable(text, str(source), "exec")
    except (OSError, SyntaxError, ValueError):
        return True  # the worker says what is wrong with it
    symbols = [one for one in table.get_symbols() if one.get_name() in (name, "__getattr__")]
    bound = (one.is_assigned() or one.is_imported() or one.is_namespace() for one in symbols)
    return any(bound) or "import *" in text
