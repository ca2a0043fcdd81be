"""Who sends a request: reads the bearer token, and refuses in the contract's shape.

A token with two dots is a customer's JWT; every other one is an access token of a client.
"""

from __future__ import annotations

from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from config.api.callers import Caller
from config.api.client_tokens import caller_of_client_token
from config.api.customer_tokens import caller_of_customer_token

CHALLENGE = 'Bearer realm="recourse"'
_MAX_TOKEN = 8192


def authenticate_request(request: HttpRequest) -> Caller:
    """The caller of a request. Raises NotAuthenticated (no token) or AuthenticationFailed (a bad one): both 401."""
    caller = find_caller(request)
    if caller is None:
        raise refuse(exceptions.NotAuthenticated())
    return caller


def find_caller(request: HttpRequest) -> Caller | None:
    """The caller, or None where the request carries no bearer token. Raises AuthenticationFailed."""
    token = _bearer_token(request)
    if token is None:
        return None
    if not token or len(token) > _MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise refuse(invalid_token())
    caller = caller_of_customer_token(token) if token.count(".") == 2 else caller_of_client_token(token)
    if caller is None:
        raise refuse(invalid_token())
    return caller


def _bearer_token(request: HttpRequest) -> str | None:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require_scope(caller: Caller, scope: str | None) -> None:
    """Raises PermissionDenied (403) unless the caller is a client with the scope (None: any client)."""
    if caller.kind != "client":
        raise exceptions.PermissionDenied("Only the lender's systems may call this.", "clients_only")
    if scope is not None and scope not in caller.scopes:
        denied = exceptions.PermissionDenied(f"The token lacks the scope {scope}.", "insufficient_scope")
        denied.auth_header = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'  # type: ignore[attr-defined]
        raise denied


def invalid_token() -> exceptions.AuthenticationFailed:
    return exceptions.AuthenticationFailed("The token is not valid, or no longer.", "invalid_token")


def refuse(error: exceptions.APIException) -> exceptions.APIException:
    """The error with the header that a 401 must carry (RFC 6750, section 3)."""
    error.auth_header = _challenge(refused=isinstance(error, exceptions.AuthenticationFailed))  # type: ignore[attr-defined]
    return error


def _challenge(*, refused: bool) -> str:
    return f'{CHALLENGE}, error="invalid_token"' if refused else CHALLENGE


class BearerAuthentication(BaseAuthentication):
    """REST framework's side of it: `request.user` and `request.auth` are the Caller."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        caller = find_caller(request._request)
        return None if caller is None else (caller, caller)

    def authenticate_header(self, request: Request) -> str:
        # REST framework asks this for every 401: a bearer token that was sent is one that was refused.
        return _challenge(refused=_bearer_token(request._request) is not None)
