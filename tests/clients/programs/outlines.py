# /// script
# dependencies = ["outlines[openai]==1.3.3"]
# ///
"""Outlines with an OpenAI-compatible server: text and a JSON schema."""

from __future__ import annotations

import json
import sys

import outlines
from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


def main(url: str, name: str) -> None:
    model = outlines.from_openai(OpenAI(base_url=url, api_key="unused"), name)
    found = model("Name a city.", City, max_tokens=200, temperature=0)
    City.model_validate_json(found)
    said = model("Say hello.", max_tokens=10)
    assert isinstance(said, str), said
    streamed = "".join(model.stream("Name a city.", City, max_tokens=200, temperature=0))
    assert set(json.loads(streamed)) == {"name", "people"}, streamed


if __name__ == "__main__":
    main(*sys.argv[1:])
