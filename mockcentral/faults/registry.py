"""Every fault there is: the list the reader, the JSON Schema and `explain` go by. A new fault adds its line here."""

from __future__ import annotations

from mockcentral.faults.abort import Abort
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.close import Close
from mockcentral.faults.duplicate import Duplicate
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.expire_tokens import ExpireAllTokens
from mockcentral.faults.goaway import Goaway
from mockcentral.faults.http_delay import HttpDelay
from mockcentral.faults.http_error import HttpError
from mockcentral.faults.lose import Lose
from mockcentral.faults.noop import Noop
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.purge import Purge
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reset import Reset
from mockcentral.faults.restart import RestartServer

FAULTS: tuple[type[Fault], ...] = (
    Noop,
    EndStatus,
    Refuse,
    Reset,
    Goaway,
    Close,
    Abort,
    Blackhole,
    PingAck,
    Lose,
    Duplicate,
    HttpError,
    HttpDelay,
    Purge,
    ExpireAllTokens,
    RestartServer,
)


def by_name(name: str) -> type[Fault] | None:
    """The fault a scenario calls `name`, None when there is none."""
    return next((fault for fault in FAULTS if fault.name == name), None)
