"""One watch call and one connection, as Central remembers them. State only: the rules are in `central`."""

from __future__ import annotations

from mockcentral._core.actions import Order
from mockcentral._core.events import TopicEvent
from mockcentral._core.frozen import dataclass
from mockcentral._core.topics import TopicEntry
from mockcentral.scenario.schema import Attempt

WATCH_PATH = "/central.events.v1.watch/subscribe"
"""The `:path` of the one gRPC method there is; service and method are lower case (protocol 1.1)."""

TOKEN_REFRESH, AGENT_STATUS, PING_RESPONSE = 0, 1, 2
"""RequestType by number (protocol 1.2)."""

PING_CAPABILITY = "ping"


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """A message from the client (protocol 1.5). `request_type` None means the field was absent."""

    self_link: str = ""
    token: str = ""
    request_type: int | None = None
    state: str = ""
    message: str = ""
    capabilities: tuple[str, ...] = ()
    ping_id: str | None = None


class PingGuard:
    """How often a client may send PINGs on a connection before it is told to calm down, and by which rule."""

    __slots__ = ("last", "min_interval", "rule", "strikes", "struck")

    def __init__(self, min_interval: float, strikes: int, rule: str | None) -> None:
        self.min_interval = min_interval
        self.strikes = strikes
        self.rule = rule
        self.last: float | None = None
        self.struck = 0

    def tolerates(self, now: float) -> bool:
        """Whether a PING that came now is one too many no more than `strikes` times."""
        if self.last is not None and now - self.last < self.min_interval:
            self.struck += 1
        else:
            self.last = now
        return self.struck <= self.strikes

    def forgive(self) -> None:
        """We sent something: the client has a reason to ask whether we are there."""
        self.struck = 0
        self.last = None


class Connection:
    """A TCP connection. `protocol` is "" until its first bytes told it."""

    __slots__ = (
        *("blackholed", "calls", "deaf", "guard", "half_closed", "id", "peer", "pings", "protocol"),
        *("slow", "strained", "unsure"),
    )

    def __init__(self, id: int, peer: str) -> None:
        self.id = id
        self.peer = peer
        self.protocol = ""
        self.pings = 0
        self.blackholed = False
        """What we say vanishes."""
        self.half_closed = False
        """We have said all we will."""
        self.deaf = False
        """What it says vanishes."""
        self.unsure = False
        """What goes out on it need not arrive any more, or need not be understood."""
        self.slow = False
        """What goes out on it arrives late."""
        self.strained = False
        """A fault has done something to it for which a client may leave before it has read everything."""
        self.guard: PingGuard | None = None
        self.calls: dict[int, Call] = {}

    @property
    def mute(self) -> bool:
        """Whether nothing of what we do now reaches the client."""
        return self.blackholed or self.half_closed


class Held:
    """An event that goes out as `sent`, so often, when so many events of its call were sent. `holders` are the fault
    rules that hold it, until the first event overtakes it; `others` those that had something else done to it, and
    whether its first bytes show that.
    """

    __slots__ = ("copies", "entry", "holders", "others", "sent", "until")

    def __init__(
        self,
        until: int,
        entry: TopicEvent,
        sent: TopicEvent,
        copies: int,
        holders: tuple[str, ...],
        others: tuple[tuple[str, bool], ...],
    ) -> None:
        self.until = until
        self.entry = entry
        self.sent = sent
        self.copies = copies
        self.holders = holders
        self.others = others


class Call:
    """A watch call. Its id is its attempt number: watch calls of the world, counted from 1; negative for other
    methods.
    """

    __slots__ = (
        "abort_at_events",
        "connection",
        "cut",
        "cut_at_events",
        "entry",
        "held",
        "id",
        "line",
        "losing",
        "opened_after",
        "ping_marks",
        "pings",
        "quiet",
        "refreshes",
        "script",
        "sent",
        "strained",
        "stream",
        "token",
        "token_expires",
        "unanswered",
        "unsure",
        "waits",
        "wants_pings",
    )

    def __init__(self, id: int, connection: Connection, stream: int, opened_after: int, script: Attempt | None) -> None:
        self.id = id
        self.line = {"attempt": id}
        """What each of its lines in the journal says of it."""
        self.connection = connection
        self.stream = stream
        self.opened_after = opened_after
        """The newest sequence when the call was opened: with delivery "stream_open" it receives what came after."""
        self.script = script
        self.abort_at_events = script.abort_after.events if script and script.abort_after else None
        self.cut: tuple[Order | None, str | None] | None = None
        """What to do when the wire has let through what a cut allows, and the fault rule that asked for it."""
        self.cut_at_events: int | None = None
        self.entry: TopicEntry | None = None
        """The topic, known with the first message."""
        self.token = ""
        """Fingerprint of the newest token seen on the call."""
        self.token_expires: float | None = None
        """Wall time at which that token expires."""
        self.wants_pings = False
        self.quiet = False
        """We send nothing more on it by ourselves: no events, no PINGs."""
        self.losing = 0
        """So many further events are left out."""
        self.held: list[Held] = []
        """Events that later ones overtake."""
        self.ping_marks: dict[str, tuple[int, int]] = {}
        """PING events without an answer: how many faults had reached the wire before each, and how many marks were
        ordered before it.
        """
        self.unanswered = 0
        """PING events in a row without an answer."""
        self.waits = False
        """The client gives no window: what is sent on it is not out yet."""
        self.unsure = False
        """What goes out on it need not arrive any more, or need not be understood."""
        self.strained = False
        """A fault has done something to it for which a client may leave before it has read everything."""
        self.sent = 0
        self.pings = 0
        self.refreshes = 0

    @property
    def ends_well(self) -> bool:
        """Whether a client that hears of its end now has read all that was sent on it before."""
        connection = self.connection
        return not (self.unsure or self.waits or connection.unsure or connection.mute)

    @property
    def is_left_well(self) -> bool:
        """The same for a client that ends it itself: a fault may have driven it away."""
        return self.ends_well and not (self.strained or self.connection.strained)

    @property
    def plain(self) -> bool:
        """Whether all there is to an event of it is that it is sent."""
        limit = self.cut_at_events if self.abort_at_events is None else self.abort_at_events
        return limit is None and not (self.quiet or self.losing or self.held)
