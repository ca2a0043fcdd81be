"""POST /oauth/token: client credentials for an access token (RFC 6749, section 4.4)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views import TokenView as ToolkitTokenView
from rest_framework.exceptions import MethodNotAllowed

from config.api.errors import plain_answer


class ClientValidator(OAuth2Validator):  # type: ignore[misc]
    """The toolkit's validator, which looks a client up once, found or not, rather than at each of its steps."""

    def _load_application(self, client_id: str | None, request: Any) -> Any:
        if not client_id or "\0" in client_id:  # the database would not take it
            return None
        looked_up: dict[str, Any] = vars(request).setdefault("looked_up_clients", {})
        if client_id not in looked_up:
            looked_up[client_id] = super()._load_application(client_id, request)
        request.client = looked_up[client_id]
        return request.client


def refuse_token(error: str, description: str, *, status: int = 400) -> HttpResponse:
    """An error as OAuth words it (RFC 6749, section 5.2)."""
    return JsonResponse(
        {"error": error, "error_description": description}, status=status, headers={"Cache-Control": "no-store"}
    )


@method_decorator(csrf_exempt, name="dispatch")
class TokenView(ToolkitTokenView):  # type: ignore[misc]
    """The toolkit's view, with bodies that it cannot read refused rather than raised."""

    http_method_names: ClassVar = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and request.content_type != "application/x-www-form-urlencoded":
            return refuse_token("invalid_request", "The body must be application/x-www-form-urlencoded.")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = plain_answer(MethodNotAllowed(str(request.method)))
        answer.headers["Allow"] = "POST"
        return answer

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if any("\0" in value for values in request.POST.lists() for value in [values[0], *values[1]]):
            return refuse_token("invalid_request", "Null characters are not allowed.")
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
        except (ValueError, UnicodeError):  # oauthlib raises these for bodies and headers that are not well encoded
            return refuse_token("invalid_request", "The request could not be read.")
        return response
