"""What a loaded model needs to serve chats, fitted to its device."""

from __future__ import annotations

from typing import NamedTuple

from ipc.messages.spec import Spec
from worker.engine import LoadError, Stage
from worker.engines.torch_chat.batch_slots import Rows
from worker.engines.torch_chat.decode import Decoder, sizes
from worker.engines.torch_chat.flash import agrees
from worker.engines.torch_chat.graphs import Graphs, free_bytes
from worker.engines.torch_chat.kv import KeyValues, token_bytes
from worker.engines.torch_chat.kv_segments import Arena
from worker.engines.torch_chat.language_model import Language
from worker.engines.torch_chat.load import ChatModel
from worker.engines.torch_chat.prefill import Reader

# Prompt tokens read in one step. Everyone in the batch waits for them, so they cost about as long
# as a few tokens of an answer: fewer on a CPU, where reading is bound by arithmetic.
_PREFILL_TOKENS = {False: 128, True: 1024}  # by whether it is CUDA
_LEAST_TOKENS = 64


class Parts(NamedTuple):
    """``graphs`` are there where the device works without the host; it is then ahead of it."""

    language: Language
    arena: Arena
    rows: Rows
    reader: Reader
    decoder: Decoder
    graphs: Graphs | None
    context_tokens: int
    detail: str


def build(spec: Spec, loaded: ChatModel, stage: Stage) -> Parts:
    """Raises `LoadError` where memory or the model do not allow for what ``spec`` asks."""
    language = Language(loaded.model)
    device = language.device
    on_cuda = device.type == "cuda"
    if _flag(spec, "compile", default=on_cuda):
        language.compile()
    bound = spec.max_prompt_tokens + spec.max_new_tokens
    longest = min(loaded.context_tokens or bound, bound)
    places = _places(spec, language, longest)
    # Where every answer has room for the longest there is, all segments are alike, and those side
    # by side are one view.
    unit = longest if not on_cuda and places >= longest else 1
    arena = Arena(places, unit, share=_flag(spec, "prefix_caching", default=True))
    kv = KeyValues(language.shapes, arena.capacity, loaded.model.dtype, device)
    rows = Rows(spec.slots, language.vocabulary, arena.capacity, device)
    flash = has_flash(language)
    graphs = None
    decoder = Decoder(language, kv, rows, unit=unit, longest=longest)
    if flash:
        graphs = Graphs(decoder.by_rows, sizes(spec.slots))
    if graphs and on_cuda:
        stage("capturing")
        graphs.capture()
    step_tokens = _whole(spec, "prefill_tokens", _PREFILL_TOKENS[on_cuda])
    return Parts(
        language=language,
        arena=arena,
        rows=rows,
        reader=Reader(language, kv, arena, step_tokens, flash=flash),
        decoder=decoder,
        graphs=graphs,
        context_tokens=min(longest, arena.capacity),
        detail=f"keys and values of {arena.capacity} tokens"
        + (f", {graphs.detail}" if graphs else ""),
    )


def has_flash(language: Language) -> bool:
    """Whether the device's own attention kernel can serve this model."""
    probe, shapes = language.probe, set(language.shapes)
    checked = (language.model.dtype, language.device)
    return all(agrees(one, probe.query_heads, probe.windows, *checked) for one in shapes)


def _places(spec: Spec, language: Language, longest: int) -> int:
    """For how many tokens keys and values are kept, over all chats.

    On a CPU memory is reserved for as many as there can be, and used as far as they are filled. On
    CUDA it is taken at once: for twice as many, so that what is over can be kept, if that is free.
    """
    each = token_bytes(language.shapes, language.model.dtype)
    wanted = _whole(spec, "kv_cache_tokens", 0)
    if wanted and wanted < _LEAST_TOKENS:
        raise LoadError(
            f"option kv_cache_tokens={wanted} is too few; {_LEAST_TOKENS} are the least"
        )
    if language.device.type != "cuda":
        return wanted or spec.slots * longest
    free = free_bytes(language.device) // each
    if free < (wanted or longest):
        raise LoadError(
            f"{language.device} has memory left for the keys and values of {free} tokens at "
            f"{each / 1024:.0f} KiB each, and {wanted or longest} are wanted; lower "
            "max_prompt_tokens and max_new_tokens, or set option kv_cache_tokens lower",
            permanent=False,
        )
    return wanted or min(free, 2 * spec.slots * longest)


def _whole(spec: Spec, name: str, default: int) -> int:
    value = spec.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise LoadError(f"option {name}={value!r} is not a whole number")
    return value or default


def _flag(spec: Spec, name: str, *, default: bool) -> bool:
    value = spec.options.get(name, default)
    if not isinstance(value, bool):
        raise LoadError(f"option {name}={value!r} is neither true nor false")
    return value
