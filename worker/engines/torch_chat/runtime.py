"""What a loaded model needs to serve chats, fitted to its device."""

from __future__ import annotations

from typing import NamedTuple

from ipc.engine_options import TorchChatOptions
from ipc.kv_budget import longest_tokens, sure_tokens
from ipc.messages.spec import Spec
from worker.engine import LoadError, Stage
from worker.engines.torch_chat.batch_slots import BatchSlots
from worker.engines.torch_chat.decode import Decode, sizes
from worker.engines.torch_chat.flash import agrees
from worker.engines.torch_chat.graphs import Graphs, free_bytes
from worker.engines.torch_chat.kv import KeyValues, token_bytes
from worker.engines.torch_chat.kv_segments import SegmentAllocator
from worker.engines.torch_chat.language_model import LanguageModel
from worker.engines.torch_chat.load import ChatModel
from worker.engines.torch_chat.prefill import Prefill

# Prompt tokens read in one step. Everyone in the batch waits for them, so they cost about as long
# as a few tokens of an answer: fewer on a CPU, where reading is bound by arithmetic.
_PREFILL_TOKENS = {False: 128, True: 1024}  # by whether it is CUDA
_LEAST_TOKENS = 64


class Runtime(NamedTuple):
    """``graphs`` are there where the device works without the host; it is then ahead of it."""

    language_model: LanguageModel
    segments: SegmentAllocator
    slots: BatchSlots
    prefill: Prefill
    decode: Decode
    graphs: Graphs | None
    context_tokens: int
    detail: str


def build(spec: Spec, options: TorchChatOptions, loaded: ChatModel, stage: Stage) -> Runtime:
    """Raises `LoadError` where memory or the model do not allow for what ``spec`` asks."""
    language_model = LanguageModel(loaded.model)
    device = language_model.device
    on_cuda = device.type == "cuda"
    if on_cuda if options.compile is None else options.compile:
        language_model.compile()
    longest = longest_tokens(spec, loaded.context_tokens)
    sure = sure_tokens(spec, longest)
    places = _places(spec, options.kv_cache_tokens, language_model, sure)
    # Where every answer has as much room as it is sure of, nearly all segments are alike, and those
    # side by side are one view. A longer answer has several of them.
    unit = sure if not on_cuda and places >= sure else 1
    segments = SegmentAllocator(places, unit, share=options.prefix_caching)
    kv = KeyValues(language_model.shapes, segments.capacity, loaded.model.dtype, device)
    slots = BatchSlots(spec.slots, language_model.vocabulary, segments.capacity, device)
    flash = has_flash(language_model)
    graphs = None
    context_tokens = min(longest, segments.capacity)
    decode = Decode(language_model, kv, slots, unit=unit, longest=context_tokens)
    if flash:
        graphs = Graphs(decode.by_slots, sizes(spec.slots))
    if graphs and on_cuda:
        stage("capturing")
        graphs.capture()
    step_tokens = options.prefill_tokens or _PREFILL_TOKENS[on_cuda]
    return Runtime(
        language_model=language_model,
        segments=segments,
        slots=slots,
        prefill=Prefill(language_model, kv, segments, step_tokens, flash=flash),
        decode=decode,
        graphs=graphs,
        context_tokens=context_tokens,
        detail=f"keys and values of {segments.capacity} tokens"
        + (f", {graphs.detail}" if graphs else ""),
    )


def has_flash(language_model: LanguageModel) -> bool:
    """Whether the device's own attention kernel can serve this model."""
    probe, shapes = language_model.probe, set(language_model.shapes)
    checked = (language_model.model.dtype, language_model.device)
    return all(agrees(one, probe.query_heads, probe.windows, *checked) for one in shapes)


def _places(spec: Spec, wanted: int, language_model: LanguageModel, sure: int) -> int:
    """For how many tokens keys and values are kept, over all chats: ``wanted``, unless that is 0.
    Each answer can be ``sure`` of so many.

    On a CPU memory is reserved for as many as there can be, and used as far as they are filled. On
    CUDA it is taken at once: for twice as many, so that what is over can be kept, if that is free.
    """
    each = token_bytes(language_model.shapes, language_model.model.dtype)
    if wanted and wanted < _LEAST_TOKENS:
        raise LoadError(
            f"option kv_cache_tokens={wanted} is too few; {_LEAST_TOKENS} are the least"
        )
    if language_model.device.type != "cuda":
        return wanted or spec.slots * sure
    free = free_bytes(language_model.device) // each
    if free < (wanted or sure):
        raise LoadError(
            f"{language_model.device} has memory left for the keys and values of {free} tokens at "
            f"{each / 1024:.0f} KiB each, and {wanted or sure} are wanted; lower "
            "max_prompt_tokens and max_new_tokens, or set option kv_cache_tokens lower",
            permanent=False,
        )
    return wanted or min(free, 2 * spec.slots * sure)
