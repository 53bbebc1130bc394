"""How well and how fast a running server's model calls tools and keeps to schemas.

    python -m tests.bench.calls --model NAME [--url http://127.0.0.1:8000] [--json FILE]

Fifty prompts that want one of ten tools, under ``auto`` and ``required``; fifty that want an object
of one of ten schemas. A call is valid if its tool was offered and its arguments keep to the tool's
schema; it is right if the tool is the one that the prompt is about. Then, in turns, the time
between tokens of an answer that keeps to a schema and of one to the same prompt that need not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import jsonschema

TIMEOUT_S = 300.0
MAX_TOKENS = 256
ROUNDS = 8


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
UNIT: dict[str, Any] = {"enum": ["celsius", "fahrenheit"]}
STATE: dict[str, Any] = {"enum": ["on", "off"]}

# A tool: what it is for, its arguments, and prompts that want it.
TOOLS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "get_weather": (
        "The weather of a city now",
        _object(["city"], city=TEXT, unit=UNIT),
        [f"What is the weather in {city} now?" for city in
         ("Paris", "Oslo", "Lima", "Cairo", "Köln")],
    ),
    "set_light": (
        "Switch the light of a room",
        _object(["room", "state"], room=TEXT, state=STATE),
        [f"Please switch the light in the {room} off." for room in
         ("kitchen", "hall", "bedroom", "cellar", "garage")],
    ),
    "add": (
        "Add two whole numbers",
        _object(["a", "b"], a=WHOLE, b=WHOLE),
        [f"Use the tool to add {a} and {b}." for a, b in
         ((12, 30), (7, 5), (123, 456), (1000, 1), (99, 99))],
    ),
    "send_mail": (
        "Send an e-mail",
        _object(["to", "subject", "body"], to=TEXT, subject=TEXT, body=TEXT),
        [f"Send {name}@example.org a mail that says the meeting is at {hour}." for name, hour in
         (("anna", 9), ("bo", 10), ("carl", 11), ("dora", 14), ("emil", 15))],
    ),
    "search_files": (
        "Find files by their names",
        _object(["pattern"], pattern=TEXT, limit=WHOLE),
        [f"Find all {kind} files." for kind in ("*.py", "*.txt", "*.md", "*.csv", "*.log")],
    ),
    "convert_money": (
        "Convert an amount of one currency to another",
        _object(["amount", "source", "target"], amount=NUMBER, source=TEXT, target=TEXT),
        [f"How much is {amount} {source} in {target}?" for amount, source, target in
         ((10, "EUR", "USD"), (99.5, "USD", "GBP"), (7, "CHF", "EUR"), (1000, "JPY", "EUR"),
          (3, "GBP", "NOK"))],
    ),
    "set_timer": (
        "Start a timer",
        _object(["minutes"], minutes=WHOLE, label=TEXT),
        [f"Set a timer for {minutes} minutes." for minutes in (3, 5, 10, 25, 90)],
    ),
    "play_music": (
        "Play music of an artist",
        _object(["artist"], artist=TEXT, shuffle={"type": "boolean"}),
        [f"Play something by {artist}." for artist in
         ("Bach", "ABBA", "Miles Davis", "Björk", "Queen")],
    ),
    "create_event": (
        "Put an event into the calendar",
        _object(["title", "day"], title=TEXT, day=TEXT, guests={"type": "array", "items": TEXT}),
        [f"Put a {title} into my calendar for {day}." for title, day in
         (("dentist visit", "Monday"), ("lunch with Eva", "Friday"), ("team meeting", "Tuesday"),
          ("swim", "Sunday"), ("call with Bob", "Thursday"))],
    ),
    "translate": (
        "Translate a text",
        _object(["text", "language"], text=TEXT, language=TEXT),
        [f"Translate 'good morning' into {language}." for language in
         ("French", "German", "Spanish", "Swedish", "Japanese")],
    ),
}  # fmt: skip

PERSON = _object(["name", "age"], name=TEXT, age={"type": "integer", "minimum": 0, "maximum": 150})
SCHEMAS: list[tuple[dict[str, Any], list[str]]] = [
    (PERSON, [f"Invent a person called {name}." for name in ("Ada", "Bo", "Cy", "Di", "Ed")]),
    (
        _object(["city", "country"], city=TEXT, country=TEXT, capital={"type": "boolean"}),
        [f"Describe {city}." for city in ("Rome", "Oslo", "Lyon", "Lima", "Tokyo")],
    ),
    (
        _object(["label"], label={"enum": ["positive", "negative", "neutral"]}),
        [f"How does this sound: {text}" for text in
         ("I love it!", "It broke.", "It is a box.", "Never again.", "Best day ever.")],
    ),
    (
        _object(["items"], items={"type": "array", "items": TEXT, "minItems": 2, "maxItems": 4}),
        [f"Name some {things}." for things in ("fruits", "rivers", "colours", "birds", "tools")],
    ),
    (
        _object(["question", "answer"], question=TEXT, answer=NUMBER),
        [f"Make a sum about {things}." for things in ("apples", "coins", "cats", "days", "metres")],
    ),
    (
        _object(["people"],
                people={"type": "array", "items": PERSON, "minItems": 1, "maxItems": 3}),
        [f"Invent two {kind}." for kind in ("sailors", "bakers", "twins", "spies", "poets")],
    ),
    (
        _object(["date"], date={"type": "string", "format": "date"}, note=TEXT),
        [f"When was {what}?" for what in
         ("the moon landing", "the fall of the Berlin wall", "the first email",
          "the end of the second world war", "the Titanic's sinking")],
    ),
    (
        _object(["title", "year", "director"], title=TEXT, year=WHOLE,
                director={"anyOf": [TEXT, {"type": "null"}]}),
        [f"Name a film about {what}." for what in ("space", "love", "war", "cooking", "chess")],
    ),
    (
        _object(["code"], code={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}),
        [f"Make up a code for {what}." for what in
         ("a shelf", "a bus", "a room", "a cow", "a key")],
    ),
    (
        _object(["left", "right", "operator"], left=NUMBER, right=NUMBER,
                operator={"enum": ["+", "-", "*", "/"]}),
        [f"Take this apart: {sum_}" for sum_ in ("1+2", "7*6", "9-4", "8/2", "3.5+1")],
    ),
]  # fmt: skip


@dataclass
class Shares:
    """Counts over all prompts of a kind."""

    asked: int = 0
    called: int = 0
    valid: int = 0
    right: int = 0


class Client:
    """A running server, and one of its models."""

    def __init__(self, url: str, model: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_S)
        self._model = model

    def chat(self, prompt: str, **keys: Any) -> dict[str, Any]:
        answer = self._http.post("/v1/chat/completions", json=self._body(prompt, **keys))
        answer.raise_for_status()
        choice: dict[str, Any] = answer.json()["choices"][0]
        return choice

    def gap_ms(self, prompt: str, **keys: Any) -> float:
        """The mean time between the tokens of a streamed answer."""
        body = self._body(prompt, **keys, stream=True, stream_options={"include_usage": True})
        first = last = tokens = 0.0
        with self._http.stream("POST", "/v1/chat/completions", json=body) as answer:
            for chunk in _chunks(answer.iter_lines()):
                if chunk.get("usage"):
                    tokens = chunk["usage"]["completion_tokens"]
                elif chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                    last = time.monotonic()
                    first = first or last
        return 1000 * (last - first) / max(1.0, tokens - 1)

    def _body(self, prompt: str, **keys: Any) -> dict[str, Any]:
        turns = [{"role": "user", "content": prompt}]
        fixed = {"model": self._model, "max_tokens": MAX_TOKENS, "temperature": 0}
        return {**fixed, "messages": turns, **keys}


def _chunks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        data = line.removeprefix("data: ")
        if data and data != "[DONE]" and line.startswith("data:"):
            yield json.loads(data)


def offered() -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {"name": name, "description": what, "parameters": parameters},
        }
        for name, (what, parameters, _) in TOOLS.items()
    ]


def call_tools(client: Client, choice: str) -> Shares:
    shares = Shares()
    for wanted, (_, _, prompts) in TOOLS.items():
        for prompt in prompts:
            shares.asked += 1
            answer = client.chat(prompt, tools=offered(), tool_choice=choice)
            calls = answer["message"].get("tool_calls") or []
            shares.called += bool(calls)
            shares.valid += bool(calls) and all(map(_is_valid_call, calls))
            shares.right += bool(calls) and calls[0]["function"]["name"] == wanted
    return shares


def _is_valid_call(call: dict[str, Any]) -> bool:
    function = call["function"]
    tool = TOOLS.get(function["name"])
    return tool is not None and _keeps(function["arguments"], tool[1])


def _keeps(text: str, schema: dict[str, Any]) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    wanted = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": wanted}


def keep_to_schemas(client: Client) -> Shares:
    shares = Shares()
    for schema, prompts in SCHEMAS:
        for prompt in prompts:
            shares.asked += 1
            answer = client.chat(prompt, response_format=_form(schema))
            shares.called += answer["finish_reason"] == "stop"
            shares.valid += _keeps(answer["message"]["content"], schema)
    shares.right = shares.valid
    return shares


def gaps(client: Client) -> tuple[float, float]:
    """Milliseconds between tokens with a schema and without, medians of turns."""
    bound, free = [], []
    schema, prompts = SCHEMAS[5]
    for at in range(ROUNDS):
        prompt = prompts[at % len(prompts)]
        bound.append(client.gap_ms(prompt, response_format=_form(schema)))
        free.append(client.gap_ms(prompt))
    return statistics.median(bound), statistics.median(free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    client = Client(options.url, options.model)
    found: dict[str, Any] = {}
    for name, shares in (
        ("auto", call_tools(client, "auto")),
        ("required", call_tools(client, "required")),
        ("schema", keep_to_schemas(client)),
    ):
        found[name] = asdict(shares)
        print(
            f"{name:<9} {shares.asked} asked, {shares.called} called or ended, "
            f"{shares.valid} valid, {shares.right} right"
        )
    bound_ms, free_ms = gaps(client)
    found["gap_ms"] = {"schema": bound_ms, "free": free_ms}
    print(
        f"between tokens: {bound_ms:.1f} ms with a schema, {free_ms:.1f} without; "
        f"so with it {free_ms / bound_ms:.2f} times as many tokens a second"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
