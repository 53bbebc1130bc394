"""The keys of requests for messages, as clients of Anthropic's API send them.

Read in November 2026: anthropic 2.14.0 (Python) and 1.14.0 (JavaScript), Claude Code 2.1.332.
"""

from __future__ import annotations

from frontend.api.known_keys import Row, done, harmless, refused
from frontend.api.queued import KEY as QUEUED

_PROMPT: tuple[Row, ...] = (
    done(
        "model messages",
        "required; up to 2048 messages of the user, the assistant and the system. Turns of one "
        "role beside each other are one; an answer goes on with the assistant's where that is last",
    ),
    done(
        "system",
        "a text or blocks of text. Empty ones are left out, as is the line "
        "`x-anthropic-billing-header`, which differs each time. A system turn among the messages "
        "stays where it is if the model's template bears that, or goes to the beginning",
    ),
    done(
        "tools",
        "with an `input_schema`; those of Anthropic's own, told by their `type`, are left out",
    ),
    done("tool_choice", "`auto`, `any`, `tool`, `none`; `disable_parallel_tool_use`"),
    done(
        "thinking",
        "`enabled`, `disabled`, or `adaptive`: as the model likes; `budget_tokens` is how long. A "
        "model that can think does not without this key. With `display` `omitted` it is not told "
        "what it thinks",
    ),
    done(
        "output_config output_format",
        "`effort` is a keyword for the chat template; `format` with a `json_schema`: what of it is "
        "kept, and what is refused: [forms](forms.md). The second key is its older place",
    ),
    harmless("cache_control", "what was computed for a prompt is kept anyway, here and in blocks"),
    harmless("context_management", "a history is never shortened: one that is too long is 400"),
    harmless(
        "metadata service_tier inference_geo speed diagnostics betas anthropic_beta fallbacks "
        "user_profile_id workspace_id",
        "Anthropic's own bookkeeping, which server answers, and how fast",
    ),
    refused("mcp_servers", "the server calls no tools itself", []),
    refused("container", "the server runs no code"),
)
KEYS: tuple[Row, ...] = (
    *_PROMPT,
    QUEUED,
    done(
        "max_tokens",
        "required; 0: the prompt is read, and the answer empty. What is above the model's limit "
        "means that limit",
    ),
    done("stop_sequences", "up to 16 of up to 256 characters; the answer says which it was"),
    done("stream", ""),
    done("temperature", "0 to 2; 0 takes the likeliest token"),
    done("top_p", "0 to 1; 1 is off, 0 takes the likeliest token"),
    done("top_k", "-1 and 0 are off"),
)
