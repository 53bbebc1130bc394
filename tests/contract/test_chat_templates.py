"""A chat template comes with a model, so it is somebody else's program: it renders in a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from driver import Driver, chat

from ipc.errors import InvalidRequest
from ipc.types import Spec
from worker.engines.torch_chat import TorchChat

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
