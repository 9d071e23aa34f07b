"""Request bodies as JSON, whatever a client makes of that."""

from __future__ import annotations

from typing import Any

from flask import request


def json_body(*, force: bool = False) -> Any:
    """The JSON of the request being answered, None when it is none; `force` looks past the content type."""
    try:
        return request.get_json(silent=True, force=force)
    except RecursionError:  # ten thousand brackets are no reason to fall over
        return None
