"""Addresses of the edge itself: tokens, the schema, the docs."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import path
from drf_spectacular import renderers
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request

from config.api.parsing import Negotiation
from config.api.tokens import TokenView


class ByFormat(Negotiation):
    """Takes ``?format=json`` and ``?format=yaml`` as well as Accept; else JSON, which readers of YAML read too."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        asked = request.query_params.get("format")
        try:
            return DefaultContentNegotiation.select_renderer(self, request, renderers, asked)
        except (Http404, NotAcceptable):
            return renderers[0], renderers[0].media_type


class SchemaView(SpectacularAPIView):
    content_negotiation_class = ByFormat
    renderer_classes = [  # noqa: RUF012 - as drf-spectacular types it
        renderers.OpenApiJsonRenderer2,
        renderers.OpenApiJsonRenderer,
        renderers.OpenApiYamlRenderer2,
        renderers.OpenApiYamlRenderer,
    ]


urlpatterns = [
    path("oauth/token", TokenView.as_view(), name="token"),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]
