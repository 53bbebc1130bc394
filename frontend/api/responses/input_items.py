"""The items of a request: what was said, called, answered and thought before.

They are told apart by their ``type``, messages by their ``role`` too. Keys beside these, such as an
item's own ``id`` and ``status``, change nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from frontend.api.fields import NEEDS, OneOf, Text, by_key, text_or
from frontend.api.openai.messages_request import MAX_PARTS, RefusalPart
from frontend.api.openai.tools_request import Arguments, FunctionName, Id
from frontend.api.validate import Body
from ipc.tasks import VISION

# An agent's turn takes four: what it thought, what it said, a call and its output.
MAX_ITEMS = 8192

# What only tools leave that are not served here: it says nothing to a model without them.
SkippedType = Literal[
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "computer_call",
    "computer_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "mcp_approval_response",
    "tool_search_call",
    "tool_search_output",
]


# --- parts ---------------------------------------------------------------------------------------


class TextPart(Body):
    type: Literal["input_text", "output_text", "text"]
    text: Text


class ImagePart(Body):
    model_config = ConfigDict(json_schema_extra={NEEDS: VISION})

    type: Literal["input_image"]
    image_url: str


class UnreadPart(Body):
    """The chat core refuses it by its name."""

    type: Literal["input_file", "input_audio"]


_PARTS = by_key(
    "type",
    {
        "input_text": "<text>",
        "output_text": "<text>",
        "text": "<text>",
        "refusal": "<refusal>",
        "input_image": "<image>",
        "input_file": "<unread>",
        "input_audio": "<unread>",
    },
)
_Written = Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")]
_Unread = Annotated[SkipJsonSchema[UnreadPart], Tag("<unread>")]
_SeenPart = Annotated[_Written | Annotated[ImagePart, Tag("<image>")] | _Unread, _PARTS]
# Images elsewhere than in the user's messages are told apart only to be refused by name.
_ReadPart = Annotated[
    _Written | Annotated[SkipJsonSchema[ImagePart], Tag("<image>")] | _Unread, _PARTS
]
Part = TextPart | RefusalPart | ImagePart | UnreadPart
_AT_MOST = Field(max_length=MAX_PARTS)
_WHOLE = Annotated[Text, Tag("<text>")]
_TEXT_OR_PARTS = text_or("<parts>", list, "must be a string or an array of parts")
_Seen = Annotated[_WHOLE | Annotated[list[_SeenPart], _AT_MOST, Tag("<parts>")], _TEXT_OR_PARTS]
_Read = Annotated[_WHOLE | Annotated[list[_ReadPart], _AT_MOST, Tag("<parts>")], _TEXT_OR_PARTS]
Content = str | list[Part]


# --- items ---------------------------------------------------------------------------------------


class _MessageItem(Body):
    type: Literal["message"] | None = None


class UserItem(_MessageItem):
    role: Literal["user"]
    content: _Seen


class InstructionItem(_MessageItem):
    role: Literal["developer", "system"]
    content: _Read


class AssistantItem(_MessageItem):
    role: Literal["assistant"]
    content: _Read


_Message = Annotated[
    Annotated[UserItem, Tag("<user>")]
    | Annotated[InstructionItem, Tag("<instruction>")]
    | Annotated[AssistantItem, Tag("<assistant>")],
    by_key(
        "role",
        {
            "user": "<user>",
            "developer": "<instruction>",
            "system": "<instruction>",
            "assistant": "<assistant>",
        },
    ),
]


class CallItem(Body):
    type: Literal["function_call"]
    call_id: Id
    name: FunctionName
    arguments: Arguments


class CustomCallItem(Body):
    type: Literal["custom_tool_call"]
    call_id: Id
    name: FunctionName
    input: Text


class OutputItem(Body):
    """What came of a call."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: Id
    output: _Read


class _Thought(Body):
    type: Literal["reasoning_text", "summary_text", "text"]
    text: Text


class ReasoningItem(Body):
    """``content`` is what was thought; ``summary`` stands for it where there is no other. What was
    encrypted elsewhere cannot be read."""

    type: Literal["reasoning"]
    content: Annotated[list[_Thought], _AT_MOST] | None = None
    summary: Annotated[list[_Thought], _AT_MOST] | None = None

    @property
    def text(self) -> str:
        return "\n".join(thought.text for thought in self.content or self.summary or ())


class SkippedItem(Body):
    type: SkippedType


def _no_reference(_: object) -> None:
    why = "is not supported; send the item itself, or `previous_response_id`"
    raise PydanticCustomError("unsupported", "{why}", {"why": why})


class ReferenceItem(Body):
    """It is understood, and refused."""

    type: Annotated[Literal["item_reference"], BeforeValidator(_no_reference)]


_ITEMS = {
    "message": "<message>",
    "function_call": "<call>",
    "function_call_output": "<output>",
    "custom_tool_call": "<custom>",
    "custom_tool_call_output": "<output>",
    "reasoning": "<reasoning>",
}
_OTHERS = {**dict.fromkeys(get_args(SkippedType), "<skipped>"), "item_reference": "<reference>"}


def _item_kind(given: object) -> str | None:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind is None:
        return "<message>"
    return (_ITEMS | _OTHERS).get(kind) if isinstance(kind, str) else None


Item = Annotated[
    Annotated[_Message, Tag("<message>")]
    | Annotated[CallItem, Tag("<call>")]
    | Annotated[OutputItem, Tag("<output>")]
    | Annotated[CustomCallItem, Tag("<custom>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")]
    | Annotated[SkippedItem, Tag("<skipped>")]
    | Annotated[SkipJsonSchema[ReferenceItem], Tag("<reference>")],
    OneOf(_item_kind, f"must be one of {', '.join(_ITEMS)}", "type"),
]
Items = Annotated[list[Item], Field(max_length=MAX_ITEMS)]
Input = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Items, Tag("<items>")],
    text_or("<items>", list, "must be a string or an array of items"),
]
