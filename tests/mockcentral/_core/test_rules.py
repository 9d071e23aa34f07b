"""What Central does by itself: rules of the scenario, the writes they become, and their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral._core import writes
from mockcentral._core.actions import SendPing
from mockcentral._core.placeholders import filled
from mockcentral._core.resources import DELETING, Place
from mockcentral._core.rules import MAX_FIRINGS, merged
from mockcentral.scenario.load import loads
from tests.mockcentral._core.rig import Rig

APPS = "/management/environments/e/managedapplications"
KEYS = "/management/environments/e/credentials"

PENDING = """
- name: pending
  when: {kind: Credential, type: [created]}
  then: [{set: {subresource: status, value: {level: Pending}}}]
"""


def rig(rules: str) -> Rig:
    made = Rig(loads(f"scenario: x\nabout: y\nrules:\n{rules.strip()}\n"))
    made.central.resources.scope_of("Environment", "e", "management")
    return made


def make(rig: Rig, collection: str, name: str, **body: Any) -> dict[str, Any]:
    """A client creates a resource, and time goes on a little."""
    made = writes.create(rig.central, Place(collection), {"name": name, **body}, rig.now)
    rig.at(rig.now + 0.001)
    return made


def put(rig: Rig, collection: str, name: str, subresource: str, value: Any) -> None:
    writes.put_subresource(rig.central, Place(collection, name, subresource), {subresource: value}, rig.now)
    rig.at(rig.now + 0.001)


def stored(rig: Rig, collection: str, name: str) -> dict[str, Any]:
    found = rig.central.resources.get(f"{collection}/{name}")
    assert found is not None
    return found


def events(rig: Rig) -> list[tuple[str, str]]:
    return [(record["op"], record["name"]) for record in rig.records("event.published")]


# ------------------------------------------------------------------------------------------ changes
def test_a_created_credential_becomes_pending_and_its_watchers_hear_of_both() -> None:
    made = rig(PENDING)
    call = made.watch()
    answered = make(made, KEYS, "keys")
    assert "status" not in answered  # what a client writes is answered before a rule says anything to it
    assert stored(made, KEYS, "keys")["status"] == {"level": "Pending"}
    assert events(made) == [("CREATED", "keys"), ("SUBRESOURCEUPDATED", "keys")]
    assert len(made.sent(call)) == 2
    [fired] = made.records("rule.fired")
    assert (fired["rule"], fired["nth"]) == ("pending", 1)
    assert fired["resource"] == "/management/v1/environments/e/credentials/keys"


def test_a_rule_fires_once_for_each_resource_and_knows_one_that_comes_again_for_another() -> None:
    made = rig(PENDING)
    for name in ("one", "two"):
        make(made, KEYS, name)
    writes.delete(made.central, Place(KEYS, "one"), made.now)
    make(made, KEYS, "one")
    assert [record["nth"] for record in made.records("rule.fired")] == [1, 1, 1]


def test_what_is_published_counts_as_what_is_written() -> None:
    made = rig(PENDING)
    made.publish("keys", kind="Credential")
    made.at(1.0)
    assert stored(made, KEYS, "keys")["status"] == {"level": "Pending"}


def test_a_rule_looks_at_kind_scope_subresource_and_query() -> None:
    made = rig("""
- name: granted
  when: {kind: Credential, scope: {kind: Environment, name: e}, type: [updated], subresource: status,
         query: "status.level==Success;metadata.state!=DELETING"}
  then: [{set: {subresource: seen, value: true}}]
""")
    for collection in (KEYS, APPS):
        make(made, collection, "a")
        put(made, collection, "a", "status", {"level": "Pending"})
        put(made, collection, "a", "other", {"level": "Success"})
        assert made.records("rule.fired") == []
    put(made, APPS, "a", "status", {"level": "Success"})
    assert made.records("rule.fired") == []
    put(made, KEYS, "a", "status", {"level": "Success"})
    assert len(made.records("rule.fired")) == 1
    assert stored(made, KEYS, "a")["seen"] is True


def test_a_rule_may_fire_more_often_for_one_resource_when_it_says_so() -> None:
    made = rig("""
- name: again
  times: 2
  when: {kind: Credential, type: [updated], subresource: state}
  then: [{set: {subresource: status, value: {level: Pending}}}]
""")
    make(made, KEYS, "a")
    for number in range(4):
        put(made, KEYS, "a", "state", number)
    assert [record["nth"] for record in made.records("rule.fired")] == [1, 2]


def test_a_rule_may_be_about_another_resource_and_take_words_from_the_first() -> None:
    made = rig("""
- name: count
  when: {kind: Credential, type: [created]}
  resource: {kind: ManagedApplication, name: $(spec.managedApplication), scope: Environment/$(metadata.scope.name)}
  then:
    - update: {spec: {newest: $(name), size: $(spec.size), text: "$(kind) $(name)", gone: null}, attributes: {a: b}}
""")
    make(made, APPS, "app", spec={"gone": 1, "stays": 2})
    make(made, KEYS, "keys", spec={"managedApplication": "app", "size": 7})
    app = stored(made, APPS, "app")
    assert app["spec"] == {"newest": "keys", "size": 7, "text": "Credential keys", "stays": 2}
    assert app["attributes"] == {"a": "b"}


def test_finalizers_hold_a_deleted_resource_until_a_rule_takes_the_last() -> None:
    made = rig("""
- name: hold
  when: {kind: Credential, type: [created]}
  then: [{update: {add_finalizers: [agent, agent]}}, delete]
- name: let-go
  when: {kind: Credential, type: [updated], subresource: status, query: metadata.state==DELETING}
  then: [{update: {remove_finalizers: [agent]}}]
- name: last
  when: {kind: Credential, type: [deleted]}
  resource: {kind: ManagedApplication, name: $(name), scope: Environment/$(metadata.scope.name)}
  then: [delete]
""")
    make(made, APPS, "a")
    make(made, KEYS, "a")
    assert stored(made, KEYS, "a")["metadata"]["state"] == DELETING
    assert stored(made, KEYS, "a")["finalizers"] == [{"name": "agent"}]
    put(made, KEYS, "a", "status", {"level": "Success"})
    assert made.central.resources.get(f"{KEYS}/a") is None
    assert made.central.resources.get(f"{APPS}/a") is None
    assert events(made)[-2:] == [("DELETED", "a"), ("DELETED", "a")]


# ------------------------------------------------------------------------------------------ moments and time
def test_what_is_made_at_the_start_is_there_before_anybody_asks() -> None:
    made = Rig(
        loads("""
scenario: x
about: y
topics: [{name: t, filters: [{kind: APIService, scope: {kind: Environment, name: e}}]}]
rules:
- name: world
  on: start
  then: [{create: {resource: {kind: ManagedApplication, name: app, scope: Environment/e}, title: An app, tags: [a],
                   finalizers: [f], spec: {a: [1, null]}, attributes: {b: c}, subresources: {status: {level: Error}}}}]
""")
    )
    app = stored(made, APPS, "app")
    assert (app["title"], app["tags"], app["finalizers"]) == ("An app", ["a"], [{"name": "f"}])
    assert (app["spec"], app["attributes"], app["status"]) == ({"a": [1, None]}, {"b": "c"}, {"level": "Error"})


def test_a_rule_may_wait_for_a_moment_and_then_a_while() -> None:
    made = rig("""
- name: welcome
  on: subscribe(2)
  after: 1s..2s
  then: [{create: {resource: {kind: Environment, name: late}}}]
""")
    made.watch()
    made.at(10.0)
    made.watch()
    assert not made.central.traffic_done  # a rule is about to fire
    made.at(10.99)
    assert made.records("rule.fired") == []
    made.at(12.0)
    [fired] = made.records("rule.fired")
    assert 11.0 <= fired["t"] <= 12.0
    assert fired["resource"] is None
    assert made.central.traffic_done


@pytest.mark.parametrize("anchor", ["event", "ping", "http", "publish", "stream_end", "barrier"])
def test_every_moment_will_do(anchor: str) -> None:
    made = rig(f"- {{name: a, on: {anchor}, then: [{{create: {{resource: {{kind: Environment, name: new}}}}}}]}}")
    call = made.watch()
    made.publish()
    made.central.ping_received(1, b"12345678", made.now)
    made.central.http_request(["http"], 1, made.now)
    made.central.call_closed(call, made.now)
    if anchor == "barrier":
        made.watch()
        for order in made.take():
            if isinstance(order, SendPing):
                made.central.ping_acked(order.connection, order.payload, made.now)
    made.at(1.0)
    assert len(made.records("rule.fired")) == 1
    assert made.central.resources.get("/management/environments/new") is not None


def test_a_faster_clock_shortens_the_pauses_of_rules() -> None:
    made = rig(PENDING.replace("  then", "  after: 10s\n  then"))
    make(made, KEYS, "a")
    made.central.rescale(10.0, made.now)
    made.at(1.1)
    assert len(made.records("rule.fired")) == 1
    make(made, KEYS, "b")
    made.at(2.5)
    assert len(made.records("rule.fired")) == 2


# ------------------------------------------------------------------------------------------ bounds
def test_rules_that_set_each_other_off_come_to_an_end_and_it_is_said() -> None:
    made = rig("""
- name: there
  times: 1000
  when: {kind: Credential, type: [updated], subresource: a}
  then: [{set: {subresource: b, value: 1}}]
- name: back
  times: 1000
  after: 1s
  when: {kind: Credential, type: [updated], subresource: b}
  then: [{set: {subresource: a, value: 1}}]
""")
    make(made, KEYS, "a")
    for round in (1, 2):  # each change from outside has firings of its own
        put(made, KEYS, "a", "a", 0)
        made.at(made.now + 1000.0)
        assert len(made.records("rule.fired")) == round * MAX_FIRINGS
        assert made.central.traffic_done
        assert len(made.records("rule.failed")) == round
    reason = made.last("rule.failed")["reason"]
    assert reason.startswith("one change led to 100 firings of rules: they set each other off; narrow `when`")


def test_a_rule_whose_steps_multiply_is_bounded_as_well() -> None:
    made = rig("""
- name: more
  when: {kind: Credential, type: [created]}
  then:
    - create: {resource: {kind: Credential, name: $(name)a, scope: Environment/e}}
    - create: {resource: {kind: Credential, name: $(name)b, scope: Environment/e}}
""")
    make(made, KEYS, "x")
    made.at(1000.0)
    assert len(made.records("rule.fired")) == MAX_FIRINGS
    assert len(made.central.resources.collection(KEYS)) == 1 + 2 * MAX_FIRINGS
    assert len(made.records("rule.failed")) == 1


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (
            "{create: {resource: {kind: Credential, name: a, scope: Environment/e}}}",
            "create: Credential a is there already",
        ),
        (
            "{create: {resource: {kind: Credential, name: n, scope: Environment/no}}}",
            "create: there is no /management/",
        ),
        (
            "{create: {resource: {kind: Credential, name: $(spec.no), scope: Environment/e}}}",
            "create: the Credential a",
        ),
        ("{create: {resource: {kind: Credential, name: $(spec)}}}", "create: name of a resource is text, not {"),
        ("{set: {subresource: b, value: $(spec.no)}}", "set: the Credential a has no spec.no"),
        ("delete, {set: {subresource: b, value: 1}}", "set: there is no a in"),
        ("delete, {update: {title: b}}", "update: there is no /management/environments/e/credentials/a"),
        ("delete, delete", "delete: there is no a in"),
    ],
)
def test_a_step_that_is_refused_is_in_the_journal_and_nothing_else_happens(then: str, reason: str) -> None:
    made = rig(f"- {{name: r, when: {{kind: Credential, type: [created]}}, then: [{then}]}}")
    make(made, KEYS, "a")
    [failed] = made.records("rule.failed")
    assert failed["rule"] == "r"
    assert failed["reason"].startswith(reason)
    make(made, APPS, "still-here")
    assert events(made)[-1] == ("CREATED", "still-here")


def test_the_steps_before_a_refused_one_were_taken_and_those_after_it_are_not() -> None:
    made = rig("""
- name: r
  when: {kind: Credential, type: [created]}
  then: [{set: {subresource: b, value: 1}}, {set: {subresource: c, value: $(spec.no)}},
         {set: {subresource: d, value: 1}}]
""")
    make(made, KEYS, "a")
    found = stored(made, KEYS, "a")
    assert [name for name in "bcd" if name in found] == ["b"]


def test_the_same_seed_draws_the_same_pauses() -> None:
    def times() -> list[float]:
        made = rig(PENDING.replace("  then", "  after: 1s..9s\n  then"))
        for name in "abc":
            make(made, KEYS, name)
        made.at(20.0)
        return [record["t"] for record in made.records("rule.fired")]

    assert times() == times()
    assert len(set(times())) == 3


# ------------------------------------------------------------------------------------------ words
@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("$(spec.n)", 7),
        ("<$(spec.n)>", "<7>"),
        ("$(name)-$(name)", "a-a"),
        ("$(metadata.references.name)", "first"),
        ({"k": ["$(spec)", "$ (name)", "$()", 5, None]}, {"k": [{"n": 7}, "$ (name)", "$()", 5, None]}),
    ],
)
def test_placeholders_are_what_stands_in_the_resource(value: Any, result: Any) -> None:
    resource = {"name": "a", "spec": {"n": 7}, "metadata": {"references": [{"name": "first"}, {"name": "second"}]}}
    assert filled(value, resource) == result


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_its_rfc_says(before: Any, patch: Any, after: Any) -> None:
    assert merged(before, patch) == after
