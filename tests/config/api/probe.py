"""A small API on the edge's parts: groups stand for whatever a call writes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import Caller
from config.api.errors import Conflict
from config.api.fields import AwareDateTimeField, Day, MoneyField, PhoneField, PlainTextField, StrictSerializer
from config.api.idempotency import BeginAgain, idempotent
from config.api.pagination import CursorPages
from config.api.views import ServiceView, plain_view

BACK_OFFICE = ("agents", "supervisors", "auditors", "administrators")


def groups() -> QuerySet[Group]:
    """Those that calls made: the back office has some of its own from the start."""
    return Group.objects.exclude(name__in=BACK_OFFICE)


def made() -> int:
    return groups().count()


class ProbeIn(StrictSerializer):
    name = PlainTextField(max_length=150)
    nap = PlainTextField(max_length=10, required=False)
    amount = MoneyField(required=False)
    phone = PhoneField(required=False)
    at = AwareDateTimeField(required=False)
    on = Day(required=False)


class ProbeOut(ProbeIn):
    pass


class ProbePages(CursorPages):
    ordering = ("-name", "-id")


class Probes(ServiceView):
    required_scopes = {"GET": "disputes:read", "POST": "disputes:write"}
    customers = frozenset({"POST"})
    pagination_class = ProbePages
    begin_again = 0
    """How many times the next calls find that they must begin again; a class attribute, so that a test can set it."""

    @extend_schema(operation_id="list_probes", responses=ProbeOut(many=True))
    def get(self, request: Request) -> Response:
        return self.answer_page(request, groups(), lambda rows: [{"name": row.name} for row in rows])

    @extend_schema(operation_id="make_probe", request=ProbeIn, responses={201: ProbeOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        parsed = ProbeIn(data=request.data)
        parsed.is_valid(raise_exception=True)
        said = parsed.validated_data
        if "nap" in said:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [float(said["nap"])])
        group = Group.objects.create(name=f"{said['name']}:{made()}")
        if Probes.begin_again:
            Probes.begin_again -= 1
            raise BeginAgain
        if said["name"] == "refused":
            return Response({"refused": True}, status=409)
        if said["name"] == "conflict":
            raise Conflict("There is one already.", headers={"Location": "/api/v1/probes/1"})
        shown = {"name": group.name}
        for name in ("amount", "phone", "at", "on"):
            if name in said:
                shown[name] = ProbeIn().fields[name].to_representation(said[name])
        return Response(shown, status=201, headers={"Location": f"/api/v1/probes/{group.pk}"})


class OptionalProbes(ServiceView):
    required_scopes = {"POST": None}

    @extend_schema(operation_id="make_named_probe", request=None, responses=ProbeOut)
    @idempotent()
    def post(self, request: Request, name: str) -> Response:
        group = Group.objects.create(name=f"{name}:{made()}")
        return Response({"name": group.name})


class FileProbes(ServiceView):
    required_scopes = {"POST": None}
    parser_classes = (MultiPartParser,)

    @extend_schema(exclude=True)
    @idempotent()
    def post(self, request: Request) -> Response:
        parts: Any = request.data
        file = parts["file"]
        Group.objects.create(name=f"{file.name}:{made()}")
        return Response({"name": file.name, "size": len(file.read()), "note": parts["note"]}, status=201)


class Unkeyed(ServiceView):
    required_scopes = {"POST": None}

    @extend_schema(exclude=True)
    def post(self, request: Request) -> Response:
        return Response(request.data)


class Crash(ServiceView):
    required_scopes = {"GET": None}

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        raise RuntimeError("the secret reason")


class PlainDocumented(ServiceView):
    required_scopes = {"POST": "gate"}

    @extend_schema(operation_id="plain", request=ProbeIn, responses=ProbeOut)
    def post(self, request: Request) -> Response:
        """What the plain view below does."""
        raise NotImplementedError


@plain_view(scope="gate", methods=("POST",), documented_by=PlainDocumented)
def plain(request: HttpRequest, caller: Caller, **kwargs: Any) -> HttpResponse:
    if request.body == b"conflict":
        raise Conflict("No.")
    return JsonResponse({"caller": caller.key})


urlpatterns = [
    path("", include("config.api.urls")),
    path("api/v1/probes", Probes.as_view()),
    path("api/v1/probes/<str:name>", OptionalProbes.as_view()),
    path("api/v1/files", FileProbes.as_view()),
    path("api/v1/unkeyed", Unkeyed.as_view()),
    path("api/v1/crash", Crash.as_view()),
    path("api/v1/plain", plain),
]
handler400 = "config.api.errors.bad_request"
handler403 = "config.api.errors.permission_denied"
handler404 = "config.api.errors.not_found"
handler500 = "config.api.errors.server_error"
