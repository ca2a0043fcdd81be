"""All addresses."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import health
from disputes.pages.letters import pages as letters
from feedback.pages.survey import pages as survey_pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("disputes.urls")),
    path("api/v1/", include("feedback.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
    path("", include(survey_pages)),
    path("", include(letters)),
    path("", include("config.api.urls")),
]

handler400 = "config.api.errors.bad_request"
handler403 = "config.api.errors.permission_denied"
handler404 = "config.api.errors.not_found"
handler500 = "config.api.errors.server_error"
