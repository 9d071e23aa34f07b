"""Which function is called for which event. Knows neither threads nor loops: `_driver.runner` calls them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Hashable
from typing import Any, Literal, TypeAlias

from watchmanager._core.record import Record
from watchmanager.decisions import HandlerDecision, HandlerRetry
from watchmanager.errors import ConfigError
from watchmanager.events import Event, EventType, Gap

Handler: TypeAlias = Callable[[Event], "Awaitable[None] | None"]
GapHandler: TypeAlias = Callable[[Gap], "Awaitable[None] | None"]
Key: TypeAlias = Callable[[Event], Hashable]
ErrorFunction: TypeAlias = Callable[[BaseException, Event, int], "HandlerDecision | Awaitable[HandlerDecision]"]
HandlerErrorLike: TypeAlias = Literal["stop", "retry", "skip"] | HandlerRetry | ErrorFunction


class Registration(Record):
    """A function and the events it wants; None stands for all."""

    function: Handler
    kinds: frozenset[str] | None
    types: frozenset[EventType] | None
    group: str | None

    def wants(self, event: Event) -> bool:
        return (
            (self.types is None or event.type in self.types)
            and (self.kinds is None or event.kind in self.kinds)
            and (self.group is None or event.group == self.group)
        )

    @property
    def is_async(self) -> bool:
        return is_made_as(inspect.iscoroutinefunction, self.function)

    @property
    def name(self) -> str:
        function: Any = self.function
        return str(getattr(function, "__qualname__", None) or type(function).__name__)


def is_made_as(kind: Callable[[object], bool], function: object) -> bool:
    """Whether one of `inspect`'s tests holds for a function, or for the `__call__` of an object."""
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004 - the method, not whether it is there


def never_ran(returned: object) -> TypeError | None:
    """What is wrong with a function that was called for what it does, by what it returned: nothing in a generator has
    run, and to take the event for handled would lose it without a sign.
    """
    if isinstance(returned, (Generator, AsyncGenerator)):
        return TypeError("it is a generator, so nothing in it has run: write a function without yield")
    return None


def register(
    function: Handler, kinds: tuple[str, ...], types: Collection[EventType] | EventType | None, group: str | None
) -> Registration:
    """Checked; raises ConfigError naming what is wrong."""
    if not callable(function):
        raise ConfigError(f"{function!r} is no function: write @manager.on(...) above one")
    if is_made_as(inspect.isgeneratorfunction, function) or is_made_as(inspect.isasyncgenfunction, function):
        raise ConfigError(f"{function!r} is a generator, so a call would run nothing in it: take the yield out")
    for kind in kinds:
        if not isinstance(kind, str) or not kind:
            raise ConfigError(f"on() was given {kind!r}: kinds are names such as 'APIService'")
    wanted: frozenset[EventType] | None = None
    if types is not None:
        wanted = frozenset((types,) if isinstance(types, EventType) else types)
        for each in wanted:
            if not isinstance(each, EventType):
                raise ConfigError(f"on() was given the type {each!r}: write members of EventType, such as wm.CREATED")
        if not wanted:
            raise ConfigError("on() was given no types at all, so it would never be called: leave types out for all")
    return Registration(function, frozenset(kinds) or None, wanted, group)


def resource_key(event: Event) -> Hashable:
    """The resource an event is about: what happens to one is handled in order."""
    resource = event.resource
    return resource.id or resource.self_link or (resource.group, resource.kind, resource.name)
