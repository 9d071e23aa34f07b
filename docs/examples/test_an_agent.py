# docs/examples/test_an_agent.py
import urllib.request

import pytest

PETSTORE = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env"}


@pytest.mark.mockcentral(scenario="calm", seed=3)
def test_history_is_there_for_who_asks(mock_central):
    mock_central.publish(PETSTORE)
    url = f"{mock_central.http_url}/events{mock_central.topics[0]}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {mock_central.token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        assert b"petstore" in response.read()


def test_two_worlds_know_nothing_of_each_other(mock_central_factory):
    one, other = mock_central_factory(scenario="calm"), mock_central_factory(scenario="calm")
    assert one.address != other.address
    one.expire_tokens()
    assert other.token
