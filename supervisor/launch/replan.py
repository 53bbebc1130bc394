"""``python -m supervisor.launch.replan``: reads the configuration of a running server again.

The daemon starts it, which has neither YAML nor pydantic; this process has, and ends. It leaves
what it has found in a file: a plan, or why there is none. With ``--fetch`` it gets those models'
files instead.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec.structs import replace

from ipc.messages.configuration import ENVIRONMENT, Setting
from ipc.runtime import lifeline
from supervisor import plan as plans
from supervisor.config import access, settings
from supervisor.config.catalog import Catalog, aliases
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, Settings
from supervisor.discovery.known import known
from supervisor.host import hardware
from supervisor.launch.candidate import Candidate
from supervisor.launch.daemon import plan_for
from supervisor.launch.operator_warnings import warnings
from supervisor.launch.origin import files_of, keys_file_of
from supervisor.launch.stages import Launch, fetch_all
from supervisor.models.archive import FetchError
from supervisor.plan import Origin, Plan, Reading


def main() -> None:
    args = _arguments()
    lifeline.hold(args.parent, args.lifeline_fd)
    started = plans.read(args.plan)
    try:
        reading = _fetch(started, args.fetch) if args.fetch else read_again(started)
    except ConfigError as error:
        reading = Reading(error=str(error))
    plans.write_private(args.out, reading)


def read_again(started: Plan) -> Reading:
    """What the server would be told if it were started again as ``started`` was, with the files as
    they are. Fetches nothing. Raises `ConfigError`."""
    origin = _origin(started)
    found, catalog, launch, candidates, said, added = _look(origin)
    ready, missing = [], {}
    for candidate in candidates:
        try:
            ready.append(launch.as_it_is(candidate, _silent))
        except FetchError as error:
            missing[candidate.name] = str(error)
    if not ready and not missing:
        raise ConfigError("no model is left to serve; name one under serve, or in MODELS")
    fetches = found.auto_download_models
    plan = plan_for(
        found,
        ready,
        {} if fetches else missing,
        Path(started.run_dir),
        aliases([one.model for one in candidates]),
        Path(started.state_dir) if started.state_dir else None,
        Flags(**origin.flags),
        _renewed(origin, found, added),
        groups=catalog.groups,
    )
    plan = replace(plan, settings=_with_secrets(plan.settings, started.settings))
    needed_mb = sum(one.needed_mb for one in candidates)
    said += warnings(found, [one.name for one in candidates], needed_mb)
    return Reading(plan=plan, missing=missing if fetches else {}, warnings=said)


def _fetch(started: Plan, names: Sequence[str]) -> Reading:
    """Get the files of the models that are called so. Those that could not be had are missing."""
    _, _, launch, candidates, *_ = _look(_origin(started))
    wanted = [one for one in candidates if one.name in names]
    _, unavailable = fetch_all(launch, wanted, lambda _name: _silent)
    return Reading(missing=unavailable)


def _look(
    origin: Origin,
) -> tuple[Settings, Catalog, Launch, list[Candidate], list[str], set[str]]:
    """The settings, the catalog, and the models that are chosen; what is odd about the files, and
    the variables that .env has."""
    for name in origin.added:
        os.environ.pop(name, None)
    if origin.api_keys:
        os.environ["API_KEYS"] = ""  # those of the environment win over .env, as at the start
    before = set(os.environ)
    said = load_dotenv(Path(settings.DOTENV))
    added = set(os.environ) - before
    found, catalog = known(settings.load(Flags(**origin.flags)))
    forced = found.model_device if "device" in origin.flags else None
    launch = Launch(found, hardware.detect(), forced)
    candidates, notes = launch.candidates(catalog.served(found.models))
    return found, catalog, launch, candidates, [*said, *catalog.warnings, *notes], added


def _with_secrets(new: list[Setting], old: list[Setting]) -> list[Setting]:
    """``new``, but for secrets of the environment, which no process but the first can see."""
    kept = {one.name: one for one in old if one.secret and one.origin == ENVIRONMENT}
    return [kept.get(one.name, one) for one in new]


def _renewed(origin: Origin, found: Settings, added: Collection[str]) -> Origin:
    """``origin`` with what .env gives by now, and the files that are to be looked at from now
    on."""
    return Origin(
        flags=origin.flags,
        added=sorted({*origin.added, *added}),
        api_keys=origin.api_keys,
        files=[str(path) for path in files_of(found)],
        keys_file=keys_file_of(found),
        keys_digest=access.keys_digest(found),
        watched=origin.watched,
    )


def _origin(started: Plan) -> Origin:
    if started.origin is None:
        raise ConfigError("this server was started by a plan alone; restart it to change it")
    return started.origin


def _silent(_label: str, _done: int, _total: int) -> None:
    return


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="replan", description=__doc__)
    parser.add_argument("--plan", required=True, type=Path, help="that of the running server")
    parser.add_argument("--out", required=True, type=Path, help="the file for what is found")
    parser.add_argument("--fetch", action="append", default=[], help="a model to fetch")
    parser.add_argument("--parent", required=True, type=int, help="die when this pid does")
    parser.add_argument("--lifeline-fd", required=True, type=int)
    return parser.parse_args(sys.argv[1:])


if __name__ == "__main__":
    main()
