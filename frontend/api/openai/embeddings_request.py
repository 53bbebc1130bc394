"""POST /v1/embeddings: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from typing import Literal

from frontend.api.fields import AtLeastOne, Name
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.texts import Texts
from frontend.api.truncation import Truncating
from ipc.messages.jobs import EmbedInput

_INSTRUCTION = "the model's own prompt is set in its entry: `prompt_name`"

# `truncate` and `truncate_prompt_tokens` are the route's own.
KEYS: tuple[Row, ...] = (
    done("model input", "required; a text or a list"),
    done("encoding_format", "`float`, `base64`"),
    done("dimensions", "what the model was trained for"),
    done(
        "truncate truncate_prompt_tokens truncation_direction truncation_side",
        "what becomes of texts that are too long",
    ),
    harmless(
        "user priority request_id rid cache_salt keep_alive mm_processor_kwargs",
        "bookkeeping and scheduling",
    ),
    refused("input_type prompt_name prompt task instruction instruct", _INSTRUCTION),
    refused("normalize normalized", "as the model was trained, which mostly is to length 1", True),
    refused("use_activation softmax activation", "not built"),
    refused(
        "embedding_types embedding_type embed_dtype output_dtype",
        "vectors are float32",
        "float",
        "float32",
        ["float"],
    ),
    refused("endianness", "little, as everywhere", "native", "little"),
    refused("output_dimension", "send `dimensions`"),
    refused("late_chunking return_multivector", "not built", False),
    refused("add_special_tokens", "as the model was trained", True),
    refused(
        "messages chat_template embed_overrides embed_override_token_id lora_path", "not built"
    ),
    refused("chat_template_kwargs options", "not built", {}),
    refused("embd_normalize", "for /embeddings of llama.cpp", 2),
)


class EmbeddingRequest(Truncating):
    REFUSED = refused_keys(KEYS)

    model: Name
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: AtLeastOne | None = None

    def to_input(self) -> EmbedInput:
        """The job. Raises `InvalidRequest` where its wishes are at odds."""
        return EmbedInput(
            texts=[self.input] if isinstance(self.input, str) else self.input,
            dimensions=self.dimensions,
            truncation=self.truncation(),
        )
