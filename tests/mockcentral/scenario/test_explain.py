"""Scenarios in plain sentences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mockcentral import strategies
from mockcentral.scenario import catalogue
from mockcentral.scenario.explain import WIDTH, explain, summary
from mockcentral.scenario.load import load, loads
from mockcentral.scenario.schema import Scenario

TEXT = """
scenario: x
about: A story. It goes on.
seed: 3
world:
  token: {life: 5s}
topics:
  - {name: t, filters: [{kind: APIService, type: [created], scope: {kind: Environment, name: e}}]}
traffic:
  - {on: stream_open(2), after: 1s, every: 10ms, burst: 5, count: 20, publish: {kind: APIService, scope: Environment/e}}
  - {publish: {kind: Environment, name: prod, type: [updated], subresource: policies}}
rules:
  - name: pending
    when: {kind: Credential, type: [created]}
    after: 1s
    then: [{set: {subresource: status, value: {level: Pending}}}]
  - name: granted
    times: 2
    when: {kind: Credential, name: a, scope: {kind: Environment, name: e}, type: [updated, deleted],
           subresource: status, query: status.level==Success}
    resource: {kind: ManagedApplication, name: app, scope: Environment/e}
    then: [{update: {spec: {a: 1}}}, delete]
  - {name: hello, on: subscribe(1), then: [{create: {resource: {group: catalog, kind: Category, name: c}}}]}
faults:
  - {name: cut, on: event(3+), times: 2, probability: 0.5, ttl: 1m, do: {end_status: INTERNAL}}
  - {name: mute, on: ping(1), do: {ping_ack: withhold}}
  - {name: late, on: stream_open, after: 1s..3s, times: 1, do: abort}
attempts: [{refuse: UNAVAILABLE}, ok, {abort_after: {events: 2, time: 1s}}]
expect: [ordered, {reconnects: {within: 20s}}]
needs: [wire]
"""


def test_a_scenario_is_told_from_its_world_to_what_must_hold() -> None:
    assert explain(loads(TEXT)) == (
        """\
x (core, seed 3, needs the wire: cannot run in the simulator)

A story. It goes on.

The world
  - token.life is 5s: how long an issued token is valid

Topics
  - t matches APIService in Environment/e (created)

What is published
  - 20 changes of APIService in Environment/e, 5 at once every 10ms, from when the 2nd watch call is
    opened 1s after; for t
  - 1 change of Environment prod without a scope, its policies (updated), one every 100ms, from when
    the world starts; for no topic here

What Central does by itself
  - pending: 1s after Credential in any scope or none is created, once for each: set status of it to
    {"level": "Pending"}
  - granted: when Credential called a in Environment/e gets a new status or is gone and
    status.level==Success, at most 2 times for each: update ManagedApplication app in Environment/e:
    spec {"a": 1}, then delete ManagedApplication app in Environment/e
  - hello: when the 1st subscription is accepted, once: create Category c of group catalog

What breaks
  - cut: when the 3rd or a later event of a call is about to be sent, at most 2 times, with a chance
    of 0.5, within the first 1m: end_status (code INTERNAL). End the call with trailers, after what
    is queued; without a call at the anchor, end every open one. A `reason` or `retry_delay` also
    sends grpc-status-details-bin: a google.rpc.Status with ErrorInfo and RetryInfo.
  - mute: when the 1st HTTP/2 PING of a connection arrives: ping_ack (withhold). Ack the PING after
    a delay, several times, with a payload that nobody sent, or not at all. `on: ping(n+)` does it
    from the n-th PING on.
  - late: 1s..3s after a watch call is opened, once: abort. TCP RST: what is queued is lost, what is
    in flight may be; without a connection at the anchor, on every open one.
  - the 1st watch call is refused with UNAVAILABLE
  - the 3rd watch call is ended with UNAVAILABLE after 2 events or 1s after it was opened

What must hold
  - ordered: Events are delivered in the order of their sequence ids.
  - reconnects (within 20s): After a stream has ended, the client opens the next one within the
    allowed time.
"""
    )


@settings(deadline=None, max_examples=50)
@given(strategies.scenarios())
def test_any_scenario_can_be_explained_within_the_width_of_a_page(scenario: Scenario) -> None:
    text = explain(scenario)
    assert text.endswith("\n")
    for line in text.splitlines():
        assert len(line) <= WIDTH or " " not in line.strip()[2:].strip() or line.startswith(scenario.scenario)


@pytest.mark.parametrize("name", catalogue.names())
def test_a_built_in_explains_itself(name: str) -> None:
    text = catalogue.explain(name)
    assert text.startswith(f"{name} (")
    assert ("What is measured" if load(name).lab else "What must hold") in text
    assert summary(load(name)).count(". ") == 0
