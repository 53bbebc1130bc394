"""What model a repository holds, and in which forms: by its files and its config.json. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from ipc.messages.jobs import Task
from supervisor.discovery import gguf_forms, onnx_forms
from supervisor.discovery.gguf_forms import GgufForm
from supervisor.discovery.repository import Repository
from supervisor.models import hub
from supervisor.models.archive import FetchError

Format = Literal["gguf", "safetensors", "openvino", "ctranslate2", "onnx", "pickle"]

# Pickles that nothing here rewrites, and formats that no engine here reads.
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
_OTHERS = {".onnx": "ONNX", ".h5": "Keras", ".msgpack": "Flax", ".tflite": "TFLite"}
_CTRANSLATE2 = ["model.bin", "*.json", "*.txt"]
_OPENVINO = ["openvino_*", "*.json", "*.txt", "*.jinja"]
# One file beside the parts of the same weights, as Mistral publishes them.
_WITHOUT_CONSOLIDATED = ["model*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


class Form(NamedTuple):
    """One way to have the model: which files, and the one to load where it is one file.
    ``include`` is None for what the store fetches by itself."""

    name: str
    format: Format
    files: tuple[str, ...]
    include: tuple[str, ...] | None = None
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A model that an engine here serves. Of its ``forms`` the best is first."""

    task: Task
    forms: list[Form]
    vision: bool = False
    remarks: list[str] = field(default_factory=list)


_Reader = Callable[[Repository, str], Recognised | None]


def recognise(found: Repository, wanted: str = "", *, on_cpu: bool = True) -> Recognised:
    """What ``found`` is; of its forms only that which is ``wanted``, if one is. A language model
    that it has both as GGUF and as a checkpoint is taken as GGUF where that runs ``on_cpu``, which
    is smaller and quicker there. Raises `FetchError` with what is missing and what to take."""
    onnx = partial(_onnx, on_cpu=on_cpu)
    readers: list[_Reader] = [_openvino, _ctranslate2, onnx, _checkpoint]
    readers.insert(0 if on_cpu or wanted else len(readers), _gguf)
    for reader in readers:
        if (model := reader(found, wanted)) is not None:
            return model
    raise FetchError(f"hf:{found.repo} {_nothing(found)}")


# --- GGUF -----------------------------------------------------------------------------------------


def _gguf(found: Repository, wanted: str) -> Recognised | None:
    if not any(gguf_forms.is_model(one) for one in found.files):
        return None
    if found.architecture and not wanted and not _is_language_model(found):
        return None
    sees = gguf_forms.projector(found.files)
    forms = [_gguf_form(one, sees) for one in _chosen(found, wanted)]
    return Recognised(task="chat", forms=forms, vision=sees is not None)


def _gguf_form(one: GgufForm, projector: str | None) -> Form:
    files = (one.file,) if projector is None or "/" in one.file else (one.file, projector)
    return Form(one.name, "gguf", files, include=files, path=one.file)


def _chosen(found: Repository, wanted: str) -> list[GgufForm]:
    forms = gguf_forms.forms(found.files)
    names = ", ".join(dict.fromkeys(one.name for one in forms))
    if wanted:
        forms = [one for one in forms if gguf_forms.named(one, wanted)]
    if not forms:
        parts = "" if names else "; models in several GGUF files are not served"
        what = f"no {wanted}" if wanted else "no model in one file"
        raise FetchError(f"hf:{found.repo} has {what}" + (f"; it has {names}" if names else parts))
    if len({one.stem for one in forms}) > 1:
        some = ", ".join(one.file for one in forms[:4])
        raise FetchError(
            f"hf:{found.repo} holds several models; name a file after a colon, say of {some}"
        )
    return [one for one in forms if not gguf_forms.is_oversized(one.name)] or forms


# --- other files ----------------------------------------------------------------------------------


def _openvino(found: Repository, wanted: str) -> Recognised | None:
    has_safetensors = any(one.endswith(".safetensors") for one in found.files)
    sees = "openvino_language_model.xml" in found.files
    if has_safetensors or not (sees or "openvino_model.xml" in found.files):
        return None
    _none_wanted(found, wanted)
    files = tuple(found.matching(_OPENVINO))
    form = Form("", "openvino", files, include=tuple(_OPENVINO))
    return Recognised(task="chat", forms=[form], vision=sees, remarks=_template(found))


def _ctranslate2(found: Repository, wanted: str) -> Recognised | None:
    """CTranslate2 keeps Whisper's languages or heads in its own config.json."""
    is_whisper = {"lang_ids", "alignment_heads", "suppress_ids"} & set(found.config)
    if "model.bin" not in found.files or not is_whisper:
        return None
    _none_wanted(found, wanted)
    files = tuple(name for name in found.files if name == "model.bin" or _is_text(name))
    form = Form("", "ctranslate2", files, include=tuple(_CTRANSLATE2))
    return Recognised(task="speech", forms=[form])


def _onnx(found: Repository, wanted: str, *, on_cpu: bool) -> Recognised | None:
    """Speech as onnx-asr reads it, unless the repository has the checkpoint too."""
    if not onnx_forms.has_model(found) or _checkpoint_form(found) is not None:
        return None
    forms = [
        Form(one.precision, "onnx", one.files, include=one.files)
        for one in onnx_forms.chosen(found, wanted, on_cpu=on_cpu)
    ]
    return Recognised(task="speech", forms=forms)


def _checkpoint(found: Repository, wanted: str) -> Recognised | None:
    """A checkpoint of transformers, or of sentence-transformers."""
    form = _checkpoint_form(found)
    if form is None or not found.config:
        return None
    _none_wanted(found, wanted)
    task = _task(found)
    vision = task == "chat" and "vision_config" in found.config
    return Recognised(
        task=task,
        forms=[form],
        vision=vision,
        remarks=_template(found) if task == "chat" else [],
    )


def _checkpoint_form(found: Repository) -> Form | None:
    names = found.matching(hub.INCLUDE)
    if any(name.endswith(".safetensors") for name in names):
        if any(name.startswith("consolidated") for name in names):
            files = tuple(found.matching(_WITHOUT_CONSOLIDATED))
            return Form("", "safetensors", files, include=tuple(_WITHOUT_CONSOLIDATED))
        return Form("", "safetensors", tuple(names))
    if pickled := found.matching(hub.PICKLED):
        return Form("", "pickle", (*names, *pickled))
    return None


def _task(found: Repository) -> Task:
    kind = found.architecture
    if kind.endswith("ForSequenceClassification"):
        labels = _labels(found)
        if labels != 1:
            raise FetchError(
                f"hf:{found.repo} is a classifier of {labels} labels, which nothing here serves; "
                "a reranker has one, its score"
            )
        return "rerank"
    if "modules.json" in found.files or "1_Pooling/config.json" in found.files:
        return "embed"
    if kind == "WhisperForConditionalGeneration":
        return "speech"
    if _is_language_model(found):
        _check_packing(found)
        return "chat"
    if re.search(r"(Bert|Roberta|MPNet|Electra)\w*(Model|ForMaskedLM)$", kind):
        return "embed"
    what = f"is a {kind}" if kind else "does not say in config.json what it is"
    raise FetchError(
        f"hf:{found.repo} {what}, which no engine here serves; served are causal language models, "
        "sentence embeddings, rerankers with one label and Whisper"
    )


def _is_language_model(found: Repository) -> bool:
    kind = found.architecture
    sees = kind.endswith("ForConditionalGeneration") and "vision_config" in found.config
    return kind.endswith("ForCausalLM") or sees


def _labels(found: Repository) -> int:
    """As transformers counts them: two where nothing is said."""
    named = found.config.get("id2label")
    count = len(named) if isinstance(named, dict) and named else found.config.get("num_labels")
    return count if isinstance(count, int) else 2


def _check_packing(found: Repository) -> None:
    packing = found.config.get("quantization_config")
    method = packing.get("quant_method") if isinstance(packing, dict) else None
    if method not in (None, "fp8"):
        raise FetchError(
            f"hf:{found.repo} is packed by {method}, which no engine here reads; take the model in "
            "GGUF, in bfloat16 or in FP8"
        )


# --- what cannot be served ------------------------------------------------------------------------


def _none_wanted(found: Repository, wanted: str) -> None:
    if wanted:
        raise FetchError(
            f"hf:{found.repo} has no {wanted}: it comes in one form; leave out what follows the "
            "colon"
        )


def _template(found: Repository) -> list[str]:
    if found.has_template:
        return []
    return ["it has no chat template: it may go on with texts, and not be made for chats"]


def _nothing(found: Repository) -> str:
    """Why there is no model in it for any engine."""
    endings = {f".{name.rpartition('.')[2]}" for name in found.files}
    if pickles := sorted(name for name in found.files if name.endswith(_PICKLES)):
        return (
            f"has its weights only as {pickles[0]}, which may be a pickle, a program that runs "
            "when it is loaded; take a repository with safetensors or GGUF"
        )
    for ending, name in _OTHERS.items():
        if ending in endings:
            return f"has its weights only in {name}, which no engine here reads"
    return "has no weights that an engine here reads: GGUF, safetensors, OpenVINO or CTranslate2"


def _is_text(name: str) -> bool:
    return name.endswith((".json", ".txt"))
