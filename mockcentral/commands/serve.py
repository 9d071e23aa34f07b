"""Serve a world until you stop it."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockcentral.arguments import seed
from mockcentral.cli import INTERNAL, Refused
from mockcentral.ready_file import ReadyFile
from mockcentral.signals import Signals

if TYPE_CHECKING:
    from mockcentral.world import World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of design/interfaces that concern a world, and how it tells that it is ready."""
    add_world_arguments(parser)
    parser.add_argument(
        "--control-port", type=_port, default=0, metavar="PORT", help="port of the control API; 0: a free one"
    )
    parser.add_argument(
        "--store", metavar="PATH", help="SQLite file in which log, resources and topics survive a restart"
    )
    add_ready_arguments(parser)


def add_ready_arguments(parser: argparse.ArgumentParser) -> None:
    """How it is told that all is ready."""
    parser.add_argument(
        "--ready-file", metavar="PATH", help="write where everything is to this file, as JSON, when ready"
    )
    parser.add_argument(
        "--print-ready", choices=["text", "json"], default="text", help="what the first line on stdout is"
    )


def add_world_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that `serve` and `run` share."""
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="what to play; repeat it for several worlds (see `list`)",
    )
    parser.add_argument(
        "--topic-file", action="append", default=[], metavar="FILE", help="a WatchTopic to create at start (repeatable)"
    )
    parser.add_argument(
        "--seed-file",
        action="append",
        default=[],
        metavar="PATH",
        help="resources that are there from the start, a YAML file or a folder of them (repeatable)",
    )
    add_door_arguments(parser)
    parser.add_argument(
        "--public-key",
        action="append",
        default=[],
        metavar="CLIENT=FILE",
        help="verify this client's assertions with this PEM public key",
    )


def add_door_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of whatever listens for clients: `serve`, `run` and `edge`."""
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", metavar="ADDRESS", help="address to bind (default 127.0.0.1)"
    )
    parser.add_argument("--port", type=_port, default=0, metavar="PORT", help="port of the front door; 0: a free one")
    parser.add_argument("--seed", type=seed, default=None, metavar="N", help="overrides the scenario's seed")
    parser.add_argument(
        "--time-scale", type=_scale, default=1.0, metavar="X", help="divide every duration of the fake by X"
    )
    parser.add_argument("--journal", metavar="PATH", help="write the journal to this file (NDJSON)")
    parser.add_argument("--tls", action="store_true", help="TLS with a self-made CA, its path in the ready file")
    parser.add_argument("--cert", metavar="FILE", help="TLS with this PEM certificate chain")
    parser.add_argument("--key", metavar="FILE", help="the PEM key of --cert")


def world_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """World's keyword arguments out of the flags. Raises Refused."""
    keys: dict[str, bytes] = {}
    for given in arguments.public_key:
        client, separator, path = given.partition("=")
        if not separator or not client:
            raise Refused(f"--public-key {given}: write CLIENT=FILE, such as my-agent=public_key.pem")
        try:
            keys[client] = Path(path).read_bytes()
        except OSError as error:
            raise Refused(f"{path}: cannot be read: {error.strerror}") from None
        from mockcentral.servers.signer import load_public_key

        try:
            load_public_key(keys[client])
        except ValueError as error:
            raise Refused(f"{path}: {error}") from None
    check_door(arguments)
    return {
        "seed": arguments.seed,
        "time_scale": arguments.time_scale,
        "topics": arguments.topic_file,
        "seeds": arguments.seed_file,
        "host": arguments.host,
        "port": arguments.port,
        "tls": arguments.tls,
        "cert": arguments.cert,
        "key": arguments.key,
        "public_keys": keys,
        "journal": arguments.journal,
    }


def check_door(arguments: argparse.Namespace) -> None:
    """Raises Refused for flags of the door that do not fit together."""
    if bool(arguments.cert) != bool(arguments.key):
        raise Refused("--cert and --key go together")


def run(arguments: argparse.Namespace) -> int:
    """Start the worlds, say where they are, and wait for a signal."""
    with Signals() as signals:  # first: a Ctrl-C during start must find the way out, too
        # Until all is ready modules are made and no garbage: looking for it is a tenth of the start.
        gc.disable()
        # The address is given out with a token, so its key is needed soon; making it leaves the interpreter to others.
        # Whatever happens here waits for it: a process must not end under a thread that is in OpenSSL.
        key = threading.Thread(target=_make_key, name="mockcentral-key")
        key.start()
        try:
            return _serve(arguments, signals)
        finally:
            gc.enable()
            key.join()


def _serve(arguments: argparse.Namespace, signals: Signals) -> int:
    from mockcentral.servers.control import ControlServer
    from mockcentral.servers.portal import import_later
    from mockcentral.world import World
    from mockcentral.worlds import Worlds

    scenarios = arguments.scenario or ["calm"]
    options = world_options(arguments)
    if len(scenarios) > 1 and (arguments.port or arguments.journal or arguments.store):
        raise Refused("--port, --journal and --store are for one scenario: worlds cannot share them")
    options["store"] = arguments.store
    ready_file = ReadyFile(arguments.ready_file or None)
    ready_file.clear()
    worlds: list[World] = []
    control: ControlServer | None = None
    registry: Worlds | None = None
    try:
        # A world's name is "default" unless there are several.
        worlds = [
            World(scenario, name="default" if len(scenarios) == 1 else f"w{number}", **options)
            for number, scenario in enumerate(scenarios, 1)
        ]
        with import_later():
            try:
                for world in worlds:
                    world.start()
                registry = Worlds.holding(*worlds)
                control = ControlServer(registry, arguments.host, arguments.control_port)
            except OSError as error:
                if type(error).__name__ == "PortInUse":
                    raise
                raise Refused(f"{error.filename or arguments.journal}: {error.strerror}") from None
            for world in worlds:
                world.attach_control(control)
                world.when_broken = lambda: signals.give_up(INTERNAL)
            _announce(worlds, ready_file, arguments.print_ready)
        gc.freeze()  # what is there now stays: going through it again and again would make events late
        gc.enable()
        return signals.wait()
    finally:
        signals.close()
        if control is not None:
            control.close()
        if registry is not None:
            registry.close()
        for world in worlds:
            world.close()
        ready_file.withdraw()


def _make_key() -> None:
    with contextlib.suppress(ModuleNotFoundError):  # World says so, and what to install
        from mockcentral.servers.signer import warm_up

        warm_up()


def _announce(worlds: list[World], ready_file: ReadyFile, form: str) -> None:
    contexts = [world.context for world in worlds]
    ready = contexts[0] if len(contexts) == 1 else {**contexts[0], "worlds": contexts}
    ready_file.write(ready)
    if form == "json":
        print(json.dumps(ready), flush=True)
        return
    for context in contexts:
        print(f"scenario {context['scenario']}, seed {context['seed']}: serving on {context['address']}")
        for topic in context["topics"]:
            print(f"  topic    {topic}")
        print(f"  http     {context['http_url']}")
        print(f"  tokens   {context['auth_url']}/realms/Broker/protocol/openid-connect/token")
        print(f"  control  {context['control_url']}")
        if context["ca_file"]:
            print(f"  CA       {context['ca_file']}")
    first = contexts[0]
    topic = first["topics"][0] if first["topics"] else "TOPIC"
    ca = f" --ca {first['ca_file']}" if first["ca_file"] else ""
    where = f"--url {first['http_url']} --tenant {first['tenant']} --auth-url {first['auth_url']}{ca}"
    print(f"watch it: python -m watchmanager tail {topic} {where}")
    print("stop it: Ctrl-C", flush=True)


def _host(text: str) -> str:
    if not text.strip():  # a variable that is not set: to sockets that is every address there is
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write one such as 127.0.0.1, or 0.0.0.0 for all")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: write 0 to 65535")
    return int(text)


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no time scale: write a number such as 10 (ten times faster)")
    return value


__all__ = [
    "add_arguments",
    "add_door_arguments",
    "add_ready_arguments",
    "add_world_arguments",
    "check_door",
    "run",
    "world_options",
]
