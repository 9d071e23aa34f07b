"""An OpenAPI document made from a Flask application: its routes and the docstrings of its views."""

from __future__ import annotations

import inspect
import re
from typing import Any

from flask import Flask


def document(app: Flask, server: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of an application whose views answer JSON and refuse with problem+json."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        path = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule.rule)
        view = app.view_functions[rule.endpoint]
        summary = (inspect.getdoc(view) or "").partition("\n\n")[0]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            operation: dict[str, Any] = {
                "operationId": rule.endpoint,
                "summary": summary,
                "parameters": [
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in sorted(rule.arguments)
                ],
                "responses": {
                    "2XX": {"description": "done"},
                    "4XX": {
                        "description": "refused",
                        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    },
                },
            }
            if method in ("POST", "PUT"):
                operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
            paths.setdefault(path, {})[method.lower()] = operation
    problem = {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        "required": ["title", "status", "detail"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mockcentral control API", "version": "1"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {"schemas": {"Problem": problem}},
    }
