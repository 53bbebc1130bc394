"""How often a chat model loops, under several sampling settings, and what that costs elsewhere.

    python tests/bench/loops.py [--url URL] [--model NAME] [--max-tokens N] [--show] SETTING...

asks a running server, with each SETTING, say ``temperature=0.2,repetition_penalty=1.1`` (``-`` for
the model's own defaults), fifty questions of every kind and a few tasks whose answer
repeats its question, where a penalty does harm. Prints a table:

    loops     answers in which 4 or more equal stretches of words follow each other
    squeezed  answers whose bytes zlib makes less than 1/2.4 of, Whisper's sign of a loop
    unended   answers that reached their limit
    distinct  share of distinct runs of four words
    copied    likeness of answers and what was to be copied, 1 being equal
"""

from __future__ import annotations

import argparse
import difflib
import statistics
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from openai import OpenAI

AT_ONCE = 8
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# A stretch counts from so many repeats on, of so many words in all: "very, very" is no loop.
REPEATS, LEAST_WORDS, LONGEST_STRETCH = 4, 8, 60
SQUEEZED = 2.4

QUESTIONS = """
What is the capital of France, and which river does it lie on?
Write a short story about a lighthouse keeper who finds a letter.
Explain photosynthesis to a child of eight.
List ten European capitals.
Give me a recipe for pancakes with quantities.
Write a haiku about a small computer.
What is the difference between a virus and a bacterium?
Write a Python function that returns the n-th Fibonacci number.
Plan a weekend in Rome for a family with two children.
Summarise the plot of Romeo and Juliet.
What are the advantages and disadvantages of electric cars?
Write a polite email that asks for a refund.
How do I remove a coffee stain from a white shirt?
Tell me a joke about programmers.
Name five books that everybody should read, and say why.
How does a refrigerator work?
Write a poem of three verses about the sea.
What happened in the year 1969?
Describe a sunset over the mountains.
How many planets are there, and what are their names?
Explain what an API is.
Write a product description for a wooden chair.
What should I look for when buying a used bicycle?
Give me three tips for better sleep.
Translate to French: The cat sleeps on the table.
Write a dialogue between a king and a farmer.
What is the meaning of the word serendipity?
How do I change a flat tyre?
Explain the rules of chess in a few sentences.
Write an SQL query that counts the customers of each country.
Who was Marie Curie?
Describe the water cycle.
Suggest names for a small bakery.
What is inflation, and why does it happen?
Write a cover letter for a job as a gardener.
Compare cats and dogs as pets.
How can I learn to play the guitar?
Write the beginning of a detective novel.
What is 17 times 23? Show your steps.
Describe the taste of an orange to somebody who never had one.
Give a short history of the printing press.
What are the symptoms of a cold?
Write a motivational speech for a football team.
How does the internet work?
Make a shopping list for a vegetarian dinner of four.
Explain the difference between weather and climate.
Write a letter from the moon to the earth.
What is machine learning?
Name all the months and say something about each.
Continue: Once upon a time, in a village at the edge of the forest,
""".strip().splitlines()

COPIES = [
    "apples\npears\nplums\ncherries\napples\ngrapes\npears\nfigs",
    "Monday: open\nTuesday: open\nWednesday: closed\nThursday: open\nFriday: open",
    "def area(width, height):\n    if width < 0:\n        return 0\n    if height < 0:\n"
    "        return 0\n    return width * height",
    '[{"name": "Ann", "age": 31}, {"name": "Bob", "age": 31}, {"name": "Cid", "age": 31}]',
    "The sea is blue. The sky is blue. The boat is white. The sail is white. The sea is wide.",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20",
]


class Answer(NamedTuple):
    text: str
    ended: bool


def loops(text: str) -> bool:
    """Whether equal stretches of words follow each other."""
    words = text.split()
    for length in range(1, min(LONGEST_STRETCH, len(words) // REPEATS) + 1):
        repeats = max(REPEATS, -(-LEAST_WORDS // length))
        span = length * repeats
        for start in range(len(words) - span + 1):
            stretch = words[start : start + length]
            if words[start : start + span] == stretch * repeats:
                return True
    return False


def squeezed(text: str) -> bool:
    data = text.encode()
    return len(data) > SQUEEZED * len(zlib.compress(data))


def distinct(text: str) -> float:
    words = text.split()
    runs = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    return len({*runs}) / len(runs) if runs else 1.0


def copied(text: str, wanted: str) -> float:
    """How much of ``wanted`` is in ``text`` in its order; what surrounds it costs nothing."""
    blocks = difflib.SequenceMatcher(None, wanted, text, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size > 2) / len(wanted)


class Asker:
    """Asks one model of one server, always with the same seeds."""

    def __init__(self, url: str, model: str, max_tokens: int) -> None:
        self._client = OpenAI(base_url=f"{url}/v1", api_key="none", timeout=900)
        self._model = model
        self._max_tokens = max_tokens

    def ask(self, questions: list[str], setting: dict[str, Any]) -> list[Answer]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            numbered = enumerate(questions)
            return list(pool.map(lambda one: self._ask(one[1], setting, one[0]), numbered))

    def _ask(self, question: str, setting: dict[str, Any], seed: int) -> Answer:
        answer = self._client.chat.completions.create(
            model=self._model,
            messages=[{"role": "user", "content": question}],
            max_tokens=self._max_tokens,
            seed=seed,
            extra_body=setting,
        )
        choice = answer.choices[0]
        return Answer(choice.message.content or "", choice.finish_reason == "stop")


def parse(text: str) -> dict[str, Any]:
    """``a=1,b=2`` as a dictionary of numbers."""
    pairs = [pair.split("=") for pair in text.split(",")] if text != "-" else []
    return {name: float(value) for name, value in pairs}


def row(asker: Asker, setting: str, *, show: bool) -> str:
    answers = asker.ask(QUESTIONS, parse(setting))
    tasks = [f"Repeat this exactly, and write nothing else:\n\n{wanted}" for wanted in COPIES]
    likeness = [
        copied(answer.text, wanted)
        for answer, wanted in zip(asker.ask(tasks, parse(setting)), COPIES, strict=True)
    ]
    texts = [answer.text for answer in answers]
    if show:
        print(*texts, sep="\n---\n")
    cells = [
        setting,
        sum(map(loops, texts)),
        sum(map(squeezed, texts)),
        sum(not answer.ended for answer in answers),
        f"{statistics.mean(map(distinct, texts)):.2f}",
        f"{statistics.mean(likeness):.2f}",
    ]
    return " | ".join(map(str, cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--show", action="store_true", help="print the answers too")
    parser.add_argument("settings", nargs="+")
    options = parser.parse_args()
    asker = Asker(options.url, options.model, options.max_tokens)
    print("setting | loops | squeezed | unended | distinct | copied", flush=True)
    for setting in options.settings:
        print(row(asker, setting, show=options.show), flush=True)


if __name__ == "__main__":
    main()
