"""Records over HTTP: the import, what is stored, and what a customer sees of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
from django.core.exceptions import ValidationError as NotValid
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, NotFound, UnsupportedMediaType, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.bulk import BULK_FROM, SpooledAnswer, body_chunks, body_length
from config.api.callers import Caller
from config.api.fields import MoneyField
from config.api.pagination import CursorPages
from config.api.places import take_place
from config.api.views import ServiceView
from disputes.check.account import account_at
from disputes.check.rendering import render
from disputes.records import queries, rendering
from disputes.records.csv_reading import HeaderRefused, csv_pieces, read_header
from disputes.records.feeding import Feed, Piece, ndjson_pieces, refuse_piece, split_lines
from disputes.records.guarding import Guard, TooManyChanges
from disputes.records.importing import Result
from disputes.records.models import RECORD_TYPES, Loan
from disputes.records.versions import stored_record

NDJSON = "application/x-ndjson"
CSV = "text/csv"
_CHARSET = re.compile(r'charset\s*=\s*"?([^\s";]+)')
READS = (NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json")


_ERROR = inline_serializer(
    "ImportLineError",
    {
        "code": serializers.CharField(),
        "detail": serializers.CharField(),
        "attr": serializers.CharField(allow_null=True),
    },
    many=True,
)
_RESULT = inline_serializer(
    "ImportResult",
    {
        "line": serializers.IntegerField(),
        "type": serializers.CharField(allow_null=True),
        "external_id": serializers.CharField(allow_null=True),
        "result": serializers.ChoiceField(choices=["created", "updated", "unchanged", "stale", "error"]),
        "errors": _ERROR,
    },
)


class ImportView(ServiceView):
    required_scopes: ClassVar = {"POST": "records:write"}

    @extend_schema(
        operation_id="records_import",
        summary="Import records",
        description="NDJSON: one record a line, any mix, applied in order. Or CSV with a header, in UTF-8: an empty "
        "cell is a field that the record does not have, a list or an object is JSON in its cell. The answer is NDJSON, "
        "with a result a line. A bad line never spoils the good ones. An import that would change too many of the "
        "stored records of a type stops: that batch and all after it are answered `too_many_changes`, what came before "
        "stays. Of a body that was cut (400 `incomplete_body`) the line that it was cut in is never imported; CSV that "
        "comes in chunks must end with a line end. A bulk import that finds no place is answered 429.",
        parameters=[
            OpenApiParameter("dry_run", bool, description="Write nothing, and say what an import would do."),
            OpenApiParameter(
                "type", str, enum=RECORD_TYPES, description="Of CSV: what every row is, where no column `type` says it."
            ),
            OpenApiParameter(
                "allow_changes", bool, description="Do not stop, however many stored records the import changes."
            ),
        ],
        request={
            NDJSON: {"type": "string", "description": "One JSON object a line."},
            CSV: {"type": "string", "description": "A header of field names, then one record a row."},
        },
        responses={(200, NDJSON): OpenApiResponse(_RESULT, description="One result a line.")},
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        plain: HttpRequest = request._request
        dry_run = _read_flag(request, "dry_run")
        allow_changes = _read_flag(request, "allow_changes")
        content_type = _check_content(request)
        length = body_length(plain)
        answer = SpooledAnswer(take_place() if length is None or length >= BULK_FROM else None)
        try:
            lines = split_lines(body_chunks(plain, length=length, lines_end=content_type == CSV))
            pieces = _read_csv(request, lines) if content_type == CSV else ndjson_pieces(lines)
            for result in _import_guarded(Feed(pieces), dry_run=dry_run, allow_changes=allow_changes):
                answer.write(msgspec.json.encode(result.render()) + b"\n")
        except BaseException:
            answer.close()
            raise
        size = answer.rewind()
        return StreamingHttpResponse(answer, content_type=NDJSON, headers={"Content-Length": str(size)})


def _import_guarded(feed: Feed, *, dry_run: bool, allow_changes: bool) -> Iterator[Result]:
    """Where the import stops because of what it would change, all that it did not write is answered so."""
    now = timezone.now()
    watch = None if allow_changes or dry_run else Guard(began_at=now)
    try:
        for told in feed.import_all(dry_run=dry_run, watch=watch, now=now):
            yield told.result
    except TooManyChanges as stopped:
        detail = f"{stopped} Nothing from here on was written; with allow_changes=true it is."
        for piece in feed.rest():
            yield refuse_piece(piece, code="too_many_changes", detail=detail)


def _read_csv(request: Request, lines: Iterator[Piece]) -> Iterator[Piece]:
    type_ = request.query_params.get("type") or None
    try:
        return csv_pieces(lines, header=read_header(lines, type_=type_))
    except HeaderRefused as refused:
        raise ValidationError(_by_field(refused.errors)) from refused


def _by_field(errors: list[dict[str, Any]]) -> dict[str, list[ErrorDetail]]:
    found: dict[str, list[ErrorDetail]] = {}
    for error in errors:
        found.setdefault(error["attr"] or "non_field_errors", []).append(ErrorDetail(error["detail"], error["code"]))
    return found


def _read_flag(request: Request, name: str) -> bool:
    asked = request.query_params.get(name, "false").lower()
    if asked not in ("true", "false", "1", "0"):
        raise ValidationError({name: ["true or false."]}, "invalid")
    return asked in ("true", "1")


def _check_content(request: Request) -> str:
    """The media type of the body: NDJSON or CSV."""
    content_type, _, parameters = (request.content_type or NDJSON).lower().partition(";")
    content_type = content_type.strip()
    if content_type not in (*READS, CSV):
        raise UnsupportedMediaType(content_type, f"This call reads {NDJSON} and {CSV}.")
    charset = _CHARSET.search(parameters)
    if charset is not None and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(content_type, "This call reads UTF-8.")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType(encoding, "This call reads no compressed body.")
    return CSV if content_type == CSV else NDJSON


class StoredVersionSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(allow_null=True)
    posted_at = serializers.DateTimeField(allow_null=True, help_text="Null: always known.")
    effective_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField()
    in_force = serializers.BooleanField(help_text="The highest version as known now.")
    erased = serializers.BooleanField(help_text="Its personal fields were erased.")
    record = serializers.DictField(help_text="The fields of the line.")


class StoredRecordSerializer(serializers.Serializer[Any]):
    type = serializers.CharField()
    external_id = serializers.CharField()
    void = serializers.BooleanField()
    versions = StoredVersionSerializer(many=True, help_text="Highest first.")
    versions_left_out = serializers.IntegerField()


class RecordView(ServiceView):
    required_scopes: ClassVar = {"GET": "records:read"}

    @extend_schema(
        operation_id="records_retrieve",
        summary="Show what is stored of a record",
        parameters=[
            OpenApiParameter("type", str, OpenApiParameter.PATH),
            OpenApiParameter("external_id", str, OpenApiParameter.PATH),
        ],
        responses=StoredRecordSerializer,
    )
    def get(self, request: Request, type: str, external_id: str) -> Response:
        record = stored_record(type=type, external_id=external_id)
        if record is None:
            raise NotFound()
        return Response(rendering.render_record(record))


class MessageSerializer(serializers.Serializer[Any]):
    """A message to the customer. `loan` and what was claimed of it are null where the loan is not theirs."""

    id = serializers.UUIDField()
    external_id = serializers.CharField()
    channel = serializers.CharField()
    category = serializers.CharField()
    sent_at = serializers.DateTimeField()
    phone = serializers.CharField(allow_null=True, help_text="Masked.")
    body = serializers.CharField(allow_null=True)
    short_ref = serializers.CharField(allow_null=True)
    loan = serializers.CharField(allow_null=True)
    claimed_amount = MoneyField(allow_null=True)
    claimed_days_past_due = serializers.IntegerField(allow_null=True)


class MessageRecordsSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    account = serializers.DictField(help_text="The account at `at`, with all that is known today.")


class MessageDetailSerializer(MessageSerializer):
    records = MessageRecordsSerializer(allow_null=True, help_text="Null where the loan is not the customer's.")


class MessagePages(CursorPages):
    ordering = ("-sent_at", "-id")


class MessagesView(ServiceView):
    customers = True
    pagination_class = MessagePages

    @extend_schema(
        operation_id="messages_list", summary="List one's own messages", responses=MessageSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        customer = _customer(request)
        found = queries.messages_of_customer(customer=customer)
        return self.answer_page(request, found, lambda rows: rendering.render_messages(rows, customer=customer))


class MessageView(ServiceView):
    customers = True

    @extend_schema(
        operation_id="messages_retrieve",
        summary="Show one's own message, and what the records say of it now",
        parameters=[OpenApiParameter("id", str, OpenApiParameter.PATH)],
        responses=MessageDetailSerializer,
    )
    def get(self, request: Request, id: str) -> Response:
        customer = _customer(request)
        message = None
        with suppress(NotValid, ValueError):
            message = queries.messages_of_customer(customer=customer).filter(pk=id).first()
        if message is None:
            raise NotFound()
        shown = rendering.render_messages([message], customer=customer)[0]
        records = None
        if shown["loan"] is not None and message.sent_at is not None:
            account = account_at(history=queries.account_history(loan=message.loan), at=message.sent_at)
            records = {"at": message.sent_at, "account": render(account)}
        return Response({**shown, "records": records})


class LoanSerializer(serializers.Serializer[Any]):
    external_id = serializers.CharField()
    product = serializers.CharField()
    currency = serializers.CharField()
    days_past_due = serializers.IntegerField()
    overdue_amount = MoneyField()
    oldest_unpaid_due_on = serializers.DateField(allow_null=True)
    next_due_on = serializers.DateField(allow_null=True)
    next_due_amount = MoneyField()
    outstanding = MoneyField()
    settled = serializers.BooleanField()


class LoanInstalmentSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    due_on = serializers.DateField()
    amount = MoneyField()
    paid = MoneyField()
    outstanding = MoneyField()
    paid_off_on = serializers.DateField(allow_null=True)


class LoanPaymentSerializer(serializers.Serializer[Any]):
    external_id = serializers.CharField()
    amount = MoneyField()
    paid_at = serializers.DateTimeField(help_text="When it was made.")
    posted_at = serializers.DateTimeField(allow_null=True, help_text="When the records showed it. Null: always.")
    reversed_at = serializers.DateTimeField(allow_null=True)


class LoanDetailSerializer(LoanSerializer):
    instalments = LoanInstalmentSerializer(many=True)
    payments = LoanPaymentSerializer(many=True)


class LoanPages(CursorPages):
    ordering = ("external_id",)


class LoansView(ServiceView):
    customers = True
    pagination_class = LoanPages

    @extend_schema(operation_id="loans_list", summary="List one's own loans", responses=LoanSerializer(many=True))
    def get(self, request: Request) -> Response:
        now = timezone.now()
        found = queries.loans_of_customer(customer=_customer(request))
        return self.answer_page(request, found, lambda rows: rendering.render_loans(rows, at=now))


class LoanView(ServiceView):
    customers = True

    @extend_schema(
        operation_id="loans_retrieve",
        summary="Show one's own loan",
        parameters=[OpenApiParameter("external_id", str, OpenApiParameter.PATH)],
        responses=LoanDetailSerializer,
    )
    def get(self, request: Request, external_id: str) -> Response:
        loan: Loan | None = queries.loans_of_customer(customer=_customer(request)).filter(pk=external_id).first()
        if loan is None:
            raise NotFound()
        account = account_at(history=queries.account_history(loan=loan.pk), at=timezone.now())
        return Response(rendering.render_loan(loan, account=account))


def _customer(request: Request) -> str:
    caller = request.auth
    if not isinstance(caller, Caller) or caller.customer is None:
        raise NotFound()
    return caller.customer


routes = [
    path("records/import", ImportView.as_view(), name="records-import"),
    path("records/<str:type>/<path:external_id>", RecordView.as_view(), name="record"),
    path("messages", MessagesView.as_view(), name="messages"),
    path("messages/<str:id>", MessageView.as_view(), name="message"),
    path("loans", LoansView.as_view(), name="loans"),
    path("loans/<path:external_id>", LoanView.as_view(), name="loan"),
]
