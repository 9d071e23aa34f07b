"""What a spawned client is given."""

from __future__ import annotations

import json
from typing import Any

from mockcentral.conformance.environment import command_line, environment, placeholders

CONTEXT: dict[str, Any] = {
    "v": 1,
    "world": "default",
    "address": "127.0.0.1:50123",
    "http_url": "http://127.0.0.1:50123",
    "auth_url": "http://127.0.0.1:50123/auth",
    "control_url": None,
    "tenant": "1234567890",
    "topics": ["/management/v1/watchtopics/sample-watch-topic", "/management/v1/watchtopics/other"],
    "token": "a.b.c",
    "client_id": "a-client",
    "ca_file": None,
    "scenario": "flaky",
    "seed": 7,
    "pid": 1,
}


def test_the_environment_says_where_the_fake_is() -> None:
    found = environment({"PATH": "/bin"}, CONTEXT, "/state")
    assert found["PATH"] == "/bin"
    assert found["MOCKCENTRAL_ADDRESS"] == "127.0.0.1:50123"
    assert found["MOCKCENTRAL_HTTP_URL"] == "http://127.0.0.1:50123"
    assert found["MOCKCENTRAL_AUTH_URL"] == "http://127.0.0.1:50123/auth"
    assert found["MOCKCENTRAL_TOKEN"] == "a.b.c"
    assert found["MOCKCENTRAL_TENANT"] == "1234567890"
    assert found["MOCKCENTRAL_TOPIC"] == CONTEXT["topics"][0]
    assert found["MOCKCENTRAL_SCENARIO"] == "flaky"
    assert found["MOCKCENTRAL_STATE_DIR"] == "/state"
    assert json.loads(found["MOCKCENTRAL_CONTEXT"]) == CONTEXT
    assert "MOCKCENTRAL_CA_FILE" not in found, "there is no TLS"


def test_a_go_agent_finds_the_fake() -> None:
    found = environment({}, CONTEXT, "/state", environment_name="my-env", key_files=("/priv", "/pub"), status_port=8990)
    assert found["CENTRAL_URL"] == "http://127.0.0.1:50123"
    assert found["CENTRAL_GRPC_HOST"] == "127.0.0.1", "else it takes host:port of the URL for a host"
    assert found["CENTRAL_GRPC_PORT"] == "50123"
    assert found["CENTRAL_GRPC_INSECURE"] == "true"
    assert found["CENTRAL_AUTH_URL"] == "http://127.0.0.1:50123/auth"
    assert found["CENTRAL_AUTH_CLIENTID"] == "a-client"
    assert (found["CENTRAL_AUTH_PRIVATEKEY"], found["CENTRAL_AUTH_PUBLICKEY"]) == ("/priv", "/pub")
    assert found["CENTRAL_ENVIRONMENT"] == "my-env"
    assert found["CENTRAL_ORGANIZATIONID"] == "1234567890"
    assert found["STATUS_PORT"] == "8990"


def test_with_tls_the_go_agent_does_not_verify_the_made_up_certificate() -> None:
    found = environment(
        {}, {**CONTEXT, "http_url": "https://[::1]:1", "address": "[::1]:1", "ca_file": "/ca"}, "/state"
    )
    assert found["CENTRAL_GRPC_HOST"] == "::1"
    assert found["CENTRAL_GRPC_INSECURE"] == "false"
    assert found["CENTRAL_SSL_INSECURESKIPVERIFY"] == "true"
    assert found["MOCKCENTRAL_CA_FILE"] == "/ca"


def test_what_an_outer_run_said_is_dropped() -> None:
    outer = {"CENTRAL_REGION": "EU", "MOCKCENTRAL_CA_FILE": "/old", "MOCKCENTRAL_EXPECT_EVENTS": "5"}
    found = environment(outer, CONTEXT, "/state")
    assert "CENTRAL_REGION" not in found, "it would override every URL"
    assert "MOCKCENTRAL_CA_FILE" not in found
    assert found["MOCKCENTRAL_EXPECT_EVENTS"] == "5", "what is none of ours is kept"


def test_a_world_without_topics_has_an_empty_topic() -> None:
    assert environment({}, {**CONTEXT, "topics": []}, "/state")["MOCKCENTRAL_TOPIC"] == ""


def test_placeholders_are_filled_in_and_other_braces_left_alone() -> None:
    values = placeholders(CONTEXT, "/state")
    given = ["client", "--to={address}", "{topic}", "{state_dir}/x", '{"json": {}}', "{unknown}", "{seed}"]
    assert command_line(given, values) == [
        "client",
        "--to=127.0.0.1:50123",
        CONTEXT["topics"][0],
        "/state/x",
        '{"json": {}}',
        "{unknown}",
        "7",
    ]


def test_a_value_with_braces_is_not_filled_in_again() -> None:
    values = {"a": "{b}", "b": "x"}
    assert command_line(["{a}"], values) == ["{b}"]
