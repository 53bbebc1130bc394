"""POST /v1/embeddings: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from frontend.api.fields import AtLeastOne, Name, Schema
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.texts import TextsOrTokens, texts_and_tokens
from frontend.api.truncation import AT_ODDS, Truncating
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import EmbedInput, Purpose

# OpenAI has none; Cohere's, vLLM's and Voyage's, NVIDIA's words.
InputType = Literal[
    "query",
    "search_query",
    "document",
    "search_document",
    "passage",
    "classification",
    "clustering",
]
_PURPOSES: Mapping[InputType, Purpose] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "search_document": "document",
    "passage": "document",
    "classification": "classification",
    "clustering": "clustering",
}

# `truncate` and `truncate_prompt_tokens` are the route's own.
KEYS: tuple[Row, ...] = (
    done(
        "model input",
        "required; a text or a list; token ids by the option `token_input` of the model's entry",
    ),
    done("encoding_format", "`float`, `base64`"),
    done("dimensions", "what the model was trained for"),
    done(
        "truncate truncate_prompt_tokens truncation_direction truncation_side",
        "what becomes of texts that are too long",
    ),
    QUEUED,
    harmless(
        "user request_id rid cache_salt keep_alive mm_processor_kwargs",
        "bookkeeping and scheduling",
    ),
    done(
        "input_type",
        "what the texts are for, in the words of Cohere, Voyage, vLLM and NVIDIA: the prompt that "
        "the checkpoint has for such texts goes before each",
    ),
    done("prompt_name", "one of the checkpoint's prompts, as sentence-transformers has it"),
    refused("prompt task instruction instruct", "send `input_type` or `prompt_name`"),
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


# What `EmbeddingRequest.to_input` refuses beside that.
_ONE_PROMPT: Schema = {
    "anyOf": [
        {"properties": {"input_type": {"type": "null"}}},
        {"properties": {"prompt_name": {"type": "null"}}},
    ]
}


class EmbeddingRequest(Queued, Truncating):
    model_config = ConfigDict(json_schema_extra={"allOf": [AT_ODDS, _ONE_PROMPT]})
    REFUSED = refused_keys(KEYS)

    model: Name
    input: TextsOrTokens
    input_type: InputType | None = None
    prompt_name: Annotated[str, Field(min_length=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: AtLeastOne | None = None

    def to_input(self) -> EmbedInput:
        """The job. Raises `InvalidRequest` where its wishes are at odds."""
        if self.input_type is not None and self.prompt_name is not None:
            raise InvalidRequest(
                "`input_type` and `prompt_name` name a prompt each; send one of them",
                param="input_type",
            )
        texts, tokens = texts_and_tokens(self.input)
        return EmbedInput(
            texts=texts,
            tokens=tokens,
            prompt_name=self.prompt_name,
            purpose=None if self.input_type is None else _PURPOSES[self.input_type],
            dimensions=self.dimensions,
            truncation=self.truncation(),
        )
