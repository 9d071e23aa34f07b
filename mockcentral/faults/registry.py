"""Every fault there is: the list the reader, the JSON Schema and `explain` go by. A new fault adds its line here."""

from __future__ import annotations

from mockcentral.faults.abort import Abort
from mockcentral.faults.bad_exp import BadExp
from mockcentral.faults.bad_length import BadLength
from mockcentral.faults.bandwidth import Bandwidth
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.clock_skew import ClockSkew
from mockcentral.faults.close import Close
from mockcentral.faults.coalesce import Coalesce
from mockcentral.faults.compressed import Compressed
from mockcentral.faults.corrupt import Corrupt
from mockcentral.faults.cut import Cut
from mockcentral.faults.delete_topic import DeleteTopic
from mockcentral.faults.duplicate import Duplicate
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.expire_tokens import ExpireAllTokens
from mockcentral.faults.gap import Gap
from mockcentral.faults.garbage import Garbage
from mockcentral.faults.goaway import Goaway
from mockcentral.faults.half_close import HalfCloseConnection
from mockcentral.faults.headers_only import HeadersOnly
from mockcentral.faults.http_delay import HttpDelay
from mockcentral.faults.http_error import HttpError
from mockcentral.faults.http_gone import HttpGone
from mockcentral.faults.http_page_size import HttpPageSize
from mockcentral.faults.http_trickle import HttpTrickle
from mockcentral.faults.http_truncate import HttpTruncate
from mockcentral.faults.http_wrong_json import HttpWrongJson
from mockcentral.faults.late_trailers import LateTrailers
from mockcentral.faults.latency import Latency
from mockcentral.faults.lose import Lose
from mockcentral.faults.lost_delete import LostDelete
from mockcentral.faults.no_trailers import NoTrailers
from mockcentral.faults.noop import Noop
from mockcentral.faults.oversize import Oversize
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.ping_flood import PingFlood
from mockcentral.faults.pinned_token import PinnedToken
from mockcentral.faults.purge import Purge
from mockcentral.faults.reframe import ReframeConnection
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reorder import Reorder
from mockcentral.faults.reset import Reset
from mockcentral.faults.reset_sequence import ResetNumbers
from mockcentral.faults.restart import RestartServer
from mockcentral.faults.revoke_tokens import RevokeTokens
from mockcentral.faults.settings_storm import SettingsStorm
from mockcentral.faults.slow_accept import SlowAccept
from mockcentral.faults.tcp_refuse import TcpRefuse
from mockcentral.faults.tls_cut import TlsCut
from mockcentral.faults.tls_expired import TlsExpired
from mockcentral.faults.tls_no_alpn import TlsNoAlpn
from mockcentral.faults.tls_not_yet_valid import TlsNotYetValid
from mockcentral.faults.tls_old_protocol import TlsOldProtocol
from mockcentral.faults.tls_stall import TlsStall
from mockcentral.faults.tls_unknown_ca import TlsUnknownCa
from mockcentral.faults.tls_wrong_name import TlsWrongName
from mockcentral.faults.too_many_pings import TooManyPings
from mockcentral.faults.unknown_type import UnknownType
from mockcentral.faults.window import Window
from mockcentral.faults.wrong_audience import WrongAudience
from mockcentral.faults.wrong_content_type import WrongContentType
from mockcentral.faults.wrong_topic import WrongTopic

FAULTS: tuple[type[Fault], ...] = (
    Noop,
    EndStatus,
    Refuse,
    NoTrailers,
    LateTrailers,
    HeadersOnly,
    WrongContentType,
    BadLength,
    Compressed,
    Cut,
    Reset,
    Goaway,
    PingAck,
    Window,
    SettingsStorm,
    PingFlood,
    TooManyPings,
    ReframeConnection,
    Coalesce,
    Garbage,
    Close,
    HalfCloseConnection,
    Abort,
    Blackhole,
    TcpRefuse,
    SlowAccept,
    Latency,
    Bandwidth,
    TlsExpired,
    TlsNotYetValid,
    TlsWrongName,
    TlsUnknownCa,
    TlsOldProtocol,
    TlsNoAlpn,
    TlsStall,
    TlsCut,
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
