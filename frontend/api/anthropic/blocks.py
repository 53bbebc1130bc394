"""Blocks of content, of which messages are made.

Those that Anthropic's own servers write (searches, code that ran there, summaries) are of no use to
another model, and are left out wherever they stand in a history.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from frontend.api.fields import NEEDS, Text, by_key, only, text_or
from frontend.api.openai.messages_request import MAX_PARTS
from frontend.api.openai.tools_request import FunctionName, Id
from frontend.api.validate import Body
from ipc.tasks import VISION

_IsRead = only("text", "must be text or image: documents and search results are not read")
_IsSent = only("base64", "must be base64 or url: no files are kept here")


class TextBlock(Body):
    type: Literal["text"]
    text: Text


class Base64Source(Body):
    """Its `media_type` does not matter: what an image is, it says itself."""

    type: Literal["base64"]
    data: str


class UrlSource(Body):
    type: Literal["url"]
    url: str


class FileSource(Body):
    """It is understood, and refused."""

    type: Annotated[Literal["base64"], _IsSent]


Source = Annotated[
    Annotated[Base64Source, Tag("<base64>")]
    | Annotated[UrlSource, Tag("<url>")]
    | Annotated[SkipJsonSchema[FileSource], Tag("<file>")],
    by_key("type", {"base64": "<base64>", "url": "<url>", "file": "<file>"}),
]


class ImageBlock(Body):
    model_config = ConfigDict(json_schema_extra={NEEDS: VISION})

    type: Literal["image"]
    source: Source


class ToolUseBlock(Body):
    type: Literal["tool_use"]
    id: Id
    name: FunctionName
    input: dict[str, Any]


class ThinkingBlock(Body):
    """Its `signature` is that of the server which wrote it."""

    type: Literal["thinking"]
    thinking: Text


_UNREAD = ("document", "search_result", "container_upload")
_ServersType = Literal[
    "redacted_thinking",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "advisor_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "mcp_tool_listing",
    "compaction",
    "fallback",
]


class UnreadBlock(Body):
    """It is understood, and refused."""

    type: Annotated[Literal["text"], _IsRead]


class ServersBlock(Body):
    type: _ServersType


class ToolReferenceBlock(Body):
    """A tool that a search has found. All tools are shown to the model anyway."""

    type: Literal["tool_reference"]
    tool_name: Text


_TEXT = {"text": "<text>"}
_SEEN = {"image": "<image>", **dict.fromkeys(_UNREAD, "<unread>")}
_OF_SERVERS = dict.fromkeys(get_args(_ServersType), "<servers>")

_Text = Annotated[TextBlock, Tag("<text>")]
_Image = Annotated[ImageBlock, Tag("<image>")]
_Servers = Annotated[ServersBlock, Tag("<servers>")]
_Unread = Annotated[SkipJsonSchema[UnreadBlock], Tag("<unread>")]

_NOT_BLOCKS = "must be a string or an array of blocks"
_TEXT_OR_BLOCKS = text_or("<blocks>", list, _NOT_BLOCKS)
_WHOLE = Annotated[Text, Tag("<text>")]
_AT_MOST = Field(max_length=MAX_PARTS)

_ResultBlock = Annotated[
    _Text | _Image | Annotated[ToolReferenceBlock, Tag("<reference>")] | _Unread,
    by_key("type", {**_TEXT, **_SEEN, "tool_reference": "<reference>"}),
]
_ResultContent = Annotated[
    _WHOLE | Annotated[list[_ResultBlock], _AT_MOST, Tag("<blocks>")], _TEXT_OR_BLOCKS
]


class ToolResultBlock(Body):
    type: Literal["tool_result"]
    tool_use_id: Id
    content: _ResultContent | None = None
    is_error: bool | None = None


_SystemBlock = Annotated[_Text, by_key("type", _TEXT)]
_UserBlock = Annotated[
    _Text | _Image | Annotated[ToolResultBlock, Tag("<result>")] | _Servers | _Unread,
    by_key("type", {**_TEXT, **_SEEN, "tool_result": "<result>", **_OF_SERVERS}),
]
_AssistantBlock = Annotated[
    _Text
    | Annotated[ThinkingBlock, Tag("<thinking>")]
    | Annotated[ToolUseBlock, Tag("<call>")]
    | _Servers,
    by_key("type", {**_TEXT, "thinking": "<thinking>", "tool_use": "<call>", **_OF_SERVERS}),
]
SystemContent = Annotated[
    _WHOLE | Annotated[list[_SystemBlock], _AT_MOST, Tag("<blocks>")], _TEXT_OR_BLOCKS
]
UserContent = Annotated[
    _WHOLE | Annotated[list[_UserBlock], _AT_MOST, Tag("<blocks>")], _TEXT_OR_BLOCKS
]
AssistantContent = Annotated[
    _WHOLE | Annotated[list[_AssistantBlock], _AT_MOST, Tag("<blocks>")], _TEXT_OR_BLOCKS
]
Block = (
    TextBlock
    | ImageBlock
    | ToolResultBlock
    | ToolReferenceBlock
    | ThinkingBlock
    | ToolUseBlock
    | ServersBlock
    | UnreadBlock
)
