"""``python -m worker.cluster.fetch FOLDER INTO < SOUGHT``: a model's files from another box.

What is sought, and how far it is, are JSON: a line of `Fetching` each now and then, and at last one
with what has come.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from ipc.cluster import Fetching, Sought
from worker.cluster.connection import NoCluster, connect, member_of
from worker.cluster.files import fetched


def main() -> None:
    folder, into = Path(sys.argv[1]), Path(sys.argv[2])
    sought = msgspec.json.decode(sys.stdin.buffer.read(), type=Sought)
    try:
        member = member_of(folder)
        connect(folder, member)
    except NoCluster as error:
        sys.exit(str(error))
    say(Fetching(files=fetched(sought, into, member.address, say)))
    os._exit(0)  # Ray takes a second to say goodbye, and nobody waits for it


def say(how_far: Fetching) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(how_far) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
