"""Resources as the REST side of Central keeps them: names, selfLinks, audit, versions (protocol 5.1, 6.0).

One object has one link without a version in it (`/management/environments/sample-env/apiservices/petstore`); `v1` and
`v1alpha1` are two ways to ask for it and to spell its selfLink. The store is a dictionary by that link, so nothing here
knows HTTP, events or topics: whoever changes a resource is told what it looks like now, and tells the others.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

from mockcentral._core.frozen import dataclass

VERSIONS = ("v1", "v1alpha1")
DEFAULT_VERSION = VERSIONS[0]
MAX_NAME = 253

Json = dict[str, Any]

_PLURALS = {
    "AssistedSearch": "assistedsearch",
    "AuthorizationProfile": "authprofiles",
    "Category": "categories",
    "CategoryVisibility": "categoryvisibility",
    "CommandLineInterface": "commandlines",
    "ConsumerProductPlanVisibility": "consumerproductplanvisibility",
    "ConsumerProductVisibility": "consumerproductvisibility",
    "ConsumerStageVisibility": "consumerstagevisibility",
    "IdentityProviderMetadata": "idpmetadatas",
    "IdentityProviderSecret": "idpsecrets",
    "ProductPlanVisibility": "productplanvisibility",
    "ProductVisibility": "productvisibility",
    "ResourceDefinition": "resources",
    "ResourceDefinitionVersion": "resourceversions",
    "ResourceGroup": "groups",
    "StageVisibility": "stagevisibility",
}
"""Kinds whose collection is not simply the lower-case kind with an s (protocol 6.1)."""
_KINDS = {
    kind.lower() + "s": kind
    for kind in [
        "APIService",
        "APIServiceInstance",
        "APIServiceRevision",
        "APISpecLintingJob",
        "APISpecLintingRuleset",
        "AccessControlList",
        "AccessRequest",
        "AccessRequestDefinition",
        "Application",
        "ApplicationProfile",
        "ApplicationProfileDefinition",
        "Asset",
        "AssetMapping",
        "AssetMappingTemplate",
        "AssetRelease",
        "AssetRequest",
        "AssetRequestDefinition",
        "AssetResource",
        "BatchJob",
        "ComplianceAgent",
        "ComplianceRuntimeResult",
        "Component",
        "Credential",
        "CredentialRequestDefinition",
        "Dataplane",
        "DataplaneSecret",
        "DiscoveryAgent",
        "Document",
        "DocumentCollection",
        "DocumentResource",
        "DocumentTemplate",
        "Environment",
        "IdentityProvider",
        "Integration",
        "MCPClient",
        "ManagedApplication",
        "ManagedApplicationProfile",
        "Marketplace",
        "Product",
        "ProductOverview",
        "ProductPlan",
        "ProductPlanJob",
        "ProductPlanUnit",
        "ProductRelease",
        "ProductReview",
        "PublishedDocumentResource",
        "PublishedProduct",
        "PublishedStage",
        "Quota",
        "ReleaseTag",
        "ResourceHook",
        "Secret",
        "Stage",
        "Subscription",
        "SubscriptionInvoice",
        "SubscriptionJob",
        "SubscriptionRequestDefinition",
        "SupportContact",
        "TraceabilityAgent",
        "WatchTopic",
        "Webhook",
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
    return _collection_link(group, kind, scope_kind, scope_name) + name


@functools.lru_cache(maxsize=1024)  # asked for every event, and worlds have few collections
def _collection_link(group: str, kind: str, scope_kind: str | None, scope_name: str | None) -> str:
    scope = f"/{plural(scope_kind)}/{scope_name}" if scope_kind else ""
    return f"/{group}{scope}/{plural(kind)}/"


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
    for reference in metadata.get("references", ()):
        link = reference.get("selfLink") if isinstance(reference, Mapping) else None
        if isinstance(link, str) and link.startswith("/") and link.count("/") > 1:
            reference["selfLink"] = versioned(unversioned(link), version)
    return shown


_SHAPES: tuple[tuple[str, type, str], ...] = (
    ("attributes", Mapping, "an object"),
    ("tags", list, "a list"),
    ("finalizers", list, "a list"),
    ("metadata", Mapping, "an object"),
    ("spec", Mapping, "an object"),
    ("owner", Mapping, "an object"),
)
_OWN = frozenset(
    ("group", "apiVersion", "kind", "name", "title", "metadata", "attributes", "tags", "finalizers", "owner", "spec")
)
"""Keys of every resource; each other one is a subresource (protocol 6.0)."""
MAX_NESTING = 64
"""Objects and lists inside one another; whoever walks a resource may recurse."""

DELETING = "DELETING"
"""metadata.state of a resource that is to go and still has finalizers."""

_REFERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "APIServiceRevision": (("apiService", "APIService"),),
    "APIServiceInstance": (
        ("apiServiceRevision", "APIServiceRevision"),
        ("accessRequestDefinition", "AccessRequestDefinition"),
        ("credentialRequestDefinitions", "CredentialRequestDefinition"),
    ),
    "AccessRequest": (("apiServiceInstance", "APIServiceInstance"), ("managedApplication", "ManagedApplication")),
    "Credential": (
        ("credentialRequestDefinition", "CredentialRequestDefinition"),
        ("managedApplication", "ManagedApplication"),
    ),
    "ManagedApplicationProfile": (
        ("managedApplication", "ManagedApplication"),
        ("applicationProfileDefinition", "ApplicationProfileDefinition"),
    ),
}
"""Kind -> the keys of its spec that name resources of the same scope, and their kinds. The server turns them into
metadata.references, by which agents find a service's revisions and a revision's instances (protocol 6.1).
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What an address under /apis names: a collection (`name` is empty), a resource, or one of its subresources."""

    collection: str
    """Link of the collection: `/management/environments/sample-env/apiservices`."""
    name: str = ""
    subresource: str = ""

    @classmethod
    def at(cls, link: str) -> Place:
        """The resource of a link."""
        collection, _, name = link.rpartition("/")
        return cls(collection, name)

    @property
    def link(self) -> str:
        """The link of the resource."""
        return f"{self.collection}/{self.name}"

    @property
    def plural(self) -> str:
        return self.collection.rpartition("/")[2]

    @property
    def scope(self) -> str | None:
        """The link of what the collection is in, None for one that is in nothing."""
        inside = self.collection.rpartition("/")[0]
        return inside if inside.count("/") > 1 else None


def is_subresource(key: str) -> bool:
    """Whether a key of a resource is a subresource of its own."""
    return key not in _OWN


_FLAT = frozenset({str, int, float, bool, type(None)})


def nesting(value: Any, limit: int = MAX_NESTING) -> bool:
    """Whether a JSON value nests no deeper than `limit`."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list):
        return True
    inner = [item for item in value if type(item) not in _FLAT]
    return limit > 0 and all(nesting(item, limit - 1) for item in inner)


class _Sketch:
    """What publishers have made of a resource, until somebody looks at it: see `ResourceStore.touch`."""

    __slots__ = (
        "attributes",
        "body",
        "born",
        "changed",
        "id",
        "kind",
        "old",
        "scope",
        "self_link",
        "subresources",
        "version",
    )

    def __init__(self, id: str, self_link: str, old: Json | None, now: float) -> None:
        self.id = id
        self.self_link = self_link
        self.old = old
        """What was stored before, None when there was nothing."""
        self.born = self.changed = now
        self.attributes: Json | None = None
        self.subresources: list[str] = []
        self.kind = ""
        self.version = 0
        self.scope: Json | None = None
        self.body: Mapping[str, Any] = {}
        """Its title and its spec, where there are any."""

    def drawn(self, group: str, name: str, timestamp: Callable[[float], str]) -> Json:
        """The resource itself."""
        given: Json = {} if self.attributes is None else {"attributes": self.attributes}
        for each in self.subresources:
            given[each] = {}
        if self.old is not None:
            metadata = {**self.old["metadata"], "resourceVersion": str(self.version)}
            metadata["audit"] = {**metadata["audit"], "modifyTimestamp": timestamp(self.changed)}
            if self.scope is not None:
                metadata["scope"] = self.scope
            return {**self.old, **given, "kind": self.kind, "metadata": metadata}
        metadata = {
            "id": self.id,
            "selfLink": self.self_link,
            "resourceVersion": str(self.version),
            "audit": {
                "createUserId": "",
                "modifyUserId": "",
                "createTimestamp": timestamp(self.born),
                "modifyTimestamp": timestamp(self.changed),
            },
            "references": [],
        }
        if self.scope is not None:
            metadata["scope"] = self.scope
        return {
            "group": group,
            "apiVersion": DEFAULT_VERSION,
            "kind": self.kind,
            "name": name,
            "title": self.body.get("title") or name,
            "metadata": metadata,
            "attributes": {},
            "tags": [],
            "finalizers": [],
            "owner": None,
            "spec": self.body.get("spec") or {},
            **given,
        }


class ResourceStore:
    """Resources by link. `new_id` makes ids; `timestamp` spells a world time as protocol 6.0 demands; `changed` is told
    what the resource at a link is now, None when it is gone.
    """

    def __init__(
        self,
        new_id: Callable[[], str],
        timestamp: Callable[[float], str],
        changed: Callable[[str, Json | None], None] | None = None,
    ) -> None:
        self._changed = changed
        self._resources: dict[str, Json] = {}
        self._collections: dict[str, dict[str, Json]] = {}
        """Collection -> link -> resource. A resource in a scope is also in the collection of its kind in all scopes."""
        self._sketches: dict[str, _Sketch] = {}
        """Link -> what `touch` has made of it and nobody has looked at. Whoever reads or changes anything else settles
        them first.
        """
        self._scopes: dict[tuple[str, str, str], Json] = {}
        """Scope blocks that were asked for, while what `_owners` names stays what it is."""
        self._owners: set[str] = set()
        self._kinds: dict[str, str] = {}
        """Collections of kinds that `kind_of` does not know, from what was created in them."""
        self._new_id = new_id
        self._timestamp = timestamp
        self._version = 0

    def get(self, link: str) -> Json | None:
        """The stored resource itself; show it through `in_version`."""
        self.settle()
        return self._resources.get(link)

    def __contains__(self, link: str) -> bool:
        self.settle()
        return link in self._resources

    def __len__(self) -> int:
        self.settle()
        return len(self._resources)

    def collection(self, link: str) -> tuple[Json, ...]:
        """The resources of a collection, oldest first: `/management/environments/e/apiservices` holds those of one
        environment, `/management/apiservices` those of all.
        """
        self.settle()
        return tuple(self._collections.get(link.rstrip("/"), {}).values())

    def inside(self, link: str) -> list[str]:
        """The links of what lives in the scope of this resource."""
        self.settle()
        return [other for other in self._resources if other.startswith(link + "/")]

    def kind(self, plural: str) -> str | None:
        """The kind of a collection, None when nobody has said."""
        self.settle()
        return kind_of(plural) or self._kinds.get(plural)

    def locate(self, group: str, rest: str, *, creating: bool = False) -> Place | None:
        """What `/apis/{group}/{version}/{rest}` names; None when it can name nothing.

        Three words are a collection in a scope when the third is known to hold a kind, or something is to be created
        there, and a subresource otherwise.
        """
        parts = rest.strip("/").split("/")
        if not all(parts) or len(parts) > 5:
            return None
        inside, last = f"/{group}", parts
        if len(parts) > 3 or (len(parts) == 3 and (creating or self.kind(parts[2]) is not None)):
            inside, last = f"/{group}/{parts[0]}/{parts[1]}", parts[2:]
        return Place(f"{inside}/{last[0]}", *last[1:])

    def put(self, link: str, body: Mapping[str, Any], *, kind: str, now: float) -> Json:
        """Create or replace the resource at `link`; id, creation time and the subresources that `body` does not hold
        survive a replacement, the rest of `metadata` is ours.

        Raises ValueError when a key that every resource has holds something else than it should.
        """
        for key, wanted, words in _SHAPES:
            if body.get(key) is not None and not isinstance(body[key], wanted):
                raise ValueError(f"{key} must be {words}")
        if not nesting(body):
            raise ValueError(f"the body nests deeper than {MAX_NESTING} objects and lists")
        return self.place(link, body, kind, now)

    def place(self, link: str, body: Mapping[str, Any], kind: str, now: float) -> Json:
        """As `put`, for a body of our own making: nothing can be wrong with it."""
        self.settle()
        return self._put(link, body, kind, now)

    def _put(self, link: str, body: Mapping[str, Any], kind: str, now: float) -> Json:
        old = self._resources.get(link)
        parts = link.split("/")
        group, name = parts[1], parts[-1]
        scope = "/".join(parts[:4]) if len(parts) == 6 else None  # /group/plural/name/plural/name
        metadata: Json = {
            "id": old["metadata"]["id"] if old else self._new_id(),
            "selfLink": versioned(link),
            "resourceVersion": "",
            "audit": {"createUserId": "", "modifyUserId": ""},
            "references": self._references(kind, body, group, scope),
        }
        if old is not None and "state" in old["metadata"]:
            metadata["state"] = old["metadata"]["state"]
        if scope is not None:
            metadata["scope"] = self._scope(scope)
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
        for source in (body, old or {}):
            for key, value in source.items():
                resource.setdefault(key, value)
        self._keep(link, resource, now, old)
        return resource

    def sketch(self, link: str, body: Mapping[str, Any], kind: str, now: float) -> tuple[str, str]:
        """As `place`, for a body with a title and a spec that refers to nothing: drawn when somebody looks, as what
        `touch` makes. Returns its id and selfLink.
        """
        if self._changed is not None or link in self._sketches or link in self._resources:
            metadata = self.place(link, body, kind, now)["metadata"]
            return metadata["id"], metadata["selfLink"]
        id, self_link = self.touch(link, kind=kind, now=now, scope=None, attributes={}, subresource="")
        self._sketches[link].body = body
        return id, self_link

    def touch(
        self, link: str, *, kind: str, now: float, scope: Json | None, attributes: Mapping[str, str], subresource: str
    ) -> tuple[str, str]:
        """Somebody has published that the resource at `link` is there now, or has changed: as `put` of what it is
        already, in `scope` (see `scope_of`), with these attributes and this subresource where they are not empty.
        Returns its id and selfLink.

        Most published resources are never looked at, and making one takes longer than the rest of publishing it: only
        a sketch of it is kept until somebody does.
        """
        sketch = self._sketches.get(link)
        if sketch is None:
            old = self._resources.get(link)
            if old is not None and (kind in _REFERS or old["metadata"]["references"]):
                return self._touch_referring(link, old, kind, now, attributes, subresource)
            if old is None:
                sketch = _Sketch(self._new_id(), versioned(link), None, now)
            else:
                sketch = _Sketch(old["metadata"]["id"], old["metadata"]["selfLink"], old, now)
            self._sketches[link] = sketch
        self._version += 1
        sketch.version = self._version
        sketch.changed = now
        sketch.kind = kind
        if scope is not None:
            sketch.scope = scope
        if attributes:
            sketch.attributes = dict(attributes)
        if (
            subresource
            and subresource not in sketch.subresources
            and (sketch.old is None or subresource not in sketch.old)
        ):
            sketch.subresources.append(subresource)
        if self._changed is not None:
            self.settle()
        return sketch.id, sketch.self_link

    def _touch_referring(
        self, link: str, old: Json, kind: str, now: float, attributes: Mapping[str, str], subresource: str
    ) -> tuple[str, str]:
        """As `touch`, for what has references: they may have come to be, or gone."""
        self.settle()
        given: Json = {"attributes": dict(attributes)} if attributes else {}
        if subresource and subresource not in old:
            given[subresource] = {}
        metadata = self._put(link, {**old, **given}, kind, now)["metadata"]
        return metadata["id"], metadata["selfLink"]

    def settle(self) -> None:
        """What was sketched becomes a resource like any other: before anybody looks, and before times are spelled in
        another way.
        """
        if self._sketches:
            sketches, self._sketches = self._sketches, {}
            for link, sketch in sketches.items():
                parts = link.split("/")
                resource = sketch.drawn(parts[1], parts[-1], self._timestamp)
                self._enter(link, resource)
                if self._changed is not None:
                    self._changed(link, resource)

    def put_subresource(self, link: str, name: str, value: Any, now: float) -> Json:
        """Replace one subresource of the resource at `link`, which must exist.

        Raises ValueError when `name` is no subresource's, or the value nests too deep.
        """
        if not is_subresource(name):
            raise ValueError(f"{name} is part of the resource itself: PUT the resource")
        if not nesting(value):
            raise ValueError(f"the body nests deeper than {MAX_NESTING} objects and lists")
        self.settle()
        old = self._resources[link]
        resource = {**old, name: value, "metadata": dict(old["metadata"])}
        self._keep(link, resource, now, old)
        return resource

    def mark_deleting(self, link: str, now: float) -> Json:
        """The resource at `link`, which must exist, is to go once its finalizers are gone."""
        self.settle()
        old = self._resources[link]
        resource = {**old, "metadata": {**old["metadata"], "state": DELETING}}
        self._keep(link, resource, now, old)
        return resource

    def _keep(self, link: str, resource: Json, now: float, old: Json | None) -> None:
        """Store what a resource has become, in a new version; whoever holds the old one may go on reading it."""
        self._version += 1
        stamp = self._timestamp(now)
        metadata = resource["metadata"]
        metadata["resourceVersion"] = str(self._version)
        metadata["audit"] = {
            **metadata["audit"],
            "createTimestamp": old["metadata"]["audit"]["createTimestamp"] if old else stamp,
            "modifyTimestamp": stamp,
        }
        self._enter(link, resource)
        if self._changed is not None:
            self._changed(link, resource)

    def restore(self, link: str, resource: Json) -> None:
        """A resource as an earlier store had it; nobody is told."""
        self._version = max(self._version, int(resource["metadata"]["resourceVersion"]))
        self._enter(link, resource)

    def _enter(self, link: str, resource: Json) -> None:
        self._forget_scope(link)
        self._resources[link] = resource
        for collection in self._collections_of(link):
            members = self._collections.get(collection)
            if members is None:
                members = self._collections[collection] = {}
            members[link] = resource
        plural_ = link.split("/")[-2]
        if kind_of(plural_) is None:
            self._kinds[plural_] = resource["kind"]

    @staticmethod
    def _collections_of(link: str) -> tuple[str, ...]:
        parts = link.split("/")
        own = link.rpartition("/")[0]
        return (own, f"/{parts[1]}/{parts[4]}") if len(parts) == 6 else (own,)

    def _references(self, kind: str, body: Mapping[str, Any], group: str, scope: str | None) -> list[Json]:
        """What the spec refers to, and those of the references in the body that are not about that."""
        found: list[Json] = []
        if not body:
            return found
        spec = body.get("spec") or {}
        for key, target in _REFERS.get(kind, ()):
            names = spec.get(key)
            for name in names if isinstance(names, list) else [names]:
                other = self._resources.get(f"{scope or f'/{group}'}/{plural(target)}/{name}")
                if other is None:
                    continue
                found.append(
                    {
                        "id": other["metadata"]["id"],
                        "group": other["group"],
                        "kind": target,
                        "name": other["name"],
                        "selfLink": other["metadata"]["selfLink"],
                        "type": "HARD",
                    }
                    | (
                        {"scopeKind": owner["kind"], "scopeName": owner["name"]}
                        if (owner := other["metadata"].get("scope"))
                        else {}
                    )
                )
        derived = {target for _, target in _REFERS.get(kind, ())}
        given = (body.get("metadata") or {}).get("references")
        for each in given if isinstance(given, list) else []:
            if isinstance(each, Mapping) and each.get("kind") not in derived:
                found.append(dict(each))
        return found

    def _scope(self, link: str) -> Json:
        """The scope block for resources inside `link`; an environment nobody created is made up once and keeps its
        id.
        """
        if link not in self._resources:
            _, _, collection, name = link.split("/")
            kind = self.kind(collection) or collection.removesuffix("s").capitalize()
            self.put(link, {"title": name}, kind=kind, now=0.0)
        owner = self._resources[link]
        return {
            "id": owner["metadata"]["id"],
            "kind": owner["kind"],
            "name": owner["name"],
            "selfLink": owner["metadata"]["selfLink"],
        }

    def scope_of(self, kind: str, name: str, group: str) -> Json:
        """The scope block for resources in this scope, see `_scope`; nobody may change it."""
        key = kind, name, group
        block = self._scopes.get(key)
        if block is None:
            link = make_link(group, kind, name)
            if link not in self._sketches and link not in self._resources:
                self.touch(link, kind=kind, now=0.0, scope=None, attributes={}, subresource="")
            sketch = self._sketches.get(link)
            if sketch is None:
                block = self._scope(link)
            else:
                block = {"id": sketch.id, "kind": sketch.kind, "name": name, "selfLink": sketch.self_link}
            self._scopes[key] = block
            self._owners.add(link)
        return block

    def _forget_scope(self, link: str) -> None:
        if link in self._owners:
            self._scopes.clear()
            self._owners.clear()

    def delete(self, link: str) -> Json | None:
        """Take a resource out; None when there is none."""
        self.settle()
        return self._remove(link)

    def remove(self, link: str) -> tuple[str, str] | None:
        """As `delete`, for whoever wants to know no more than its id and selfLink."""
        sketch = self._sketches.pop(link, None)
        if sketch is not None and sketch.old is None:
            self._forget_scope(link)
            return sketch.id, sketch.self_link
        gone = self._remove(link)
        return None if gone is None else (gone["metadata"]["id"], gone["metadata"]["selfLink"])

    def _remove(self, link: str) -> Json | None:
        self._forget_scope(link)
        for collection in self._collections_of(link):
            self._collections.get(collection, {}).pop(link, None)
        if link in self._resources and self._changed is not None:
            self._changed(link, None)
        return self._resources.pop(link, None)
