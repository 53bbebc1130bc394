# /// script
# dependencies = ["instructor==1.17.0"]
# ///
"""instructor: a model of pydantic by its default mode (a named tool), by a schema, streamed."""

from __future__ import annotations

import sys

import instructor
from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    people: int


ASKED = [{"role": "user", "content": "Name a city and how many people live there."}]


def main(url: str, name: str) -> None:
    client = OpenAI(base_url=url, api_key="unused")
    options = {"model": name, "temperature": 0, "max_tokens": 200, "max_retries": 0}
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS_STRICT):
        asked = instructor.from_openai(client, mode=mode)
        found = asked.create(response_model=City, messages=ASKED, **options)
        assert isinstance(found, City), (mode, found)
    *_, last = instructor.from_openai(client).create_partial(City, messages=ASKED, **options)
    assert last.name is not None, last


if __name__ == "__main__":
    main(*sys.argv[1:])
