"""POST /api/generate: a prompt by the model's template, as it is, or around a gap."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from frontend.api.fields import Schema, Text
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.ollama.chat_request import LOGPROBS_RULE, SHARED_KEYS, OllamaRequest
from frontend.api.ollama.messages import Images, with_images
from frontend.api.ollama.options import sampling_of
from frontend.api.openai.sampling_request import SamplingRequest
from frontend.api.validate import check
from ipc.messages import jobs
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Fill
from ipc.messages.spec import Spec

KEYS: tuple[Row, ...] = (
    done("model", "required; a `:latest` that a client adds is accepted"),
    done("prompt", "without one the answer is empty and says whether the model is loaded"),
    done("system", "comes before the prompt, by the model's template"),
    done("images", "in base64"),
    done("suffix", "what stands after the gap that is to be filled; for models that can `fill`"),
    done("raw", "true: the prompt as it is, without a template"),
    *SHARED_KEYS,
    refused("template", "the prompt is the model's own template, whole", ""),
    refused("context", "no answer has one; send the history to /api/chat", []),
    refused("width height steps", "no model here makes images", 0),
    harmless("name", "another name of `model` on other routes"),
)
# What a prompt that no template makes has no place for, with what asks for nothing.
_BY_TEMPLATE = ("system", "images", "format", "think")
_RULE_OF_RAW: Schema = {
    "anyOf": [
        {"properties": {"raw": {"enum": [False, None]}, "suffix": {"enum": ["", None]}}},
        {
            "properties": {
                "system": {"enum": ["", None]},
                "images": {"enum": [[], None]},
                "format": {"enum": ["", None]},
                "think": {"enum": [False, None]},
            }
        },
    ]
}


class OllamaGenerateRequest(OllamaRequest):
    model_config = ConfigDict(json_schema_extra={"allOf": [LOGPROBS_RULE, _RULE_OF_RAW]})
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"prompt": "Hi"}

    prompt: Text | None = None
    system: Text | None = None
    images: Images = None
    suffix: Text | None = None
    raw: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return not (self.prompt or self.images or self.suffix)

    @property
    def is_plain(self) -> bool:
        """Whether no template makes the prompt."""
        return bool(self.raw or self.suffix)

    def check_keys(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where keys are at odds."""
        if self.is_plain:
            for name in _BY_TEMPLATE:
                if getattr(self, name):
                    plain = "suffix" if self.suffix else "raw"
                    raise UnsupportedParameter(
                        f"`{name}` is not supported with `{plain}`; leave either out", param=name
                    )
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest("`top_logprobs` needs `logprobs` true", param="top_logprobs")

    def chat_words(self, model: str) -> dict[str, Any]:
        """The request in the words of `ChatRequest`."""
        messages: list[dict[str, Any]] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        content = with_images(self.prompt or "", self.images or ())
        return self.words(model, [*messages, {"role": "user", "content": content}])

    def to_input(self, spec: Spec) -> ChatInput:
        """The job of a plain prompt. Raises `InvalidRequest`."""
        text = self.prompt or ""
        prompt = Fill(prefix=text, suffix=self.suffix) if self.suffix else jobs.Text(text)
        asked = check(SamplingRequest, sampling_of(self.options))
        asked.check_sampling()
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return ChatInput(prompts=[prompt], sampling=asked.to_sampling(spec, logprobs=logprobs))
