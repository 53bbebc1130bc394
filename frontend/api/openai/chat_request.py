"""POST /v1/chat/completions: what is asked, as a `ChatInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import ConfigDict, Field, StringConstraints, Tag

from frontend.api.fields import WHOLE, Name, NoNul, NotZero, Schema, text_or
from frontend.api.images import Remote
from frontend.api.known_keys import refused_keys
from frontend.api.openai.chat_keys import KEYS
from frontend.api.openai.messages_request import Turns, read_turns
from frontend.api.openai.tools_request import Choice, Tools, check_tools
from frontend.api.validate import Body, check
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Sampling
from ipc.messages.spec import Spec

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_STOP_TOKENS = 256
# Engines seed with an unsigned 64-bit number, clients send signed ones.
SEEDS = 1 << 63
MAX_INT32 = (1 << 31) - 1

N = TypeVar("N", int, float)

Stop = Annotated[str, StringConstraints(max_length=MAX_STOP_CHARS), NoNul]
Stops = Annotated[
    Annotated[Stop, Tag("<text>")]
    | Annotated[list[Stop], Field(max_length=MAX_STOPS), Tag("<texts>")],
    text_or("<texts>", list, "must be a string or an array of strings"),
]
Token = Annotated[int, Field(ge=0, le=MAX_INT32), WHOLE]
Penalty = Annotated[float, Field(ge=-2, le=2)]
# vLLM takes any above 0; beyond these bounds float32 logits are not told apart any more.
Repetition = Annotated[float, Field(ge=0.01, le=10)]
# -1 and 0 are how clients of llama.cpp's server and of Ollama say "no limit".
Limit = Annotated[int, Field(ge=-1), WHOLE]
NewerLimit = Annotated[int, Field(ge=-1), WHOLE, NotZero("must be at least 1, or -1 for no limit")]
# What `check_penalties` refuses; of two names that are equal it takes both.
_ONE_REPETITION: Schema = {
    "anyOf": [
        {"properties": {"repetition_penalty": {"type": "null"}}},
        {"properties": {"repeat_penalty": {"type": "null"}}},
    ]
}
_PENALTIES_SEE_ALL: Schema = {
    "anyOf": [
        {"properties": {"repeat_last_n": {"enum": [-1, None]}}},
        {
            "properties": {
                "repetition_penalty": {"enum": [1, None]},
                "repeat_penalty": {"enum": [1, None]},
                "presence_penalty": {"enum": [0, None]},
                "frequency_penalty": {"enum": [0, None]},
            }
        },
    ]
}


class StreamOptions(Body):
    include_usage: bool | None = None


class Writing(Body):
    """What requests for a text share: how it is drawn, how long it may be, how it is sent.

    ``USUAL_TOKENS`` is the limit of an answer that names none; None: the model's own.
    """

    USUAL_TOKENS: ClassVar[int | None] = None

    model_config = ConfigDict(json_schema_extra={"allOf": [_ONE_REPETITION, _PENALTIES_SEE_ALL]})

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: NewerLimit | None = None
    n_predict: Limit | None = None
    min_tokens: Annotated[int, Field(ge=0, le=MAX_INT32), WHOLE] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Stops | None = None
    stop_token_ids: Annotated[list[Token], Field(max_length=MAX_STOP_TOKENS)] | None = None
    ignore_eos: bool | None = None
    seed: Annotated[int, WHOLE] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Repetition | None = None
    repeat_penalty: Repetition | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE] | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def repetition(self) -> float | None:
        """The penalty by either of its names."""
        return self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty

    def sampling(self, spec: Spec) -> Sampling:
        """How the answer is drawn by the model of ``spec``. Raises `InvalidRequest`."""
        defaults = spec.defaults
        temperature = _given(self.temperature, defaults.temperature)
        top_p, min_p = _given(self.top_p, defaults.top_p), _given(self.min_p, defaults.min_p)
        if top_p == 0 or min_p == 1:  # greedy by another name, which engines refuse
            temperature, top_p, min_p = 0.0, 1.0, 0.0
        max_tokens = self._max_tokens(spec)
        return Sampling(
            max_tokens=max_tokens,
            min_tokens=self._min_tokens(max_tokens),
            temperature=temperature,
            top_p=top_p,
            top_k=max(0, _given(self.top_k, defaults.top_k)),
            min_p=min_p,
            stop=self._stops(),
            stop_token_ids=sorted({*(self.stop_token_ids or [])}),
            ignore_eos=bool(self.ignore_eos),
            seed=None if self.seed is None else self.seed % SEEDS,
            presence_penalty=_given(self.presence_penalty, defaults.presence_penalty),
            frequency_penalty=_given(self.frequency_penalty, defaults.frequency_penalty),
            repetition_penalty=_given(self.repetition, defaults.repetition_penalty),
        )

    def _stops(self) -> list[str]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]

    def _max_tokens(self, spec: Spec) -> int:
        """The first limit that is one, at most the model's."""
        limits = (self.max_completion_tokens, self.max_tokens, self.n_predict)
        wanted = next((limit for limit in limits if limit is not None), -1)
        usual = self.USUAL_TOKENS or spec.defaults.max_tokens
        return min(wanted if wanted > 0 else usual, spec.max_new_tokens)

    def _min_tokens(self, max_tokens: int) -> int:
        wanted = self.min_tokens or 0
        if wanted > max_tokens:
            raise InvalidRequest(
                f"`min_tokens` must be at most the answer's limit, {max_tokens} tokens here",
                param="min_tokens",
            )
        return wanted


class ChatRequest(Writing):
    REFUSED = refused_keys(KEYS)

    model: Name
    messages: Turns
    tools: Tools | None = None
    tool_choice: Choice | None = None

    def to_input(self, spec: Spec, remote: list[Remote]) -> ChatInput:
        """The job for ``spec``; adds to ``remote`` the images that must be fetched first.

        Raises `InvalidRequest` where a message is not for this model.
        """
        messages = read_turns(self.messages, spec, remote)
        return ChatInput(messages=messages, sampling=self.sampling(spec))


def parse_chat(data: Mapping[str, Any]) -> ChatRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    asked = check(ChatRequest, data)
    check_tools(asked.tools or (), asked.tool_choice)
    check_penalties(asked)
    return asked


def check_penalties(asked: Writing) -> None:
    """Raise `InvalidRequest`, or `UnsupportedParameter`, where penalties are at odds."""
    both = asked.repetition_penalty is not None and asked.repeat_penalty is not None
    if both and asked.repetition_penalty != asked.repeat_penalty:
        raise InvalidRequest(
            "`repetition_penalty` and `repeat_penalty` are one thing; send either",
            param="repeat_penalty",
        )
    penalised = (asked.repetition or 1) != 1 or asked.presence_penalty or asked.frequency_penalty
    if penalised and asked.repeat_last_n not in (None, -1):
        raise UnsupportedParameter(
            "`repeat_last_n` is not supported: penalties see all tokens; leave it out or send -1",
            param="repeat_last_n",
        )


def _given(value: N | None, default: N) -> N:
    return default if value is None else value
