"""``options``: how an answer is picked, in Ollama's names, and how its own server loads models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from frontend.api.fields import MAX_INT32, WHOLE, Schema
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.openai.sampling_request import Penalty, Repetition, Stops
from frontend.api.validate import Body, refuse_unsupported

_SAMPLERS = "not built"

KEYS: tuple[Row, ...] = (
    done("num_predict", "-2, -1 and 0: no limit of the client's"),
    done("temperature", "0 to 2; 0 takes the likeliest token"),
    done("top_p", "0 to 1; 1 is off, 0 takes the likeliest token"),
    done("top_k", "-1 and 0 are off"),
    done("min_p", "0 to 1; 0 is off, 1 takes the likeliest token"),
    done("seed", "-1 is any"),
    done("stop", "a text, or up to 16 of up to 256 characters"),
    done("repeat_penalty", "0.01 to 10, for tokens of prompt and answer; 1 is off"),
    done("presence_penalty frequency_penalty", "-2 to 2, for tokens of the answer"),
    done("repeat_last_n", "-1, or any where no penalty is asked for: penalties see all tokens"),
    harmless(
        "num_ctx num_batch num_gpu main_gpu num_thread use_mmap use_mlock low_vram f16_kv numa "
        "logits_all vocab_only embedding_only draft_num_predict",
        "how Ollama loads a model, which is loaded here already; its context is its own",
    ),
    harmless("num_keep", "a history is never shortened: one that is too long is 400"),
    harmless("mirostat_tau mirostat_eta", "nothing without `mirostat`, which is refused"),
    harmless("penalize_newline", "Ollama has dropped it"),
    refused("mirostat", _SAMPLERS, 0),
    refused("typical_p tfs_z", _SAMPLERS, 1),
)

_RULE: Schema = {
    "anyOf": [
        {"properties": {"repeat_last_n": {"enum": [-1, None]}}},
        {
            "properties": {
                "repeat_penalty": {"enum": [1, None]},
                "presence_penalty": {"enum": [0, None]},
                "frequency_penalty": {"enum": [0, None]},
            }
        },
    ]
}


class Options(Body):
    model_config = ConfigDict(json_schema_extra=_RULE)
    REFUSED = refused_keys(KEYS)

    num_predict: Annotated[int, Field(ge=-2), WHOLE] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, WHOLE] | None = None
    stop: Stops | None = None
    repeat_penalty: Repetition | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE] | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, given: object) -> object:
        if isinstance(given, Mapping):
            refuse_unsupported(given, cls.REFUSED, within="options.")
        return given


# Where a request has what `ChatRequest` checks.
NAMES = {
    "n_predict": "options.num_predict",
    "repetition_penalty": "options.repeat_penalty",
    **{name: f"options.{name}" for name in Options.model_fields},
}


def sampling_of(options: Options | None) -> dict[str, Any]:
    """``options`` in the words of `SamplingRequest`."""
    if options is None:
        return {}
    said = options.model_dump(exclude_none=True)
    limit = said.pop("num_predict", None)
    if limit is not None:
        said["n_predict"] = max(-1, limit)
    if said.get("seed") == -1:
        del said["seed"]
    return said
