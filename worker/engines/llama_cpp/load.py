"""Loading a GGUF file by llama.cpp, as the package xllamacpp has it.

python -m worker.engines.llama_cpp.load SPEC     try a JSON `Spec`; errors go to stderr
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ipc.engine_options import LlamaChatOptions
from ipc.facts.gguf import Header, projectors, read_header
from ipc.kv_budget import kv_cache_tokens, longest_tokens
from ipc.messages.spec import Spec
from worker.chat.gguf import read_tokenizer
from worker.chat.prompt import Layout
from worker.engine import LoadError, Stage, options_of
from worker.engines.llama_cpp.cores import mask, tied_to
from worker.engines.llama_cpp.private_socket import PrivateSocket
from worker.engines.llama_cpp.tokenizer import ServerTokenizer
from worker.engines.llama_cpp.vision import VisionLayout

# A prompt is read so many tokens at a time, all running answers moving on between two times.
_BATCH_TOKENS = 256
_SILENT, _ERRORS = -1, 1
# Prompt lookup: what followed when so many tokens were last the same, and how many are guessed. To
# check nine took three to four times as long as one (AVX2), so more guesses gain little.
_SAME_TOKENS = _GUESSED_TOKENS = 8
_REASON = "error loading model: "


class LlamaModel(NamedTuple):
    """``context_tokens`` is what one prompt and its answer may have together, ``kv_tokens`` what
    all running ones may. Whoever has it closes ``place``, by which the server can be reached. One
    that ``sees`` takes images, and is asked there: its calls take no tokens then."""

    server: Any
    place: PrivateSocket
    options: LlamaChatOptions
    context_tokens: int
    kv_tokens: int
    layout: Layout
    sees: bool = False


def llama_model(spec: Spec, stage: Stage) -> LlamaModel:
    """Load ``spec.path``. Raises `LoadError`."""
    if spec.device not in ("cpu", "auto"):
        raise LoadError(f"engine llama.cpp runs on cpu, not on {spec.device}; set device: cpu")
    options = options_of(spec, LlamaChatOptions)
    if spec.vision and options.prompt_lookup:
        raise LoadError(
            "options.prompt_lookup: engine llama.cpp guesses tokens of texts only; leave it out, "
            "or set vision: false"
        )
    header = _header(Path(spec.path))
    context_tokens, kv_tokens = _sizes(spec, options, header)
    found = read_tokenizer(Path(spec.path))
    stage("reading weights")
    mmproj = projector(spec, options)
    place = PrivateSocket()
    try:
        server = _serve(spec, options, place.path, context_tokens, kv_tokens, mmproj, _SILENT)
    except RuntimeError as error:
        place.close()
        raise _reason(spec) from error
    place.hide()
    vocabulary = found.vocabulary(ServerTokenizer(place).encode)
    kind = VisionLayout if spec.vision else Layout
    layout = kind(found.chat_template(), vocabulary, always_begins=True)
    if isinstance(layout, VisionLayout):
        layout.see_by(place)
    return LlamaModel(server, place, options, context_tokens, kv_tokens, layout, sees=spec.vision)


def projector(spec: Spec, options: LlamaChatOptions) -> str | None:
    """The file by which a model that takes images reads them. Raises `LoadError`."""
    if not spec.vision:
        return None
    if options.mmproj is not None:
        if not Path(options.mmproj).is_file():
            raise LoadError(f"options.mmproj: {options.mmproj} does not exist")
        return options.mmproj
    found = projectors(Path(spec.path))
    if not found:
        raise LoadError(
            f"beside {spec.path} is no mmproj*.gguf, by which images are read; name it in "
            "options.mmproj, or leave out vision"
        )
    return str(found[0])


def _header(path: Path) -> Header:
    try:
        header = read_header(path)
    except FileNotFoundError as error:
        raise LoadError(f"{path} does not exist; pull the model first") from error
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be loaded by llama.cpp: {error}") from error
    return header


def _sizes(spec: Spec, options: LlamaChatOptions, header: Header) -> tuple[int, int]:
    """The tokens of one context, and of the cache of keys and values that all share."""
    longest = longest_tokens(spec, header.context_tokens)
    kv_tokens = kv_cache_tokens(spec, longest, options.kv_cache_tokens)
    return min(longest, kv_tokens), kv_tokens


def _serve(
    spec: Spec,
    options: LlamaChatOptions,
    place: str,
    context_tokens: int,
    kv_tokens: int,
    mmproj: str | None,
    verbosity: int,
) -> Any:
    """llama.cpp's server object, which listens at ``place``. Raises `RuntimeError`, which does not
    say why."""
    try:
        import xllamacpp
    except ImportError as error:
        hint = "; install the system's package libgomp1" if "libgomp" in str(error) else ""
        raise LoadError(f"llama.cpp cannot be imported: {error}{hint}") from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = spec.path
    parameters.n_gpu_layers = 0
    parameters.n_parallel = spec.slots
    parameters.n_ctx = kv_tokens
    parameters.kv_unified = True
    parameters.kv_unified_per_slot = context_tokens
    parameters.n_batch = parameters.n_ubatch = _BATCH_TOKENS
    # Otherwise what does not fit would be made smaller without a word.
    parameters.fit_params = False
    parameters.warmup = False  # the worker does its own, through the same door as any request
    # By default 8 GiB of prompts that no slot holds any more, and 32 states of each slot.
    parameters.cache_ram_mib = 0
    parameters.n_ctx_checkpoints = 2
    parameters.sse_ping_interval = -1
    parameters.verbosity = verbosity
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = spec.threads or -1
        threads.poll = 0  # between two computations nobody spins
        if cpus := tied_to(spec):
            threads.cpumask = mask(cpus, len(threads.cpumask))
            threads.mask_valid = threads.strict_cpu = True
    if options.prompt_lookup:
        _look_up(parameters)
    if options.kv_cache_type == "q8_0":
        _keep_in_8_bits(parameters)
    # The object always listens. It is asked by calls, and for tokens only in this way.
    parameters.ui = parameters.endpoint_slots = False
    parameters.n_threads_http = 1
    if mmproj is not None:
        parameters.mmproj.path = mmproj
        parameters.mmproj_use_gpu = False
        # Each answer has one for as long as it takes, those that are leaving, too.
        parameters.n_threads_http = 2 * spec.slots + 2
    parameters.hostnames = [place]
    return xllamacpp.Server(parameters)


def _keep_in_8_bits(parameters: Any) -> None:
    """Keys and values in blocks of 8 bits, which the library does by its flash attention only."""
    from xllamacpp import ggml_type, llama_flash_attn_type

    parameters.cache_type_k = parameters.cache_type_v = ggml_type.GGML_TYPE_Q8_0
    parameters.flash_attn_type = llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED


def _look_up(parameters: Any) -> None:
    """Have the server guess. It draws each token as ever and keeps a guess that is the same, so
    answers are those without it; an answer that repeats nothing has nothing guessed."""
    from xllamacpp import common_speculative_type

    guessing = parameters.speculative
    guessing.types = [common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MAP_K]
    guessing.ngram_map_k.size_n = _SAME_TOKENS
    guessing.ngram_map_k.size_m = _GUESSED_TOKENS


def _reason(spec: Spec) -> LoadError:
    """Why it could not be loaded. The library says so only in its log, so it is tried again in a
    process of its own whose stderr is read."""
    argv = [sys.executable, "-P", "-m", __name__, msgspec.json.encode(spec).decode()]
    try:
        child = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=spec.load_stall_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return LoadError(f"llama.cpp could not load {spec.path}", permanent=False)
    said = child.stderr.strip().splitlines()
    found = [line.partition(_REASON)[2] for line in said if _REASON in line] or said[-1:]
    if child.returncode == 0 or not found:
        return LoadError(f"llama.cpp could not load {spec.path}", permanent=False)
    return LoadError(f"llama.cpp cannot load {spec.path}: {found[0]}")


def _main() -> None:
    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    options = options_of(spec, LlamaChatOptions)
    sizes = _sizes(spec, options, read_header(Path(spec.path)))
    mmproj = projector(spec, options)
    place = PrivateSocket()
    try:
        _serve(spec, options, place.path, *sizes, mmproj, _ERRORS)
    except RuntimeError:
        sys.exit(1)
    finally:
        place.close()


if __name__ == "__main__":
    _main()
