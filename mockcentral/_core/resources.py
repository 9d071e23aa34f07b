"""Resources as the REST side of Central keeps them: names, selfLinks, audit, versions (protocol 5.1, 6.0).

One object has one link without a version in it (`/management/environments/sample-env/apiservices/petstore`); `v1` and
`v1alpha1` are two ways to ask for it and to spell its selfLink. The store is a dictionary by that link, so nothing here
knows HTTP, events or topics: whoever changes a resource is told what it looks like now, and tells the others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

VERSIONS = ("v1", "v1alpha1")
DEFAULT_VERSION = VERSIONS[0]
MAX_NAME = 253

Json = dict[str, Any]

_PLURALS = {"IdentityProviderMetadata": "idpmetadatas"}
"""Kinds whose collection is not simply the lower-case kind with an s (protocol 6.1)."""
_KINDS = {
    kind.lower() + "s": kind
    for kind in [
        "APIService",
        "APIServiceRevision",
        "APIServiceInstance",
        "AccessControlList",
        "AccessRequest",
        "AccessRequestDefinition",
        "ApplicationProfileDefinition",
        "ComplianceAgent",
        "ComplianceRuntimeResult",
        "Credential",
        "CredentialRequestDefinition",
        "DiscoveryAgent",
        "Environment",
        "IdentityProvider",
        "ManagedApplication",
        "ManagedApplicationProfile",
        "TraceabilityAgent",
        "WatchTopic",
    ]
} | {plural: kind for kind, plural in _PLURALS.items()}
"""Collections of known kinds, for resources that are created through REST; others learn their kind from the body."""


def plural(kind: str) -> str:
    """The collection name of a kind: `APIService` -> `apiservices`."""
    return _PLURALS.get(kind, kind.lower() + "s")


def kind_of(collection: str) -> str | None:
    """The kind a collection holds, None for collections of kinds not known here."""
    return _KINDS.get(collection)


def make_link(group: str, kind: str, name: str, scope_kind: str | None = None, scope_name: str | None = None) -> str:
    """The link without version of a resource."""
    scope = f"/{plural(scope_kind)}/{scope_name}" if scope_kind else ""
    return f"/{group}{scope}/{plural(kind)}/{name}"


def unversioned(self_link: str) -> str:
    """The link without version of a selfLink: `/management/v1/watchtopics/x` -> `/management/watchtopics/x`.

    Links that hold no known version are returned as they are.
    """
    parts = self_link.split("/")
    if len(parts) > 2 and parts[2] in VERSIONS:
        del parts[2]
    return "/".join(parts)


def versioned(link: str, version: str = DEFAULT_VERSION) -> str:
    """The selfLink of a link in one API version."""
    _, group, rest = link.split("/", 2)
    return f"/{group}/{version}/{rest}"


def in_version(resource: Mapping[str, Any], version: str) -> Json:
    """A copy of a resource as one API version shows it: apiVersion and every selfLink spelled that way."""
    shown = copy.deepcopy(dict(resource))
    shown["apiVersion"] = version
    metadata = shown["metadata"]
    metadata["selfLink"] = versioned(unversioned(metadata["selfLink"]), version)
    scope = metadata.get("scope")
    if scope and scope.get("selfLink"):
        scope["selfLink"] = versioned(unversioned(scope["selfLink"]), version)
    return shown


_SHAPES: tuple[tuple[str, type, str], ...] = (
    ("attributes", Mapping, "an object"),
    ("tags", list, "a list"),
    ("finalizers", list, "a list"),
)


class ResourceStore:
    """Resources by link. `new_id` makes ids; `timestamp` spells a world time as protocol 6.0 demands."""

    def __init__(self, new_id: Callable[[], str], timestamp: Callable[[float], str]) -> None:
        self._resources: dict[str, Json] = {}
        self._new_id = new_id
        self._timestamp = timestamp
        self._version = 0

    def get(self, link: str) -> Json | None:
        """The stored resource itself; show it through `in_version`."""
        return self._resources.get(link)

    def __contains__(self, link: str) -> bool:
        return link in self._resources

    def __len__(self) -> int:
        return len(self._resources)

    def collection(self, link: str) -> Iterator[Json]:
        """The resources directly in a collection, `/management/watchtopics`, oldest first."""
        prefix = link.rstrip("/") + "/"
        for other, resource in self._resources.items():
            if other.startswith(prefix) and "/" not in other[len(prefix) :]:
                yield resource

    def put(self, link: str, body: Mapping[str, Any], *, kind: str, now: float) -> Json:
        """Create or replace the resource at `link`; id and creation time survive a replacement, the rest of
        `metadata` is ours.

        Raises ValueError when a key that every resource has holds something else than it should.
        """
        for key, wanted, words in _SHAPES:
            if body.get(key) is not None and not isinstance(body[key], wanted):
                raise ValueError(f"{key} must be {words}")
        old = self._resources.get(link)
        self._version += 1
        stamp = self._timestamp(now)
        parts = link.split("/")
        group, name = parts[1], parts[-1]
        given = body.get("metadata") if isinstance(body.get("metadata"), Mapping) else {}
        assert isinstance(given, Mapping)
        metadata: Json = {
            "id": old["metadata"]["id"] if old else self._new_id(),
            "selfLink": versioned(link),
            "resourceVersion": str(self._version),
            "audit": {
                "createTimestamp": old["metadata"]["audit"]["createTimestamp"] if old else stamp,
                "createUserId": "",
                "modifyTimestamp": stamp,
                "modifyUserId": "",
            },
            "references": list(given.get("references") or []) if isinstance(given.get("references"), list) else [],
        }
        if len(parts) == 6:  # /group/plural/name/plural/name: a scoped resource
            metadata["scope"] = self._scope("/".join(parts[:4]))
        resource: Json = {
            "group": group,
            "apiVersion": DEFAULT_VERSION,
            "kind": kind,
            "name": name,
            "title": body.get("title") or name,
            "metadata": metadata,
            "attributes": dict(body.get("attributes") or {}),
            "tags": list(body.get("tags") or []),
            "finalizers": list(body.get("finalizers") or []),
            "owner": body.get("owner"),
            "spec": body.get("spec") or {},
        }
        for key, value in body.items():  # every other key is a subresource (protocol 6.0)
            resource.setdefault(key, value)
        self._resources[link] = resource
        return resource

    def _scope(self, link: str) -> Json:
        """The scope block for resources inside `link`; an environment nobody created is made up once and keeps its
        id.
        """
        if link not in self._resources:
            _, _, collection, name = link.split("/")
            kind = kind_of(collection) or collection.removesuffix("s").capitalize()
            self.put(link, {"title": name}, kind=kind, now=0.0)
        owner = self._resources[link]
        return {
            "id": owner["metadata"]["id"],
            "kind": owner["kind"],
            "name": owner["name"],
            "selfLink": owner["metadata"]["selfLink"],
        }

    def scope_of(self, kind: str, name: str, group: str) -> Json:
        """The scope block for resources in this scope, see `_scope`."""
        link = make_link(group, kind, name)
        if link not in self._resources:
            self.put(link, {"title": name}, kind=kind, now=0.0)
        return self._scope(link)

    def delete(self, link: str) -> Json | None:
        """Take a resource out; None when there is none."""
        return self._resources.pop(link, None)
