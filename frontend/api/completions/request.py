"""POST /v1/completions: what is asked, as a `ChatInput` without messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, Tag

from frontend.api.completions.keys import KEYS
from frontend.api.fields import WHOLE, Name, NotZero, Schema, Text, Token
from frontend.api.known_keys import refused_keys
from frontend.api.openai.sampling_request import SAMPLING_RULES, SamplingRequest
from frontend.api.texts import TEXTS_OR_TOKENS
from frontend.api.validate import check
from ipc.messages import jobs
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Fill, RawPrompt, Tokens
from ipc.messages.spec import Spec

MAX_PROMPTS = 128
MAX_ANSWERS = 128
MAX_LOGPROBS = 20
Ids = Annotated[list[Token], Field(min_length=1)]
Prompt = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS), Tag("<texts>")]
    | Annotated[Ids, Tag("<tokens>")]
    | Annotated[list[Ids], Field(min_length=1, max_length=MAX_PROMPTS), Tag("<many>")],
    TEXTS_OR_TOKENS,
]
AnswerLimit = Annotated[int, Field(ge=-1), WHOLE, NotZero("must be at least 1, or -1 for no limit")]

_NO_SUFFIX: Schema = {"suffix": {"enum": ["", None]}}
_NO_ECHO: Schema = {"echo": {"enum": [False, None]}}
_TEXTS: Schema = {"prompt": {"anyOf": [{"type": "string"}, {"items": {"type": "string"}}]}}
# What `CompletionRequest.check_keys` refuses, but for the number of answers. As few cases as can
# be, since programs that read a description multiply them.
_RULE_OF_ECHO: Schema = {
    "anyOf": [
        {"properties": {**_NO_SUFFIX, **_NO_ECHO}},
        {"properties": {**_NO_SUFFIX, "logprobs": {"type": "null"}}},
        {"properties": {**_NO_ECHO, **_TEXTS}},
    ]
}


class CompletionRequest(SamplingRequest):
    model_config = ConfigDict(json_schema_extra={"allOf": [*SAMPLING_RULES, _RULE_OF_ECHO]})
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"prompt": "The capital of France is", "max_tokens": 8}
    USUAL_TOKENS = 16  # OpenAI's

    model: Name
    prompt: Prompt
    suffix: Text | None = None
    echo: bool | None = None
    max_tokens: AnswerLimit | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS), WHOLE] | None = None

    @property
    def prompts(self) -> list[RawPrompt]:
        """What is to be written on from; gaps where there is a suffix."""
        given = self.prompt
        if isinstance(given, str):
            return [self._text(given)]
        texts = [each for each in given if isinstance(each, str)]
        if texts:
            return [self._text(text) for text in texts]
        lists = [each for each in given if isinstance(each, list)]
        if lists:
            return [Tokens(ids=ids) for ids in lists]
        return [Tokens(ids=[each for each in given if isinstance(each, int)])]

    def _text(self, text: str) -> RawPrompt:
        if self.suffix:
            return Fill(prefix=text, suffix=self.suffix)
        return jobs.Text(text)

    def to_input(self, spec: Spec) -> ChatInput:
        """The job for ``spec``. Raises `InvalidRequest`."""
        sampling = self.to_sampling(spec, logprobs=self.logprobs)
        return ChatInput(prompts=self.prompts, sampling=sampling, echo=bool(self.echo))

    def check_keys(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where keys are at odds."""
        self.check_sampling()
        prompts = self.prompts
        if self.suffix and any(isinstance(prompt, Tokens) for prompt in prompts):
            raise InvalidRequest("`suffix` needs a `prompt` that is text", param="suffix")
        if self.suffix and self.echo:
            raise UnsupportedParameter(
                "`echo` is not supported with `suffix`; leave either out", param="echo"
            )
        if self.echo and self.logprobs is not None:
            raise UnsupportedParameter(
                "`echo` is not supported with `logprobs`: no engine tells the log probabilities of "
                "a prompt; leave either out",
                param="echo",
            )
        answers = len(prompts) * (self.n or self.n_cmpl or 1)
        if answers > MAX_ANSWERS:
            raise InvalidRequest(
                f"`prompt` and `n` ask for {answers} answers; at most {MAX_ANSWERS} are written to "
                "one request",
                param="prompt",
            )


def parse_completion(data: Mapping[str, Any]) -> CompletionRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    asked = check(CompletionRequest, data)
    asked.check_keys()
    return asked
