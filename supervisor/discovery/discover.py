"""From a place on the hub to a model that this box can serve: which one, in which form, whether it
fits, and the entry by which the catalog knows it from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ipc.facts.gguf import Header
from ipc.messages.spec import Spec
from supervisor.config import variants
from supervisor.config.engines import openvino_reads
from supervisor.config.entries.entry import Entry, Sampling
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.config.spec import Files, spec_for
from supervisor.config.variants import Offer
from supervisor.discovery import estimate, fit
from supervisor.discovery.estimate import Shape
from supervisor.discovery.fit import Fit
from supervisor.discovery.hub_client import HubClient
from supervisor.discovery.recognise import Form, Recognised, recognise
from supervisor.discovery.reference import Reference
from supervisor.discovery.repository import Repository
from supervisor.host.hardware import Box, free_mb, total_mb
from supervisor.models.archive import FetchError

# What GGUF files of these precisions store their tensors as, by ggml's numbers.
_TENSORS_OF = {
    "F32": (0,),
    "F16": (0, 1),
    "BF16": (0, 30),
    "Q4_0": (0, 2, 14),
    "Q4_1": (0, 3, 14),
    "Q8_0": (0, 8),
    "Q4_K_M": (0, 12, 14),
    "Q6_K": (0, 14),
}
_UNREADABLE = 255
# Architectures of GGUF files that give vectors, which no engine here has of them.
_ENCODERS = ("bert", "nomic-bert", "jina-bert-v2", "modern-bert", "gemma-embedding", "clip")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model of the hub. ``entry`` has the keys of a catalog's entry."""

    reference: Reference
    entry: Mapping[str, Any]
    form: str
    spec: Spec
    fit: Fit
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    def words(self) -> list[str]:
        """What is to be said before it is fetched."""
        what = f", {self.form}" if self.form else ""
        spec = self.spec
        return [
            f"{self.name}: {spec.task} by {spec.engine} on {spec.device}{what}",
            f"{self.name}: {self.fit.words()}",
            *(f"{self.name}: {remark}" for remark in self.remarks),
        ]


class Discovery:
    """Looks models up for one box with these settings."""

    def __init__(self, settings: Settings, box: Box, forced_device: str | None = None) -> None:
        self._settings = settings
        self._box = box
        self._forced_device = forced_device

    def find(self, reference: Reference, name: str | None = None) -> Found:
        """The model at ``reference``, to be called ``name``, or else like its repository. Fetches
        no weights. Raises `FetchError`, and `ConfigError` for what the settings rule out."""
        client = HubClient(reference, self._settings.hf_token)
        repository = client.look()
        on_cpu = self._device_kind() == "cpu"
        model = recognise(repository, reference.wanted, on_cpu=on_cpu)
        facts = _gguf_facts(reference, model, client)
        shape = (
            estimate.shape_of_gguf(facts) if facts else estimate.shape_of_config(repository.config)
        )
        kind = str(facts.get("general.architecture", ""))
        offered = [
            self._offer(reference, repository, model, form, shape, kind, name)
            for form in model.forms
        ]
        found, why = _best(offered)
        remarks = [*model.remarks, *([why] if why else []), *_remarks(facts)]
        return Found(**{**vars(found), "remarks": remarks})

    def _offer(
        self,
        reference: Reference,
        repository: Repository,
        model: Recognised,
        form: Form,
        shape: Shape,
        architecture: str,
        name: str | None,
    ) -> Found:
        entry = _entry(reference, repository, model, form, name or reference.repo)
        spec = self._spec(entry, form, architecture)
        size = repository.bytes_of(form.files)
        needed_mb = estimate.memory_mb(
            model.task,
            spec.engine,
            _kind(spec.device),
            _weights_bytes(repository, model, form),
            shape,
            spec,
        )
        kind = _kind(spec.device)
        return Found(
            reference=reference,
            entry={**entry, "memory_mb": needed_mb},
            form=form.name,
            spec=spec,
            fit=Fit(
                # A pickle is there twice while it is rewritten.
                fetch_bytes=size * (2 if form.format == "pickle" else 1),
                disk_free_bytes=fit.disk_free_bytes(self._settings.edge_serve_models_dir),
                memory_mb=fit.with_margin(needed_mb),
                memory_free_mb=free_mb(kind),
                memory_total_mb=total_mb() if kind == "cpu" else free_mb(kind),
            ),
        )

    def _spec(self, entry: Mapping[str, Any], form: Form, architecture: str) -> Spec:
        try:
            checked = Entry.model_validate({**entry})
        except ValidationError as error:
            raise ConfigError(f"{entry['name']}: {error.errors()[0]['msg']}") from None
        types = frozenset(_TENSORS_OF.get(form.name, (_UNREADABLE,)))
        files = Files(
            gguf=form.format == "gguf",
            converted=form.format == "openvino"
            or (
                form.format == "gguf"
                and openvino_reads(Header(architecture, None, True, tensor_types=types))
            ),
            checkpoint=form.format in ("safetensors", "pickle"),
            vision=bool(entry.get("vision")),
        )
        return spec_for(checked, self._settings, self._box, files, self._forced_device)

    def _device_kind(self) -> str:
        wanted = self._forced_device or self._settings.model_device
        if wanted != "auto":
            return _kind(wanted)
        return "cuda" if self._box.cuda else "mps" if self._box.mps else "cpu"


def _gguf_facts(reference: Reference, model: Recognised, client: HubClient) -> dict[str, Any]:
    """Those of the first form; of other formats there are none. Raises `FetchError`."""
    best = model.forms[0]
    if best.format != "gguf" or best.path is None:
        return {}
    facts = client.gguf_facts(best.path)
    kind = facts.get("general.architecture")
    if kind in _ENCODERS:
        raise FetchError(
            f"hf:{reference.repo} is a {kind} in GGUF, which gives vectors; take its repository "
            "with safetensors"
        )
    return facts


def _best(offered: list[Found]) -> tuple[Found, str]:
    """The best that fits, and why it is that one; of a single form there is nothing to tell."""
    if len(offered) == 1:
        return offered[0], ""
    first = offered[0]
    offers = [Offer(one.form, one.fit.memory_mb) for one in offered]
    name, why = variants.choose(offers, _kind(first.spec.device), first.fit.memory_free_mb)
    return next(one for one in offered if one.form == name), f"{name}: {why}"


def _entry(
    reference: Reference, repository: Repository, model: Recognised, form: Form, name: str
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "task": model.task, "source": reference.origin}
    if form.include is not None:
        entry["include"] = list(form.include)
    if form.path is not None:
        entry["path"] = form.path
    if model.vision and form.format == "gguf":
        entry["vision"] = True  # its own file does not tell, as a checkpoint's config.json does
    weights_bytes = _weights_bytes(repository, model, form)
    if form.format == "onnx":
        entry["engine"] = "onnx-asr"
    elif model.task == "speech" and weights_bytes >= estimate.LARGE_WHISPER_BYTES:
        entry["options"] = {"encoder": "ctranslate2"}  # float32 takes gigabytes more
    if model.task == "chat" and (defaults := _sampling(repository.sampling)):
        entry["defaults"] = defaults
    return entry


def _sampling(recommended: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint's authors recommend, as far as requests have a word for it."""
    if not recommended.get("do_sample"):
        return {}
    found = {}
    for key in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty"):
        value = recommended.get(key)
        if value is None:
            continue
        try:
            Sampling.model_validate({key: value})
        except ValidationError:
            continue
        found[key] = value
    return found


def _weights_bytes(repository: Repository, model: Recognised, form: Form) -> int:
    """Those of the files that are loaded; of a checkpoint as if it were in 16 bits a number."""
    if form.format in ("safetensors", "pickle") and repository.parameters:
        return 2 * repository.parameters
    endings = (".gguf", ".safetensors", ".bin", ".onnx", ".onnx.data", ".onnx_data")
    size = repository.bytes_of(name for name in form.files if name.endswith(endings))
    wide = repository.config.get("torch_dtype") or repository.config.get("dtype")
    is_wide = form.format in ("safetensors", "pickle") and wide in (None, "float32")
    return size // 2 if is_wide and model.task != "chat" else size


def _remarks(facts: Mapping[str, Any]) -> list[str]:
    license_ = facts.get("general.license")
    return [f"its licence: {license_}"] if isinstance(license_, str) else []


def _kind(device: str) -> str:
    return device.partition(":")[0]
