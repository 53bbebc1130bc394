"""What is asked: written by the frontend, read by a worker.

Times named ``*_at`` are seconds of `time.monotonic`, one clock for every process of a machine.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ipc.messages.blob import Blob

# What a model is for. Each is the tag of its input and of its result; see `ipc.tasks`.
Task = Literal["chat", "embed", "rerank", "speech", "speak"]


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """``file`` is the image as it was sent; only the worker decodes it."""

    file: Blob


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that an assistant's turn made; ``arguments`` is the JSON text of an object, or
    what there was of it when the call was cut off."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True):
    """One turn of a chat. Only a turn with images is in parts; the texts of others are joined.

    ``tool_calls`` and ``reasoning``, what it thought before it answered, are an assistant's;
    ``tool_call_id`` says which of the calls a tool's turn answers. ``name`` is the participant's,
    or that of the tool.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Text | Image]
    tool_calls: list[ToolCall] = []
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """The turn for those who see no images."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def images(self) -> list[Image]:
        # A plain text would be looked through letter by letter.
        parts = [] if isinstance(self.content, str) else self.content
        return [part for part in parts if isinstance(part, Image)]


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How to pick tokens. ``temperature`` 0 is greedy; ``stop`` texts are left out.

    ``top_k`` 0, ``min_p`` 0 and ``repetition_penalty`` 1 ask for nothing. The last divides the
    logits of tokens that the prompt or the answer has, as CTRL does (arXiv 1909.05858). A token of
    ``stop_token_ids`` ends the answer as the model's own end tokens do, which ``ignore_eos``
    disregards; no end is taken before ``min_tokens``.

    ``n`` answers are drawn, the choices of one. ``logit_bias`` is added to the logits of its
    tokens. ``logprobs`` asks for the log probability of each token and of so many likely ones in
    its place; None asks for none.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: list[str] = []
    stop_token_ids: list[int] = []
    ignore_eos: bool = False
    min_tokens: int = 0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = {}
    logprobs: int | None = None
    n: int = 1


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that an answer may call. ``parameters`` is the JSON text of the schema of its
    arguments; None: it takes none. A ``strict`` one is called with nothing that breaks it."""

    name: str
    description: str | None = None
    parameters: str | None = None
    strict: bool = False


class Json(msgspec.Struct, frozen=True, kw_only=True, tag="json"):
    """A JSON value that ``schema``, a JSON text, admits. What of a schema that is not ``strict``
    cannot be kept is not."""

    schema: str
    strict: bool = True


class Regex(msgspec.Struct, frozen=True, kw_only=True, tag="regex"):
    """A text that matches ``pattern`` from its beginning to its end."""

    pattern: str


class Choice(msgspec.Struct, frozen=True, kw_only=True, tag="choice"):
    """One of ``texts``."""

    texts: list[str]


class Gbnf(msgspec.Struct, frozen=True, kw_only=True, tag="gbnf"):
    """A text of the rule ``root`` of a grammar as llama.cpp writes them."""

    text: str


# What the content of an answer must look like.
Form = Json | Regex | Choice | Gbnf


class Fill(msgspec.Struct, frozen=True, kw_only=True, tag="fill"):
    """A gap to be filled: what stands before it and after it, and other ``files``, by name."""

    prefix: str
    suffix: str
    files: list[tuple[str, str]] = []


class Tokens(msgspec.Struct, frozen=True, kw_only=True, tag="tokens"):
    """A prompt in the model's own tokens."""

    ids: list[int]


RawPrompt = Text | Tokens | Fill


class ChatInput(msgspec.Struct, frozen=True, kw_only=True, tag="chat"):
    """What a language model is to answer: ``messages`` by its template, or ``prompts`` as they are.

    Each of ``prompts`` has ``sampling.n`` choices of its own, one prompt's after the other's; with
    ``echo`` a choice begins with its prompt. ``tools`` are all that the answer may call. It must
    where ``must_call``, and makes one call at most without ``parallel_calls``. ``form`` binds its
    content, not its calls. ``template_args`` are keywords for the template. With
    ``continues_last`` the answer goes on with the last message. ``reasoning_tokens`` is how long it
    may think; without ``split_reasoning`` what it thinks is part of the content, as it is written.
    """

    messages: list[Message] = []
    prompts: list[RawPrompt] = []
    sampling: Sampling
    echo: bool = False
    tools: list[Tool] = []
    must_call: bool = False
    parallel_calls: bool = True
    form: Form | None = None
    template_args: dict[str, bool | int | float | str] = {}
    continues_last: bool = False
    reasoning_tokens: int | None = None
    split_reasoning: bool = True

    @property
    def choices(self) -> int:
        """How many answers there will be."""
        return self.sampling.n * max(1, len(self.prompts))


class Truncation(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a text that is too long: ``cut`` (None: what the model's entry says), to
    ``tokens`` (None: as many as the model takes), special ones included; ``side`` is what goes."""

    cut: bool | None = None
    tokens: int | None = None
    side: Literal["left", "right"] = "right"


# What texts are embedded for, which some models want to be told.
Purpose = Literal["query", "document", "classification", "clustering"]


class EmbedInput(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """``texts``, or each as ``tokens``, of which the model's entry says whose they are. A text may
    be empty: its vector is that of no words.

    ``prompt_name`` is one of the checkpoint's prompts; ``purpose`` asks for the one that it has for
    such texts. With neither it is the one that the entry names, or the checkpoint.
    """

    texts: list[str] = []
    tokens: list[list[int]] = []
    prompt_name: str | None = None
    purpose: Purpose | None = None
    dimensions: int | None = None
    truncation: Truncation = Truncation()

    @property
    def count(self) -> int:
        """How many vectors there will be."""
        return len(self.texts) or len(self.tokens)


class RerankInput(msgspec.Struct, frozen=True, kw_only=True, tag="rerank"):
    """``document_tokens`` is how much of each document is read, None for all of it;
    ``activation`` is what the logits go through, None for the model's own."""

    query: str
    documents: list[str]
    document_tokens: int | None = None
    truncation: Truncation = Truncation()
    activation: Literal["Sigmoid", "Identity"] | None = None


class Vad(msgspec.Struct, frozen=True, kw_only=True):
    """How voices are told from silence: from which probability, after how long a silence a part
    ends, and how much around it is kept. None: as the engine does."""

    threshold: float | None = None
    silence_ms: int | None = None
    padding_ms: int | None = None


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """When somebody speaks and when he has ended: from which probability of a voice, after how long
    a silence, and how much sound before it belongs to it."""

    threshold: float = 0.5
    silence_ms: int = 500
    padding_ms: int = 300


# How the samples of live sound are written: 16 bits, little-endian, or the two laws of telephony.
Coding = Literal["pcm", "pcmu", "pcma"]


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """Speech that is heard while it is said. With ``turns`` the model says when one has ended, else
    whoever speaks does. A word is told once it ends ``guard_ms`` before what has come so far.
    ``unstable`` asks for words, too, that may change."""

    coding: Coding = "pcm"
    rate_hz: int = 24_000
    turns: TurnRules | None = TurnRules()
    guard_ms: int = 400
    unstable: bool = False


class SpeechInput(msgspec.Struct, frozen=True, kw_only=True, tag="speech"):
    """``audio`` is the uploaded file as it came; only the worker decodes it. Where it is
    ``streamed`` more follows as `More`: the other bytes of a file, of which ``audio`` is the
    beginning, or samples as ``live`` has them, with nothing in ``audio``. ``request_bytes`` is how
    long the request says to be that brings such a file, 0 where it does not. With ``vad`` what has
    no voice is left out, whatever the model's entry says. Without ``segment_times`` nobody looks at
    when a segment begins, and an engine may make fewer of them."""

    audio: Blob
    streamed: bool = False
    request_bytes: int = 0
    live: Live | None = None
    translate: bool = False
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    word_times: bool = False
    segment_times: bool = True
    vad: Vad | None = None


AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class SpeakInput(msgspec.Struct, frozen=True, kw_only=True, tag="speak"):
    """A ``text`` to be said aloud in ``voice`` (None: the model's first), at ``speed`` times its
    usual pace. ``format`` is that of the sound; ``pcm`` is 16 bits, little-endian, with no header.
    """

    text: str
    voice: str | None = None
    speed: float = 1.0
    format: AudioFormat = "mp3"


class TokenizeInput(msgspec.Struct, frozen=True, kw_only=True, tag="tokenize"):
    """What a chat model's tokenizer makes of ``texts``, or of a ``chat`` as its template has it; or
    what ``ids`` are as a text. No model runs.

    Each of ``texts`` comes behind what the tokenizer puts before a prompt where it ``begins`` one;
    with ``reads_control`` the names of control tokens in it are these tokens.
    """

    texts: list[str] = []
    chat: ChatInput | None = None
    ids: list[int] | None = None
    begins: bool = True
    reads_control: bool = False


Input = ChatInput | EmbedInput | RerankInput | SpeechInput | SpeakInput | TokenizeInput


class Job(msgspec.Struct, frozen=True, kw_only=True, tag="job"):
    """One request to one model. ``attempt`` counts how often it was handed to a worker.

    ``written`` are the tokens that workers before this one have written of each choice, and that
    its client has: it goes on behind them. A choice that is not there has not begun. Only a model
    whose engine `Loaded.goes_on` is asked to.
    """

    id: str
    model: str
    input: Input
    deadline_at: float
    attempt: int = 1
    written: dict[int, list[int]] = {}


# What of a job's input may be on its way, sent by the frontend and not yet used by the worker: 20 s
# of live sound. Neither holds more of it.
INPUT_CREDIT_BYTES = 1 << 20
# The largest piece.
MAX_MORE_BYTES = 64 << 10


class More(msgspec.Struct, frozen=True, kw_only=True, tag="more"):
    """A piece of the input of a job whose input is streamed, behind the job itself. ``number``
    counts them from 0 on without a gap; nothing follows the ``last``. ``said`` is what a client of
    live speech says behind ``data``: the turn has ended, it is to be forgotten, or how the rest is
    to be heard."""

    job: str
    number: int
    data: Blob = Blob(b"")
    last: bool = False
    said: Literal["commit", "clear"] | SpeechInput | None = None

    @property
    def cost_bytes(self) -> int:
        """What it takes of the credit: one without data is none the less something to hold."""
        return len(self.data) + 256


def is_streamed(asked: Input) -> bool:
    """Whether the input of such a job follows it in pieces."""
    return isinstance(asked, SpeechInput) and asked.streamed


def is_live(asked: Input) -> bool:
    """Whether that is sound which is heard while it is made."""
    return isinstance(asked, SpeechInput) and asked.live is not None


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """The client has gone or the deadline has passed: end this job at the next step."""

    job: str


FromFrontend = Job | More | Cancel
