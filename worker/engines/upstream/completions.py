"""Prompts as an OpenAI-compatible server is asked to go on with them. No sockets in here."""

from __future__ import annotations

from typing import Any

from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Fill, RawPrompt, Sampling, Text, Tokens
from worker.engines.upstream.forms import form_keys
from worker.engines.upstream.sampling import refuse_skipped, sampling_keys
from worker.engines.upstream.servers import Server

# Of llama.cpp and of edge-serve, outside /v1: the one path that takes other files too.
INFILL = "/infill"
_INFILLS = ("llama.cpp", "edge-serve")


def completion(asked: ChatInput, model: str, server: Server) -> tuple[str, dict[str, Any]]:
    """The path and the request for ``asked``, which has `prompts`.

    Raises `InvalidRequest` for prompts that cannot be asked together, and `UnsupportedParameter`
    for what ``server`` skips, or has no words for.
    """
    prompts = asked.prompts
    first = prompts[0]
    if isinstance(first, Fill) and (first.files or server.kind == "llama.cpp"):
        return INFILL, _infill(asked, first, model, server)
    body = {
        "model": model,
        **_prompt(prompts),
        **sampling_keys(asked.sampling),
        **_logprobs(asked.sampling),
        **form_keys(asked.form, server, is_raw=True),
    }
    if asked.echo:
        body["echo"] = True
    refuse_skipped(body, server.skips_raw)
    return "completions", body


def _logprobs(sampling: Sampling) -> dict[str, Any]:
    # To llama.cpp 0 asks for none.
    return {} if sampling.logprobs is None else {"logprobs": sampling.logprobs or 1}


def _prompt(prompts: list[RawPrompt]) -> dict[str, Any]:
    """Prompts of one kind: alone as they are, as servers that know no lists want them."""
    texts = [prompt.text for prompt in prompts if isinstance(prompt, Text)]
    tokens = [prompt.ids for prompt in prompts if isinstance(prompt, Tokens)]
    gaps = [prompt for prompt in prompts if isinstance(prompt, Fill)]
    found: list[Any] = texts or tokens or [gap.prefix for gap in gaps]
    suffixes = {gap.suffix for gap in gaps}
    if len(found) < len(prompts) or len(suffixes) > 1 or any(gap.files for gap in gaps):
        raise InvalidRequest(
            "the server behind this model takes prompts of one kind at a time: texts, arrays of "
            "tokens, or texts with one `suffix`; send them one by one",
            param="prompt",
        )
    prompt = found[0] if len(found) == 1 else found
    return {"prompt": prompt} | ({"suffix": suffixes.pop()} if suffixes else {})


def _infill(asked: ChatInput, gap: Fill, model: str, server: Server) -> dict[str, Any]:
    if server.kind not in _INFILLS:
        raise UnsupportedParameter(
            "`input_extra` is not supported by the server behind this model; leave it out",
            param="input_extra",
        )
    if len(asked.prompts) > 1 or asked.echo:
        raise InvalidRequest(
            "the server behind this model fills one gap at a time, without `echo`", param="prompt"
        )
    sampling = asked.sampling
    body = {
        "model": model,
        "input_prefix": gap.prefix,
        "input_suffix": gap.suffix,
        "input_extra": [{"filename": name, "text": text} for name, text in gap.files],
        "prompt": "",
        "n_predict": sampling.max_tokens,
        **sampling_keys(sampling),
        **form_keys(asked.form, server, is_raw=True),
    }
    if sampling.n > 1:
        body["n_cmpl"] = body.pop("n")
    if sampling.logprobs is not None:
        body["n_probs"] = sampling.logprobs or 1
    refuse_skipped(body, server.skips_raw)
    return body
