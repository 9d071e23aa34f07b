"""Put faults in front of any gRPC server until you stop it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from mockcentral.cli import Refused
from mockcentral.commands.serve import (
    add_door_arguments,
    add_ready_arguments,
    check_door,
)
from mockcentral.ready_file import ReadyFile
from mockcentral.signals import Signals

if TYPE_CHECKING:
    from mockcentral.edge import Edge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `serve` that make sense without a world, and where the upstream is."""
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT", help="the gRPC server to stand in front of")
    parser.add_argument("--upstream-tls", action="store_true", help="speak TLS to it")
    parser.add_argument("--upstream-ca", metavar="FILE", help="trust this PEM CA for it (speaks TLS to it)")
    parser.add_argument("--upstream-name", metavar="NAME", help="the name its certificate has to be for")
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="whose faults to play; without one everything just passes through",
    )
    add_door_arguments(parser)
    add_ready_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start, say where it is, and wait for a signal."""
    from mockcentral.edge import Edge

    check_door(arguments)
    if len(arguments.scenario) > 1:
        raise Refused(f"--scenario is given {len(arguments.scenario)} times, and an edge plays the faults of one")
    try:
        edge = Edge(
            arguments.upstream,
            arguments.scenario[0] if arguments.scenario else None,
            upstream_tls=arguments.upstream_tls,
            upstream_ca=arguments.upstream_ca,
            upstream_name=arguments.upstream_name,
            seed=arguments.seed,
            time_scale=arguments.time_scale,
            host=arguments.host,
            port=arguments.port,
            tls=arguments.tls,
            cert=arguments.cert,
            key=arguments.key,
            journal=arguments.journal,
        )
    except ValueError as error:
        if type(error) is ValueError:
            raise Refused(f"--upstream: {error}") from None
        raise
    with Signals() as signals:
        return _run(edge, arguments, signals)


def _run(edge: Edge, arguments: argparse.Namespace, signals: Signals) -> int:
    ready_file = ReadyFile(arguments.ready_file or None)
    ready_file.clear()
    try:
        try:
            edge.start()
        except OSError as error:
            if type(error).__name__ == "PortInUse":
                raise
            raise Refused(f"{error.filename or arguments.journal}: {error.strerror}") from None
        if edge.left_out:
            print(f"mockcentral: an edge plays no {', '.join(edge.left_out)}: only the faults count", file=sys.stderr)
        ready = edge.context
        ready_file.write(ready)
        if arguments.print_ready == "json":
            print(json.dumps(ready), flush=True)
        else:
            what = f"scenario {ready['scenario']}, seed {ready['seed']}" if ready["scenario"] else "no faults"
            print(f"{what}: {ready['address']} passes on to {ready['upstream']}")
            if ready["ca_file"]:
                print(f"  CA       {ready['ca_file']}")
            print("stop it: Ctrl-C", flush=True)
        return signals.wait()
    finally:
        signals.close()
        edge.close()
        ready_file.withdraw()
