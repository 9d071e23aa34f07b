"""What the rules may ask of the wire: the whole vocabulary, one frozen dataclass a verb.

Rules (`_core.central`) and faults return actions; `servers` carries them out over sockets and `sim` over its network.
A fault that needs something new from the pipe adds a verb here that every other fault may use too; the pipe never asks
which fault it is serving.

Two families:

* **orders** are carried out when they are due, on a target (`call`, `connection`, or the world; id 0 means every open
  one);
* **answers** say what happens to the one thing that is being decided right now: a PING that came in, an event about to
  be sent, an HTTP request about to be answered. Without an answer the pipe does the honest thing.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from mockcentral._core.events import Alteration, TopicEvent
from mockcentral._core.frozen import dataclass

Direction: TypeAlias = Literal["both", "to_client", "from_client"]

TlsFlaw: TypeAlias = Literal[
    "expired", "not_yet_valid", "wrong_name", "unknown_ca", "old_protocol", "no_alpn", "stall", "cut"
]
"""What is wrong with a handshake: the certificate's dates, its name, its signer; the protocol version that is agreed
on; no ALPN; it never ends, or it breaks off.
"""


# ---------------------------------------------------------------- orders on one call
@dataclass(frozen=True, slots=True)
class SendEvents:
    """Send events on a call, in this order; how they are encoded (once) is the wire's business."""

    call: int
    events: tuple[TopicEvent, ...]


@dataclass(frozen=True, slots=True)
class SendToEach:
    """Send one event on each of these calls, in this order: `SendEvents` for thousands of them."""

    calls: tuple[int, ...]
    event: TopicEvent


@dataclass(frozen=True, slots=True)
class MarkSent:
    """Send nothing: what a fault did to the event of this `sequence` shows once all that was sent on its call so far
    has left. Of the last events, those in `tail`, the first bytes are enough: how long the first of them is.

    `number` counts the marks of a world.
    """

    connection: int
    call: int
    sequence: int
    number: int
    tail: tuple[TopicEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class EndCall:
    """Send what is queued, then trailers with this gRPC status. `code` is a number, 0 to 16.

    `trailers` are sent along (names ending in -bin in base64). `bare` ends the stream without any trailers.
    """

    call: int
    code: int
    message: str = ""
    trailers: tuple[tuple[str, str], ...] = ()
    bare: bool = False


@dataclass(frozen=True, slots=True)
class ResetCall:
    """RST_STREAM with an HTTP/2 error code (2 INTERNAL_ERROR, 7 REFUSED_STREAM, 8 CANCEL, 11 ENHANCE_YOUR_CALM ...)."""

    call: int
    error_code: int


@dataclass(frozen=True, slots=True)
class RespondCall:
    """Answer a call with these response headers instead of gRPC's, and this body; then END_STREAM when `end`.

    Only the first answer has headers: on a call that was answered already nothing of it can be sent.
    """

    call: int
    status: int = 200
    content_type: str = "application/grpc"
    body: bytes = b""
    end: bool = True


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Send these bytes on a call where a length-prefixed message is due."""

    call: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CutCall:
    """Let so many more events, or bytes of DATA, through on a call, drop the rest, and carry out `then` at that point.

    `then` is an order on the call or its connection; None leaves it silent. Exactly one of the counts is given.
    """

    call: int
    then: Order | None
    after_events: int | None = None
    after_bytes: int | None = None


# ---------------------------------------------------------------- orders on one connection
@dataclass(frozen=True, slots=True)
class AckPing:
    """Send a PING ack with this 8-byte payload now."""

    connection: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SendPing:
    """Send a PING of our own; the ack comes back as `Central.ping_acked`."""

    connection: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class GoAway:
    """GOAWAY; `last_stream` None means "every stream you opened so far is fine"."""

    connection: int
    error_code: int = 0
    last_stream: int | None = None
    debug: bytes = b""


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """End the TCP connection: FIN after what is queued, or RST at once when `abort`."""

    connection: int
    abort: bool = False


@dataclass(frozen=True, slots=True)
class HalfClose:
    """FIN after what is queued; what the client sends is still read and understood."""

    connection: int


@dataclass(frozen=True, slots=True)
class BlackHole:
    """From now on bytes vanish: neither read nor written, no FIN, no RST. The peer sees silence.

    With a `direction` only those that go "to_client" or come "from_client".
    """

    connection: int
    direction: Direction = "both"


@dataclass(frozen=True, slots=True)
class SendFrames:
    """Send these bytes between two frames of the connection, whatever they are. `harmless`: frames that a client
    answers or passes over, and reads on.
    """

    connection: int
    data: bytes
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class ShrinkWindow:
    """The client may send so many bytes on a stream before it has to wait for leave to send as many again; 0: never."""

    connection: int
    size: int


@dataclass(frozen=True, slots=True)
class Reframe:
    """Cut what goes to the client otherwise from now on: frames of at most `frame_bytes` of payload, an `empty` DATA
    frame before each, TCP segments of `write_bytes`. None leaves a size as it is.
    """

    connection: int
    frame_bytes: int | None = None
    write_bytes: int | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class ShapeBytes:
    """The line is slow from now on: `latency` seconds more or less so many, `rate` bytes a second, and with `gather`
    what comes within so many seconds arrives together. None leaves a property as it is. Order is kept. `seed` draws
    the jitter.
    """

    connection: int
    direction: Direction = "both"
    latency: tuple[float, float] | None = None
    rate: float | None = None
    gather: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class HoldAccept:
    """Leave a connection that was just accepted alone for so many seconds: nothing is read, nothing said."""

    connection: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SpoilHandshake:
    """Take the next TLS handshake on a connection another way, see `TlsFlaw`.

    "stall" and "cut" send `after_bytes` of the server's first answer before they go silent or close.
    """

    connection: int
    flaw: TlsFlaw
    after_bytes: int = 0


# ---------------------------------------------------------------- orders on the world
@dataclass(frozen=True, slots=True)
class StopListening:
    """Close the listening socket and every connection with RST, as a crashed server does. Clients get "connection
    refused". With `keep` the connections there are live on.
    """

    keep: bool = False


@dataclass(frozen=True, slots=True)
class StartListening:
    """Listen again on the same port."""


Order: TypeAlias = (
    SendEvents
    | SendToEach
    | MarkSent
    | EndCall
    | ResetCall
    | AckPing
    | SendPing
    | GoAway
    | CloseConnection
    | RespondCall
    | SendBytes
    | CutCall
    | HalfClose
    | BlackHole
    | SendFrames
    | ShrinkWindow
    | Reframe
    | ShapeBytes
    | HoldAccept
    | SpoilHandshake
    | StopListening
    | StartListening
)


# ---------------------------------------------------------------- answers to what is being decided
@dataclass(frozen=True, slots=True)
class AnswerPing:
    """How a PING is acked: after `delay` seconds, or never when `delay` is None; `copies` times, with another `payload`
    than its own where one is given.
    """

    delay: float | None = 0.0
    copies: int = 1
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """How the event goes out on this stream.

    `copies`: how often; 0 loses it (history keeps it). `run`: the same for so many events in a row, this one included.
    `hold`: so many later events overtake it. `change`: what is different about it on the wire.
    """

    copies: int = 1
    run: int = 1
    hold: int = 0
    change: Alteration | None = None


@dataclass(frozen=True, slots=True)
class AnswerToken:
    """How the token of a token request is made: with other `claims`, with an `exp` that cannot be used, or (`pin`) not
    at all: the one issued last is handed out again.
    """

    claims: tuple[tuple[str, str], ...] = ()
    exp: Literal["", "missing", "text", "past"] = ""
    pin: bool = False


@dataclass(frozen=True, slots=True)
class AnswerHttp:
    """How an HTTP request is answered: `status` None lets the real answer through, after `delay` seconds either way.

    What may be done to the real answer: `cut` sends only that share of its body and breaks the connection, `trickle`
    sends it in so many pieces with a pause before each, `shape` makes another kind of body of it (see `bodies`),
    `page_size` overrides what a harvester request asked for, `gone` answers it 410, and `token` says how the token of a
    token request is made. `words` are what the faults wanted, by rule; `rules` those of them that show in the answer as
    it was made: their receipts are due when it goes out.
    """

    status: int | None = None
    delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = field(default=())
    body: str = ""
    cut: float | None = None
    trickle: tuple[int, float] | None = None
    shape: str = ""
    page_size: int | None = None
    gone: Literal["", "with header", "bare"] = ""
    token: AnswerToken | None = None
    words: tuple[tuple[str, AnswerHttp | AnswerToken], ...] = field(default=(), compare=False)
    rules: tuple[str, ...] = field(default=(), compare=False)

    @property
    def whole(self) -> bool:
        """Whether the client gets the real body, sooner or later."""
        return self.status is None and self.cut is None and not self.shape


Part: TypeAlias = Literal["page", "token"]
"""What whoever makes an HTTP answer may have let a fault change: the page that is read, the token that is made."""


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """Refuse the call being opened, or the request being read, with this gRPC status."""

    code: int
    message: str = ""


Answer: TypeAlias = AnswerPing | AnswerEvent | AnswerHttp | AnswerToken | AnswerCall


# ---------------------------------------------------------------- orders on what Central knows
@dataclass(frozen=True, slots=True)
class PurgeLog:
    """Forget all events except the newest `keep`; harvests from further back get 410."""

    keep: int = 0


@dataclass(frozen=True, slots=True)
class ExpireTokens:
    """Every token issued so far is expired from now on, or revoked: refused as a bad one."""

    revoke: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """`StopListening` now, `StartListening` after `down_for` seconds; tokens and log survive unless `forget`."""

    down_for: float
    forget: bool = False


@dataclass(frozen=True, slots=True)
class SkewClock:
    """The server's wall clock is wrong by so many seconds from now on; above 0 it is ahead."""

    by: float


@dataclass(frozen=True, slots=True)
class ResetSequence:
    """All history is gone and the next event gets this number, however high the last one was."""

    to: int = 1


@dataclass(frozen=True, slots=True)
class DropTopic:
    """Delete a topic (`topic`, else the one of `call`, else every one) and create it again `back_after` seconds later,
    with a new id and no history; never with None.
    """

    topic: str | None = None
    call: int = 0
    back_after: float | None = None


@dataclass(frozen=True, slots=True)
class RefuseConnections:
    """`StopListening(keep=True)` now, `StartListening` after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GuardPings:
    """From now on a client that sends PINGs faster than `min_interval` seconds more than `strikes` times is told to
    ENHANCE_YOUR_CALM and disconnected, as gRPC servers do; what we send on a call forgives it.
    """

    connection: int
    min_interval: float
    strikes: int


@dataclass(frozen=True, slots=True)
class Later:
    """Do these things after so many seconds, where their target is still there. Without `receipt` they are the end of
    what was on the wire before.
    """

    seconds: float
    actions: tuple[Action, ...]
    receipt: bool = True


@dataclass(frozen=True, slots=True)
class Quiet:
    """Send nothing more on a call by ourselves; it stays open. `receipt`: that silence is the fault, and begins now."""

    call: int
    receipt: bool = False


Change: TypeAlias = (
    PurgeLog
    | ExpireTokens
    | Restart
    | SkewClock
    | ResetSequence
    | DropTopic
    | RefuseConnections
    | GuardPings
    | Later
    | Quiet
)

Action: TypeAlias = Order | Answer | Change
