"""The stages in which a model of the catalog becomes a spec that a worker can run.

    entry ── variant ── files ── spec ──┬── check: what would keep it from starting here
                                        └── fetch: its files are here ── torch ── its conversion

The first four are the same for all commands, and each fact is looked up once. `check` stops there
and tells; a start goes on and changes what it can.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ipc import cluster
from ipc.engines import ENGINES
from ipc.messages.spec import Spec
from supervisor.cluster.peers import Peers
from supervisor.config import preflight, variants
from supervisor.config.catalog import Model
from supervisor.config.entries.source import LocalPath
from supervisor.config.settings import Settings
from supervisor.config.spec import Files, Specified, specified
from supervisor.discovery.discover import Discovery
from supervisor.host.hardware import Box, detect, free_mb
from supervisor.host.timings import Timing, trusted
from supervisor.launch import file_facts, files, memory
from supervisor.launch.candidate import Candidate, Candidates
from supervisor.launch.memory import Memory
from supervisor.launch.service_folders import service_folder
from supervisor.launch.state_folder import state_dir_of
from supervisor.models import timed, torch_install
from supervisor.models.archive import FetchError, Report
from supervisor.models.convert import prepare, prepared
from supervisor.models.store import Manifest, Store, slug
from supervisor.state.footprints import Subject


class Launch:
    """One box's settings, applied to the chosen models. Making it raises `ConfigError` where the
    state folder is of a later release. With ``times_engines`` what it fetches is also measured."""

    def __init__(self, settings: Settings, box: Box, forced_device: str | None = None) -> None:
        self.settings = settings
        self.times_engines = False
        state_dir = state_dir_of(settings)
        peers = Peers(cluster.folder_of(state_dir)) if state_dir is not None else None
        self.store = Store(settings.edge_serve_models_dir, peers)
        self._box = box
        self._forced_device = forced_device
        self._measured = memory.known(state_dir)

    @property
    def discovery(self) -> Discovery:
        """Looks up what is on the hub, for this box."""
        return Discovery(self.settings, self._box, self._forced_device)

    # --- what all commands do ---

    def candidates(self, models: Sequence[Model]) -> Candidates:
        """``models``, each as the variant that is here or else as the best that fits this box, with
        all that is known of it before anything is fetched. Raises `ConfigError`."""
        found = [self._entered(model) for model in models]
        settled = variants.settle(
            [
                variants.Contender(
                    model, one.variant_here, one.spec.device, self._measured_variants(model, one)
                )
                for model, one in zip(models, found, strict=True)
            ],
            free_mb,
        )
        return Candidates(
            [
                one if one.model is model else self._look(model, one.pulled)
                for one, model in zip(found, settled.models, strict=True)
            ],
            settled.notes,
        ).with_reasons()

    def _entered(self, model: Model) -> Candidate:
        """Not settled yet where it has several variants and none is here: then as the first."""
        pulled = self.store.manifest(model)
        chosen = variants.settled(model, pulled.variant if pulled else "")
        return self._look(chosen or model, pulled)

    def _look(self, model: Model, pulled: Manifest | None) -> Candidate:
        found = Files() if model.source is None else self._files(model, pulled)
        found = replace(found, facts=file_facts.identified(found.facts, model, pulled))
        (spec, said_by), weights = self._spec(model, found), memory.weights(model, pulled)
        return Candidate(
            model=model,
            pulled=pulled,
            files=found,
            box=self._box,
            spec=spec,
            said_by=said_by,
            weights=weights,
            memory=self._memory(model, spec, weights),
        )

    def _memory(self, model: Model, spec: Spec, weights: str) -> Memory:
        measured_mb = memory.measured_mb(self._measured, Subject.of(spec, weights))
        return Memory(measured_mb or model.entry.memory_mb, measured_mb is not None)

    def _measured_variants(self, model: Model, one: Candidate) -> dict[str, int]:
        """The MB of those variants that have been measured, by name; "" is a model without any."""
        if one.model is not model or not model.variants:
            here = one.model.entry.variant or ""
            return {here: one.memory.mb} if one.memory.measured and one.memory.mb else {}
        found = {}
        for name, variant in model.variants.items():
            weights = memory.expected_weights(variant)
            measured_mb = memory.measured_mb(self._measured, Subject.of(one.spec, weights))
            if weights and measured_mb:
                found[name] = measured_mb
        return found

    def _files(self, model: Model, pulled: Manifest | None) -> Files:
        is_local = isinstance(model.source, LocalPath)
        found = files.look(
            self.store.path(model),
            cache=self.cache_of(model.entry.name),
            pulled_at=None if is_local else pulled.pulled_at if pulled else 0,
            machine=self._box.machine,
        )
        return found if is_local else replace(found, timings=self._timings(model, found))

    def _timings(self, model: Model, found: Files) -> tuple[Timing, ...]:
        """What was measured of the engines that can serve it, if that is true of this box yet."""
        if len(found.readers) < 2 or model.entry.vision:
            return ()
        kept = timed.read(self.store.folder / slug(model.entry.name))
        return trusted(kept, timed.subjects(found.readers, self._box.threads)) if kept else ()

    def _spec(self, model: Model, found: Files) -> Specified:
        return specified(model.entry, self.settings, self._box, found, self._forced_device)

    def fault(self, candidate: Candidate, report: Report) -> str | None:
        """What is wrong with the model's files, or None if they are here and whole."""
        path = Path(candidate.files.path)
        return self.store.fault(candidate.model, candidate.pulled, path, report)

    # --- check ---

    def obstacles(self, candidate: Candidate, fault: str | None) -> list[str]:
        """Why the model would not start on this box as it is now, with that ``fault`` of its files.
        Fetches and starts nothing."""
        model, may_fetch = candidate.model, self.settings.auto_download_models
        found = preflight.obstacles(candidate.spec, candidate.box)
        will_pull = may_fetch and not isinstance(model.source, LocalPath)
        if fault and not will_pull:
            found.append(_mend(model, fault))
        needs_torch = torch_install.serves_by_torch(candidate.spec)
        if needs_torch and not may_fetch and not torch_install.is_here():
            found.append(_torch_missing(candidate.name))
        return [f"{candidate.name}: {obstacle}" for obstacle in found]

    # --- fetch ---

    def fetch(self, candidate: Candidate, report: Report) -> Candidate:
        """``candidate`` as it can be served, its files pulled and converted where they were not.

        Raises `FetchError`, and `ConfigError` for what only the pulled files show.
        """
        here = self._on_this_box(self._with_files(candidate, report))
        here = self._with_timings(here, report)
        if torch_install.serves_by_torch(here.spec):
            self._add_torch(here.name, report)
            here = self._on_this_box(here)
        return self._with_conversion(here, report)

    def as_it_is(self, candidate: Candidate, report: Report) -> Candidate:
        """``candidate`` as it can be served by what is here. Raises `FetchError` where that is not
        all of it, and `ConfigError`."""
        if fault := self.fault(candidate, report):
            raise FetchError(_mend(candidate.model, fault))
        if torch_install.serves_by_torch(candidate.spec) and not torch_install.is_here():
            raise FetchError(_torch_missing(candidate.name))
        spec = prepared(candidate.spec, self._among_models / slug(candidate.name))
        if spec is None:
            raise FetchError(f"it is not converted yet; run: edge-serve pull {candidate.name}")
        return replace(candidate, spec=spec)

    def _with_files(self, candidate: Candidate, report: Report) -> Candidate:
        fault = self.fault(candidate, report)
        if fault is None:
            return candidate
        model = candidate.model
        if isinstance(model.source, LocalPath) or not self.settings.auto_download_models:
            raise FetchError(_mend(model, fault))
        self.store.pull(model, report, self.settings.hf_token)
        return self._look(model, self.store.manifest(model))

    def _with_timings(self, candidate: Candidate, report: Report) -> Candidate:
        """``candidate`` with the engine that is the fastest here, measured now if it has to be.

        A box that is at work is not measured, nor a model whose folder cannot be written: the rule
        then holds, until the next pull. What a slower engine was converted for is removed, unless
        it was there before: a server that runs may serve by it.
        """
        folder = self.store.folder / slug(candidate.name)
        if not self.times_engines or not self._is_to_be_timed(candidate):
            return candidate
        if not timed.may_keep(folder) or not timed.is_idle():
            return candidate
        cache, found = self.cache_of(candidate.name), []
        was_here = cache.exists()
        for name, subject in timed.subjects(candidate.files.readers, self._box.threads).items():
            report(f"measuring {name}", 0, 0)
            spec = self._as_by(candidate, name)
            found.append(timed.measure(spec, subject, partial(self._converted, spec, report)))
        with suppress(OSError):  # a full disk, say
            timed.write(folder, found)
        chosen = self._look(candidate.model, candidate.pulled)
        if not was_here and not ENGINES[chosen.spec.engine].conversion:
            shutil.rmtree(cache, ignore_errors=True)
        return chosen

    @staticmethod
    def _is_to_be_timed(candidate: Candidate) -> bool:
        """Whether there is a choice of engines to be made by measurement, and none was yet."""
        entry, found = candidate.model.entry, candidate.files
        is_open = entry.engine == "auto" and not isinstance(candidate.model.source, LocalPath)
        is_here = candidate.spec.device == "cpu" and not entry.vision
        return is_open and is_here and len(found.readers) > 1 and not found.timings

    def _as_by(self, candidate: Candidate, engine: str) -> Spec:
        """What a worker would be told if the model's entry named that ``engine``."""
        entry = candidate.model.entry.model_copy(update={"engine": engine})
        found = candidate.files
        return specified(entry, self.settings, self._box, found, self._forced_device).spec

    def _on_this_box(self, candidate: Candidate) -> Candidate:
        """``candidate`` with a spec for the box as it is by now: see `_add_torch`."""
        if candidate.box == self._box:
            return candidate
        spec, said_by = self._spec(candidate.model, candidate.files)
        measured = self._memory(candidate.model, spec, candidate.weights)
        return replace(candidate, box=self._box, spec=spec, said_by=said_by, memory=measured)

    def _add_torch(self, name: str, report: Report) -> None:
        """Install torch unless it is here. What comes may be a build without CUDA, so what the box
        has is looked at again."""
        was_here = torch_install.is_here()
        if self.settings.auto_download_models:
            torch_install.install(report)
        elif not was_here:
            raise FetchError(_torch_missing(name))
        if not was_here:
            self._box = detect()

    def _with_conversion(self, candidate: Candidate, report: Report) -> Candidate:
        return replace(candidate, spec=self._converted(candidate.spec, report))

    def _converted(self, spec: Spec, report: Report) -> Spec:
        return prepare(
            spec,
            lambda stage: report(stage.partition(":")[0], 0, 0),
            lambda: self._add_torch(spec.name, report),
            # The service may not write among the models, but what `pull` converted there serves it.
            elsewhere=self._among_models / slug(spec.name),
        )

    def cache_of(self, name: str) -> Path:
        """The folder for conversions of that model."""
        return self._cache_root() / slug(name)

    def _cache_root(self) -> Path:
        """systemd's cache folder for the service, else one among the models."""
        return service_folder("CACHE") or self._among_models

    @property
    def _among_models(self) -> Path:
        return self.store.folder / ".cache"


def fetch_all(
    launch: Launch, candidates: Sequence[Candidate], report_for: Callable[[str], Report]
) -> tuple[list[Candidate], dict[str, str]]:
    """Fetch every model; one that fails does not stop the others, its reason is kept."""
    ready, unavailable = [], {}
    for candidate in candidates:
        try:
            ready.append(launch.fetch(candidate, report_for(candidate.name)))
        except FetchError as error:
            unavailable[candidate.name] = str(error)
    return ready, unavailable


def _mend(model: Model, fault: str) -> str:
    """What to do about a ``fault`` of the model's files."""
    if isinstance(model.source, LocalPath):
        return f"{fault}; correct source in its entry"
    return f"{fault}; run: edge-serve pull {model.entry.name}"


def _torch_missing(name: str) -> str:
    return f"it needs torch, which is not installed; run: edge-serve pull {name}"
