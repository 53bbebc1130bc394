"""A chat template comes with a model, so it is somebody else's program: it renders in a sandbox, as
transformers would have it rendered."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Spec
from tests.contract.checkpoints import tiny
from tests.contract.driver import Driver, chat
from worker.chat.template import Template
from worker.engines.torch_chat.engine import TorchChat

# Ways from a template's values to Python's classes, and from there to a shell.
ESCAPES = {
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__['__builtins__'] }}",
    "globals by name, which are not there": "{{ (raise_exception|attr('__glo' ~ 'bals__')) }}",
    "globals of a method": "{{ messages.append.__self__.__class__.__base__ }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "change what it is given": "{{ messages.append({'role': 'user', 'content': 'x'}) }}",
}


@pytest.mark.parametrize("template", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_template_gets_out_of_nothing(tmp_path: Path, template: str) -> None:
    folder = tiny.llama(tmp_path)
    (folder / "chat_template.jinja").write_text(template)
    engine = TorchChat()
    engine.load(
        Spec(name="tiny", task="chat", engine="torch", path=str(folder), threads=1), lambda _: None
    )
    driver, one = Driver(engine), chat("hello")
    driver.run(one)
    with pytest.raises(InvalidRequest, match=r"chat template refuses|messages are empty"):
        driver.result(one)
    engine.close()


CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Łódź <b>", "n": [1, 2.5, None]}},
}
CHATS: dict[str, list[dict[str, Any]]] = {
    "one turn": [{"role": "user", "content": "Hi <b>\n 漢字 "}],
    "system": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
    "turns": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYo"},
        {"role": "user", "content": "more"},
    ],
    "tools": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"t": 3}', "tool_call_id": "call12345", "name": "f"},
    ],
    "two users": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
}
# What published templates are made of: each takes something else of Jinja or of transformers.
TEMPLATES = {
    "SmolLM2": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
        "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "blocks on lines of their own": """\
{{ bos_token }}
{% for message in messages %}
    {% if message.role == 'user' %}
<|user|>
{{ message.content | trim }}<|end|>
    {% elif message.content %}
<|{{ message.role }}|>
{{ message.content }}{{ eos_token }}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|assistant|>
{% endif %}""",
    "macros, namespaces, slices": """\
{%- macro written(content) -%}{{ content.split('</think>')[-1].lstrip('\\n') }}{%- endmacro -%}
{%- set ns = namespace(last=-1) -%}
{%- for message in messages[::-1] -%}
{%- if message.role == 'user' and ns.last < 0 -%}{%- set ns.last = loop.revindex0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{%- set mark = ' last' if loop.index0 == ns.last else '' -%}
{{- '[' ~ loop.index0 ~ mark ~ '] ' ~ written(message.content) -}}
{%- endfor -%}""",
    "calls as JSON": """\
{%- for message in messages -%}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{{- '<tool_call>\n' + (call.function | tojson) -}}{{- (call | tojson(indent=2)) + '</tool_call>' -}}
{%- for name, value in call.function.arguments.items() -%}{{ name }}={{ value }};{%- endfor -%}
{%- endfor -%}
{%- elif message.role == 'tool' -%}<tool_response>{{ message.content }}</tool_response>
{%- else -%}{{ message.content }}{%- endif -%}
{%- endfor -%}""",
    "alternating roles": """\
{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}\
{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}
{%- for message in messages -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
{%- endif -%}
{%- set content = (system if loop.index0 == 0 else '') + message['content'] -%}
{{- bos_token + '[INST] ' + content + ' [/INST]' -}}
{%- endfor -%}""",
    "generation tags, loop controls, tests": """\
{%- for message in messages -%}
{%- if message is not mapping or message.content is not string -%}{%- continue -%}{%- endif -%}
{%- if message.role == 'assistant' -%}{% generation %}{{ message.content }}{% endgeneration %}
{%- else -%}{{ message.content | upper }}{%- endif -%}
{%- if tools is not none or documents is defined and documents -%}tools{%- endif -%}
{%- if custom_option is defined -%}option{%- endif -%}
{%- endfor -%}{{ dict(a=1) | tojson }}{{ [3, 1] | sort | join(',') }}""",
}
NAMED: dict[str, Any] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}


# A template that leaves calls out gets them as text, which transformers does not do.
PAIRS = [
    pytest.param(TEMPLATES[template], chat, id=f"{template}, {name}")
    for template in TEMPLATES
    for name, chat in CHATS.items()
    if name != "tools" or template == "calls as JSON"
]


@pytest.mark.parametrize(("template", "chat"), PAIRS)
def test_a_template_writes_what_transformers_has_it_write(
    template: str, chat: list[dict[str, Any]]
) -> None:
    try:
        given = copy.deepcopy(chat)
        found = render_jinja_template(
            [given], chat_template=template, add_generation_prompt=True, **NAMED
        )
    except jinja2.TemplateError as error:
        if "alternate" in str(error):  # asked once more, with what the user said in one turn
            assert Template(template, NAMED).render(copy.deepcopy(chat)).count("a\nb") == 1
            return
        with pytest.raises(InvalidRequest, match=re.escape(str(error))):
            Template(template, NAMED).render(copy.deepcopy(chat))
    else:
        assert Template(template, NAMED).render(copy.deepcopy(chat)) == found[0][0]
