"""The bare things that the gate and the opening of a dispute are measured against, behind the same token check.

Served beside the product by `benchmarks.gate_serving`, with its settings and this module's addresses: never a part of
the product.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import msgspec
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.utils import timezone
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import Caller
from config.api.views import ServiceView, plain_view
from config.fields import phone_digest
from config.values.ids import floor_of, new_id
from disputes.journal.models import Event

# Written so that PostgreSQL looks permits up by their customer, also in a month that was emptied, or analysed while it
# was: as the gate's own reading (migration 0011).
JOIN = """
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb) AS asked (id uuid, request_id text, phone text, loan text)
), allowed AS (
    SELECT asked.id, asked.request_id, decode(asked.phone, 'hex') AS phone, asked.loan, loan.customer
    FROM asked
    JOIN disputes_loan AS loan ON loan.external_id = asked.loan
    JOIN disputes_customer AS customer ON customer.external_id = loan.customer
    JOIN disputes_customerphone AS phone
        ON phone.digest = decode(asked.phone, 'hex') AND phone.customer = loan.customer
    WHERE NOT EXISTS (
            SELECT FROM disputes_holdcover AS cover
            WHERE cover.released_at IS NULL
                AND cover.key IN ('l:' || asked.loan, 'c:' || loan.customer, 'p:' || asked.phone))
        AND (SELECT count(*) FROM disputes_permit AS permit
             WHERE permit.customer = loan.customer
                 AND (permit.customer, permit.granted_at) > (loan.customer, now() - interval '24 hours')
                 AND (permit.id > %(floor)s OR permit.id = %(floor)s)
                 AND (permit.id < %(ceiling)s OR permit.id = %(ceiling)s)
                 AND permit.unused_at IS NULL AND permit.message IS NULL)
            + (SELECT count(*) FROM disputes_message AS message
               WHERE message.loan = asked.loan AND message.sent_at > now() - interval '7 days'
                   AND NOT message.voided) < 3
        AND (SELECT sum(amount) FROM unnest(loan.due_on, loan.amount) AS line (due_on, amount)
             WHERE due_on < current_date) > loan.paid + loan.tolerance
)
"""
GRANT = (
    JOIN
    + """
INSERT INTO disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer, channel,
                             category, vendor)
SELECT id, 'bare', request_id, now(), now() + interval '60 seconds', phone, loan, customer, 'sms', 'urge', ''
FROM allowed RETURNING request_id
"""
)
LOOK = JOIN + "SELECT request_id FROM allowed"


@plain_view(scope="gate")
def select_and_insert(request: HttpRequest, caller: Caller) -> HttpResponse:
    """One indexed SELECT and one INSERT: what a gate that decides nothing would cost."""
    item = msgspec.json.decode(request.body)["items"][0]
    digest, now = phone_digest(item["phone"]), timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT hold_id FROM disputes_holdcover WHERE released_at IS NULL AND key = %s", [f"p:{digest.hex()}"]
        )
        cursor.fetchone()
        permit = new_id()
        cursor.execute(
            "INSERT INTO disputes_permit (id, caller, request_id, granted_at, expires_at, phone_digest, loan, customer,"
            " channel, category, vendor) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'sms', 'urge', '')",
            [permit, caller.key, item["request_id"], now, now + timedelta(seconds=60), digest, item["loan"], "C0"],
        )
    answer = {"decisions": [{"outcome": "allow", "permit": {"id": str(permit)}}]}
    return HttpResponse(msgspec.json.encode(answer), content_type="application/json")


@plain_view(scope="gate")
def one_statement(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The join and the insert of a batch, as one statement over rows that need no reading."""
    now = timezone.now()
    given = {
        "items": request.body.decode(),
        "floor": floor_of(now - timedelta(hours=25)),
        "ceiling": floor_of(now + timedelta(hours=1)),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # As the gate's own reading: a table that was emptied a moment ago would be planned to be read through.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(GRANT if request.GET.get("grant") else LOOK, given)
        count = len(cursor.fetchall())
    return HttpResponse(str(count), content_type="text/plain")


class BareRow(serializers.ModelSerializer[Any]):
    class Meta:
        model = Event
        fields = ("id", "kind", "subject_type", "subject_id", "actor_type")


class BareCreate(ServiceView):
    """A bare create of one row by REST framework."""

    required_scopes: ClassVar[Any] = {"POST": "disputes:write"}

    def post(self, request: Request) -> Response:
        row = BareRow(data=request.data)
        row.is_valid(raise_exception=True)
        row.save()
        return Response(row.data, status=status.HTTP_201_CREATED)


urlpatterns = [
    path("bare/decision", select_and_insert),
    path("bare/statement", one_statement),
    path("bare/create", BareCreate.as_view()),
    path("", include("config.urls")),
]
