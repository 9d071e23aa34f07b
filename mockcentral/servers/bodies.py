"""Request bodies as JSON, whatever a client makes of that."""

from __future__ import annotations

import json
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest


def json_body(*, force: bool = False) -> Any:
    """The JSON of the request being answered, None when it is none; `force` looks past the content type.

    Raises BadRequest for what Python takes for JSON and nobody else can read: NaN, infinities, half characters.
    """
    if not (force or request.is_json):
        return None
    try:
        value = json.loads(request.get_data(), parse_constant=_refuse)
    except (ValueError, RecursionError):  # ten thousand brackets are no reason to fall over
        return None
    try:  # whatever is kept is written again: into answers, a store, protobuf messages
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        return None
    except UnicodeEncodeError:
        raise BadRequest("the body holds half a character: \\ud800 to \\udfff stand only in pairs") from None
    except ValueError:
        raise BadRequest("the body holds a number that is too large") from None
    return value


def _refuse(word: str) -> None:
    raise BadRequest(f"the body holds {word}, which is no JSON")
