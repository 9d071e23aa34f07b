"""From YAML to the schema: everything right is read, everything wrong is named with its line."""

from __future__ import annotations

import pytest

from mockcentral.faults.close import Close
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.ping_ack import PingAck
from mockcentral.scenario.expectations import BacksOff, Ordered, Reconnects
from mockcentral.scenario.load import ScenarioError, loads
from mockcentral.scenario.schema import AbortAfter, Attempt, Filter, FilterScope, Rule, Scenario, Target, When
from mockcentral.scenario.steps import Delete, Set
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, JsonValue, Span

HEAD = "scenario: x\nabout: y\n"

SKETCH = """
scenario: flaky
about: >
  Streams end at random while events keep coming. Every event must still arrive, once and in order.
seed: 7
world:
  tenant: "1234567890"
  token: {life: 30s}
  log: {first_sequence: 100001, keep: 10000, step: 1..50}
  delivery: stream_open            # or first_request
  ping: {every: null}
topics:
  - name: sample-watch-topic
    filters: [{group: management, kind: APIService, name: "*", type: [created, updated, deleted],
               scope: {kind: Environment, name: sample-env}}]
traffic:
  - {every: 100ms, count: 500, publish: {kind: APIService, scope: Environment/sample-env, type: [created, updated]}}
faults:
  - {name: drop, on: stream_open, after: 1s..3s, times: 5, do: {end_status: UNAVAILABLE}}
  - {name: slow-ack, on: ping(3), do: {ping_ack: {delay: 12s}}}
  - {name: cut, on: event(10+), probability: 0.5, ttl: 1m, do: close}
attempts: [{refuse: UNAVAILABLE}, {abort_after: {events: 2}}, ok]
expect: [ordered, {reconnects: {within: 20s}}, {backs_off: {at_most: 3}}]
level: extended
needs: [wire]
"""


def _problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        loads(text, "f.yaml")
    return str(caught.value).splitlines()


def _only_problem(text: str) -> str:
    (problem,) = _problems(HEAD + text)
    return problem


def test_the_sketch_of_the_interface_page_is_read_as_it_says() -> None:
    scenario = loads(SKETCH)
    assert (scenario.scenario, scenario.seed, scenario.level, scenario.needs) == ("flaky", 7, "extended", ("wire",))
    assert scenario.about.startswith("Streams end at random while")
    world = scenario.world
    assert (world.token.life, world.log.step, world.ping.every) == (30.0, CountSpan(1, 50), None)
    (topic,) = scenario.topics
    assert topic.filters == (Filter(kind="APIService", scope=FilterScope(kind="Environment", name="sample-env")),)
    (line,) = scenario.traffic
    assert (line.every, line.count, line.on) == (Span(0.1, 0.1), 500, Anchor("start"))
    assert line.publish.type == ("created", "updated")
    drop, slow, cut = scenario.faults
    assert (drop.on, drop.after, drop.times, drop.do) == (Anchor("stream_open"), Span(1.0, 3.0), 5, EndStatus())
    assert (slow.on, slow.do) == (Anchor("ping", 3), PingAck(delay=Duration(12.0)))
    assert (cut.on, cut.probability, cut.ttl, cut.do) == (Anchor("event", 10, True), 0.5, 60.0, Close())
    assert scenario.attempts == (
        Attempt(refuse=Code.UNAVAILABLE),
        Attempt(abort_after=AbortAfter(events=2)),
        Attempt(),
    )
    assert scenario.expect == (Ordered(), Reconnects(within=Duration(20.0)), BacksOff(at_most=3))


def test_json_is_read_as_well() -> None:
    assert loads('{"scenario": "x", "about": "\\ud83d\\ude00", "seed": 3}') == Scenario(
        scenario="x", about="😀", seed=3
    )


def test_what_is_not_said_has_its_documented_default() -> None:
    assert loads(HEAD) == Scenario(scenario="x", about="y")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sede: 1", "f.yaml:3: a scenario has no key `sede`: did you mean `seed`?"),
        ("seed: one", "f.yaml:3: seed: `one` is no whole number"),
        ("seed: -1", "f.yaml:3: seed: `-1` is too small: at least 0"),
        (f"seed: {2**63}", f"seed: `{2**63}` is too large: at most {2**63 - 1}"),
        ("seed: [1]", "seed: one value is needed here, not a list"),
        ("world: {tenant: 123}", 'tenant: text is needed here: write "123" in quotes'),
        ("world: {tenant: ''}", "tenant: the text is empty"),
        (
            "world: wide",
            "world: a mapping is needed here, with tenant, delivery, same_topic, token, log, ping, status, harvester, "
            "rest, agent_status or barrier_t",
        ),
        ("world: {delivery: early}", "delivery: `early` is not known: write stream_open or first_request"),
        ("world: {delivery: stream-open}", "delivery: `stream-open` is not known: did you mean `stream_open`?"),
        ("world: {delivery: [a]}", "delivery: one word is needed here, not a list: write stream_open or first_request"),
        ("world: {token: {life: 1ms}}", "life: `1ms` is too small: at least 50ms"),
        ("world: {log: {step: 0}}", "step: `0` is too small: at least 1"),
        ("world: {log: {step: 99999999999999999999}}", "step: `99999999999999999999` is too large"),
        ("world:\n  token:\n    lief: 1s", "f.yaml:5: token has no key `lief`: did you mean `life`?"),
        ("topics: {name: t}", "topics: a list is needed here"),
        ("topics: [{name: t}]", "an entry of `topics` needs `filters`: an event matches when any filter matches"),
        ("topics: [{name: t, filters: []}]", "filters: the list needs at least 1"),
        (
            "topics: [{name: a/b, filters: [{kind: X}]}]",
            "name: `a/b` will not do: write something like sample-watch-topic",
        ),
        ("topics: [{name: t, filters: [{kind: X, type: created}]}]", "type: a list is needed here: write [created]"),
        (
            "topics: [{name: t, filters: [{kind: X, type: [made]}]}]",
            "`made` is not known: write created, updated or deleted",
        ),
        (
            "topics:\n  - {name: t, filters: [{kind: X}]}\n  - {name: t, filters: [{kind: Y}]}",
            "f.yaml:5: name: a topic is called `t` already, in line 4",
        ),
        ("traffic: [{every: 100, publish: {kind: X}}]", "every: a duration needs a unit: write 100ms or 100s"),
        (
            "traffic: [{publish: {kind: X, scope: env}}]",
            "scope: `env` will not do: write something like Environment/sample-env",
        ),
        ("traffic: [{count: 0, publish: {kind: X}}]", "count: `0` is too small: at least 1"),
        ("traffic: [{count: 5}]", "an entry of `traffic` needs `publish`: what happens"),
        (
            "faults: [{name: done, on: ping, do: close}]\nlab: {over: dome}",
            "f.yaml:4: over: there is no fault rule `dome`: did you mean `done`?",
        ),
        ("lab: {over: done}", "over: there is no fault rule `done`"),
        ("faults: [{name: x, on: ping, during: 0, do: close}]", "during: `0` is too small: at least 1"),
        (
            "faults: [{name: x, on: steam_open, do: close}]",
            "on: there is no moment `steam_open`: did you mean `stream_open`?",
        ),
        ("faults: [{name: x, on: ping(0), do: close}]", "on: `ping(0)` never happens"),
        ("faults: [{name: x, on: start(2), do: close}]", "on: `start(2)` never happens"),
        ("faults: [{name: x, on: ping, do: lose}]", "on: lose cannot act at ping: it acts at event"),
        (
            "faults: [{name: x, on: event, after: 1s, do: lose}]",
            "after: lose answers the moment itself, so it cannot come later: leave `after` out",
        ),
        (
            "faults: [{name: x, on: connect, after: 1s, do: tls_stall}]",
            "after: tls_stall spoils how something begins, and later it has begun: leave `after` out",
        ),
        (
            "faults: [{name: x, on: stream_open, after: 1s, do: headers_only}]",
            "after: headers_only spoils how something begins, and later it has begun: leave `after` out",
        ),
        (
            "faults:\n  - {name: x, on: start, do: close}\n  - {name: x, on: start, do: abort}",
            "f.yaml:5: name: a fault rule is called `x` already, in line 4",
        ),
        ("faults: [{name: x, on: start, do: clos}]", "do: there is no fault `clos`: did you mean `close`?"),
        (
            "faults: [{name: x, on: start, do: {close: , abort: }}]",
            "do: one fault is needed here, not `close` or `abort` together",
        ),
        ("faults: [{name: x, on: start, do: 5}]", "do: a fault is needed here: its name, or its name with settings"),
        ("faults: [{name: x, on: start, do: {}}]", "do: a fault is needed here: its name, or its name with settings"),
        ("faults: [{name: x, on: start, do: {close: 1}}]", "the fault close takes no bare value, it has no settings"),
        ("faults: [{name: x, on: start, do: {end_status: [OK]}}]", "the fault end_status: a mapping is needed here"),
        ("faults: [{name: x, on: start, probability: 2, do: close}]", "probability: `2` is too large: at most 1"),
        ("faults: [{name: x, on: start, times: 0, do: close}]", "times: `0` is too small: at least 1"),
        ("faults: [{name: x, on: start}]", "an entry of `faults` needs `do`: what happens"),
        ("attempts: [fine]", "attempts: write ok, {refuse: UNAVAILABLE} or {abort_after: {events: 2}}"),
        ("attempts: [{refuse: OK, abort_after: {events: 1}}]", "attempts: write ok"),
        ("attempts: [{refuse: 14}]", "refuse: a gRPC status is written by its name: UNAVAILABLE instead of 14"),
        ("attempts: [{abort_after: {}}]", "abort_after: say after how many `events` or after which `time`"),
        ("expect: [orderd]", "expect: there is no check `orderd`: did you mean `ordered`?"),
        ("expect: [{reconnects: 10s}]", "the check reconnects takes no bare value, settings go by name: within"),
        ("expect: [{reconnects: {within: 10}}]", "within: a duration needs a unit: write 10ms or 10s"),
        ("expect: [ordered, {ordered: }]", "expect: `ordered` stands twice, first in line 3"),
        ("level: basic", "level: `basic` is not known: write core or extended"),
        ("needs: wire", "needs: a list is needed here: write [wire]"),
        ("needs: [time]", "needs: `time` is not known"),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_what_to_write(text: str, says: str) -> None:
    assert says in _only_problem(text)


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order() -> None:
    text = """\
scenario: Flaky Day
seed: x
traffic:
  - {every: 100, publish: {kind: X, scope: env}}
  - {on: strat, publish: {}}
faults:
  - {name: a, on: ping, do: {end_status: UNAVAILIBLE}}
expect: [uniqe]
"""
    lines = _problems(text)
    assert [line.split(": ")[0] for line in lines] == [
        "f.yaml:1",  # about is missing
        "f.yaml:1",
        "f.yaml:2",
        "f.yaml:4",
        "f.yaml:4",
        "f.yaml:5",
        "f.yaml:5",
        "f.yaml:7",
        "f.yaml:8",
    ]
    assert "f.yaml:1: a scenario needs `about`: the story: who, what breaks, what must still be true" in lines


def test_a_file_with_something_else_in_it_says_what_belongs_there() -> None:
    assert _problems("- a\n")[0].startswith("f.yaml:1: a scenario: a mapping is needed here, with scenario, about")
    assert _problems("hello\n")[0].startswith("f.yaml:1: a scenario: a mapping is needed here")


def test_a_second_document_is_refused_at_its_line() -> None:
    assert _problems(f"{HEAD}---\n{HEAD}") == [
        "f.yaml:4: a scenario file holds one document: move this to a file of its own"
    ]


def test_a_scenario_error_is_a_value_error_with_facts() -> None:
    with pytest.raises(ValueError, match=r"f\.yaml:3: seed") as caught:
        loads(HEAD + "seed: x", "f.yaml")
    error = caught.value
    assert isinstance(error, ScenarioError)
    assert (error.file, error.line, error.column, error.message) == ("f.yaml", 3, 7, "seed: `x` is no whole number")


def test_what_a_user_wrote_is_quoted_on_one_line_and_never_at_length() -> None:
    problem = _only_problem('seed: "' + "x\\n\\e[31m" * 1000 + '"')
    assert len(problem) < 200
    assert "\x1b" not in problem


# ------------------------------------------------------------------------------------------ rules
def test_a_rule_is_read_with_its_change_its_resource_and_its_steps() -> None:
    (rule,) = loads(
        HEAD
        + """
rules:
  - name: pending
    when: {kind: Credential, scope: {kind: Environment, name: e}, type: [updated], subresource: state, query: a==1}
    after: 1s..2s
    times: 3
    resource: {kind: ManagedApplication, name: $(spec.managedApplication), scope: Environment/e}
    then:
      - set: {subresource: status, value: {level: Pending, reasons: [1, null, on]}}
      - delete
"""
    ).rules
    assert rule == Rule(
        name="pending",
        when=When(
            kind="Credential",
            scope=FilterScope(kind="Environment", name="e"),
            type=("updated",),
            subresource="state",
            query="a==1",
        ),
        after=Span(1.0, 2.0),
        times=3,
        resource=Target(kind="ManagedApplication", name="$(spec.managedApplication)", scope="Environment/e"),
        then=(
            Set(subresource="status", value=JsonValue({"level": "Pending", "reasons": [1, None, "on"]})),
            Delete(),
        ),
    )


WHEN = "when: {kind: X}"
THEN = "then: [delete]"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (f"name: a, {THEN}", "a rule waits for one thing, and this one says neither `when` nor `on`"),
        (f"name: a, {WHEN}, on: start, {THEN}", "a rule waits for one thing, and this one says both `when` and `on`"),
        (f"name: a, on: start, {THEN}", "a moment has no resource: say with `resource` which one the steps are about"),
        (
            "name: a, on: start, then: [{create: {resource: {kind: X, name: $(name)}}}]",
            "`$(name)`: a moment has no resource to take that from",
        ),
        (f"name: a, {WHEN}", "an entry of `rules` needs `then`: what happens, one step after the other"),
        (f"name: a, {WHEN}, then: []", "then: the list needs at least 1"),
        (f"name: a, {WHEN}, then: delete", "then: a list is needed here: write [delete]"),
        (f"name: a, {WHEN}, then: [remove]", "then: there is no step `remove`: write create, set, update or delete"),
        (f"name: a, {WHEN}, then: [delet]", "then: there is no step `delet`: did you mean `delete`?"),
        (f"name: a, {WHEN}, then: [{{delete: 5}}]", "the step delete takes no bare value, it has no settings"),
        (f"name: a, {WHEN}, then: [{{set: {{subresource: a}}}}]", "the step set needs `value`: what it is then"),
        (
            f"name: a, {WHEN}, then: [{{set: {{subresource: spec, value: 1}}}}]",
            "set: spec is part of the resource itself, not one of its subresources: use update",
        ),
        (
            f"name: a, {WHEN}, then: [{{create: {{resource: {{kind: X, name: a}}, subresources: {{tags: 1}}}}}}]",
            "create: tags is part of the resource itself, not one of its subresources",
        ),
        (f"name: a, {WHEN}, then: [{{update: {{}}}}]", "update: it changes nothing: say what"),
        (f"name: a, {WHEN}, then: [{{update: {{spec: 5}}}}]", "spec: a mapping is needed here, not a value"),
        (f"name: a, {WHEN}, then: [{{update: {{spec: {{a: .inf}}}}}}]", "spec: `.inf` is no number that JSON knows"),
        (f"name: a, {WHEN}, then: [{{set: {{subresource: s, value: [.nan]}}}}]", "value: `.nan` is no number that"),
        (f"name: a, when: {{kind: X, query: a=b}}, {THEN}", "query cannot be read at '=b'"),
        (
            f"name: a, when: {{kind: X, type: [created], subresource: status}}, {THEN}",
            "type: a subresource is only updated: write [updated]",
        ),
        (f"name: a, when: {{kind: X, event: created}}, {THEN}", "when has no key `event`: write group, kind"),
        (f"name: a, {WHEN}, {THEN}, times: 0", "times: `0` is too small: at least 1"),
        (f"name: a, {WHEN}, {THEN}, times: null", "times: nothing is no whole number"),
        (f"name: a, {WHEN}, {THEN}, resource: {{kind: X}}", "resource needs `name`: resource name"),
    ],
)
def test_a_wrong_rule_is_one_line_that_says_what_to_write(rule: str, message: str) -> None:
    problem = _only_problem(f"rules:\n- {{{rule}}}\n")
    assert problem.startswith("f.yaml:4:")
    assert message in problem


def test_two_rules_of_one_name_are_told_with_both_lines() -> None:
    problem = _only_problem(f"rules:\n- {{name: a, {WHEN}, {THEN}}}\n- {{name: a, {WHEN}, {THEN}}}\n")
    assert problem == "f.yaml:5: name: a rule is called `a` already, in line 4"
