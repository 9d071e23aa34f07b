"""A small agent in Python: a watch on a topic of its own, REST over http.client, and a provisioner. What a Go agent's
marketplace handlers do (protocol 4.10), in as many lines as that takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import watchmanager as wm
from mockcentral import World
from tests.mockcentral.clients import ask, harvest

FINALIZER = "agent.provisioned"
KINDS = ("ManagedApplication", "AccessRequest", "Credential")
TOPIC = "/management/v1/watchtopics/sample-env-discoveryagents"


class Provisioner:
    """Provisions what is Pending, and takes back what is to go. `refuses`: the kinds it answers with Error.

    `done` is what it did, in order: ("provision", kind, name) and ("deprovision", kind, name).
    """

    def __init__(self, world: World, refuses: Iterable[str] = ()) -> None:
        self.world = world
        self.done: list[tuple[str, str, str]] = []
        self._refuses = frozenset(refuses)
        scope = {"kind": "Environment", "name": "sample-env"}
        types = ["created", "updated", "deleted"]
        filters = [{"group": "management", "kind": kind, "name": "*", "type": types, "scope": scope} for kind in KINDS]
        body = {"name": TOPIC.rpartition("/")[2], "spec": {"description": "its own", "filters": filters}}
        assert ask(world, "POST", "/apis/management/v1/watchtopics", body).status == 201
        self._manager = wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token)

    def __enter__(self) -> Provisioner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manager.close()

    def watch(self, last: tuple[str, str]) -> None:
        """Over the stream, until the resource of this kind and name is gone."""
        with self._manager.watch(TOPIC) as watch:
            for event in watch:
                if not isinstance(event, wm.Event):
                    continue
                if event.type is wm.EventType.DELETED:
                    if (event.kind, event.name) == last:
                        return
                elif event.subresource in ("", None, "status"):
                    self.look_at(event.self_link)

    def poll(self, last: tuple[str, str]) -> None:
        """Without a stream (protocol 4.9): ask history again and again."""
        after = 0
        while True:
            events = harvest(
                self.world, TOPIC, page=1, pageSize=100, query=f"sequenceID>{after}", sort="sequenceID,ASC"
            ).json()
            for event in events:
                after = event["metadata"]["sequenceID"]
                payload = event["payload"]
                if event["type"] == "ResourceDeleted":
                    if (payload["kind"], payload["name"]) == last:
                        return
                elif event["metadata"]["subresource"] in (None, "status"):
                    self.look_at(payload["metadata"]["selfLink"])

    def look_at(self, link: str) -> None:
        """Do what a resource waits for."""
        answer = ask(self.world, "GET", f"/apis{link}")
        if answer.status == 404:  # the event is older than its end
            return
        resource = answer.json()
        finalizers = [each["name"] for each in resource["finalizers"]]
        level = resource.get("status", {}).get("level")
        state = resource["metadata"].get("state")
        if state == "DELETING" and FINALIZER in finalizers:
            self._note("deprovision", resource)
            self._put(link, {**resource, "finalizers": []})
        elif level == "Pending" and state != "DELETING":
            self._note("provision", resource)
            if resource["kind"] in self._refuses:
                self._set(link, "status", {"level": "Error", "reasons": [{"type": "Error", "detail": "not today"}]})
                return
            self._put(link, {**resource, "finalizers": [{"name": FINALIZER, "description": "ours"}]})
            self._set(link, "x-agent-details", {"provisioned": "true"})
            if resource["kind"] == "Credential":
                self._set(link, "data", {"apiKey": "made-up"})
            self._set(link, "status", {"level": "Success", "reasons": []})

    def _note(self, what: str, resource: dict[str, Any]) -> None:
        self.done.append((what, resource["kind"], resource["name"]))

    def _put(self, link: str, resource: dict[str, Any]) -> None:
        resource["metadata"]["resourceVersion"] = ""
        answer = ask(self.world, "PUT", f"/apis{link}", resource)
        assert answer.status == 200, answer.body

    def _set(self, link: str, subresource: str, value: object) -> None:
        answer = ask(self.world, "PUT", f"/apis{link}/{subresource}", {subresource: value})
        assert answer.status == 200, answer.body
        assert answer.json()[subresource] == value
