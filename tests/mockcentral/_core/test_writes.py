"""What clients write over REST, and which events it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral._core import writes
from mockcentral._core.events import Change, Op
from mockcentral._core.resources import DELETING, Place
from mockcentral._core.writes import Refused
from tests.mockcentral._core.rig import TOPIC, Rig

ENV = "/management/environments/e"
FINALIZER = {"name": "agent"}


class Rest:
    """A Central whose resources a test writes; `events` are those published since the last look."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.central = self.rig.central
        self._seen = 0
        self.create("environments", name="e")
        self.events()

    def place(self, rest: str) -> Place:
        found = self.central.resources.locate("management", rest)
        assert found is not None
        return found

    def create(self, rest: str, **body: Any) -> dict[str, Any]:
        return writes.create(self.central, self.place(rest), body, 1.0)

    def replace(self, rest: str, **body: Any) -> dict[str, Any]:
        return writes.replace(self.central, self.place(rest), body, 2.0)

    def put(self, rest: str, body: dict[str, Any]) -> dict[str, Any]:
        return writes.put_subresource(self.central, self.place(rest), body, 3.0)

    def patch(self, rest: str, *patch: Any) -> dict[str, Any]:
        return writes.patch_subresource(self.central, self.place(rest), list(patch), 4.0)

    def delete(self, rest: str) -> None:
        writes.delete(self.central, self.place(rest), 5.0)

    def get(self, rest: str) -> dict[str, Any] | None:
        return self.central.resources.get(self.place(rest).link)

    def events(self) -> list[tuple[Op, str, str]]:
        return [(change.op, change.self_link, change.subresource) for change in self.changes()]

    def changes(self) -> list[Change]:
        topic = self.central.topic(TOPIC)  # of everything
        assert topic is not None
        found = [entry.event for entry in topic.log.after(self._seen)]
        self._seen = max([self._seen, *(event.sequence for event in found)])
        return [event.change for event in found]


@pytest.fixture
def rest() -> Rest:
    return Rest()


SERVICES = "environments/e/apiservices"
LINK = "/management/v1/environments/e/apiservices/s"


def test_each_write_is_its_event(rest: Rest) -> None:
    rest.create(SERVICES, name="s", attributes={"a": "b"})
    rest.replace(f"{SERVICES}/s", title="S")
    rest.put(f"{SERVICES}/s/status", {"status": {"level": "Pending"}})
    rest.patch(f"{SERVICES}/s/status", {"op": "replace", "path": "/status/level", "value": "Success"})
    rest.delete(f"{SERVICES}/s")
    assert rest.events() == [
        (Op.CREATED, LINK, ""),
        (Op.UPDATED, LINK, ""),
        (Op.SUBRESOURCEUPDATED, LINK, "status"),
        (Op.SUBRESOURCEUPDATED, LINK, "status"),
        (Op.DELETED, LINK, ""),
    ]
    assert rest.get(f"{SERVICES}/s") is None


def test_the_event_tells_what_the_resource_is(rest: Rest) -> None:
    service = rest.create(SERVICES, name="s")
    revision = rest.create(
        "environments/e/apiservicerevisions", spec={"apiService": "s"}, attributes={"a": "b", "n": 1}, name="r"
    )
    change = rest.changes()[-1]
    assert (change.kind, change.name, change.resource_id) == ("APIServiceRevision", "r", revision["metadata"]["id"])
    assert change.scope is not None
    assert (change.scope.kind, change.scope.name) == ("Environment", "e")
    assert change.attributes == {"a": "b"}  # texts are all an event has room for
    (reference,) = change.references
    assert (reference.id, reference.kind, reference.name) == (service["metadata"]["id"], "APIService", "s")


def test_a_name_is_made_where_none_is_given(rest: Rest) -> None:
    first, second = rest.create(SERVICES), rest.create(SERVICES, name="")
    assert first["name"].startswith("apiservice-")
    assert first["name"] != second["name"]
    assert rest.get(f"{SERVICES}/{first['name']}") is not None


def test_references_follow_the_spec_and_leave_others_alone(rest: Rest) -> None:
    for name in ("s", "other"):
        rest.create(SERVICES, name=name)
    revisions = "environments/e/apiservicerevisions"
    soft = {"id": "t", "kind": "Asset", "name": "a", "type": "SOFT"}
    made = rest.create(revisions, name="r", spec={"apiService": "s"}, metadata={"references": [soft]})
    assert [each["name"] for each in made["metadata"]["references"]] == ["s", "a"]
    # Agents send back what they got, with the references that were.
    moved = rest.replace(
        f"{revisions}/r",
        **{**made, "spec": {"apiService": "other"}, "metadata": {"references": made["metadata"]["references"]}},
    )
    assert [each["name"] for each in moved["metadata"]["references"]] == ["other", "a"]


def test_several_names_in_one_key_are_as_many_references(rest: Rest) -> None:
    for name in ("one", "two"):
        rest.create("environments/e/credentialrequestdefinitions", name=name)
    made = rest.create(
        "environments/e/apiserviceinstances", name="i", spec={"credentialRequestDefinitions": ["one", "two", "gone"]}
    )
    assert [each["name"] for each in made["metadata"]["references"]] == ["one", "two"]


def test_a_replacement_keeps_the_subresources_it_does_not_hold(rest: Rest) -> None:
    rest.create(SERVICES, name="s", source={"type": "x"})
    rest.put(f"{SERVICES}/s/status", {"status": {"level": "Pending"}})
    resource = rest.replace(f"{SERVICES}/s", spec={"a": 1}, source={"type": "y"})
    assert resource["status"] == {"level": "Pending"}
    assert resource["source"] == {"type": "y"}


def test_with_finalizers_a_resource_goes_when_the_last_one_is_taken_away(rest: Rest) -> None:
    rest.create(SERVICES, name="s", finalizers=[FINALIZER])
    rest.events()
    rest.delete(f"{SERVICES}/s")
    rest.delete(f"{SERVICES}/s")  # it is going already
    marked = rest.get(f"{SERVICES}/s")
    assert marked is not None
    assert marked["metadata"]["state"] == DELETING
    assert rest.events() == [(Op.UPDATED, LINK, "")]
    rest.put(f"{SERVICES}/s/status", {"status": {}})
    rest.replace(f"{SERVICES}/s", finalizers=[FINALIZER], title="not yet")
    assert rest.get(f"{SERVICES}/s") is not None
    last = rest.replace(f"{SERVICES}/s", finalizers=[])
    assert last["metadata"]["state"] == DELETING
    assert rest.get(f"{SERVICES}/s") is None
    assert [op for op, _, _ in rest.events()] == [Op.SUBRESOURCEUPDATED, Op.UPDATED, Op.UPDATED, Op.DELETED]


def test_a_scope_takes_all_that_lives_in_it_along(rest: Rest) -> None:
    rest.create(SERVICES, name="s", finalizers=[FINALIZER])
    rest.create("environments/e/credentials", name="c")
    rest.create("environments", name="e2")
    rest.create("environments/e2/apiservices", name="s")
    rest.events()
    rest.delete("environments/e")
    assert [(op, link.rpartition("/")[2]) for op, link, _ in rest.events()] == [
        (Op.DELETED, "s"),
        (Op.DELETED, "c"),
        (Op.DELETED, "e"),
    ]
    assert rest.get("environments/e2/apiservices/s") is not None


@pytest.mark.parametrize(
    ("do", "status", "words"),
    [
        (lambda rest: rest.create(SERVICES, name="s"), 409, "APIService s is there already"),
        (lambda rest: rest.create(SERVICES, name="a/b"), 400, "without a slash"),
        (lambda rest: rest.create(SERVICES, name=7), 400, "name must be printable text"),
        (lambda rest: rest.create(SERVICES, name="x" * 300), 400, "253"),
        (lambda rest: rest.create(SERVICES, name="x", kind="Credential"), 400, "does not live in apiservices"),
        (lambda rest: rest.create(SERVICES, name="x", tags="t"), 400, "tags must be a list"),
        (lambda rest: rest.create(SERVICES, name="x", spec=[1]), 400, "spec must be an object"),
        (
            lambda rest: rest.create("environments/no/apiservices", name="x"),
            404,
            "there is no /management/environments/no",
        ),
        (lambda rest: rest.create("gadgets", name="x"), 400, "it is not known what gadgets holds"),
        (lambda rest: rest.create(SERVICES, name="x\ny"), 400, "name must be printable text"),
        (lambda rest: rest.create("watchtopics", name="x"), 400, "filter"),
        (lambda rest: rest.create("environments/e/watchtopics", name="x"), 404, "watch topics live under"),
        (lambda rest: rest.replace(f"{SERVICES}/no"), 404, "there is no no"),
        (lambda rest: rest.replace(f"{SERVICES}/s", name="t"), 400, "the body names 't'"),
        (lambda rest: rest.replace(f"{SERVICES}/s", metadata={"resourceVersion": "1"}), 409, "resourceVersion is"),
        (lambda rest: rest.put(f"{SERVICES}/no/status", {"status": 1}), 404, "there is no no"),
        (lambda rest: rest.put(f"{SERVICES}/s/status", {"state": 1}), 400, '"status"'),
        (lambda rest: rest.put(f"{SERVICES}/s/spec", {"spec": {}}), 400, "PUT the resource"),
        (lambda rest: rest.patch(f"{SERVICES}/s/status", "x"), 400, "a list of operations"),
        (
            lambda rest: rest.patch(f"{SERVICES}/s/status", {"op": "add", "path": "/spec/a", "value": 1}),
            400,
            "begins with",
        ),
        (lambda rest: rest.patch(f"{SERVICES}/s/status", {"op": "grow", "path": "/status"}), 400, "cannot be read"),
        (lambda rest: rest.patch(f"{SERVICES}/s/status", {"op": "add", "path": "/status"}), 400, "cannot be read"),
        (lambda rest: rest.patch(f"{SERVICES}/s/status", {"op": "remove", "path": "/status/a"}), 409, "does not fit"),
        (
            lambda rest: rest.patch(f"{SERVICES}/s/status", {"op": "test", "path": "/status", "value": 1}),
            409,
            "does not fit",
        ),
        (lambda rest: rest.delete(f"{SERVICES}/no"), 404, "there is no no"),
    ],
)
def test_a_write_that_is_refused_says_why_and_changes_nothing(rest: Rest, do: Any, status: int, words: str) -> None:
    rest.create(SERVICES, name="s", status={"level": "Pending"})
    before = dict(rest.get(f"{SERVICES}/s") or {})
    rest.events()
    with pytest.raises(Refused, match=words) as refused:
        do(rest)
    assert refused.value.status == status
    assert rest.events() == []
    assert rest.get(f"{SERVICES}/s") == before


def test_a_body_may_not_nest_without_end(rest: Rest) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    with pytest.raises(Refused, match="nests deeper than 64"):
        rest.create(SERVICES, name="x", spec={"deep": deep})
    rest.create(SERVICES, name="s")
    with pytest.raises(Refused, match="nests deeper than 64"):
        rest.put(f"{SERVICES}/s/status", {"status": deep})


def test_an_unknown_collection_learns_its_kind_from_the_first_that_lives_there(rest: Rest) -> None:
    rest.create("gadgets", kind="Gadget", name="g")
    assert rest.create("gadgets", name="h")["kind"] == "Gadget"
    rest.create("environments/e/gadgets", name="in-e")
    place = rest.place("environments/e/gadgets")
    assert (place.name, place.subresource) == ("", "")  # no subresource of e any more
    assert [each["name"] for each in rest.central.resources.collection("/management/gadgets")] == ["g", "h", "in-e"]


def test_the_go_sdks_patch_makes_the_objects_on_its_way(rest: Rest) -> None:
    rest.create(SERVICES, name="s")
    resource = rest.patch(
        f"{SERVICES}/s/x-agent-details",
        {"op": "x-build-object-tree", "path": "/x-agent-details/a/b"},
        {"op": "add", "path": "/x-agent-details/a/b/c", "value": 1},
        {"op": "add", "path": "/x-agent-details/d~1e", "value": 2},
    )
    assert resource["x-agent-details"] == {"a": {"b": {"c": 1}}, "d/e": 2}


def test_topics_written_over_rest_watch_and_are_watched(rest: Rest) -> None:
    spec = {"filters": [{"group": "management", "kind": "Gadget", "name": "*", "type": ["created"]}]}
    rest.create("watchtopics", name="gadgets", spec=spec)
    topic = rest.central.topic("/management/v1/watchtopics/gadgets")
    assert topic is not None
    rest.create("gadgets", kind="Gadget", name="g")
    assert len(topic.log) == 1
    rest.delete("watchtopics/gadgets")
    assert rest.central.topic("/management/v1/watchtopics/gadgets") is None
    assert [op for op, _, _ in rest.events()] == [Op.CREATED, Op.CREATED, Op.DELETED]
