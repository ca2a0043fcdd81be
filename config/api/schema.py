"""The OpenAPI schema: what drf-spectacular is told about the edge."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from config.api.callers import SCOPES
from config.api.idempotency import HEADER, KEY_PATTERN

SYSTEM, PERSON = "system", "customer"
"""The two ways to prove who calls, as the schema names them."""

_ERRORS = {
    "400": "The request, or a field of it, is not as it should be; `attr` names which.",
    "401": "No token, or one that is not valid.",
    "403": "The token does not allow this call.",
    "404": "There is no such object, or it is another's.",
    "409": "The request conflicts with the present state, or its idempotency key is still in use.",
    "413": "The body is larger than is read.",
    "415": "The body's content type is not taken.",
    "422": "The idempotency key was used before, with another request.",
    "429": "Too many calls; `Retry-After` says for how many seconds.",
    "503": "The service cannot reach its database just now: the same request again, with the same key, is safe.",
}


class Error(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="What is wrong, for programs.")
    detail = serializers.CharField(help_text="What is wrong, for people.")
    attr = serializers.CharField(allow_null=True, help_text="The field or header at fault; a path with dots.")


class ErrorAnswer(serializers.Serializer[Any]):
    """The shape of every error."""

    type = serializers.RegexField(r"^(validation_error|client_error|server_error)$")
    errors = Error(many=True)  # type: ignore[assignment]


class ServiceSchema(AutoSchema):
    """Adds to each operation what every ServiceView does: its callers, its errors, its idempotency key."""

    def get_auth(self) -> list[dict[str, Any]]:
        super().get_auth()  # registers the schemes
        method = self.method.upper()
        auths: list[dict[str, Any]] = []
        scopes = getattr(self.view, "required_scopes", {})
        if method in scopes:
            auths.append({SYSTEM: [scopes[method]] if scopes[method] else []})
        allowed = [getattr(self.view, name, False) for name in ("customers", "phones")]
        if any(methods is True or (methods and method in methods) for methods in allowed):
            auths.append({PERSON: []})
        return auths

    def get_override_parameters(self) -> list[Any]:
        idempotency = self._idempotency()
        if idempotency is None:
            return []
        return [
            OpenApiParameter(
                HEADER,
                type={"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY_PATTERN},
                location=OpenApiParameter.HEADER,
                required=idempotency == "required",
                description="A text of the caller's own for this request. Sent again with the same request within 24 "
                "hours, it brings back the first answer and changes nothing.",
            )
        ]

    def _idempotency(self) -> str | None:
        found: str | None = getattr(getattr(self.view, self.method.lower(), None), "idempotency", None)
        return found

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        if direction != "response":
            return bodies
        codes = {"400", "401", "403", "429", "503"}
        if "{" in self.path or self.method.upper() in getattr(self.view, "body_names", ()):
            codes.add("404")
        if self.method.upper() in ("POST", "PUT", "PATCH"):
            codes |= {"413", "415"}
        if self._idempotency() is not None:
            codes |= {"409", "422"}
        for code in sorted(codes - set(bodies)):
            answer = OpenApiResponse(ErrorAnswer, description=_ERRORS[code])
            bodies[code] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                answer, code, ["application/json"], direction
            )
        return bodies

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> dict[str, Any]:
        headers: dict[str, Any] = super()._get_response_headers_for_code(status_code, direction)
        headers["X-Request-Id"] = {"schema": {"type": "string"}, "description": "The id of this request."}
        if status_code in ("429", "503"):
            headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
        if self._idempotency() is not None and status_code.startswith("2"):
            headers["Idempotent-Replayed"] = {
                "schema": {"type": "string", "enum": ["true"]},
                "description": "Present where this answer was given before.",
            }
        return headers


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The two schemes behind the one Authorization header."""

    target_class = "config.api.authentication.BearerAuthentication"
    name = [SYSTEM, PERSON]  # noqa: RUF012 - as drf-spectacular types it

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return []  # ServiceSchema.get_auth says who may call what

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "oauth2",
                "description": "One of the lender's systems.",
                "flows": {"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": dict(SCOPES)}},
            },
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A customer, by a token of the lender's identity provider; `sub` is the external id.",
            },
        ]


def add_token_endpoint(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook: the token endpoint is the toolkit's view, not one of REST framework's."""
    text = {"type": "string"}
    refused = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": text, "error_description": text},
    }
    result["paths"]["/oauth/token"] = {
        "post": {
            "operationId": "oauth_token",
            "summary": "Get an access token",
            "description": "OAuth 2.0 client credentials (RFC 6749, section 4.4). The client proves itself by HTTP "
            "Basic, or by `client_id` and `client_secret` in the body. Without `scope` the token has all that its "
            "client may have.",
            "tags": ["oauth"],
            "security": [{}],
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {
                            "type": "object",
                            "required": ["grant_type"],
                            "properties": {
                                "grant_type": {"type": "string", "enum": ["client_credentials"]},
                                "client_id": text,
                                "client_secret": text,
                                "scope": {**text, "description": "Scopes with spaces between them."},
                            },
                        }
                    }
                },
            },
            "responses": {
                "200": {
                    "description": "A token.",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["access_token", "token_type", "expires_in", "scope"],
                                "properties": {
                                    "access_token": text,
                                    "token_type": {"type": "string", "enum": ["Bearer"]},
                                    "expires_in": {"type": "integer", "description": "Seconds."},
                                    "scope": text,
                                },
                            }
                        }
                    },
                },
                "400": {"description": "Refused.", "content": {"application/json": {"schema": refused}}},
                "401": {"description": "Not a client.", "content": {"application/json": {"schema": refused}}},
            },
        }
    }
    return result
