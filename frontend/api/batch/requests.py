"""What may be asked about files and batches, in OpenAI's words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from frontend.api.fields import COUNT_OF_TEXT, Metadata, NoNul, Schema
from frontend.api.known_keys import Row, done, refused, refused_keys
from frontend.api.validate import Body
from frontend.batches.endpoints import Endpoint

MAX_LISTED_BATCHES, MAX_LISTED_FILES = 100, 10_000
MAX_NAME_CHARS = 255

FILE_KEYS: tuple[Row, ...] = (
    done("file purpose", "required; `purpose` is `batch`, nothing else is done with files here"),
    refused("expires_after", "files stay until they are deleted"),
)
BATCH_KEYS: tuple[Row, ...] = (
    done("input_file_id endpoint completion_window", "required; the window is `24h`"),
    done("metadata", "as OpenAI has it"),
    refused("output_expires_after", "files stay until they are deleted"),
)


def _with_file(schema: Schema) -> None:
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = [*schema["required"], "file"]


Id = Annotated[str, StringConstraints(min_length=1, max_length=64), NoNul]


# Not described: what asks for nothing, null, cannot be said in a form.
FILE_REFUSED = refused_keys(FILE_KEYS)


class FileRequest(Body):
    """The fields beside the file."""

    model_config = ConfigDict(json_schema_extra=_with_file)

    purpose: Literal["batch"]


class BatchRequest(Body):
    REFUSED = refused_keys(BATCH_KEYS)
    EXAMPLE = {
        "input_file_id": "file-0123456789abcdef01234567",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }

    input_file_id: Id
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None


class FilesQuery(Body):
    after: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED_FILES), COUNT_OF_TEXT] = MAX_LISTED_FILES
    order: Literal["asc", "desc"] = "desc"
    purpose: Annotated[str, NoNul] | None = None


class BatchesQuery(Body):
    after: Id | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED_BATCHES), COUNT_OF_TEXT] = 20
