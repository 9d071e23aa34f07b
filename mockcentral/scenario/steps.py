"""What a rule may do to resources: one frozen dataclass of settings a step, listed in `STEPS`.

Each is a write as a client would send it over REST, with the same events and the same refusals. How it is done is known
to `mockcentral._core.rules`, not here.
"""

from __future__ import annotations

from typing import ClassVar

from mockcentral._core.frozen import strict_dataclass
from mockcentral._core.resources import is_subresource
from mockcentral.scenario.fields import doc
from mockcentral.scenario.schema import NAME, Step, Target
from mockcentral.scenario.types import JsonObject, JsonValue


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Create(Step):
    """Create a resource."""

    name: ClassVar[str] = "create"

    resource: Target = doc("which one")
    title: str | None = doc("defaults to the name", None)
    attributes: JsonObject = doc("its attributes, texts by name", dict)
    tags: tuple[str, ...] = doc("its tags", ())
    finalizers: tuple[str, ...] = doc("names of its finalizers", ())
    spec: JsonObject = doc("its spec", dict)
    subresources: JsonObject = doc("its subresources by name", dict)

    def problem(self) -> str | None:
        """A subresource that is none."""
        wrong = next((name for name in self.subresources if not is_subresource(name)), None)
        return None if wrong is None else f"{wrong} is part of the resource itself, not one of its subresources"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Set(Step):
    """Replace one subresource: SubResourceUpdated."""

    name: ClassVar[str] = "set"

    subresource: str = doc("which one", pattern=NAME, example="status")
    value: JsonValue = doc("what it is then")

    def problem(self) -> str | None:
        """A subresource that is none."""
        if is_subresource(self.subresource):
            return None
        return f"{self.subresource} is part of the resource itself, not one of its subresources: use update"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Update(Step):
    """Change the resource itself: ResourceUpdated. The last finalizer of one in state DELETING takes it away."""

    name: ClassVar[str] = "update"

    title: str | None = doc("its new title", None)
    attributes: JsonObject = doc("attributes that change; null takes one away", dict)
    spec: JsonObject = doc("a merge patch (RFC 7396) of its spec", dict)
    add_finalizers: tuple[str, ...] = doc("names of finalizers it has then", ())
    remove_finalizers: tuple[str, ...] = doc("names of finalizers it has no more", ())

    def problem(self) -> str | None:
        """An update that changes nothing."""
        return "it changes nothing: say what" if self == Update() else None


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Step):
    """Delete the resource; one with finalizers is marked DELETING: ResourceUpdated."""

    name: ClassVar[str] = "delete"


STEPS: tuple[type[Step], ...] = (Create, Set, Update, Delete)
"""All of them, in the order they are told in."""
