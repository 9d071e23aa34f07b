"""What clients write over REST, and the events it becomes (protocol 5, 6.0, section 9.3).

    create                         ResourceCreated
    replace                        ResourceUpdated
    put or patch a subresource     SubResourceUpdated with its name
    delete                         ResourceDeleted; with finalizers state DELETING and ResourceUpdated,
                                   and the real end when the last finalizer is taken away

A WatchTopic is a resource like any other, and also what streams watch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mockcentral._core.events import Change, Op, Reference, Scope
from mockcentral._core.resources import DELETING, MAX_NAME, MAX_NESTING, Json, Place, nesting, plural

if TYPE_CHECKING:
    from mockcentral._core.central import Central

BUILD_OBJECT_TREE = "x-build-object-tree"
"""The Go SDK's own patch operation, the first of each of its patches: make the objects on the way to `path`."""
MAX_OPERATIONS = 1000
MAX_COPIED = 100_000
"""Values that the copies of one patch may make: each copy may double what is there."""


class Refused(Exception):
    """A write that is not done. `status` and `title` are what an HTTP answer says, the text is its detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def create(central: Central, place: Place, body: Mapping[str, Any], now: float) -> Json:
    """A new resource in a collection. One without a name gets one.

    Raises Refused: 400 for a body that does not fit, 404 for a scope that does not exist, 409 for a name that is taken.
    """
    kind = _kind(central, place, body)
    _check_scope(central, place)
    name = body.get("name") or f"{kind.lower()}-{central.new_id()}"
    if not isinstance(name, str) or "/" in name or len(name) > MAX_NAME or not name.isprintable():
        raise Refused(400, f"name must be printable text without a slash, {MAX_NAME} characters at most")
    place = Place(place.collection, name)
    if place.link in central.resources:
        raise Refused(409, f"{kind} {name} is there already")
    return _put(central, place, body, kind, Op.CREATED, now)


def replace(central: Central, place: Place, body: Mapping[str, Any], now: float) -> Json:
    """New content for a resource; it is gone when that takes the last finalizer of one in state DELETING.

    Raises Refused: 400 for a body that does not fit, 404 for a resource that does not exist, 409 for a
    metadata.resourceVersion that is not the newest (agents leave it blank).
    """
    old = _there(central, place)
    kind = _kind(central, place, body)
    if body.get("name") not in (None, "", place.name):
        raise Refused(400, f"the body names {str(body['name'])[:80]!r}, the address {place.name!r}")
    metadata = body.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
    if version not in (None, "") and str(version) != old["metadata"]["resourceVersion"]:
        raise Refused(409, f"resourceVersion is {old['metadata']['resourceVersion']}, not {str(version)[:40]}")
    resource = _put(central, place, body, kind, Op.UPDATED, now)
    if resource["metadata"].get("state") == DELETING and not resource["finalizers"]:
        _remove(central, place.link, now)
    return resource


def put_subresource(central: Central, place: Place, body: Mapping[str, Any], now: float) -> Json:
    """Replace one subresource; `body` is `{"<subresource>": value}`. Answers the whole resource.

    Raises Refused: 400 for a body that does not hold it, 404 for a resource that does not exist.
    """
    _there(central, place)
    if place.subresource not in body:
        raise Refused(400, f'the body must be {{"{place.subresource[:80]}": ...}}')
    return _set(central, place, body[place.subresource], now)


def patch_subresource(central: Central, place: Place, patch: Any, now: float) -> Json:
    """Change one subresource by a JSON patch (RFC 6902) whose paths begin with its name. Answers the whole resource.

    Raises Refused: 400 for a patch that cannot be read or leaves the subresource, 404 for a resource that does not
    exist, 409 for one that does not fit what is there.
    """
    import jsonpatch  # few worlds ever see a patch, and all of them have to start
    import jsonpointer

    resource = _there(central, place)
    if not isinstance(patch, list) or not all(isinstance(each, Mapping) for each in patch):
        raise Refused(400, "the body must be a JSON patch: a list of operations")
    if len(patch) > MAX_OPERATIONS:
        raise Refused(400, f"a patch has at most {MAX_OPERATIONS} operations")
    if not nesting(patch):
        raise Refused(400, f"the patch nests deeper than {MAX_NESTING} objects and lists")
    name = place.subresource
    root = f"/{name.replace('~', '~0').replace('/', '~1')}"
    document: Any = copy.deepcopy({name: resource[name]}) if name in resource else {}
    operations = []
    for each in patch:
        for key in ("path", "from"):
            path = each.get(key, root)
            if not isinstance(path, str) or not (path == root or path.startswith(root + "/")):
                raise Refused(400, f"{key} is {str(path)[:80]!r}: in this place it begins with {root}")
            if path.count("/") > MAX_NESTING:
                raise Refused(400, f"{key} has more than {MAX_NESTING} steps")
        if each.get("op") == BUILD_OBJECT_TREE:
            try:
                _make_objects(document, each.get("path", root))
            except jsonpointer.JsonPointerException as error:
                raise Refused(400, f"the patch cannot be read: {str(error)[:200]}") from None
        else:
            operations.append(dict(each))
    left = MAX_COPIED
    try:
        for operation in operations:
            if operation.get("op") == "copy":
                left -= _size(jsonpointer.resolve_pointer(document, operation["from"], None))
                if left < 0:
                    raise Refused(400, f"the copies of a patch make at most {MAX_COPIED:,} values")
            document = jsonpatch.apply_patch(document, [operation], in_place=True)
    except RecursionError:
        raise Refused(400, f"the patch nests deeper than {MAX_NESTING} objects and lists") from None
    except (jsonpatch.InvalidJsonPatch, TypeError, KeyError, AttributeError, ValueError) as error:
        raise Refused(400, f"the patch cannot be read: {str(error)[:200]}") from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Refused(409, f"the patch does not fit: {str(error)[:200]}") from None
    return _set(central, place, document.get(name), now)


def delete(central: Central, place: Place, now: float) -> None:
    """Take a resource out with all that lives in it, or mark it DELETING while it has finalizers.

    Raises Refused: 404 for a resource that does not exist.
    """
    resource = _there(central, place)
    if not resource["finalizers"]:
        _remove(central, place.link, now)
    elif resource["metadata"].get("state") != DELETING:
        central.announce(
            lambda: _change(Op.UPDATED, central.resources.mark_deleting(place.link, now)),
            now,
        )


# ------------------------------------------------------------------------------------------ steps
def _there(central: Central, place: Place) -> Json:
    resource = central.resources.get(place.link)
    if resource is None:
        raise Refused(404, f"there is no {place.name} in {place.collection}"[:400])
    return resource


def _kind(central: Central, place: Place, body: Mapping[str, Any]) -> str:
    """The kind of what is written to this place."""
    if place.plural == "watchtopics" and place.collection != "/management/watchtopics":
        raise Refused(404, "watch topics live under /apis/management/v1/watchtopics")
    known, given = central.resources.kind(place.plural), body.get("kind")
    if given in (None, ""):
        if known is None:
            raise Refused(400, f"kind is missing: it is not known what {place.plural[:80]} holds")
        return known
    if not isinstance(given, str) or (known or given) != given or plural(given) != place.plural:
        raise Refused(400, f"kind is {str(given)[:80]!r}, which does not live in {place.plural[:80]}")
    return given


def _check_scope(central: Central, place: Place) -> None:
    if place.scope is not None and place.scope not in central.resources:
        raise Refused(404, f"there is no {place.scope}"[:400])


def _put(central: Central, place: Place, body: Mapping[str, Any], kind: str, op: Op, now: float) -> Json:
    resources = central.resources

    def store() -> Change:
        if kind == "WatchTopic":
            return _change(op, central.put_topic(place.name, body, now))
        return _change(op, resources.put(place.link, body, kind=kind, now=now))

    try:
        central.announce(store, now)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    written = resources.get(place.link)
    assert written is not None
    return written


def _set(central: Central, place: Place, value: Any, now: float) -> Json:
    try:
        central.announce(
            lambda: _change(
                Op.SUBRESOURCEUPDATED,
                central.resources.put_subresource(place.link, place.subresource, value, now),
                place.subresource,
            ),
            now,
        )
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return _there(central, place)


def _remove(central: Central, link: str, now: float) -> None:
    for inside in central.resources.inside(link):
        _end(central, inside, now)
    _end(central, link, now)


def _end(central: Central, link: str, now: float) -> None:
    resource = central.resources.get(link)
    assert resource is not None

    def take_out() -> Change:
        if resource["kind"] == "WatchTopic":
            central.delete_topic(resource["name"], now)
        else:
            central.resources.delete(link)
        return _change(Op.DELETED, resource)

    central.announce(take_out, now)


def _change(op: Op, resource: Json, subresource: str = "") -> Change:
    metadata = resource["metadata"]
    scope = metadata.get("scope")
    return Change(
        op,
        resource["group"],
        resource["kind"],
        resource["name"],
        Scope(scope["kind"], scope["name"], scope["id"], scope["selfLink"]) if scope else None,
        subresource,
        metadata["id"],
        metadata["selfLink"],
        {key: value for key, value in resource["attributes"].items() if isinstance(value, str)},
        tuple(map(_reference, metadata["references"])),
    )


def _reference(given: Mapping[str, Any]) -> Reference:
    def text(key: str) -> str:
        value = given.get(key)
        return value if isinstance(value, str) else ""

    return Reference(
        text("id"),
        text("kind"),
        text("name"),
        text("scopeKind"),
        text("scopeName"),
        text("selfLink"),
        "SOFT" if text("type").upper() == "SOFT" else "HARD",
    )


def _size(value: Any) -> int:
    """How many values a JSON value is made of."""
    count, rest = 0, [value]
    while rest:
        count += 1
        each = rest.pop()
        if isinstance(each, Mapping):
            rest += each.values()
        elif isinstance(each, list):
            rest += each
    return count


def _make_objects(document: Json, path: str) -> None:
    """Put an object at every step of `path` where there is nothing."""
    import jsonpointer

    at = document
    for step in jsonpointer.JsonPointer(path).parts:
        if at.get(step) is None:
            at[step] = {}
        at = at[step]
        if not isinstance(at, dict):
            return
