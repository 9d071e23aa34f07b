"""Schemathesis against the REST API of a fake: nothing it makes up may be a server error, a hang or a broken promise.

`python tests/rest_fuzz.py` with `st` on the path (`tox -e rest`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mockcentral import World

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
SEEDS = Path(__file__).parents[1] / "docs" / "examples" / "sample-watch-topic.yaml"


def main(arguments: list[str]) -> int:
    with World(seeds=[SEEDS]) as world:
        world.publish({"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env"})
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{world.http_url}/openapi.json"),
                *("--header", f"Authorization: Bearer {world.token}"),
                *("--checks", ",".join(CHECKS)),
                *("--max-examples", "30", "--seed", "1", "--continue-on-failure", "--warnings", "off"),
                *arguments,
            ],
            timeout=600,
            check=False,
        )
        # Whatever it sent: the fake is still there and has told of every request.
        assert any(record["kind"] == "http.request" for record in world.journal())
        assert world.publish({"kind": "APIService", "name": "after", "scope": "Environment/sample-env"})
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
