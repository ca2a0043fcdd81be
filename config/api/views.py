"""What every view of the API is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.authentication import BearerAuthentication, authenticate_request, require_scope
from config.api.callers import Caller, caller_of
from config.api.errors import plain_answer
from config.api.pagination import CursorPages
from config.api.throttles import CallerThrottle, throttle_caller


class ServiceView(APIView):
    """A view for the lender's systems, for customers, or for both.

    `required_scopes`: for each HTTP method, the scope that a client needs (None: any client may); a method that is
    missing is not for clients. `customers`: the methods that customers may call (True: every method that the view has).
    `phones`: the same for the holders of a verified phone. HEAD counts as GET. `body_names`: the methods whose body
    names an object that may not be there (404); of a path with parameters the schema knows it. Inside, `self.caller`
    (and `request.auth`) is the Caller.
    `pagination_class`: of the view's list, if it has one: a subclass of CursorPages with its `ordering` (None: not in
    pages); `answer_page` uses it, and the schema shows it.
    """

    authentication_classes = (BearerAuthentication,)
    permission_classes = ()
    throttle_classes = (CallerThrottle,)
    metadata_class = None

    required_scopes: ClassVar[Mapping[str, str | None]] = {}
    customers: ClassVar[bool | frozenset[str]] = False
    phones: ClassVar[bool | frozenset[str]] = False
    body_names: ClassVar[frozenset[str]] = frozenset()
    pagination_class: ClassVar[type[CursorPages] | None] = CursorPages

    @property
    def allowed_methods(self) -> list[str]:
        return [method for method in super().allowed_methods if method != "OPTIONS"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _refuse_unstorable(request, kwargs)

    def check_permissions(self, request: Request) -> None:
        caller = request.auth
        if not isinstance(caller, Caller):
            raise exceptions.NotAuthenticated()
        method = request.method or ""
        if method not in self.allowed_methods:
            raise exceptions.MethodNotAllowed(method)
        asked = "GET" if method == "HEAD" else method
        if caller.kind == "client":
            if asked not in self.required_scopes:
                raise exceptions.PermissionDenied("This call is for customers, not for systems.", "customers_only")
            require_scope(caller, self.required_scopes[asked])
            return
        allowed = self.customers if caller.kind == "customer" else self.phones
        if allowed is not True and (not allowed or asked not in allowed):
            raise exceptions.PermissionDenied("Your token does not allow this call.", "not_allowed")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What is answered is one caller's own: no cache between us and them keeps it."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished.headers.setdefault("Cache-Control", "no-store")
        return finished

    @property
    def caller(self) -> Caller:
        """Who called, once let in."""
        return caller_of(self.request)

    def answer_page(
        self, request: Request, queryset: QuerySet[Any], render: Callable[[Sequence[Any]], Sequence[Any]]
    ) -> Response:
        """One page of a list: `render` makes the JSON of the rows. Raises ValidationError for a bad limit or cursor."""
        pages = (self.pagination_class or CursorPages)()
        rows = pages.paginate_queryset(queryset, request, self)
        return pages.get_paginated_response(render(rows))


def _refuse_unstorable(request: Request, kwargs: Mapping[str, Any]) -> None:
    """NUL cannot stand in a text of PostgreSQL: in a path nothing has such a name, in a query it is an error."""
    if any(isinstance(value, str) and "\0" in value for value in kwargs.values()):
        raise exceptions.NotFound()
    for name, values in request.query_params.lists():
        if "\0" in name or any("\0" in value for value in values):
            raise exceptions.ValidationError({name.replace("\0", ""): ["Null characters are not allowed."]})


PlainView = Callable[..., HttpResponse]


def plain_view(
    *, scope: str | None, methods: tuple[str, ...] = ("POST",), documented_by: type[APIView] | None = None
) -> Callable[[PlainView], PlainView]:
    """A plain Django view for clients, without REST framework's cost: the view is called with (request, caller, …).

    Refuses with 401, 403, 405 and 429, and answers an APIException that the view raises, in the contract's shape. The
    view is exempt from CSRF: no cookie proves the caller. `documented_by`: a ServiceView that is never called, whose
    annotated methods stand in the schema for this view.
    """

    def decorate(view: PlainView) -> PlainView:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                caller = authenticate_request(request)
                if request.method not in methods:
                    answer = plain_answer(exceptions.MethodNotAllowed(request.method or ""))
                    answer["Allow"] = ", ".join(methods)
                    return answer
                require_scope(caller, scope)
                throttle_caller(caller)
                return view(request, caller, *args, **kwargs)
            except exceptions.APIException as error:
                return plain_answer(error)

        answering: Any = csrf_exempt(guarded)
        answering.required_scopes = dict.fromkeys(methods, scope)
        if documented_by is not None:
            answering.cls, answering.initkwargs = documented_by, {}
        exempt: PlainView = answering
        return exempt

    return decorate
