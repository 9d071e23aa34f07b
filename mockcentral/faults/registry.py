"""Every fault there is: the list the reader, the JSON Schema and `explain` go by. A new fault adds its line here."""

from __future__ import annotations

from mockcentral.faults.abort import Abort
from mockcentral.faults.bad_exp import BadExp
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.clock_skew import ClockSkew
from mockcentral.faults.close import Close
from mockcentral.faults.corrupt import Corrupt
from mockcentral.faults.delete_topic import DeleteTopic
from mockcentral.faults.duplicate import Duplicate
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.expire_tokens import ExpireAllTokens
from mockcentral.faults.gap import Gap
from mockcentral.faults.goaway import Goaway
from mockcentral.faults.http_delay import HttpDelay
from mockcentral.faults.http_error import HttpError
from mockcentral.faults.http_gone import HttpGone
from mockcentral.faults.http_page_size import HttpPageSize
from mockcentral.faults.http_trickle import HttpTrickle
from mockcentral.faults.http_truncate import HttpTruncate
from mockcentral.faults.http_wrong_json import HttpWrongJson
from mockcentral.faults.lose import Lose
from mockcentral.faults.lost_delete import LostDelete
from mockcentral.faults.noop import Noop
from mockcentral.faults.oversize import Oversize
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.pinned_token import PinnedToken
from mockcentral.faults.purge import Purge
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reorder import Reorder
from mockcentral.faults.reset import Reset
from mockcentral.faults.reset_sequence import ResetNumbers
from mockcentral.faults.restart import RestartServer
from mockcentral.faults.revoke_tokens import RevokeTokens
from mockcentral.faults.unknown_type import UnknownType
from mockcentral.faults.wrong_audience import WrongAudience
from mockcentral.faults.wrong_topic import WrongTopic

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
    Gap,
    LostDelete,
    Reorder,
    Corrupt,
    UnknownType,
    Oversize,
    WrongTopic,
    HttpError,
    HttpDelay,
    HttpTruncate,
    HttpTrickle,
    HttpWrongJson,
    HttpPageSize,
    HttpGone,
    ExpireAllTokens,
    RevokeTokens,
    WrongAudience,
    BadExp,
    PinnedToken,
    ClockSkew,
    Purge,
    RestartServer,
    ResetNumbers,
    DeleteTopic,
)


def by_name(name: str) -> type[Fault] | None:
    """The fault a scenario calls `name`, None when there is none."""
    return next((fault for fault in FAULTS if fault.name == name), None)
