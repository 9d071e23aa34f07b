"""`SimWorld`: a Central, any number of clients and a network between them, in virtual time.

    world = SimWorld(scenario, clients=[WatchClient(topic)])
    world.run(until=60.0)
    world.verdicts()

Everything that happens is decided by the scenario, the seed and what the test asks for: the same three give the same
journal, byte for byte. The journal of a simulated run has the kinds and fields of a real one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mockcentral._core.actions import BlackHole, CloseConnection, EndCall
from mockcentral._core.central import Central
from mockcentral._core.events import Change, Event, parse_change
from mockcentral._core.journal import Journal, Record
from mockcentral.scenario.schema import FaultRule, Scenario
from mockcentral.scenario.types import Span
from mockcentral.scenario.writer import plain
from mockcentral.sim.clock import NEVER, Clock
from mockcentral.sim.ledger import Ledger
from mockcentral.sim.network import Network, Seat, Wire
from mockcentral.sim.party import Party
from mockcentral.sim.weather import CLEAR, Weather

if TYPE_CHECKING:
    from mockcentral.conformance.verdict import Verdict

WALL_START = 1_700_000_000.0
"""Wall time at the world's start: a date that real tokens could have, and the same in every run."""


class Runaway(AssertionError):
    """A run did more than it was allowed to, see `SimWorld.run`."""


class SimWorld:
    """A simulated world. `seed` overrides the scenario's, `latency` is a short way to a `weather` with equal delays
    both ways. `lean` keeps no journal (see `sim.ledger`): for runs by the thousand. `thrifty` sends no PINGs over
    healthy connections; by default when lean. Two runs that differ in `lean` alone are the same run. `about` goes into
    the journal's first line, besides the scenario itself.

    Raises ValueError for a scenario that needs the wire, unless `approximate`: then PING acks and black holes are the
    network's, and what happens to bytes does not happen.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        clients: Iterable[Party] = (),
        latency: Span | None = None,
        weather: Weather = CLEAR,
        lean: bool = False,
        approximate: bool = False,
        name: str = "sim",
        keep: int = 200_000,
        thrifty: bool | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if "wire" in scenario.needs and not approximate:
            raise ValueError(
                f"scenario {scenario.scenario} needs the wire: run it over sockets, or with approximate=True"
            )
        if latency is not None:
            weather = replace(weather, up=latency, down=latency)
        if (problem := weather.problem()) is not None:
            raise ValueError(problem)
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self.clock = Clock()
        self.journal = Ledger(name) if lean else Journal(name, keep)
        self.published: list[tuple[int, list[str]]] = []
        """Sequence and matched topics of every event so far, also of those that are purged."""
        if isinstance(self.journal, Ledger):
            published = self.published
            self.journal.on_published = lambda sequence, topics: published.append((sequence, topics))
        else:
            self.journal.listen(self._note_published)
        self.central = Central(
            scenario, journal=self.journal, sign=dummy_jwt, wall_start=WALL_START, seed=self.seed, issuer="sim"
        )
        self.network = Network(
            self.clock,
            self.central,
            weather,
            self.seed,
            user_agent="mockcentral-sim",
            recording=not lean,
            thrifty=lean if thrifty is None else thrifty,
        )
        self.seats: dict[Party, Seat] = {}
        self._lives: dict[Party, int] = {}
        self._numbers: dict[Party, int] = {}
        facts = {} if lean else {"definition": plain(scenario), **(about or {})}
        self.central.start(0.0, time_scale=1.0, **facts)
        self.network.flush()
        for party in clients:
            self.join(party)

    def _note_published(self, record: Record) -> None:
        if record["kind"] == "event.published":
            self.published.append((record["sequence"], record["topics"]))

    # ------------------------------------------------------------------------------------------ time
    @property
    def now(self) -> float:
        """World time, seconds."""
        return self.clock.now

    def step(self) -> bool:
        """Jump to the next thing that happens; False when nothing ever will."""
        return self.clock.step()

    def run(
        self,
        until: float | None = None,
        *,
        stop: Callable[[], bool] | None = None,
        limit_events: int = 10_000_000,
    ) -> bool:
        """Let everything happen up to a world time (inclusive) or until `stop()` says so; returns whether it did.

        Without `until`: until nothing is planned any more, which PINGs and audits may put off for ever. Raises
        `Runaway` after `limit_events` steps: somebody is busy without getting anywhere.
        """
        clock = self.clock
        end = NEVER if until is None else until
        left = limit_events
        if stop is None:
            left = clock.run(end, limit_events)
        else:
            while left and not stop():
                if clock.next_at > end or not clock.step():
                    break
                left -= 1
            else:
                if left:
                    return True
        if not left and clock.next_at <= end:
            raise Runaway(
                f"{limit_events} steps and only at {clock.now:.3f} s of world time (seed {self.seed}); "
                "the last lines:\n" + "\n".join(json.dumps(record) for record in self.records()[-10:])
            )
        if until is not None and clock.now < until:
            clock.now = until
        return stop is not None and stop()

    def at(self, when: float, action: Callable[[], Any]) -> None:
        """Do something at a world time."""
        self.clock.at(when, self._act, action)

    def _act(self, action: Callable[[], Any]) -> None:
        action()
        self.network.flush()

    def close(self) -> None:
        """Nothing happens any more, and this world is given back when it is dropped: whoever plays thousands of them
        need not wait for the garbage collector. What was recorded stays, and so do the clients.
        """
        self.clock.clear()
        self.network.close()
        for seat in self.seats.values():
            seat.close()
        self.seats.clear()
        self.central.close()

    # ------------------------------------------------------------------------------------------ clients
    def join(self, party: Party) -> None:
        """A client begins its first life, or its next one after `crash`."""
        if party in self.seats:
            raise ValueError(f"client {party.name} is in the world already")
        life = self._lives[party] = self._lives.get(party, 0) + 1
        number = self._numbers.setdefault(party, len(self._numbers) + 1)
        seat = self.seats[party] = self.network.seat(party, number, life)
        seat.on_exit = lambda code: self.leave(party, code)
        self.journal.add(self.clock.now, "client.start", argv=[party.name], client=number)
        party.start(seat, self.clock.now)
        self.network.plan(seat)

    def crash(self, party: Party, *, vanish: bool = False) -> None:
        """A client dies. Its connections are reset by its kernel; with `vanish` its machine is gone and says
        nothing.
        """
        seat = self.seats.pop(party)
        party.lost(self.clock.now)
        self.network.leave(seat, vanish=vanish)
        self.journal.add(self.clock.now, "client.exit", code=None, signal="SIGKILL", client=seat.number)

    def leave(self, party: Party, code: int) -> None:
        """A client ended by itself with an exit code."""
        seat = self.seats.pop(party, None)
        if seat is None:
            return
        self.network.leave(seat)
        self.journal.add(self.clock.now, "client.exit", code=code, signal=None, client=seat.number)

    def poke(self, party: Party) -> None:
        """A test changed a party behind the network's back: it may have a new deadline."""
        if (seat := self.seats.get(party)) is not None:
            self.network.plan(seat)

    def unplug(self, party: Party, *, up: bool = True, down: bool = True) -> None:
        """A client's connections carry nothing any more in these directions, and new ones cannot be dialed."""
        seat = self.seats[party]
        seat.reachable = False
        for wire in list(seat.wires):
            self.network.cut(wire, up=up, down=down)

    def plug(self, party: Party) -> None:
        """New connections of this client work again; the silent ones stay silent."""
        self.seats[party].reachable = True

    # ------------------------------------------------------------------------------------------ the server
    def publish(self, changes: Mapping[str, Any] | Change | Sequence[Mapping[str, Any] | Change]) -> list[int]:
        """Publish changes as `mockcentral.World.publish` does; returns their sequence ids."""
        several = [changes] if isinstance(changes, (Mapping, Change)) else list(changes)
        sequences = []
        for change in several:
            event: Event = self.central.publish(
                change if isinstance(change, Change) else parse_change(change), self.clock.now
            )
            sequences.append(event.sequence)
        self.network.flush()
        return sequences

    def purge(self, *, through: int | None = None, keep: int | None = None) -> int:
        """Forget history, see `Central.purge`."""
        count = self.central.purge(self.clock.now, through=through, keep=keep)
        self.network.flush()
        return count

    def expire_tokens(self) -> int:
        """Every token issued so far is expired."""
        count = self.central.expire_tokens(self.clock.now)
        self.network.flush()
        return count

    def close_connections(self, *, abort: bool = True) -> None:
        """The server closes every connection."""
        self.central.command(CloseConnection(0, abort), self.clock.now)
        self.network.flush()

    def blackhole(self) -> None:
        """Every open connection falls silent."""
        self.central.command(BlackHole(0), self.clock.now)
        self.network.flush()

    def end_streams(self, code: int, message: str = "") -> None:
        """The server ends every watch call with a gRPC status."""
        self.central.command(EndCall(0, code, message), self.clock.now)
        self.network.flush()

    def restart(self, down_for: float, *, forget: bool = False) -> None:
        """The server dies and comes back."""
        self.central.restart(down_for, self.clock.now, forget=forget)
        self.network.flush()

    def arm(self, rule: FaultRule) -> None:
        """Arm a fault rule from now on."""
        self.central.arm(rule, self.clock.now)
        self.network.flush()

    def calm(self) -> None:
        """Faults are over: rules are disarmed, the weather is clear, everybody is reachable. Silent connections stay
        so.
        """
        for rule in self.central.rules:
            self.central.disarm(rule.name)
        self.network.calm()
        for seat in self.seats.values():
            seat.reachable = True

    @property
    def wires(self) -> list[Wire]:
        """The connections clients hold, dead or alive."""
        return [wire for seat in self.seats.values() for wire in seat.wires]

    # ------------------------------------------------------------------------------------------ afterwards
    def records(self) -> list[Record]:
        """The journal so far; empty in a lean world."""
        return [] if isinstance(self.journal, Ledger) else self.journal.since()

    def dump(self) -> str:
        """The journal as NDJSON."""
        return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in self.records())

    def digest(self) -> str:
        """SHA-256 of `dump()`: two runs were the same run."""
        return hashlib.sha256(self.dump().encode()).hexdigest()

    def verdicts(self, checks: Iterable[str] | None = None) -> list[Verdict]:
        """What `mockcentral.conformance` says about the run so far."""
        from mockcentral.conformance.judge import judge

        return judge(self.records(), self.scenario, checks)


_quoted = functools.lru_cache(maxsize=64)(json.dumps)


def dummy_jwt(claims: Mapping[str, Any]) -> str:
    """A token that reads like a JWT and proves nothing; Central knows the tokens it issued by heart."""
    exp = claims.get("exp")
    expires = repr(exp) if type(exp) in (int, float) else json.dumps(exp)  # the same text in a third of the time
    text = f'{{"exp":{expires},"sub":{_quoted(claims["sub"])},"jti":"{claims["jti"]}"}}'
    return f"e30.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}.c2lt"
