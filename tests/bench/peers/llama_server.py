"""llama.cpp's own server, compiled for this processor: from which sources, by which commands, and
how it is started. Wheels that hold it are compiled for any processor with AVX2."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from tests.bench import machine
from tests.contract.checkpoints.packed import extract

# The package holds llama.cpp's sources as of this commit, by its own changelog.
PACKAGE = "llama-cpp-python==0.3.36"
COMMIT = "0c1e57098"
BINARY = "llama-server"
_SOURCES = "/vendor/llama.cpp/"
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    # Its page would be fetched from a hub.
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    # Otherwise those of the git checkout in which it is compiled.
    f"-DLLAMA_BUILD_COMMIT={COMMIT}",
    "-DLLAMA_BUILD_NUMBER=0",
)
# Its guesses: what followed when the last so many tokens were the same, by its own defaults.
LOOKUP = ("--spec-type", "ngram-simple")
# A line of its log at level 4, which has nothing for each token.
SYSTEM_INFO = r"system_info: .*"


def made_for() -> tuple[str, ...]:
    """What a compiled server depends on beside its sources. Another processor may lack the
    instructions of this one."""
    return (*_OPTIONS, machine.processor())


def unpack(archive: Path, folder: Path) -> Path:
    """llama.cpp's sources out of the package. Raises `OSError` where it holds none."""
    with tarfile.open(archive) as package:
        some = [member for member in package.getmembers() if _SOURCES in member.name]
        extract(package, folder, some)
    found = next(folder.glob(f"*{_SOURCES}CMakeLists.txt"), None)
    if found is None:
        raise FileNotFoundError(f"{archive.name} holds no sources of llama.cpp")
    return found.parent


def commands(sources: Path, build: Path) -> list[list[str | Path]]:
    """How to compile it. The binary is then at ``build/bin/llama-server``.

    Raises `OSError` where that cannot be done.
    """
    if missing := [name for name in ("cmake", "c++") if shutil.which(name) is None]:
        raise FileNotFoundError(
            f"{BINARY} is compiled, for which {' and '.join(missing)} is missing; "
            "install it, or name other peers in --only"
        )
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    cpus = str(len(os.sched_getaffinity(0)))
    return [
        ["cmake", "-S", sources, "-B", build, *generator, *_OPTIONS],
        ["cmake", "--build", build, "--target", BINARY, "--parallel", cpus],
    ]


def command(
    binary: Path, model: Path, port: int, *, threads: int, slots: int, context_tokens: int
) -> list[str]:
    """So many slots of so many tokens; all else as it comes."""
    return [
        *[str(binary), "--model", str(model), "--host", "127.0.0.1", "--port", str(port)],
        *["--threads", str(threads), "--threads-batch", str(threads)],
        *["--parallel", str(slots), "--ctx-size", str(context_tokens * slots)],
        *["--log-verbosity", "4"],
    ]
