"""Bodies that are not what was asked for, made of the one that was: what a proxy, a bug or a new version would send."""

from __future__ import annotations

import json
from typing import Any

JSON = "application/json"
_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"


def misshapen(body: bytes, shape: str) -> tuple[str, bytes]:
    """The content type and the body that stand in for `body`; see the fault `http_wrong_json` for the shapes."""
    if shape == "html":
        return "text/html; charset=utf-8", _PAGE
    if shape == "half":
        return JSON, body[: len(body) // 2] or b"{"
    if shape == "object":
        return JSON, b'{"items":' + (body or b"null") + b"}"
    if shape == "null":
        return JSON, b"null"
    if shape == "strings":
        return JSON, json.dumps(_as_texts(json.loads(body or b"null")), separators=(",", ":")).encode()
    return JSON, b""


def _as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_texts(inner) for inner in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value
