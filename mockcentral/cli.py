"""The command line: finds the command, parses its flags, turns every expected error into one line and an exit code.

Exit codes (design/interfaces "Commands"): 0 all as expected; 1 a verdict failed; 2 usage, configuration or scenario
invalid; 3 internal error; 4 only inconclusive; 5 nothing selected; 130 and 143 on SIGINT and SIGTERM.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

COMMANDS = {
    "serve": "serve a world until you stop it",
    "run": "run a client against scenarios and judge it",
    "edge": "put faults in front of any gRPC server until you stop it",
    "list": "list the built-in scenarios",
    "explain": "tell what a scenario does and what it expects",
    "validate": "check scenario files",
    "schema": "print the JSON Schema of scenario files",
    "replay": "play a run again in virtual time",
    "shrink": "make a failing run smaller",
    "rejudge": "judge a stored journal again",
    "diff": "tell where two journals part",
    "apply": "create or update resources of a running fake from files",
    "get": "show resources of a running fake",
    "delete": "delete a resource of a running fake",
    "env": "print the environment with which an agent finds a running fake",
}

USAGE, INTERNAL, INTERRUPTED, TERMINATED = 2, 3, 130, 143


class Refused(Exception):
    """Something the user gave cannot be used; its text is the one line they see."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Without arguments it is the process's own, which ends with it."""
    if arguments is not None:
        return _main(list(arguments))
    try:
        _show_everything()
        return _main(sys.argv[1:])
    finally:
        # At its end Python looks for garbage in all that a world remembers, seconds long; nobody needs the memory now.
        gc.freeze()


def _main(given: list[str]) -> int:
    try:
        try:
            return _run(given)
        finally:  # here, where an error has words, and not when the interpreter ends
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `… | head`: nobody reads on, which is nobody's error
        _lost_output()
        return 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("mockcentral", "watchmanager"):
            raise
        return _say(f"{error.name} is not installed: pip install 'watchmanager[mockcentral]'")
    except Exception as error:
        if is_expected(error):
            return _say(str(error))
        if isinstance(error, OSError) and (lost := _lost_output()) is not None:
            return _say(f"standard output cannot be written: {lost.strerror}")
        import traceback

        traceback.print_exc()
        print("mockcentral: internal error: the traceback above is ours, not yours", file=sys.stderr)
        return INTERNAL


def _show_everything() -> None:
    """A name that the terminal's charset does not have is shown in escapes. Without a stdout nobody reads."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _lost_output() -> OSError | None:
    """Why stdout takes not even an empty line, and then nothing is written to it any more; None when it does."""
    try:
        print(flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def is_expected(error: Exception) -> bool:
    """Whether an error is about what the user gave: then its text is enough."""
    if isinstance(error, Refused):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ScenarioError", "PortInUse", "TlsError", "StoreError", "UsageError"})


def _say(text: str) -> int:
    lines = text.splitlines() or ["failed"]
    for line in lines:
        print(f"mockcentral: {line}", file=sys.stderr)
    return USAGE


def _run(given: list[str]) -> int:
    # `python -m mockcentral --scenario flaky` is `serve --scenario flaky`.
    if given and given[0].startswith("-") and given[0] not in ("-h", "--help", "--version"):
        given = ["serve", *given]
    name = given[0] if given else ""
    if name and not name.startswith("-") and name not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMMANDS, 1)
        raise Refused(
            f"there is no command {name!r}: " + (f"did you mean {near[0]}?" if near else "see mockcentral --help")
        )
    parser = _Parser(
        prog="mockcentral",
        description="A scriptable fake Amplify Central that judges the clients that watch it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    module = None
    for command, about in COMMANDS.items():
        sub = commands.add_parser(
            command, help=about, description=about[0].upper() + about[1:] + ".", allow_abbrev=False
        )
        if command == name:  # only the command that runs is imported: start-up time is a feature
            module = importlib.import_module(f"mockcentral.commands.{command}")
            module.add_arguments(sub)
    arguments = parser.parse_args(given)
    if arguments.version:
        from mockcentral import __version__

        print(f"mockcentral {__version__}")
        return 0
    if module is None:
        parser.print_help(sys.stderr)
        return USAGE
    result: int = module.run(arguments)
    return result
