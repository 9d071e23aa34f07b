"""The OpenAPI document of the front door's HTTP side: resources, history, tokens, platform (protocol 3, 5, 6).

Written down, not read off the routes: one view answers for every depth of address, and what a caller may send depends
on the depth.
"""

from __future__ import annotations

from typing import Any

from mockcentral._core.listing import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from mockcentral._core.resources import MAX_NAME, VERSIONS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_WORD: Json = {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": "^[^/]+$"}


def document(server: str) -> Json:
    """The document, for a front door at `server`."""
    paths: dict[str, Json] = {
        "/events/{group}/{version}/watchtopics/{name}": {
            "parameters": [_path("group"), _version(), _path("name")],
            "get": _operation(
                "harvest",
                "A page of a topic's history; 410 with X-Axway-Max-Sequence-Id when it does not reach back that far.",
                "200",
                {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
                parameters=[*_paging(), _query("query", "such as sequenceID>100"), _query("sort", "sequenceID,ASC")],
            ),
        },
        "/auth/realms/{realm}/protocol/openid-connect/token": {
            "parameters": [_path("realm")],
            "post": _operation(
                "token",
                "A token for a key-pair assertion (client credentials).",
                "200",
                {
                    "type": "object",
                    "required": ["access_token", "expires_in", "token_type"],
                    "properties": {
                        "access_token": _TEXT,
                        "expires_in": {"type": "integer"},
                        "token_type": _TEXT,
                    },
                },
                body={
                    "application/x-www-form-urlencoded": {
                        "type": "object",
                        "required": ["grant_type", "client_assertion_type", "client_assertion"],
                        "properties": {"grant_type": _TEXT, "client_assertion_type": _TEXT, "client_assertion": _TEXT},
                    }
                },
                open_to_all=True,
            ),
        },
        "/auth/realms/{realm}/protocol/openid-connect/certs": {
            "parameters": [_path("realm")],
            "get": _operation(
                "certs", "The public keys of the tokens, a JWKS.", "200", {"type": "object"}, open_to_all=True
            ),
        },
        "/api/v1/platformTeams": {
            "get": _operation(
                "platformTeams",
                "The teams of the organization.",
                "200",
                {"type": "array", "items": {"type": "object", "required": ["guid", "name", "default"]}},
                parameters=[_query("query", 'such as name=="Default Team"')],
            )
        },
        "/api/v1/org/{org}": {
            "parameters": [_path("org")],
            "get": _operation("organization", "The organization and its entitlements.", "200", {"type": "object"}),
        },
        "/api/v1/usage": {
            "post": _operation("usage", "A usage report; taken and forgotten.", "202", {"type": "object"})
        },
    }
    for scope in ("", "/{scopes}/{scope}"):
        inside = [_path("scopes"), _path("scope")] if scope else []
        collection = f"/apis/{{group}}/{{version}}{scope}/{{plural}}"
        suffix = "InScope" if scope else ""
        common = [_path("group"), _version(), *inside, _path("plural")]
        paths[collection] = {
            "parameters": common,
            "get": _list(f"list{suffix}"),
            "post": _operation(
                f"create{suffix}", "Create a resource; one without a name gets one.", "201", _resource(), body=_body()
            ),
        }
        paths[f"{collection}/{{name}}"] = {
            "parameters": [*common, _path("name")],
            "get": _operation(
                f"get{suffix}", "A resource.", "200", _resource(), parameters=[_query("fields", "such as name,spec.a")]
            ),
            "put": _operation(f"replace{suffix}", "Replace a resource.", "200", _resource(), body=_body()),
            "delete": _operation(
                f"delete{suffix}",
                "Delete a resource and what lives in it; with finalizers it is marked DELETING.",
                "204",
                None,
            ),
        }
        paths[f"{collection}/{{name}}/{{subresource}}"] = {
            "parameters": [*common, _path("name"), _path("subresource")],
            "put": _operation(
                f"putSubresource{suffix}",
                "Replace one subresource; answers the whole resource.",
                "200",
                _resource(),
                body={"application/json": {"type": "object"}},
            ),
            "patch": _operation(
                f"patchSubresource{suffix}",
                "Change one subresource by a JSON patch; answers the whole resource.",
                "200",
                _resource(),
                body={
                    "application/json-patch+json": {"type": "array", "items": {"$ref": "#/components/schemas/Patch"}}
                },
            ),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mockcentral front door", "version": "1"},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": _SCHEMAS},
    }


_SCHEMAS: Json = {
    "Resource": {
        "type": "object",
        "required": ["group", "apiVersion", "kind", "name"],
        "properties": {
            "group": _TEXT,
            "apiVersion": {"enum": list(VERSIONS)},
            "kind": _TEXT,
            "name": _TEXT,
            "title": _TEXT,
            "metadata": {"type": "object"},
            "attributes": {"type": "object"},
            "tags": {"type": "array"},
            "finalizers": {"type": "array"},
            "owner": {"type": ["object", "null"]},
            "spec": {"type": "object"},
        },
    },
    "NewResource": {
        "type": "object",
        "properties": {
            "kind": _TEXT,
            "name": {"type": "string", "maxLength": MAX_NAME},
            "title": _TEXT,
            "attributes": {"type": "object", "additionalProperties": _TEXT},
            "tags": {"type": "array", "items": _TEXT},
            "finalizers": {"type": "array", "items": {"type": "object"}},
            "owner": {"type": ["object", "null"]},
            "spec": {"type": "object"},
        },
    },
    "Event": {"type": "object", "required": ["id", "time", "type", "payload", "metadata"]},
    "Patch": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test", "x-build-object-tree"]},
            "path": _TEXT,
            "from": _TEXT,
            "value": {},
        },
    },
    "Errors": {
        "type": "object",
        "required": ["errors"],
        "properties": {
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["status", "title", "detail"],
                    "properties": {"status": {"type": "integer"}, "title": _TEXT, "detail": _TEXT},
                },
            }
        },
    },
}


def _operation(
    name: str,
    summary: str,
    status: str,
    answer: Json | None,
    *,
    parameters: list[Json] | None = None,
    body: dict[str, Json] | None = None,
    open_to_all: bool = False,
) -> Json:
    good: Json = {"description": "done"}
    if answer is not None:
        good["content"] = {"application/json": {"schema": answer}}
    errors: Json = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    if name == "token":
        errors = {"application/json": {"schema": {"type": "object", "required": ["error"]}}}
    made: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {status: good, "4XX": {"description": "refused", "content": errors}},
    }
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind, schema in body.items()},
        }
    if open_to_all:
        made["security"] = []
    return made


def _list(name: str) -> Json:
    return _operation(
        name,
        "The resources of a collection; X-Axway-Total-Count tells how many there are on all pages.",
        "200",
        {"type": "array", "items": _resource()},
        parameters=[
            *_paging(),
            _query("query", "RSQL, such as name==petstore"),
            _query("sort", "a field, then ,ASC or ,DESC"),
            _query("fields", "such as name,spec.a"),
            {"name": "embed", "in": "query", "schema": {"enum": ["metadata.references"]}},
        ],
    )


def _resource() -> Json:
    return {"$ref": "#/components/schemas/Resource"}


def _body() -> dict[str, Json]:
    return {"application/json": {"$ref": "#/components/schemas/NewResource"}}


def _path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _WORD}


def _version() -> Json:
    return {"name": "version", "in": "path", "required": True, "schema": {"enum": list(VERSIONS)}}


def _query(name: str, about: str) -> Json:
    return {"name": name, "in": "query", "description": about, "schema": _TEXT}


def _paging() -> list[Json]:
    def whole(name: str, default: int, most: int | None) -> Json:
        limits = {"minimum": 1, "default": default} | ({} if most is None else {"maximum": most})
        return {"name": name, "in": "query", "schema": {"type": "integer", **limits}}

    return [whole("page", 1, None), whole("pageSize", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)]
