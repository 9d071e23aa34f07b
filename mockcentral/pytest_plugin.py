"""The pytest plugin: a fresh fake Central for each test that asks for one.

    @pytest.mark.mockcentral(scenario="flaky", seed=7)
    def test_my_agent(mock_central):
        agent = start(mock_central.address, token=mock_central.token)
        mock_central.wait_traffic()
        …

`mock_central` is a started `mockcentral.World`, closed after the test; `mock_central_factory` makes as many as one
likes. Every world has a port, a journal and a random stream of its own, so tests run in parallel as they are
(pytest-xdist). When a test fails, its report shows the seed, the end of the journal and the command that replays it.

pytest loads this module in every run of every project that has it installed: it imports nothing, and does nothing for
tests that do not use it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from mockcentral.world import World

    MakeWorld = Callable[..., World]

EXTRA = "pip install 'watchmanager[mockcentral]'"
SHOWN_LINES = 20
MARKER_ARGUMENTS = ("scenario", "seed", "time_scale", "topics")
WORLDS: pytest.StashKey[list[World]] = pytest.StashKey()
"""The worlds of a test, closed or not: what its report shows."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options, in a group of their own."""
    group = parser.getgroup("mockcentral", "a fake Amplify Central (mock_central)")
    group.addoption(
        "--mockcentral-seed",
        type=_seed,
        default=None,
        metavar="N",
        help="the seed of every world, whatever a test or a scenario says: replays a failure",
    )
    group.addoption(
        "--mockcentral-report-dir",
        default=None,
        metavar="DIR",
        help="write the journals of failing tests to this directory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "mockcentral(scenario=None, seed=None, time_scale=1.0, topics=()): what the world of `mock_central` is like: "
        "the name or path of a scenario, its seed, how much faster than real time, further WatchTopic files",
    )


@pytest.fixture
def mock_central_factory(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """A function that starts a world: `make(scenario="flaky", seed=7, …)`, with the arguments of `mockcentral.World`.

    All worlds are closed after the test, the last one first.
    """
    forced = request.config.getoption("--mockcentral-seed")
    worlds: list[World] = []
    request.node.stash[WORLDS] = worlds
    with ExitStack() as stack:

        def make(scenario: Any = None, **options: Any) -> World:
            if forced is not None:
                options["seed"] = forced
            world = stack.enter_context(_world(scenario, options))
            worlds.append(world)
            return world

        yield make


@pytest.fixture
def mock_central(request: pytest.FixtureRequest, mock_central_factory: MakeWorld) -> World:
    """A fresh, started world; the marker `mockcentral` says which scenario it plays (none: nothing happens)."""
    marker = request.node.get_closest_marker("mockcentral")
    if marker is None:
        return mock_central_factory()
    return mock_central_factory(**_arguments(marker))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report of a failing test what is needed to understand and to repeat it."""
    report = yield
    worlds = item.stash.get(WORLDS, None)
    if worlds and report.failed:
        report.sections.append(("mockcentral", _section(item, worlds)))
    return report


# ---------------------------------------------------------------------------------------------- making worlds
def _world(scenario: Any, options: dict[str, Any]) -> World:
    try:
        from mockcentral.scenario.errors import ScenarioError
        from mockcentral.world import World
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mockcentral":
            raise
        problem = f"mock_central needs {error.name}, which is not installed: {EXTRA}"
    else:
        try:
            return World(scenario, **options)
        except ScenarioError as error:
            problem = str(error)
    _fail(problem)  # not inside `except`: pytest would show both errors


def _arguments(marker: pytest.Mark) -> dict[str, Any]:
    """What the marker says, checked: a slip must not quietly give a test another world than it means."""
    if marker.args:
        _misused(f"takes only named arguments, such as scenario={marker.args[0]!r}")
    for name in marker.kwargs:
        if name not in MARKER_ARGUMENTS:
            import difflib

            near = difflib.get_close_matches(name, MARKER_ARGUMENTS, 1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(MARKER_ARGUMENTS)}"
            _misused(f"has no argument {name}: {hint}")
    given = dict(marker.kwargs)
    seed, time_scale, topics = given.get("seed"), given.get("time_scale", 1.0), given.get("topics", ())
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
        _misused(f"seed must be a whole number from 0, not {seed!r}")
    if isinstance(time_scale, bool) or not isinstance(time_scale, (int, float)) or not time_scale > 0:
        _misused(f"time_scale must be a number above 0, not {time_scale!r}")
    if isinstance(topics, (str, bytes)) or not isinstance(topics, Sequence):
        _misused(f"topics must be a list of files, not {topics!r}")
    return given


def _misused(what: str) -> NoReturn:
    _fail(f"@pytest.mark.mockcentral {what}")


def _fail(message: str) -> NoReturn:
    """One clear line instead of a traceback through our code, which is not where the mistake is."""
    pytest.fail(message, pytrace=False)


def _seed(text: str) -> int:
    from mockcentral.arguments import seed

    return seed(text)


# ---------------------------------------------------------------------------------------------- reporting
def _section(item: pytest.Item, worlds: list[World]) -> str:
    import shlex

    from mockcentral.conformance.reports.terminal import line_text

    lines = []
    for number, world in enumerate(worlds, 1):
        journal = world.journal()
        which = f"world {number} of {len(worlds)}, " if len(worlds) > 1 else ""
        lines.append(f"{which}scenario {world.scenario.scenario}, seed {world.seed}; the journal ends with")
        lines += [line_text(record) for record in journal[-SHOWN_LINES:]]
        if (path := _keep(item, number, journal)) is not None:
            lines.append(f"the whole journal: {path}")
    seeds = {world.seed for world in worlds}
    words = ["python", "-m", "pytest", _from_here(item)]
    if len(seeds) == 1:  # else the test chose them itself, and will again
        words += ["--mockcentral-seed", str(seeds.pop())]
    lines.append(f"replay: {shlex.join(words)}")
    return "\n".join(lines)


def _from_here(item: pytest.Item) -> str:
    """The test as the user has to name it where they are; its id goes from the root folder of the project."""
    import os

    file, separator, name = item.nodeid.partition("::")
    here, root = item.config.invocation_params.dir, item.config.rootpath
    return item.nodeid if here == root else f"{os.path.relpath(root / file, here)}{separator}{name}"


def _keep(item: pytest.Item, number: int, journal: list[dict[str, Any]]) -> str | None:
    directory = item.config.getoption("--mockcentral-report-dir")
    if directory is None:
        return None
    import json
    import re
    import zlib
    from pathlib import Path

    # What a file may be called is less than what a test may: `test_it[a/b]` and `test_it[a b]` look the same in it.
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", item.nodeid).strip("-")[:150]
    path = Path(directory) / f"{readable}-{zlib.crc32(item.nodeid.encode()):08x}-{number}.ndjson"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in journal), encoding="utf-8")
    except OSError as error:
        return f"not written: {path}: {error.strerror}"
    return str(path)
