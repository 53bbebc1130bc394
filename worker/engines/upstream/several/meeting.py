"""What is to be known of a server before it is asked for anything, and of several as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from ipc.messages.jobs import EmbedInput
from ipc.messages.spec import Loaded, Spec
from worker.engines.upstream.client import Upstream
from worker.engines.upstream.servers import ANY, Server, server_of
from worker.engines.upstream.text import Listed

# The first embedding may have to wait for an upstream that loads its model on demand.
FIRST_EMBEDDING_S = 60.0
# Of two vocabularies that are not the same no tokenizers make the same of this.
_PROBE = (
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich; fin de siècle, œuvre, ¿qué?\n"
    "\t1234567890 3.14159 0x7f == !== -> => /* */ {}[]() def __init__(self): return None  \n\n"
    "наши данные 東京都 안녕하세요 ありがとう مرحبا שלום नमस्ते 😀👍🏽 \u200d internationalization "
    "<|im_start|><|im_end|><|endoftext|><|eot_id|><|start_header_id|><s></s><bos><eos><unk>"
    "<think></think><tool_call></tool_call><|channel|><start_of_turn>[INST][/INST][TOOL_CALLS]"
)


async def met(upstream: Upstream, spec: Spec, name: str | None) -> Loaded:
    """Ask ``upstream`` what it has, and note in it which model is meant, called ``name`` there if
    that is known, and what kind of server it is."""
    found = await upstream.models()
    upstream.model = name or _only(found, spec.name)
    entry = next((each for each in found if each.id == upstream.model), None)
    upstream.server = _server(entry)
    loaded = Loaded(
        device="remote",
        context_tokens=entry.context_tokens if entry else None,
        detail=f"{upstream.model} at {upstream.where}",
    )
    if spec.task == "embed":
        return replace(loaded, dimensions=await _dimensions(upstream))
    if spec.task == "speak":
        return replace(loaded, voices=await upstream.voices() or None)
    if spec.task != "chat":
        return loaded
    goes_on = entry is not None and bool(entry.says("migration"))
    upstream.vocabulary = await upstream.tokenized(_PROBE) if goes_on else None
    return await _chat_facts(upstream, entry, loaded)


def as_one(loaded: Sequence[Loaded]) -> Loaded:
    """What all of these can do, whichever is asked."""
    first = loaded[0]
    contexts = [each.context_tokens for each in loaded if each.context_tokens is not None]
    voices = first.voices
    for each in loaded[1:]:
        voices = [voice for voice in voices or [] if voice in (each.voices or [])] or None
    return replace(
        first,
        context_tokens=min(contexts, default=None),
        tools=all(each.tools for each in loaded),
        reasoning=all(each.reasoning for each in loaded),
        fills=all(each.fills for each in loaded),
        goes_on=all(each.goes_on for each in loaded),
        voices=voices,
        detail="; ".join(each.detail for each in loaded if each.detail),
    )


async def _dimensions(upstream: Upstream) -> int:
    async with asyncio.timeout(FIRST_EMBEDDING_S):
        return (await upstream.embed(EmbedInput(texts=["Hello"]))).dimensions


async def _chat_facts(upstream: Upstream, entry: Listed | None, loaded: Loaded) -> Loaded:
    """A server that says nothing of tools and gaps is taken at its word: it is asked, and
    answers or refuses. That a model thinks is told only where it is said."""
    if entry is None:
        return replace(loaded, tools=True, fills=True)
    loaded = replace(loaded, goes_on=upstream.vocabulary is not None)
    calls = entry.says("tools")
    if upstream.server.kind == "llama.cpp":  # which skips tools that a template lacks
        caps = (await upstream.told("/props")).get("chat_template_caps")
        calls = caps.get("supports_tools") if isinstance(caps, dict) else None
    return replace(
        loaded,
        tools=calls is not False,
        reasoning=bool(entry.says("reasoning")),
        fills=entry.says("fill") is not False,
    )


def _server(entry: Listed | None) -> Server:
    if entry is None:
        return ANY
    return server_of(str(entry.owned_by or ""), entry.id, entry.says("chat-completion"))


def _only(found: list[Listed], name: str) -> str:
    """``name``, unless the upstream has one model only and calls it differently."""
    return found[0].id if len(found) == 1 else name
