"""How an answer is to be picked: the keys that chats and plain prompts have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from pydantic import ConfigDict, Field, StringConstraints, Tag

from frontend.api.fields import MAX_INT32, WHOLE, NoNul, OneOf, Schema, Token, text_or
from frontend.api.queued import Queued
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import Sampling
from ipc.messages.spec import Spec

MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_STOP_TOKENS = 256
# Each is a slot, and a place in the cache.
MAX_CHOICES = 8
MAX_BIASES = 1024
# Engines seed with an unsigned 64-bit number, clients send signed ones.
SEEDS = 1 << 63

N = TypeVar("N", int, float)

Stop = Annotated[str, StringConstraints(max_length=MAX_STOP_CHARS), NoNul]
Stops = Annotated[
    Annotated[Stop, Tag("<text>")]
    | Annotated[list[Stop], Field(max_length=MAX_STOPS), Tag("<texts>")],
    text_or("<texts>", list, "must be a string or an array of strings"),
]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(ge=0, le=1)]
TopK = Annotated[int, Field(ge=-1, le=MAX_INT32), WHOLE]
Penalty = Annotated[float, Field(ge=-2, le=2)]
# vLLM takes any above 0; beyond these bounds float32 logits are not told apart any more.
Repetition = Annotated[float, Field(ge=0.01, le=10)]
# -1 and 0 are how clients of llama.cpp's server and of Ollama say "no limit".
Limit = Annotated[int, Field(ge=-1), WHOLE]
Choices = Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE]

# Nine digits are all below the largest of 32 bits.
_TokenName = Annotated[str, StringConstraints(pattern="^(0|[1-9][0-9]{0,8})$")]
_BIASES = {dict: "<biases>", list: "<none>"}
# The array is llama.cpp's form; an empty one asks for nothing.
Biases = Annotated[
    Annotated[
        dict[_TokenName, Annotated[float, Field(ge=-100, le=100)]],
        Field(max_length=MAX_BIASES, json_schema_extra={"additionalProperties": False}),
        Tag("<biases>"),
    ]
    | Annotated[list[Any], Field(max_length=0), Tag("<none>")],
    OneOf(
        lambda given: _BIASES.get(type(given)),
        "must be an object of token ids and numbers of -100 to 100",
    ),
]


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
# What `SamplingRequest.check_sampling` refuses, but for two names of one thing that differ:
# programs that read a description multiply its rules, and give up at a dozen cases.
SAMPLING_RULES: list[Schema] = [_PENALTIES_SEE_ALL]


class StreamOptions(Body):
    include_usage: bool | None = None


class SamplingRequest(Queued):
    """What requests for a text share: how it is drawn, how long it may be, how it is sent.

    ``USUAL_TOKENS`` is the limit of an answer that names none; None: the model's own.
    """

    USUAL_TOKENS: ClassVar[int | None] = None

    model_config = ConfigDict(json_schema_extra={"allOf": [*SAMPLING_RULES]})

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    n_predict: Limit | None = None
    min_tokens: Annotated[int, Field(ge=0, le=MAX_INT32), WHOLE] | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
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
    logit_bias: Biases | None = None
    n: Choices | None = None
    n_cmpl: Choices | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def repetition(self) -> float | None:
        """The penalty by either of its names."""
        return self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty

    @property
    def limits(self) -> tuple[int | None, ...]:
        """What the client says of the answer's length, the first that it names being what counts;
        -1 and 0 are no limit."""
        return self.max_tokens, self.n_predict

    def check_sampling(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where keys are at odds."""
        for one, other in (("repetition_penalty", "repeat_penalty"), ("n", "n_cmpl")):
            values = getattr(self, one), getattr(self, other)
            if None not in values and values[0] != values[1]:
                raise InvalidRequest(
                    f"`{one}` and `{other}` are one thing; send either", param=other
                )
        penalised = (self.repetition or 1) != 1 or self.presence_penalty or self.frequency_penalty
        if penalised and self.repeat_last_n not in (None, -1):
            raise UnsupportedParameter(
                "`repeat_last_n` is not supported: penalties see all tokens; leave it out or send "
                "-1",
                param="repeat_last_n",
            )

    def to_sampling(self, spec: Spec, *, logprobs: int | None = None) -> Sampling:
        """For ``spec``, whose defaults hold for what the client leaves open; ``logprobs`` are as
        `Sampling` has them. Raises `InvalidRequest`."""
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
            logit_bias=self._biases(),
            logprobs=logprobs,
            n=self.n or self.n_cmpl or 1,
        )

    def _stops(self) -> list[str]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]

    def _biases(self) -> dict[int, float]:
        if not isinstance(self.logit_bias, dict):
            return {}
        return {int(token): bias for token, bias in self.logit_bias.items() if bias}

    def _max_tokens(self, spec: Spec) -> int:
        """The first limit that is one, at most the model's."""
        wanted = next((limit for limit in self.limits if limit is not None), -1)
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


def with_room_to_think(spec: Spec) -> Spec:
    """``spec``, of a model that reasons."""
    usual = spec.defaults.thinking_max_tokens
    defaults = msgspec.structs.replace(spec.defaults, max_tokens=usual)
    return msgspec.structs.replace(spec, defaults=defaults)


def _given(value: N | None, default: N) -> N:
    return default if value is None else value
