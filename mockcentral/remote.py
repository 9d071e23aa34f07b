"""A small REST client for a running fake: what `apply`, `get` and `delete` share.

Where the fake is comes from --ready-file or --url, else from the environment a spawned client gets. A token is asked
for at the token endpoint, so a world that verifies assertions needs --token.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockcentral._core.resources import plural
from mockcentral.cli import Refused

TIMEOUT = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say which fake is meant."""
    parser.add_argument("--ready-file", metavar="PATH", help="the ready file of the fake (or MOCKCENTRAL_READY_FILE)")
    parser.add_argument(
        "--url", metavar="URL", help="its HTTP address, such as http://127.0.0.1:8080 (or MOCKCENTRAL_HTTP_URL)"
    )
    parser.add_argument("--token", metavar="TOKEN", help="a token instead of a fresh one (or MOCKCENTRAL_TOKEN)")
    parser.add_argument("--ca", metavar="FILE", help="the CA of its certificate (or MOCKCENTRAL_CA_FILE)")


@dataclass(frozen=True)
class Answer:
    """A response: `body` is the parsed JSON, None when there was none."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Remote:
    """A running fake. Raises Refused for everything a user can do something about."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        ready_file = arguments.ready_file or (None if arguments.url else os.environ.get("MOCKCENTRAL_READY_FILE"))
        ready = read_ready_file(ready_file) if ready_file else {}
        url = arguments.url or ready.get("http_url") or os.environ.get("MOCKCENTRAL_HTTP_URL")
        if not url:
            raise Refused(
                "which fake? give --ready-file (serve writes one with the same flag) or --url http://HOST:PORT"
            )
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Refused(f"--url {url}: write http://HOST:PORT or https://HOST:PORT")
        self.url = url.rstrip("/")
        ca = arguments.ca or ready.get("ca_file") or os.environ.get("MOCKCENTRAL_CA_FILE")
        context = None
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError) as error:
                raise Refused(f"{ca}: not a usable CA file: {error}") from None
        # No proxies: the fake is on this machine, whatever HTTP_PROXY says about the rest of the world.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        self._token = arguments.token or ready.get("token") or os.environ.get("MOCKCENTRAL_TOKEN")
        self._given = bool(arguments.token)

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request with a token; a token that has expired is replaced once."""
        if self._token is None:
            self._token = self._fresh_token()
        answer = self._send(method, path, body)
        if answer.status == 401 and not self._given:
            self._token = self._fresh_token()
            answer = self._send(method, path, body)
        return answer

    def _fresh_token(self) -> str:
        # The fake accepts any assertion while no public key is registered (protocol 6.2); an unsigned one says who we
        # are.
        claims = base64.urlsafe_b64encode(b'{"sub":"mockcentral-cli"}').rstrip(b"=").decode()
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": f"eyJhbGciOiJub25lIn0.{claims}.",
        }
        request = urllib.request.Request(
            f"{self.url}/auth/realms/Broker/protocol/openid-connect/token", data=urllib.parse.urlencode(form).encode()
        )
        answer = self._open(request)
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise Refused(f"{self.url}: no token was given (HTTP {answer.status}); give one with --token")
        if not isinstance(answer.body.get("access_token"), str):
            raise self._foreign("no token in it")
        return str(answer.body["access_token"])

    def _send(self, method: str, path: str, body: Any) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return self._open(urllib.request.Request(self.url + path, data=data, method=method, headers=headers))

    def _open(self, request: urllib.request.Request) -> Answer:
        try:
            try:
                response = self._opener.open(request, timeout=TIMEOUT)
            except urllib.error.HTTPError as error:
                response = error
            with response:
                return Answer(response.status, _parsed(response.read()), dict(response.headers))
        except urllib.error.URLError as error:
            raise Refused(f"{self.url}: cannot be reached: {error.reason}") from None
        except http.client.HTTPException as error:
            raise self._foreign(f"{type(error).__name__}: {error}") from None
        except (OSError, ValueError) as error:
            raise Refused(f"{self.url}: cannot be reached: {error}") from None

    def resource(self, answer: Answer) -> dict[str, Any]:
        """The resource in an answer. Raises Refused, also for an answer that no fake gives."""
        if answer.status not in (200, 201):
            raise failure(answer)
        return self._resource(answer.body)

    def resources(self, answer: Answer) -> list[dict[str, Any]]:
        """The resources in the answer to a list. Raises Refused as `resource` does."""
        if answer.status != 200:
            raise failure(answer)
        if not isinstance(answer.body, list):
            raise self._foreign("no list of resources in it")
        return [self._resource(each) for each in answer.body]

    def _resource(self, body: Any) -> dict[str, Any]:
        match body:
            case {"name": str(), "kind": str(), "metadata": {"selfLink": str()}}:
                found: dict[str, Any] = body
                return found
        raise self._foreign("no resource in it")

    def _foreign(self, what: str) -> Refused:
        return Refused(f"{self.url}: this is no answer of a fake ({' '.join(what.split())}): is it another server?")


def failure(answer: Answer) -> Refused:
    """The one line for a request that was refused."""
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    detail = errors[0].get("detail") if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    return Refused(detail or f"the fake answered HTTP {answer.status}")


def collection(kind: str) -> str:
    """The collection a user means by `watchtopic`, `WatchTopic` or `watchtopics`."""
    word = kind.lower()
    return word if word.endswith("s") else plural(word)


def scope_path(scope: str | None) -> str:
    """`Environment/sample-env` -> `/environments/sample-env`."""
    if not scope:
        return ""
    kind, separator, name = scope.partition("/")
    if not separator or not kind or not name:
        raise Refused(f"--scope {scope}: write Kind/name, such as Environment/sample-env")
    return f"/{_quoted(collection(kind))}/{_quoted(_name(name))}"


def path_of(kind: str, name: str | None = None, *, group: str = "management", scope: str | None = None) -> str:
    """The REST path of a resource or, without a name, a collection, version v1. Raises Refused."""
    tail = "" if name is None else f"/{_quoted(_name(name))}"
    return f"/apis/{_quoted(group)}/v1{scope_path(scope)}/{_quoted(collection(kind))}{tail}"


def _name(name: str) -> str:
    """The same; a name that would be another path is refused."""
    if name in ("", ".", ".."):
        raise Refused(f"{name!r} is no name of a resource")
    if "/" in name:
        raise Refused(f"{name!r} is no name of a resource: what lives in one is found with --scope Kind/name")
    return name


def _quoted(word: str) -> str:
    """One step of a path."""
    return urllib.parse.quote(word, safe="")


def read_ready_file(path: str) -> dict[str, Any]:
    """What a fake said of itself when it was ready. Raises Refused."""
    try:
        ready = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Refused(f"{path}: not a ready file: no JSON") from None
    if not isinstance(ready, dict) or "http_url" not in ready:
        raise Refused(f"{path}: not a ready file: it names no http_url")
    for name in ("address", "http_url", "auth_url", "tenant", "client_id", "token", "ca_file"):
        if not isinstance(ready.get(name, ""), (str, type(None))):
            raise Refused(f"{path}: not a ready file: {name} is {ready[name]!r:.80}, not a text")
    return ready


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return None
