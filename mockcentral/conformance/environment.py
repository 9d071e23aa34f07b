"""What a spawned client is given: its environment and its command line (design/interfaces, "What a spawned client …").

The `CENTRAL_*` variables are those with which an agent built on the Go SDK finds the fake (protocol 6.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def placeholders(context: Mapping[str, Any], state_dir: str) -> dict[str, str]:
    """What `{address}` and its like stand for on the command line of the client."""
    topics = context.get("topics") or [""]
    return {
        "address": context["address"],
        "http_url": context["http_url"],
        "auth_url": context["auth_url"],
        "token": context["token"],
        "tenant": context["tenant"],
        "topic": topics[0],
        "ca_file": context.get("ca_file") or "",
        "client_id": context["client_id"],
        "scenario": context["scenario"],
        "seed": str(context["seed"]),
        "context": json.dumps(context),
        "state_dir": state_dir,
    }


def command_line(arguments: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The arguments with their placeholders filled in; braces that are none of ours stay as they are."""
    return [PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), argument) for argument in arguments]


def environment(
    base: Mapping[str, str],
    context: Mapping[str, Any],
    state_dir: str,
    *,
    environment_name: str = "sample-env",
    key_files: tuple[str, str] | None = None,
    status_port: int | None = None,
) -> dict[str, str]:
    """`base` plus everything that says where the fake is; what `base` says of that is dropped.

    `key_files` are the private and the public key a Go agent signs its assertions with.
    """
    values = placeholders(context, state_dir)
    host, _, port = context["address"].rpartition(":")
    tls = str(context["http_url"]).startswith("https:")
    ours = {f"MOCKCENTRAL_{name.upper()}": value for name, value in values.items() if value or name == "topic"}
    ours |= {
        "CENTRAL_URL": context["http_url"],
        "CENTRAL_PLATFORMURL": context["http_url"],
        "CENTRAL_AUTH_URL": context["auth_url"],
        "CENTRAL_AUTH_REALM": "Broker",
        "CENTRAL_AUTH_CLIENTID": context["client_id"],
        "CENTRAL_ORGANIZATIONID": context["tenant"],
        "CENTRAL_ENVIRONMENT": environment_name,
        "CENTRAL_GRPC_ENABLED": "true",
        # The agent would else take "host:port" out of the URL for a host name (protocol 6.3).
        "CENTRAL_GRPC_HOST": host.strip("[]"),
        "CENTRAL_GRPC_PORT": port,
        "CENTRAL_GRPC_INSECURE": "false" if tls else "true",
        "CENTRAL_SINGLEURL": "",
        "CENTRAL_SSL_INSECURESKIPVERIFY": "true" if tls else "false",
        "CENTRAL_CACHESTORAGEPATH": state_dir,
        "CENTRAL_USAGEREPORTING_PUBLISH": "false",
        "CENTRAL_METRICREPORTING_PUBLISH": "false",
        "AGENTFEATURES_VERSIONCHECKER": "false",
    }
    if key_files is not None:
        ours["CENTRAL_AUTH_PRIVATEKEY"], ours["CENTRAL_AUTH_PUBLICKEY"] = key_files
    if status_port is not None:
        ours["STATUS_PORT"] = str(status_port)
    # A region overrides every URL; a stale CA of an outer run would be trusted.
    dropped = {"CENTRAL_REGION", *(f"MOCKCENTRAL_{name.upper()}" for name in values)}
    return {name: value for name, value in base.items() if name not in dropped} | ours
