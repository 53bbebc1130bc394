"""The keys of chat requests, as clients of this and other servers send them."""

from __future__ import annotations

from frontend.api.known_keys import Row, done, harmless, refused
from frontend.api.queued import KEY as QUEUED

_SAMPLERS = "not built"
_SHOWN = "not built"
_PROMPT = "the prompt is the model's own template, whole"

KEYS: tuple[Row, ...] = (
    done("model messages", "required; up to 2048 messages"),
    done("stream", ""),
    done("stream_options", "`include_usage`; its other keys change no text"),
    done(
        "max_tokens max_completion_tokens n_predict",
        "null, -1, and of `max_tokens` and `n_predict` 0: no limit of the client's. What is above "
        "the model's limit means that limit. The middle one wins, the last is llama.cpp's",
    ),
    done("temperature", "0 to 2; 0 takes the likeliest token"),
    done("top_p", "0 to 1; 1 is off, 0 takes the likeliest token"),
    done("top_k", "-1 and 0 are off"),
    done("min_p", "0 to 1; 0 is off, 1 takes the likeliest token"),
    done("presence_penalty frequency_penalty", "-2 to 2, for tokens of the answer"),
    done(
        "repetition_penalty repeat_penalty",
        "0.01 to 10, for tokens of prompt and answer; 1 is off. The second is llama.cpp's name",
    ),
    done("repeat_last_n", "-1, or any where no penalty is asked for: penalties see all tokens"),
    done("seed", ""),
    done("stop", "a text, or up to 16 of up to 256 characters"),
    done("stop_token_ids", "up to 256 ids of the model's own vocabulary"),
    done("ignore_eos", "goes on past the model's own end tokens, up to the limit"),
    done("min_tokens", "no end before that; at most the limit"),
    done("logit_bias", "up to 1,024 ids of the model's own vocabulary, -100 to 100 each"),
    done(
        "logprobs top_logprobs",
        "of the model's own distribution, before temperature and the like; 0 to 20 likely tokens "
        "in each place, which need `logprobs`",
    ),
    done("n n_cmpl", "1 to 8 answers, each of which takes a slot; the second is llama.cpp's name"),
    done(
        "tools",
        "functions, each name once; a model without a form for calls answers `auto` in text",
    ),
    done(
        "tool_choice",
        "`none`, `auto`, `required`, a function by name, `allowed_tools`: only these are shown to "
        "the model, with `none` no tool is",
    ),
    done("parallel_tool_calls", "false: one call at most, as where it is chosen by name"),
    done("functions function_call", "the form before `tools`, answered in the form of today"),
    done(
        "reasoning_effort reasoning think thinking enable_thinking",
        "whether the model is to think, in the words of OpenAI, OpenRouter, Ollama, Anthropic and "
        "Qwen: what its chat template makes of `enable_thinking`, `thinking` and "
        "`reasoning_effort`. `none` and false switch it off; `enable_thinking` wins, then `think`, "
        "`thinking`, `reasoning`",
    ),
    done(
        "thinking_token_budget thinking_budget_tokens reasoning_budget",
        "how many tokens it may think; -1 is no limit. `budget_tokens` of `thinking` and "
        "`max_tokens` of `reasoning` mean the same",
    ),
    done(
        "reasoning_format separate_reasoning",
        "`none`, `raw` and false leave what it thinks in the content, as it is written",
    ),
    done("include_reasoning", "false, as `hidden`: what it thinks is not told"),
    done(
        "chat_template_kwargs",
        "keywords for the chat template: true, false, numbers, texts; they win over all others",
    ),
    done(
        "continue_final_message add_generation_prompt",
        "true and false: the answer goes on with the last message; the second needs the first",
    ),
    done(
        "migration",
        "another edge-serve's: events of a stream name their tokens in `token_ids`, and the answer "
        "goes on behind the tokens that `written` has of each choice, see "
        "[models](models.md#models-in-another-server)",
    ),
    done(
        "response_format",
        "`text`, `json_object`, `json_schema`; with the last two also llama.cpp's `schema`. What "
        "of a schema is kept, and what is refused: [forms](forms.md)",
    ),
    done(
        "structured_outputs",
        "vLLM's: one of `json`, `regex`, `choice`, `grammar` (GBNF), `json_object`",
    ),
    done(
        "guided_json guided_regex guided_choice guided_grammar guided_json_object",
        "vLLM's before that",
    ),
    done("regex ebnf grammar json_schema", "SGLang's and llama.cpp's; `ebnf` is GBNF too"),
    done("format", "Ollama's: `json`, or a schema"),
    done(
        "ttl",
        "LM Studio's: the seconds that the model stays without work, if it is not always loaded; "
        "at most KEEP_ALIVE_MAX_SEC without an admin's key",
    ),
    harmless(
        "user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_options "
        "prompt_cache_retention",
        "OpenAI's own bookkeeping",
    ),
    harmless(
        "prediction cache_prompt cache_salt keep_alive n_cache_reuse backend_sampling",
        "cost and memory only",
    ),
    harmless(
        "request_id rid session_id extra_key id_slot kv_transfer_params "
        "ec_transfer_params bootstrap_host bootstrap_port bootstrap_room data_parallel_rank "
        "routed_dp_rank disagg_prefill_dp_rank ngram_corpus_id",
        "scheduling only",
    ),
    QUEUED,
    harmless("verbosity", "a wish, which models without such a switch do not know"),
    harmless(
        "stream_reasoning timings_per_token return_progress return_cached_tokens_details "
        "return_spec_tokens_details return_tokens_as_token_ids return_token_offsets "
        "return_mm_kwargs routed_experts_prompt_start routed_experts_start_len stream_interval "
        "sse_ping_interval verbose",
        "beside the text, or how it is cut into events",
    ),
    harmless(
        "dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers xtc_threshold "
        "mirostat_tau mirostat_eta dynatemp_exponent adaptive_decay length_penalty "
        "post_sampling_probs spaces_between_special_tokens grammar_lazy grammar_triggers "
        "guided_decoding_backend custom_params use_audio_in_video",
        "nothing without another key, which is refused",
    ),
    harmless("penalize_nl", "llama.cpp has dropped it"),
    harmless(
        "n_keep n_discard shift truncate truncation_side",
        "a history is never shortened: one that is too long is 400",
    ),
    refused("best_of", "answers are not weighed against each other", 1),
    refused("echo", "a chat's prompt is not part of its answer", False),
    refused("n_probs", "send `logprobs` and `top_logprobs`", 0),
    refused("prompt_logprobs", "not built"),
    refused("logprob_token_ids", "not built", []),
    refused("parse_tool_calls", "calls are always told apart", True),
    refused("reasoning_budget_message", "not built", ""),
    refused("modalities", "models answer in text", ["text"]),
    refused("audio web_search_options moderation", "not built"),
    refused("guided_whitespace_pattern", "whitespace is bounded as it is", ""),
    refused("structural_tag", "send `tools`, or a `grammar`"),
    refused("bad_words allowed_token_ids logits_processors samplers", _SAMPLERS, []),
    refused("mirostat dynatemp_range xtc_probability dry_multiplier min_keep top_a", _SAMPLERS, 0),
    refused("typical_p typ_p tfs_z", _SAMPLERS, 1),
    refused("top_n_sigma", _SAMPLERS, -1, 0),
    refused("adaptive_target", _SAMPLERS, -1),
    refused("use_beam_search watermarking", _SAMPLERS, False),
    refused("custom_logit_processor watermark repetition_detection stop_regex", _SAMPLERS),
    refused("n_indent no_repeat_ngram_size", "not built", 0),
    refused("t_max_predict_ms", "an answer's time is bounded by the server", 0, -1),
    refused("skip_special_tokens", "an answer has no control tokens", True),
    refused(
        "include_stop_str_in_output no_stop_trim return_tokens return_token_ids "
        "return_prompt_token_ids return_prompt_text return_meta_info return_hidden_states "
        "return_routed_experts return_sampling_mask return_input_ids_in_sglext "
        "return_output_ids_in_sglext",
        _SHOWN,
        False,
    ),
    refused("response_fields", _SHOWN, []),
    refused("_debug_render_only", _SHOWN, False),
    refused("chat_template", _PROMPT, ""),
    refused("add_special_tokens thinking_forced_open", _PROMPT, False),
    refused("truncate_prompt_tokens input_ids task", _PROMPT),
    refused("documents", _PROMPT, []),
    refused("options", "Ollama's: name each in the request itself", {}),
    refused("vllm_xargs session_params", "not built", {}),
    refused("lora", "adapters are not loaded", []),
    refused("lora_path", "adapters are not loaded"),
    refused("image_data", "images are parts of messages", []),
    refused("mm_processor_kwargs media_io_kwargs images_config video_config", "not built", {}),
    refused("max_dynamic_patch min_dynamic_patch", "not built"),
)
