"""What the engines' libraries make of our rules: a text outside of them is impossible.

The libraries are asked directly, so that nothing but the grammar says what may be written.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jsonschema
import openvino_genai as genai
import pytest
import xllamacpp

from ipc.grammar.forms import rules_of
from ipc.grammar.gbnf import to_ebnf, to_gbnf
from ipc.grammar.rules import ROOT, Characters, Concatenation, Rules, Terminal
from ipc.messages.jobs import Choice, Form, Gbnf, Json, Regex
from ipc.messages.spec import Spec
from tests.contract.subjects import SMOLLM2, real_model
from tests.unit.ipc.grammar.recogniser import admits
from tests.unit.worker.chat.spoken import asked, dialect, tool
from worker.chat.grammar import grammar_of
from worker.engines.openvino_chat.load import chat_folder

# Nothing in it suggests JSON.
PROMPT = "The old captain looked at the sea and said: "
MAX_TOKENS = 120
MAX_COMPILE_S = 5.0  # of processors; it takes a quarter


class Answer(NamedTuple):
    text: str
    is_whole: bool
    first_s: float  # of processors until the first token, in which a grammar is compiled


class Library(Protocol):
    def write(self, rules: Rules) -> Answer: ...


class OpenVino:
    def __init__(self, folder: Path) -> None:
        scheduling = genai.SchedulerConfig()
        scheduling.num_kv_blocks = 40
        self._pipeline = genai.ContinuousBatchingPipeline(
            str(folder), genai.Tokenizer(str(folder)), scheduling, "CPU", INFERENCE_NUM_THREADS=1
        )

    def write(self, rules: Rules) -> Answer:
        asked = genai.GenerationConfig()
        asked.max_new_tokens = MAX_TOKENS
        asked.structured_output_config = genai.StructuredOutputConfig(grammar=to_ebnf(rules))
        handle = self._pipeline.add_request(0, PROMPT, asked)
        began_at = time.process_time()
        self._pipeline.step()
        first_s = time.process_time() - began_at
        while handle.get_status() == genai.GenerationStatus.RUNNING:
            self._pipeline.step()
        [output] = handle.read_all()
        text = self._pipeline.get_tokenizer().decode(output.generated_ids)
        return Answer(text, output.finish_reason == genai.GenerationFinishReason.STOP, first_s)


class Llama:
    def __init__(self, path: Path, folder: Path) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_gpu_layers = 0
        parameters.n_parallel = 1
        parameters.n_ctx = 512
        parameters.warmup = parameters.fit_params = parameters.endpoint_slots = False
        parameters.verbosity = -1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.hostnames = [f"{folder}/unused.sock"]
        self._server = xllamacpp.Server(parameters)

    def write(self, rules: Rules) -> Answer:
        asked = {
            "prompt": PROMPT,
            "grammar": to_gbnf(rules),
            "n_predict": MAX_TOKENS,
            "temperature": 0,
            "stream": True,
        }
        pieces: list[Any] = []
        began_at = time.process_time()
        times: list[float] = []

        def on_piece(piece: bytes) -> bool:
            times.append(time.process_time() - began_at)
            lines = [line.removeprefix("data: ") for line in piece.decode().split("\n")]
            pieces.extend(json.loads(line) for line in lines if line.startswith("{"))
            return False

        self._server.handle_completions(json.dumps(asked).encode(), on_piece)
        choices = [choice for piece in pieces for choice in piece["choices"]]
        ends = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        text = "".join(choice["text"] for choice in choices)
        return Answer(text, ends == ["stop"], times[0])


@pytest.fixture(scope="module", params=["openvino", "llama.cpp"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")
    if request.param == "llama.cpp":
        return Llama(path, tmp_path_factory.mktemp("llama"))
    cache = str(tmp_path_factory.mktemp("cache"))
    spec = Spec(name="smollm2", task="chat", engine="openvino", path=str(path), cache=cache)
    return OpenVino(chat_folder(spec, lambda _: None))


# What some library reads as more than itself.
ODD = "\"\\]^-/'[\x01\n\t\x7fé\u2028\ud7ff\ue000\uffff😀#|.*+?$(){}%&~@ ;:,<>=!_`aZ09"


def test_every_character_is_itself(library: Library) -> None:
    said = library.write(Rules(((ROOT, Terminal(ODD)),)))
    assert (said.text, said.is_whole) == (ODD, True)


def test_every_class_is_its_characters(library: Library) -> None:
    ones = tuple(Characters(((ord(one), ord(one)),)) for one in ODD)
    others = Characters(tuple((ord(one), ord(one)) for one in ODD), negated=True)
    said = library.write(Rules(((ROOT, Concatenation((*ones, others, others, others))),)))
    assert said.text.startswith(ODD)
    assert not {*said.text[len(ODD) :]} & {*ODD}


def of(schema: Any) -> Json:
    return Json(schema=json.dumps(schema))


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "email": {"type": ["string", "null"], "format": "email"},
        "tags": {"type": "array", "items": {"enum": ["a", "b\n", 'c"']}, "maxItems": 3},
    },
    "required": ["name", "age", "email", "tags"],
    "additionalProperties": False,
}
NODE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "maximum": 9},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["n", "next"],
            "additionalProperties": False,
        }
    },
}
SHAPE = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}, "size": {"type": "number", "minimum": 0.5}},
            "required": ["kind", "size"],
        }
        for kind in ("circle", "square")
    ]
}
WIDE = {
    "type": "object",
    "properties": {f"property_{n}": {"type": "string", "maxLength": 3} for n in range(200)},
}
SCHEMAS: dict[str, Any] = {
    "person": PERSON,
    "node": NODE,
    "shape": SHAPE,
    "wide": WIDE,
    "date": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "pattern": {"type": "string", "pattern": '^[A-Z]{2,3}-[^a-z"]{1,100}$'},
    "long": {"type": "string", "minLength": 5, "maxLength": 300},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]},
    "numbers": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
    "any": {"type": "object"},
    "others": {"properties": {"a": {"const": 1}}, "additionalProperties": {"type": "integer"}},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_is_kept(library: Library, schema: Any) -> None:
    said = library.write(rules_of(of(schema)))
    if said.is_whole:
        jsonschema.validate(json.loads(said.text), schema)
    assert said.text
    assert "\n\n" not in said.text
    assert said.first_s < MAX_COMPILE_S


FORMS: list[Form] = [
    Regex(pattern=r"(yes|no), [0-9]{2}\."),
    Choice(texts=["aye", 'n"ay', "перо"]),
    Gbnf(text='root ::= item ("," item)*\nitem ::= [0-9]{1,3} | "x"'),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_kept(library: Library, form: Form) -> None:
    rules = rules_of(form)
    said = library.write(rules)
    assert not said.is_whole or admits(rules, said.text)
    assert said.text


def test_calls_with_and_without_their_markers_are_kept(library: Library) -> None:
    asked_for = asked([tool("clock", strict=True), tool("trip", strict=True, city="string")])
    rules = grammar_of(asked_for, dialect("hermes"), "")
    assert isinstance(rules, Rules)
    said = library.write(rules)
    assert not said.is_whole or admits(rules, said.text)
    assert said.text
    assert said.first_s < MAX_COMPILE_S
