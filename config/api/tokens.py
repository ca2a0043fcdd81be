"""POST /oauth/token: client credentials for an access token (RFC 6749, section 4.4)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.views import TokenView as ToolkitTokenView


def refuse_token(error: str, description: str, *, status: int = 400) -> HttpResponse:
    """An error as OAuth words it (RFC 6749, section 5.2)."""
    return JsonResponse(
        {"error": error, "error_description": description}, status=status, headers={"Cache-Control": "no-store"}
    )


@method_decorator(csrf_exempt, name="dispatch")
class TokenView(ToolkitTokenView):
    """The toolkit's view, with bodies that it cannot read refused rather than raised."""

    http_method_names = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST" and request.content_type != "application/x-www-form-urlencoded":
            return refuse_token("invalid_request", "The body must be application/x-www-form-urlencoded.")
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if any("\0" in value for values in request.POST.lists() for value in [values[0], *values[1]]):
            return refuse_token("invalid_request", "Null characters are not allowed.")
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
        except (ValueError, UnicodeError):  # oauthlib raises these for bodies and headers that are not well encoded
            return refuse_token("invalid_request", "The request could not be read.")
        return response
