# /// script
# dependencies = ["guidance==0.3.1", "openai==3.57.0"]
# [tool.edge-serve]
# models = ["tools"]
# ///
"""guidance by its models for OpenAI and for SGLang: text, a schema, a regular expression.

It asks for log probabilities with the five likeliest tokens of each, which engine openvino has not.
Its grammars for vLLM and SGLang are in a form of llguidance's own, which is refused by name.
"""

from __future__ import annotations

import re
import sys

from guidance import assistant, gen, json, user
from guidance.models import OpenAI
from guidance.models.experimental import SglangModel
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


def main(url: str, name: str) -> None:
    model = OpenAI(name, echo=False, base_url=url, api_key="unused")
    with user():
        model += "Name a city."
    with assistant():
        said = model + gen("said", max_tokens=8)
        city = model + json("city", schema=City, max_tokens=100)
    assert said["said"], said
    City.model_validate_json(city["city"])

    other = SglangModel(name, echo=False, base_url=url, api_key="unused")
    with user():
        other += "How many legs has a cat?"
    with assistant():
        number = other + gen("number", regex="[1-9] legs", max_tokens=20)
    assert re.fullmatch("[1-9] legs", number["number"]), number


if __name__ == "__main__":
    main(*sys.argv[1:])
