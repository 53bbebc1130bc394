"""What operators ask of a running server, as the frontend passes it on, and what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipc.messages.admin import (
    AddKey,
    Ask,
    ControlPull,
    DrainModel,
    EstimatePull,
    GetBox,
    GetConfig,
    GetHealth,
    GetPull,
    ListKeys,
    ListPulls,
    LoadModel,
    ModelWish,
    PinModel,
    ReadLog,
    Reload,
    RemoveKey,
    RemoveModel,
    RestartModel,
    RollBack,
    SetKey,
    StartPull,
    StopServer,
    Told,
    UnloadModel,
)
from ipc.messages.errors import ErrorInfo, ServeError
from supervisor.effects import Effects
from supervisor.keys.grants import KeyGrants
from supervisor.pulls.puller import Puller
from supervisor.residency.loader import Loader

Report = dict[str, Any]
_OtherWish = (GetHealth | GetBox | GetConfig | ReadLog | StopServer | Reload) | ModelWish


class Wishes:
    """Passes them on to whoever decides. ``report`` samples everything; ``settle`` has done what
    was decided, and tells how that model stands then; ``stop`` has the server end soon, and
    ``roll_back`` undoes a model's update. ``tell`` sends each answer."""

    def __init__(
        self,
        report: Callable[[], Report],
        loader: Loader,
        puller: Puller,
        keys: KeyGrants,
        effects: Effects,
        settle: Callable[[str], Report],
        stop: Callable[[], Report],
        roll_back: Callable[[str], None],
        tell: Callable[[Told], None],
    ) -> None:
        self._report = report
        self._loader = loader
        self._puller = puller
        self._keys = keys
        self._effects = effects
        self._stop = stop
        self._tell = tell
        self._settle = settle
        self._roll_back = roll_back

    def answer(self, ask: Ask) -> None:
        """Have ``ask`` answered once: now, or when that is known which it asks for."""

        def tell(report: Report | None, error: ErrorInfo | None) -> None:
            self._tell(Told(id=ask.id, report=report, error=error))

        try:
            match ask.wish:
                case EstimatePull():
                    self._puller.estimate(ask.wish, tell)
                case RemoveModel():
                    self._puller.remove(ask.wish, tell)
                case StartPull() | ListPulls() | GetPull() | ControlPull():
                    tell(self._puller.grant(ask.wish), None)
                case ListKeys() | AddKey() | SetKey() | RemoveKey():
                    tell(self._keys.grant(ask.wish), None)
                case _:
                    tell(self._grant(ask.wish), None)
        except ServeError as error:
            tell(None, error.info())

    def _grant(self, wish: _OtherWish) -> Report:
        match wish:
            case GetHealth():
                return self._report()
            case GetBox():
                return self._effects.box()
            case ReadLog():
                return self._effects.log(wish.process, wish.tail, wish.after)._asdict()
            case StopServer():
                return self._stop()
            case Reload() | GetConfig():
                raise AssertionError("whoever has the configuration answers it")
            case _:
                self._grant_of_model(wish)
                return self._settle(wish.model)

    def _grant_of_model(self, wish: ModelWish) -> None:
        match wish:
            case LoadModel():
                self._loader.load(wish.model, wish.keep_s)
            case UnloadModel():
                self._loader.unload(wish.model, force=wish.force)
            case PinModel():
                self._loader.pin(wish.model, pinned=wish.pinned)
            case DrainModel():
                self._loader.drain(wish.model, drained=wish.drained)
            case RestartModel():
                self._loader.restart(wish.model)
            case RollBack():
                self._roll_back(wish.model)
