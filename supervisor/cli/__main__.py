"""``python -m supervisor.cli``: the command line without its console script."""

from supervisor.cli import main

main()
