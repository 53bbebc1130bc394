"""All tables of the file."""

from __future__ import annotations

from frontend.history.at_work import at_work_table
from frontend.history.event_rows import event_table
from frontend.history.request_rows import request_table
from frontend.history.sample_rows import sample_tables
from frontend.store.table import Table
from frontend.usage.ledger import USAGE
from ipc.messages.control import HistoryConfig


def tables(config: HistoryConfig) -> tuple[Table, ...]:
    """Those that are kept with these settings."""
    days = config.days
    return (
        USAGE,
        request_table(days),
        at_work_table(days),
        event_table(days),
        *sample_tables(days),
    )
