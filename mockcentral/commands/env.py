"""Print the environment with which an agent finds a running fake."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

from mockcentral import remote
from mockcentral.cli import Refused
from mockcentral.ready_file import is_gone

TOKEN = ("MOCKCENTRAL_TOKEN", "MOCKCENTRAL_CONTEXT")
"""They hold a token, which an agent fetches itself: printed only when asked for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which fake, which environment, where keys and caches go, and in what form."""
    parser.add_argument(
        "--ready-file", required=True, metavar="PATH", help="the ready file of the fake (serve --ready-file PATH)"
    )
    parser.add_argument(
        "--environment", default="sample-env", metavar="NAME", help="the agent's environment (default sample-env)"
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="so long for the fake to be ready (default 0)",
    )
    parser.add_argument("--agent-name", metavar="NAME", help="CENTRAL_AGENTNAME; agents make one up otherwise")
    parser.add_argument(
        "--directory",
        default=".mockcentral",
        metavar="DIR",
        help="where the agent's key pair and its cache are kept (default .mockcentral)",
    )
    parser.add_argument("--with-token", action="store_true", help="also the variables that hold a token")
    parser.add_argument(
        "--format",
        choices=["shell", "env-file"],
        default="shell",
        help="lines for eval (default), or NAME=value for --env-file",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait: write seconds up to 3600, such as 10")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Make the key pair unless it is there, and print."""
    from mockcentral.conformance import key_files
    from mockcentral.conformance.environment import environment

    context = _ready(arguments.ready_file, time.monotonic() + arguments.wait)
    directory = Path(arguments.directory).absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        paths = (str(directory / key_files.PRIVATE), str(directory / key_files.PUBLIC))
        there = [path for path in paths if Path(path).exists()]
        if len(there) == 1:
            raise Refused(f"{there[0]}: half of a key pair: put the other half beside it, or take it away")
        if not there:
            paths = key_files.write_keys(str(directory), key_files.new_keys())
    except OSError as error:
        raise Refused(f"{error.filename or directory}: cannot be written: {error.strerror}") from None
    try:
        found = environment({}, context, str(directory), environment_name=arguments.environment, key_files=paths)
    except KeyError as missing:
        raise Refused(f"{arguments.ready_file}: not a ready file: it names no {missing.args[0]}") from None
    if arguments.agent_name:
        found["CENTRAL_AGENTNAME"] = arguments.agent_name
    for name, value in found.items():
        if name in TOKEN and not arguments.with_token:
            continue
        if arguments.format == "env-file":
            print(f"{name}={value}")
        else:
            print(f"export {name}={shlex.quote(value)}")
    if arguments.format == "shell":
        print("unset CENTRAL_REGION")  # it would override every URL
    return 0


def _ready(path: str, until: float) -> dict[str, Any]:
    """What the ready file says, waited for until there is one of a fake that lives. Raises Refused."""
    while True:
        late = time.monotonic() >= until
        try:
            ready = remote.read_ready_file(path)
        except Refused as refused:
            if late or not isinstance(refused.__context__, FileNotFoundError):
                raise
        else:
            if not is_gone(ready):
                return ready
            if late:
                raise Refused(
                    f"{path}: the fake that wrote it (process {ready.get('pid')}) is gone: start it again; "
                    "with --wait SECONDS this waits for it"
                )
        time.sleep(0.05)
