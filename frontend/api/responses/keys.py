"""The keys of requests for responses, as clients of this and other servers send them.

Read in November 2026: openai 3.57.0 ``types/responses/response_create_params.py``; what Codex 0.171
sends.
"""

from __future__ import annotations

from frontend.api.known_keys import derived, done, harmless, refused
from frontend.api.openai.chat_keys import KEYS as CHAT_KEYS
from frontend.api.openai.reasoning_request import ReasoningRequest
from frontend.api.openai.sampling_request import SamplingRequest

# What is said of both in the same words.
SHARED = {*SamplingRequest.model_fields, *ReasoningRequest.model_fields} - {"stream_options"}

KEYS = derived(
    CHAT_KEYS,
    (
        done("model", "required"),
        done(
            "input",
            "required; a text, or up to 8,192 items: messages, `function_call`, "
            "`custom_tool_call`, their outputs, `reasoning`. Those of tools that are not served "
            "here are skipped; `item_reference` is refused",
        ),
        done(
            "instructions",
            "the first message of the system; those of `previous_response_id` do not hold any more",
        ),
        done(
            "previous_response_id",
            "goes on from all that was said there; one that is kept no longer is 400 "
            "`previous_response_not_found`",
        ),
        done("store", "kept unless it is false, for an hour after its last use; in memory only"),
        done("max_output_tokens", "wins over `max_tokens` and `n_predict`; -1 is no limit"),
        done(
            "tools",
            "`function`, which is strict unless it says otherwise, and `custom` with any text; all "
            "other types are skipped, and missing in the answer's `tools`",
        ),
        done(
            "tool_choice",
            "`none`, `auto`, `required`, a function or custom tool by name, `allowed_tools`",
        ),
        done("parallel_tool_calls", "false: one call at most, as where it is chosen by name"),
        done(
            "text",
            "`format`: `text`, `json_object`, `json_schema`, as [forms](forms.md) has it; "
            "`verbosity` is a wish",
        ),
        done(
            "reasoning",
            "`effort`, as `reasoning_effort`; where a `summary` is asked for, what was thought "
            "stands in one too, whole",
        ),
        done(
            "include top_logprobs",
            "`message.output_text.logprobs`, or `top_logprobs` above 0: log probabilities of the "
            "text. What else may be included is of tools that are not served here",
        ),
        done("metadata", "repeated in the answer"),
        done("n n_cmpl", "1"),
        done("stream_options", "its keys change no text"),
        harmless("max_tool_calls", "of tools that are not served here"),
        harmless(
            "truncation background_options client_metadata access_programs image",
            "a history is never shortened: one that is too long is 400; the rest is bookkeeping",
        ),
        refused("background", "an answer is sent to whoever asked", False),
        refused("conversation prompt", "not built"),
        refused("context_management", "a history is never shortened", []),
        refused("moderation", "not built"),
        refused("logprobs", "send `include` and `top_logprobs`", False),
        refused("messages", "for chats: send `input`", []),
    ),
    SHARED,
    "for chats: /v1/chat/completions",
)
