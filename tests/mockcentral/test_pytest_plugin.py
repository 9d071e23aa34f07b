"""The pytest plugin, in pytest runs of its own: separate processes, as a user's are."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "mockcentral.pytest_plugin"


def _is_installed() -> bool:
    """Whether the plugin comes by its entry point; else the runs here ask for it."""
    return any(entry.value == PLUGIN for entry in importlib.metadata.entry_points(group="pytest11"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's project: nothing but our package on the path."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    given = [] if _is_installed() else ["-p", PLUGIN]
    return project.runpytest_subprocess(*given, "-p", "no:asyncio", "-p", "no:cacheprovider", *arguments, timeout=120)


def test_a_test_gets_a_fresh_world(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import socket

        seen = []

        def check(world):
            host, port = world.address.split(":")
            socket.create_connection((host, int(port)), timeout=10).close()
            assert world.topics == ()
            assert [line["kind"] for line in world.journal()][0] == "world.start"
            seen.append(world.address)

        def test_one(mock_central):
            check(mock_central)

        def test_two(mock_central):
            check(mock_central)
            assert mock_central.address not in seen[:-1]
        """
    )
    run(project).assert_outcomes(passed=2)


def test_the_marker_says_what_the_world_is_like(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.mockcentral(scenario="calm", seed=42, time_scale=10.0)
        def test_it(mock_central):
            assert mock_central.scenario.scenario == "calm"
            assert mock_central.seed == 42
            assert mock_central.time_scale == 10.0
            assert len(mock_central.topics) == 1
        """
    )
    run(project, "--strict-markers", "-W", "error").assert_outcomes(passed=1)


def test_the_factory_makes_many_worlds_and_closes_them(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import socket
        import pytest

        closed = []

        def test_two_worlds(mock_central_factory):
            worlds = [mock_central_factory("calm"), mock_central_factory(seed=3)]
            assert worlds[0].address != worlds[1].address
            assert worlds[1].seed == 3
            closed.extend(worlds)

        def test_they_are_gone():
            for world in closed:
                with pytest.raises(RuntimeError):
                    world.publish([])
        """
    )
    run(project).assert_outcomes(passed=2)


def test_a_failing_test_shows_the_seed_the_journal_and_how_to_replay_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.mockcentral(scenario="calm", seed=42)
        @pytest.mark.parametrize("word", ["a b"])
        def test_it(mock_central, word):
            for number in range(30):
                mock_central.record("test.note", number=number)
            assert False
        """
    )
    result = run(project, "--mockcentral-report-dir", "journals")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- mockcentral -*",
            "scenario calm, seed 42; the journal ends with",
            '*test.note  {"number": 29}',
            "the whole journal: journals/*test_mine.py-test_it-a-b-????????-1.ndjson",
            "replay: python -m pytest 'test_mine.py::test_it[[]a b]' --mockcentral-seed 42",
        ]
    )
    # A machine that stands still for a moment says so in between.
    assert sum("  test.note  {" in line or "  clock.stall  {" in line for line in result.outlines) == 20
    (file,) = (project.path / "journals").iterdir()
    assert len(file.read_text().splitlines()) > 30
    token_like = [line for line in result.outlines if "eyJ" in line]
    assert token_like == []


def test_tests_with_names_that_look_alike_in_a_folder_have_journals_of_their_own(project: pytest.Pytester) -> None:
    words = ["a/b", "a b", "A b", "a" * 300, "a" * 301]
    project.makepyfile(
        test_mine=f"""
        import pytest

        @pytest.mark.parametrize("word", {words})
        def test_it(mock_central, word):
            mock_central.record("test.note", word=word)
            assert False
        """
    )
    run(project, "--mockcentral-report-dir", "journals").assert_outcomes(failed=len(words))
    journals = list((project.path / "journals").iterdir())
    noted = [json.loads(line) for file in journals for line in file.read_text().splitlines() if "test.note" in line]
    assert sorted(record["word"] for record in noted) == sorted(words)
    assert len({file.name.lower() for file in journals}) == len(words)


def test_the_replay_command_is_for_where_the_user_is(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    project.makepyprojecttoml("[tool.pytest.ini_options]")
    below = project.mkdir("tests")
    (below / "test_mine.py").write_text("def test_it(mock_central): assert False")
    monkeypatch.chdir(below)
    result = run(project)
    (line,) = (line for line in result.outlines if line.startswith("replay: "))
    assert line.startswith("replay: python -m pytest test_mine.py::test_it --mockcentral-seed ")
    run(project, *line.split()[4:]).assert_outcomes(failed=1)


def test_a_passing_test_shows_and_writes_nothing(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(mock_central): pass")
    result = run(project, "--mockcentral-report-dir", "journals", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*mockcentral -*")
    assert not (project.path / "journals").exists()


def test_the_seed_option_wins(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.mockcentral(seed=1)
        def test_marker(mock_central):
            assert mock_central.seed == 99

        def test_factory(mock_central_factory):
            assert mock_central_factory("calm", seed=2).seed == 99
        """
    )
    run(project, "--mockcentral-seed", "99").assert_outcomes(passed=2)


def test_several_worlds_with_seeds_of_their_own_are_replayed_without_a_seed(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_mine="""
        def test_it(mock_central_factory):
            mock_central_factory(seed=1), mock_central_factory(seed=2)
            assert False
        """
    )
    result = run(project)
    result.stdout.fnmatch_lines(
        [
            "world 1 of 2, scenario empty, seed 1; the journal ends with",
            "world 2 of 2, scenario empty, seed 2; the journal ends with",
            "replay: python -m pytest test_mine.py::test_it",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("sceanrio='calm'", "@pytest.mark.mockcentral has no argument sceanrio: did you mean scenario?"),
        ("xyz=1", "@pytest.mark.mockcentral has no argument xyz: it takes scenario, seed, time_scale, topics"),
        ("'calm'", "@pytest.mark.mockcentral takes only named arguments, such as scenario='calm'"),
        ("seed='7'", "@pytest.mark.mockcentral seed must be a whole number from 0, not '7'"),
        ("seed=-1", "@pytest.mark.mockcentral seed must be a whole number from 0, not -1"),
        ("time_scale=0", "@pytest.mark.mockcentral time_scale must be a number above 0, not 0"),
        ("topics='a.yaml'", "@pytest.mark.mockcentral topics must be a list of files, not 'a.yaml'"),
        ("scenario='flakey'", "*flakey*flaky*"),
        ("topics=['no.yaml']", "*no.yaml*"),
    ],
)
def test_a_marker_that_makes_no_sense_is_one_clear_line(project: pytest.Pytester, arguments: str, words: str) -> None:
    project.makepyfile(
        f"""
        import pytest

        @pytest.mark.mockcentral({arguments})
        def test_it(mock_central):
            raise AssertionError("not reached")
        """
    )
    result = run(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words.replace("[", "[[]")])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_seed_that_is_none_is_a_usage_error(project: pytest.Pytester) -> None:
    project.makepyfile("def test_it(): pass")
    result = run(project, "--mockcentral-seed", "x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'x' is no seed: write a whole number from 0*"])


def test_it_is_safe_under_xdist(project: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    project.makepyfile(
        """
        import pytest

        @pytest.mark.mockcentral(scenario="calm")
        @pytest.mark.parametrize("number", range(12))
        def test_it(mock_central, number):
            (sequence,) = mock_central.publish(
                {"kind": "APIService", "name": f"x{number}", "scope": "Environment/sample-env", "type": "created"}
            )
            published = [line for line in mock_central.journal() if line["kind"] == "event.published"]
            assert [line["name"] for line in published] == [f"x{number}"]
            assert number != 7
        """
    )
    result = run(project, "-n", "2")
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["scenario calm, seed *; the journal ends with", "replay: python -m pytest *7*"])


def test_without_the_extra_a_test_that_uses_it_says_what_to_install(project: pytest.Pytester) -> None:
    """The packages of the extra are hidden, as in an environment that has only the client."""
    project.makepyfile(
        sitecustomize="""
        import sys

        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"flask", "h2", "h11", "yaml", "cryptography", "jwt", "trustme"}:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

        sys.meta_path.insert(0, Hidden())
        """,
        test_mine="""
        def test_with(mock_central):
            pass

        def test_without():
            pass
        """,
    )
    os.environ["PYTHONPATH"] = (
        f"{project.path}{os.pathsep}{ROOT}"  # monkeypatched by `project`: restored after the test
    )
    result = run(project, "test_mine.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["mock_central needs *, which is not installed: pip install 'watchmanager[[]mockcentral]'"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_it_is_inert_when_unused_and_light_to_import(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_nothing_of_ours_was_imported():
            ours = sorted(name for name in sys.modules if name.split(".")[0] in ("mockcentral", "watchmanager"))
            assert ours == ["mockcentral", "mockcentral.pytest_plugin"]
            assert not {"h2", "flask", "yaml", "grpc", "cryptography"} & set(sys.modules)
        """
    )
    run(project).assert_outcomes(passed=1)


def test_importing_it_adds_nothing_that_pytest_has_not_imported_already() -> None:
    script = (
        f"import pytest, sys; before = set(sys.modules); import {PLUGIN}; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["mockcentral", PLUGIN]
