"""Arguments of a manager out of environment variables: the same that `watchmanager tail` knows."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from watchmanager.checkpoints import FileCheckpoints
from watchmanager.errors import ConfigError

_NEEDED = {
    "address": (
        ("WATCHMANAGER_URL", "WATCHMANAGER_ADDRESS", "MOCKCENTRAL_HTTP_URL", "MOCKCENTRAL_ADDRESS"),
        "where is the server? set WATCHMANAGER_ADDRESS=host:port or WATCHMANAGER_URL=https://host:port",
    ),
    "tenant_id": (
        ("WATCHMANAGER_TENANT", "MOCKCENTRAL_TENANT"),
        "which tenant? set WATCHMANAGER_TENANT to the organization id",
    ),
    "token": (
        (
            "WATCHMANAGER_TOKEN_FILE",
            "WATCHMANAGER_AUTH_URL",
            "WATCHMANAGER_TOKEN",
            "MOCKCENTRAL_AUTH_URL",
            "MOCKCENTRAL_TOKEN",
        ),
        "who are you? set WATCHMANAGER_TOKEN_FILE, or WATCHMANAGER_AUTH_URL with WATCHMANAGER_CLIENT_ID and "
        "WATCHMANAGER_PRIVATE_KEY",
    ),
}
_FLAGS = {"address": "url", "tenant_id": "tenant", "token": "token"}


def settings(environment: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments: `given` ones come before the environment. Raises ConfigError naming the variable that is missing.

    WATCHMANAGER_... ADDRESS or URL, INSECURE, TENANT; TOKEN_FILE, or AUTH_URL with CLIENT_ID and PRIVATE_KEY, or TOKEN;
    CA, PROXY, SINGLE_ENTRY; CHECKPOINT (a file).
    """
    from watchmanager.cli import add_connection_arguments, connection

    parser = argparse.ArgumentParser()
    add_connection_arguments(parser)
    options = parser.parse_args([])
    options.insecure = environment.get("WATCHMANAGER_INSECURE", "").lower() in ("1", "true", "yes")
    options.single_entry = environment.get("WATCHMANAGER_SINGLE_ENTRY") or None
    for name, (variables, problem) in _NEEDED.items():
        if name in given:
            # Stands where the environment would be asked otherwise; what is given replaces it below.
            setattr(options, _FLAGS[name], given[name] if isinstance(given[name], str) else "given")
        elif not any(environment.get(variable) for variable in variables):
            raise ConfigError(problem)
    found = {**connection(options, environment), **given}
    file = environment.get("WATCHMANAGER_CHECKPOINT")
    if file and "checkpoints" not in found:
        found["checkpoints"] = FileCheckpoints(file)
    return found
