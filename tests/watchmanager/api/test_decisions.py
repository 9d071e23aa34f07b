"""What the user says about errors, and where settings come from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import watchmanager as wm
from tests.watchmanager.api.quiet import PATIENCE, owner_of, quiet
from tests.watchmanager.lab import Lab
from tests.watchmanager.worlds import change, take
from watchmanager import errors
from watchmanager._core import effects as do
from watchmanager._core.status import State

UNAVAILABLE, NOT_FOUND, UNAUTHENTICATED = 14, 5, 16


class Asked:
    """Answers one after the other, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.errors: list[errors.WatchError] = []
        self.counts: list[int] = []

    def __call__(self, error: errors.WatchError, attempt: int) -> Any:
        self.errors.append(error)
        self.counts.append(attempt)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_delay_of_your_own_replaces_the_backoff() -> None:
    on_error = Asked(wm.Retry(7.0))
    lab = Lab(on_error=on_error).live()
    began = lab.now
    lab.cut()
    assert lab.is_in(State.BACKING_OFF)
    lab.run(6.9)
    assert len(lab.did(do.OpenStream)) == 1
    lab.run(0.2)
    assert len(lab.did(do.OpenStream)) == 2
    assert lab.when(do.OpenStream)[-1] == pytest.approx(began + 7.0)
    assert isinstance(on_error.errors[0], errors.StreamError)


@pytest.mark.parametrize("answer", [None, wm.Retry()])
def test_nothing_said_is_the_backoff(answer: Any) -> None:
    lab = Lab(on_error=Asked(answer)).live()
    twin = Lab().live()
    for each in (lab, twin):
        each.cut()
        each.run(60)
        assert each.is_in(State.LIVE)
    assert lab.when(do.OpenStream) == twin.when(do.OpenStream)


def test_raise_ends_it_with_the_error_that_was_asked_about() -> None:
    on_error = Asked(wm.Raise())
    lab = Lab(on_error=on_error).live()
    lab.cut()
    assert lab.is_in(State.FAILED)
    assert lab.machine.error is on_error.errors[0]
    assert lab.machine.deadline() is None


def test_stop_ends_it_without_an_error_and_saves_the_position() -> None:
    lab = Lab(on_error=Asked(wm.Stop()), checkpointing=True).live()
    lab.publish(1, 2)
    lab.run(0.01)
    lab.cut()
    assert lab.is_in(State.CLOSED)
    lab.run(1)
    assert lab.store[-1] == 2
    assert lab.did(do.Finished)[-1].error is None


def test_errors_are_counted_until_the_server_says_something() -> None:
    on_error = Asked(None)
    lab = Lab(on_error=on_error)
    lab.refuse = (UNAVAILABLE, "no")
    lab.start(0).run(100)
    assert on_error.counts == list(range(1, len(on_error.counts) + 1))
    assert len(on_error.counts) > 3
    lab.refuse = None
    lab.run(120)
    lab.ping()
    lab.cut()
    assert on_error.counts[-1] == 1


def test_only_so_many_attempts_can_be_said_in_one_line() -> None:
    lab = Lab(on_error=lambda error, attempt: wm.Raise() if attempt >= 3 else None)
    lab.refuse = (UNAVAILABLE, "no")
    lab.start(0).run(300)
    assert lab.is_in(State.FAILED)
    assert len(lab.did(do.OpenStream)) == 3


@pytest.mark.parametrize("code", [NOT_FOUND, 7, 12])
def test_what_would_be_fatal_can_be_tried_again(code: int) -> None:
    lab = Lab(on_error=Asked(wm.Retry(5.0))).live()
    lab.cut(code)
    assert lab.is_in(State.BACKING_OFF)
    lab.run(10)
    assert lab.is_in(State.LIVE)


def test_a_token_that_is_refused_for_good_can_be_tried_again() -> None:
    on_error = Asked(wm.Retry(5.0))
    lab = Lab(on_error=on_error, auth_attempts=2)
    lab.refuse = (UNAUTHENTICATED, "")
    lab.start(0).run(20)
    assert not lab.is_in(State.FAILED)
    lab.refuse = None
    lab.run(30)
    assert lab.is_in(State.LIVE)


@pytest.mark.parametrize("fails", [errors.HistoryError("busy", status=503), errors.PermissionDenied("no")])
def test_errors_of_history_are_asked_about_too(fails: errors.WatchError) -> None:
    on_error = Asked(wm.Retry(3.0))
    lab = Lab(on_error=on_error)
    lab.history_fails = fails
    lab.start(0).run(1)
    assert on_error.errors == [fails]
    lab.run(3)
    assert len(on_error.errors) == 2
    lab.history_fails = None
    lab.run(10)
    assert lab.is_in(State.LIVE)

    lab = Lab(on_error=Asked(wm.Raise()))
    lab.history_fails = fails
    lab.start(0).run(1)
    assert lab.machine.error is fails


def test_errors_of_the_token_provider_are_asked_about_too() -> None:
    lab = Lab(on_error=Asked(wm.Raise()))
    lab.token_fails = errors.TokenProviderError("no")
    lab.start(0).run(1)
    assert lab.machine.error is lab.token_fails


def test_a_function_that_raises_or_answers_nonsense_is_named() -> None:
    def raises(error: errors.WatchError, attempt: int) -> None:
        raise LookupError("oh")

    lab = Lab(on_error=raises).live()
    lab.cut()
    assert isinstance(lab.machine.error, errors.HandlerError)
    assert isinstance(lab.machine.error.__cause__, LookupError)

    lab = Lab(on_error=Asked("retry")).live()
    lab.cut(NOT_FOUND)
    assert isinstance(lab.machine.error, errors.ConfigError)
    assert "on_error returned 'retry'" in str(lab.machine.error)


def test_gone_events_are_the_business_of_on_gone_alone() -> None:
    on_error = Asked(wm.Retry(1.0))
    lab = Lab(on_error=on_error)
    lab.log.extend(range(1, 11))
    lab.purged_through = 5
    lab.start(2).run(5)
    assert isinstance(lab.machine.error, errors.SequenceExpired)
    assert on_error.errors == []


def test_stop_over_sockets_ends_the_iteration() -> None:
    async def main() -> None:
        with quiet() as world:
            async with owner_of(world) as owner:
                watch = owner.watch(world.topics[0], on_error=lambda error, attempt: wm.Stop())
                await watch.ready(20)
                world.publish(change(1))
                await take(watch, 1)
                waiting = asyncio.ensure_future(watch.__anext__())
                world.close_connections()
                with pytest.raises(StopAsyncIteration):
                    await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(main())


# ---------------------------------------------------------------- from_env
MAKERS: list[Callable[..., Any]] = [wm.AsyncWatchManager.from_env, wm.WatchManager.from_env]


def test_a_manager_comes_out_of_the_environment(tmp_path: Path) -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(3)])
        token, position = tmp_path / "token", tmp_path / "position.json"
        token.write_text(world.token + "\n")
        environment = {
            "WATCHMANAGER_URL": world.http_url,
            "WATCHMANAGER_TENANT": world.tenant,
            "WATCHMANAGER_TOKEN_FILE": str(token),
            "WATCHMANAGER_CHECKPOINT": str(position),
        }
        with wm.WatchManager.from_env(environment) as manager:
            watch = manager.watch(world.topics[0], fallback="earliest")
            assert [next(watch).sequence for _ in numbers] == numbers
        assert position.exists()


def test_a_fake_in_the_environment_is_found_by_its_own_names() -> None:
    with quiet() as world:
        world.publish(change(1))
        environment = {
            "MOCKCENTRAL_HTTP_URL": world.http_url,
            "MOCKCENTRAL_TENANT": world.tenant,
            "MOCKCENTRAL_AUTH_URL": world.auth_url,
        }
        with wm.WatchManager.from_env(environment) as manager:
            assert next(manager.watch(world.topics[0], start="earliest")).sequence > 0


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_given_comes_before_the_environment(make: Callable[..., Any]) -> None:
    manager = make({}, address="http://127.0.0.1:1", tenant_id="1", token=lambda: "x", user_agent="mine")
    assert manager is not None
    manager = make(
        {"WATCHMANAGER_ADDRESS": "elsewhere:1", "WATCHMANAGER_TENANT": "2"}, tenant_id="3", token=lambda: "x"
    )
    inner = getattr(manager, "_manager", manager)
    assert inner._tenant == "3"
    assert inner._address.host == "elsewhere"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("missing", "named"),
    [("ADDRESS", "WATCHMANAGER_ADDRESS"), ("TENANT", "WATCHMANAGER_TENANT"), ("TOKEN", "_TOKEN_FILE")],
)
def test_the_variable_that_is_missing_is_named(make: Callable[..., Any], missing: str, named: str) -> None:
    environment = {"WATCHMANAGER_ADDRESS": "a:1", "WATCHMANAGER_TENANT": "1", "WATCHMANAGER_TOKEN": "x"}
    del environment[f"WATCHMANAGER_{missing}"]
    with pytest.raises(wm.ConfigError, match=named) as caught:
        make(environment)
    assert "--" not in str(caught.value)  # no flags: this is no command line
