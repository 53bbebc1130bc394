"""The tables of known keys: whole, without contradictions, and as docs/parameters.md prints them.

Run as a program it writes the tables into that file again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontend.api.anthropic import keys as anthropic_keys
from frontend.api.anthropic.request import MessagesRequest
from frontend.api.audio import speak_request, transcribe_request
from frontend.api.batch import requests as batch
from frontend.api.compat import infill, llama_cpp_embeddings, mistral_fim
from frontend.api.compat.infill import InfillRequest
from frontend.api.compat.mistral_fim import FimRequest
from frontend.api.completions import keys as completion_keys
from frontend.api.completions.request import CompletionRequest, parse_completion
from frontend.api.known_keys import Row
from frontend.api.ollama import chat_request as ollama_chat
from frontend.api.ollama import embed_request as ollama_embed
from frontend.api.ollama import generate_request as ollama_generate
from frontend.api.ollama import models_request as ollama_models
from frontend.api.ollama import options as ollama_options
from frontend.api.openai import chat_keys, embeddings_request
from frontend.api.openai.chat_request import ChatRequest, parse_chat
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.rerank import request as rerank_request
from frontend.api.rerank import score
from frontend.api.rerank.request import parse_rerank
from frontend.api.responses import keys as response_keys
from frontend.api.responses.request import ResponseRequest
from frontend.api.validate import Body, check
from ipc.messages.errors import UnsupportedParameter
from tests.unit.frontend.http_fakes import limits

DOCS = Path(__file__).parents[4] / "docs" / "parameters.md"
TABLES = {
    "chat": chat_keys.KEYS,
    "messages": anthropic_keys.KEYS,
    "responses": response_keys.KEYS,
    "completions": completion_keys.KEYS,
    "infill": infill.KEYS,
    "fim": mistral_fim.KEYS,
    "embeddings": embeddings_request.KEYS,
    "rerank": rerank_request.KEYS,
    "score": score.KEYS,
    "audio": transcribe_request.KEYS,
    "speech": speak_request.KEYS,
    "plain embeddings": llama_cpp_embeddings.KEYS,
    "ollama chat": ollama_chat.KEYS,
    "ollama generate": ollama_generate.KEYS,
    "ollama options": ollama_options.KEYS,
    "ollama embed": ollama_embed.KEYS,
    "ollama embeddings": ollama_embed.OLDER_KEYS,
    "ollama show": ollama_models.SHOW_KEYS,
    "ollama pull": ollama_models.PULL_KEYS,
    "files": batch.FILE_KEYS,
    "batches": batch.BATCH_KEYS,
}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

# Request models as their authors had them in November 2026, less what is theirs alone (private
# attributes). A key that is missing from the table would be skipped in silence.
OPENAI = """messages model audio frequency_penalty function_call functions logit_bias logprobs
    max_completion_tokens max_tokens metadata modalities moderation n parallel_tool_calls prediction
    presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort
    response_format safety_identifier seed service_tier stop store stream_options temperature
    tool_choice tools top_logprobs top_p user verbosity web_search_options stream"""
VLLM = """thinking_token_budget include_reasoning use_beam_search top_k min_p repetition_penalty
    watermarking length_penalty stop_token_ids include_stop_str_in_output ignore_eos min_tokens
    skip_special_tokens spaces_between_special_tokens truncate_prompt_tokens truncation_side
    prompt_logprobs logprob_token_ids allowed_token_ids bad_words echo add_generation_prompt
    continue_final_message add_special_tokens documents chat_template chat_template_kwargs
    media_io_kwargs mm_processor_kwargs structured_outputs priority request_id session_id
    return_tokens_as_token_ids return_token_ids routed_experts_prompt_start return_token_offsets
    return_prompt_text return_mm_kwargs cache_salt kv_transfer_params ec_transfer_params vllm_xargs
    repetition_detection stream_interval guided_json guided_regex guided_choice guided_grammar
    guided_decoding_backend guided_whitespace_pattern guided_json_object structural_tag best_of
    logits_processors"""
SGLANG = """return_hidden_states return_routed_experts routed_experts_start_len
    return_cached_tokens_details return_spec_tokens_details return_prompt_token_ids
    return_meta_info return_input_ids_in_sglext return_output_ids_in_sglext return_sampling_mask
    thinking task regex ebnf stop_regex no_stop_trim lora_path session_params separate_reasoning
    stream_reasoning max_dynamic_patch min_dynamic_patch use_audio_in_video images_config
    video_config custom_logit_processor custom_params watermark input_ids rid extra_key
    data_parallel_rank routed_dp_rank bootstrap_host bootstrap_port bootstrap_room"""
LLAMA_CPP = """dynatemp_range dynatemp_exponent n_predict n_indent n_keep n_discard typical_p typ_p
    repeat_penalty repeat_last_n dry_multiplier dry_base dry_allowed_length dry_penalty_last_n
    dry_sequence_breakers xtc_probability xtc_threshold mirostat mirostat_tau mirostat_eta grammar
    grammar_lazy grammar_triggers json_schema logit_bias n_probs min_keep t_max_predict_ms id_slot
    cache_prompt return_tokens return_progress samplers timings_per_token post_sampling_probs
    response_fields lora reasoning_format thinking_forced_open parse_tool_calls top_n_sigma
    adaptive_target adaptive_decay thinking_budget_tokens n_cmpl n_cache_reuse backend_sampling
    image_data verbose sse_ping_interval"""
OLLAMA = "reasoning options format keep_alive think truncate shift _debug_render_only"
ANTHROPIC = """model messages max_tokens cache_control container context_management diagnostics
    inference_geo mcp_servers metadata output_config output_format service_tier speed stop_sequences
    stream system temperature thinking tool_choice tools top_k top_p user_profile_id workspace_id"""
RESPONSES = """access_programs background background_options context_management conversation image
    include input instructions max_output_tokens max_tool_calls metadata model moderation
    parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_options
    prompt_cache_retention reasoning safety_identifier service_tier store stream_options temperature
    text tool_choice tools top_logprobs top_p truncation user stream client_metadata"""
PEERS = {
    "OpenAI": OPENAI,
    "vLLM": VLLM,
    "SGLang": SGLANG,
    "llama.cpp": LLAMA_CPP,
    "Ollama": OLLAMA,
}


def line(row: Row) -> str:
    names = ", ".join(f"`{name}`" for name in row.names)
    values = ", ".join(f"`{orjson.dumps(value).decode()}`" for value in row.neutral)
    note = "; ".join(part for part in (row.note, f"takes {values}" if values else "") if part)
    return f"| {names} | {row.verdict} | {note} |"


def table(rows: tuple[Row, ...]) -> str:
    head = "| keys | here | |\n| --- | --- | --- |\n"
    return head + "\n".join(line(row) for row in rows)


def with_table(text: str, name: str) -> str:
    """``text`` with this table in its place, between two comments."""

    def written(found: re.Match[str]) -> str:
        return found[1] + table(TABLES[name]) + found[2]

    place = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    text, count = place.subn(written, text)
    assert count == 1, f"docs/parameters.md has {count} places for {name}"
    return text


def with_tables(text: str) -> str:
    for name in TABLES:
        text = with_table(text, name)
    return text


def test_the_docs_print_these_tables() -> None:
    assert DOCS.read_text() == with_tables(DOCS.read_text()), "run this file to write them again"


@pytest.mark.parametrize("name", TABLES)
def test_each_key_has_one_verdict(name: str) -> None:
    names = [name for row in TABLES[name] for name in row.names]
    assert sorted(names) == sorted({*names})


def test_every_key_of_a_response_is_known() -> None:
    assert {*RESPONSES.split()} <= {name for row in response_keys.KEYS for name in row.names}


@pytest.mark.parametrize("peer", PEERS)
def test_every_key_of_a_peer_is_known(peer: str) -> None:
    names = {name for row in chat_keys.KEYS for name in row.names}
    assert {*PEERS[peer].split()} <= names


@pytest.mark.parametrize(
    ("rows", "kind"),
    [(chat_keys.KEYS, ChatRequest), (anthropic_keys.KEYS, MessagesRequest)],
    ids=["chat", "messages"],
)
def test_what_is_done_is_what_the_request_reads(rows: tuple[Row, ...], kind: type[Body]) -> None:
    done = {name for row in rows if row.verdict == "done" for name in row.names}
    assert done == {*kind.model_fields}


def test_every_key_of_anthropics_sdk_is_known() -> None:
    names = {name for row in anthropic_keys.KEYS for name in row.names}
    assert {*ANTHROPIC.split()} <= names


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (completion_keys.KEYS, CompletionRequest),
        (response_keys.KEYS, ResponseRequest),
        (infill.KEYS, InfillRequest),
        (mistral_fim.KEYS, FimRequest),
    ],
)
def test_other_routes_do_what_they_say_and_know_every_key_of_chats(
    rows: tuple[Row, ...], kind: type[Body]
) -> None:
    done = {name for row in rows if row.verdict == "done" for name in row.names}
    assert done == {*kind.model_fields}
    assert {name for row in chat_keys.KEYS for name in row.names} <= {
        name for row in rows for name in row.names
    }


# As `api/types.go` has them at fb307609, and the `Options` of the Python client 0.6.3.
OLLAMA_REQUESTS: dict[str, tuple[str, type[Body]]] = {
    "ollama chat": (
        "model messages stream format keep_alive tools options think truncate shift "
        "_debug_render_only logprobs top_logprobs",
        ollama_chat.OllamaChatRequest,
    ),
    "ollama generate": (
        "model prompt suffix system template context stream raw format keep_alive images options "
        "think truncate shift _debug_render_only logprobs top_logprobs width height steps",
        ollama_generate.OllamaGenerateRequest,
    ),
    "ollama options": (
        "num_keep seed num_predict top_k top_p min_p typical_p repeat_last_n temperature "
        "repeat_penalty presence_penalty frequency_penalty stop num_ctx num_batch num_gpu main_gpu "
        "use_mmap num_thread draft_num_predict numa low_vram f16_kv logits_all vocab_only "
        "use_mlock embedding_only tfs_z mirostat mirostat_tau mirostat_eta penalize_newline",
        ollama_options.Options,
    ),
    "ollama embed": (
        "model input keep_alive truncate dimensions options",
        ollama_embed.OllamaEmbedRequest,
    ),
    "ollama embeddings": (
        "model prompt keep_alive options",
        ollama_embed.OllamaEmbeddingsRequest,
    ),
    "ollama show": (
        "model system template verbose options name",
        ollama_models.OllamaModelRequest,
    ),
    "ollama pull": (
        "model insecure username password stream name",
        ollama_models.OllamaPullRequest,
    ),
}


@pytest.mark.parametrize("name", OLLAMA_REQUESTS)
def test_every_key_of_ollamas_api_is_known(name: str) -> None:
    keys, kind = OLLAMA_REQUESTS[name]
    assert {*keys.split()} <= {name for row in TABLES[name] for name in row.names}
    done = {name for row in TABLES[name] if row.verdict == "done" for name in row.names}
    assert done == {*kind.model_fields}


@pytest.mark.parametrize(
    ("key", "value"),
    [("tools", [{}]), ("messages", [{}]), ("reasoning_effort", "high"), ("best_of", 2)],
)
def test_a_completion_refuses_what_only_chats_have(key: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        parse_completion({"model": "m", "prompt": "a", key: value})
    assert refused.value.param == key


REFUSED = [(name, row) for row in chat_keys.KEYS if row.verdict == "refused" for name in row.names]


@pytest.mark.parametrize(("name", "row"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_refused_key_is_named_and_what_asks_for_nothing_is_not(name: str, row: Row) -> None:
    for value in (*row.neutral, None):
        parse_chat({**CHAT, name: value})
    for value in ("private words", {"a": [1]}, 0.123):
        with pytest.raises(UnsupportedParameter) as refused:
            parse_chat({**CHAT, name: value})
        assert refused.value.param == name
        assert f"`{name}` is not supported" in refused.value.message
        assert "private" not in refused.value.message


HARMLESS = [name for row in chat_keys.KEYS if row.verdict == "harmless" for name in row.names]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_key_may_hold_anything(name: str) -> None:
    for value in (True, 7, "x", {"a": 1}, [1]):
        parse_chat({**CHAT, name: value})


def test_true_is_not_one() -> None:
    with pytest.raises(UnsupportedParameter):
        parse_chat({**CHAT, "best_of": True})


@pytest.mark.parametrize("name", ["prompt", "task", "normalize", "embedding_types"])
def test_embeddings_refuse_what_would_change_a_vector(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        check(EmbeddingRequest, {"model": "m", "input": "a", name: "query"}, limits())
    assert refused.value.param == name


@pytest.mark.parametrize("name", ["instruct", "rank_fields", "max_chunks_per_doc", "top_k"])
def test_rerank_refuses_what_would_change_a_score(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        parse_rerank({"model": "m", "query": "a", "documents": ["b"], name: 3}, limits())
    assert refused.value.param == name


if __name__ == "__main__":
    DOCS.write_text(with_tables(DOCS.read_text()))
