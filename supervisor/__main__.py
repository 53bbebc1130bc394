"""``python -m supervisor PLAN``: the daemon.

The command line (`supervisor.cli`) writes the plan and becomes this; nothing heavier than ZeroMQ
and psutil is ever imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

from ipc.runtime import heap, log, standard_streams
from supervisor import plan as plans
from supervisor.children import orphans
from supervisor.daemon import Daemon
from supervisor.listener import Listeners, listen_at
from supervisor.plan import Plan, PlanError
from supervisor.run_dir import InUseError, RunDir
from supervisor.state.claim import claimed

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: the unit does not restart on it


def main(kind: type[Daemon] = Daemon) -> int:
    standard_streams.ensure()
    heap.give_back_large_blocks()
    try:
        plan = plans.read(Path(sys.argv[1]))
    except (IndexError, PlanError) as error:
        print(f"edge-serve: {error}", file=sys.stderr)
        return EXIT_CONFIG
    log.set_up("supervisor", plan.log_level, plan.log_format)
    orphans.adopt()
    run_dir = RunDir(Path(plan.run_dir))
    try:
        run_dir.claim()
        with contextlib.closing(listen_at(plan)) as listeners:
            logging.info("runtime_config", extra=plan.in_force())
            plans.write_running(plan)
            with claimed(plan.state_dir) as why_not:
                if why_not:
                    logging.warning("nothing_is_kept", extra={"why": why_not})
                    plan = plan.keeping_nothing()
                failed = asyncio.run(_run(kind, plan, run_dir, listeners))
    except (InUseError, OSError) as error:
        print(f"edge-serve: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        run_dir.release()
    logging.info("stopped")
    return EXIT_FAILED if failed else 0


async def _run(kind: type[Daemon], plan: Plan, run_dir: RunDir, listeners: Listeners) -> bool:
    return await kind(plan, run_dir, listeners).run()


if __name__ == "__main__":
    sys.exit(main())
