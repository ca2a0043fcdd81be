"""Disputes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import Caller, caller_of
from config.api.errors import Conflict
from config.api.fields import (
    PlainTextField,
    StrictSerializer,
)
from config.api.idempotency import Unwritten, idempotent
from config.api.pagination import CursorPages
from config.api.views import ServiceView
from config.statements import Statement
from disputes.cases import lifecycle, queries, releasing, talking
from disputes.cases.appealing import AlreadyAppealed, appeal
from disputes.cases.asking import (
    FILTERS,
    ClaimedPaymentSerializer,
    DisputeFilter,
    NewDisputeSerializer,
    actor_of,
    read_opening,
)
from disputes.cases.finding import MessageNotFound, Search
from disputes.cases.models import Channel, Comment, Dispute, Ground, Language, Outcome, Status
from disputes.cases.opening import AlreadyOpen, NobodyToActFor, Opening, prepare_opening, shown_of
from disputes.cases.rendering import render_dispute
from disputes.holds.suppressions_api import PermitOutSerializer
from disputes.journal.models import Event
from disputes.records.queries import numbers_of_messages


class DeadlinesSerializer(serializers.Serializer[Any]):
    acknowledge_by = serializers.DateTimeField()
    first_answer_by = serializers.DateTimeField()
    decide_by = serializers.DateTimeField()


class HoldSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    scope = serializers.CharField()
    placed_at = serializers.DateTimeField()
    released_at = serializers.DateTimeField(allow_null=True)


class DisputedMessageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True)
    channel = serializers.CharField()
    category = serializers.CharField()
    sent_at = serializers.DateTimeField()
    phone = serializers.CharField(allow_null=True, help_text="Masked.")
    loan = serializers.CharField(allow_null=True)


class FindingSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    speaks_for = serializers.ChoiceField(choices=["customer", "lender", "nobody"])
    facts = serializers.DictField()
    sentence = serializers.CharField(help_text="In the dispute's language.")


class PolicySerializer(serializers.Serializer[Any]):
    pack = serializers.CharField()
    version = serializers.CharField()


class CheckSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=["customer_right", "partly_right", "lender_right", "inconclusive"])
    cause = serializers.CharField(allow_null=True)
    detail = serializers.CharField(allow_null=True)
    facts = serializers.DictField(allow_null=True, help_text="The account at `at`: `as_it_was` and `as_known`.")
    findings = FindingSerializer(many=True)
    engine_version = serializers.CharField()
    policy = PolicySerializer()
    records_digest = serializers.CharField()
    checked_at = serializers.DateTimeField()


class DecisionSerializer(serializers.Serializer[Any]):
    """What a person decided, with the words to the customer."""

    outcome = serializers.CharField()
    reason = serializers.CharField()
    explanation = serializers.CharField()
    decided_at = serializers.DateTimeField()


class DisputeSerializer(serializers.Serializer[Any]):
    """A dispute. `customer` and `loan` are shown to the lender's systems alone."""

    id = serializers.UUIDField()
    reference = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_null=True)
    ground = serializers.ChoiceField(choices=Ground.choices)
    message = DisputedMessageSerializer(allow_null=True)
    statement = serializers.CharField(allow_null=True)
    claimed_payments = ClaimedPaymentSerializer(many=True)
    language = serializers.ChoiceField(choices=Language.choices)
    channel = serializers.ChoiceField(choices=Channel.choices)
    opened_at = serializers.DateTimeField()
    deadlines = DeadlinesSerializer()
    hold = HoldSerializer(allow_null=True)
    check = CheckSerializer(allow_null=True)
    evidence = serializers.ListField(child=serializers.DictField())
    decision = DecisionSerializer(required=False, help_text="Once a person decided.")
    closed_at = serializers.DateTimeField(allow_null=True)
    customer = serializers.CharField(required=False, allow_null=True)
    loan = serializers.CharField(required=False, allow_null=True)
    disputed = serializers.BooleanField(
        required=False,
        help_text="Where the policy pack asks for the mark: whether what this is about is in dispute.",
    )


class OpenedDisputeSerializer(DisputeSerializer):
    permits_out = PermitOutSerializer(many=True, help_text="Granted before the hold and still alive: recall them.")


class EventSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ("id", "kind", "at", "actor", "data")

    actor = serializers.SerializerMethodField()

    def get_actor(self, event: Event) -> dict[str, str]:
        return {"type": event.actor_type, "id": event.actor_id}


class CommentSerializer(StrictSerializer):
    id = serializers.UUIDField(read_only=True)
    text = PlainTextField(max_length=5000)
    author = serializers.SerializerMethodField()
    at = serializers.DateTimeField(read_only=True)

    def get_author(self, comment: Comment) -> str:
        """``customer`` ``phone`` ``client``, or ``user``: an agent of the lender's."""
        return comment.author_type


def found(*, caller: Caller, key: str) -> Dispute:
    try:
        return queries.find_dispute(caller=caller, key=key)
    except Dispute.DoesNotExist:
        raise NotFound() from None


class DisputeView(ServiceView):
    """What the views of one dispute share."""

    customers = True

    def shown(self, dispute: Dispute, **extra: Any) -> dict[str, Any]:
        hold = queries.holds_by_dispute([dispute.pk]).get(dispute.pk)
        return render_dispute(dispute=dispute, caller=caller_of(self.request), hold=hold, **extra)


class Disputes(DisputeView):
    _asked: Opening | APIException
    _search: Search
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "disputes:read", "POST": "disputes:write"}
    body_names = frozenset({"POST"})

    @extend_schema(operation_id="list_disputes", responses=DisputeSerializer(many=True), parameters=FILTERS)
    def get(self, request: Request) -> Response:
        """Disputes, newest first: a customer's own, or all for the lender's systems."""
        caller = caller_of(request)
        chosen = DisputeFilter(request.query_params, queries.disputes_for(caller), caller=caller)
        if not chosen.is_valid():
            raise ValidationError(chosen.errors)
        pages = CursorPages()
        page = pages.paginate_queryset(chosen.qs, request, view=self)
        holds = queries.holds_by_dispute([dispute.pk for dispute in page])
        numbers = numbers_of_messages(row.message for row in page if row.message is not None)
        return pages.get_paginated_response(
            [
                render_dispute(
                    dispute=row, caller=caller, hold=holds.get(row.pk), number=numbers.get(row.message_id, "")
                )
                for row in page
            ]
        )

    def look_ahead(self, request: Request) -> Sequence[Statement]:
        """What looks for the message that a body names. One that is refused names none: `post` refuses it."""
        try:
            self._asked = read_opening(caller_of(request), request.data)
        except APIException as refused:
            self._asked = refused
            return ()
        self._search = Search(self._asked.selector)
        return self._search.asked

    @extend_schema(operation_id="open_dispute", request=NewDisputeSerializer, responses={201: OpenedDisputeSerializer})
    @idempotent(required=True, ahead=look_ahead)
    def post(self, request: Request) -> Unwritten:
        """Opens a dispute: from this answer on, nothing that its hold covers goes out but `permits_out`."""
        caller = caller_of(request)
        if isinstance(self._asked, APIException):
            raise self._asked
        with _refusals():
            prepared = prepare_opening(asked=self._asked, now=timezone.now(), search=self._search)
        opened = prepared.opened
        body = render_dispute(
            dispute=opened.dispute,
            caller=caller,
            hold=opened.hold.hold,
            permits_out=shown_of(opened.hold.permits_out, caller=caller),
            number=opened.number,
        )

        def write(beside: Sequence[Statement]) -> None:
            with _refusals():
                prepared.write(beside)

        location = {"Location": address_of(opened.dispute)}
        return Unwritten(response=Response(body, status=status.HTTP_201_CREATED, headers=location), write=write)


@contextmanager
def _refusals() -> Iterator[None]:
    """What refuses an opening, as HTTP says it."""
    try:
        yield
    except MessageNotFound:
        raise NotFound() from None
    except NobodyToActFor:
        raise ValidationError({"customer": ["Say for which customer: the message is not known."]}, "required") from None
    except AlreadyOpen as error:
        raise Conflict(
            f"Dispute {error.dispute.reference} about this message and ground is open already.",
            "already_open",
            headers={"Location": address_of(error.dispute)},
        ) from None


def address_of(dispute: Dispute) -> str:
    return f"/api/v1/disputes/{dispute.pk}"


class OneDispute(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "disputes:read"}

    @extend_schema(operation_id="get_dispute", responses=DisputeSerializer)
    def get(self, request: Request, key: str) -> Response:
        """One dispute, by id or by reference. The opener's own reading of a closed dispute delivers its outcome."""
        caller = caller_of(request)
        dispute = found(caller=caller, key=key)
        body = self.shown(dispute)
        read = request.method == "GET" and caller.kind != "client"  # a HEAD brings nobody the outcome
        if read and dispute.status == Status.CLOSED and dispute.outcome_delivered_at is None:
            releasing.note_outcome_seen(dispute_id=dispute.pk, now=timezone.now())
        return Response(body)


class DisputeEvents(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "disputes:read"}

    @extend_schema(operation_id="list_dispute_events", responses=EventSerializer(many=True))
    def get(self, request: Request, key: str) -> Response:
        """The time line, oldest first."""
        caller = caller_of(request)
        dispute = found(caller=caller, key=key)
        pages = CursorPages(ordering="id")
        told = queries.events_of(dispute, internal=caller.kind == "client")
        page = pages.paginate_queryset(told, request, view=self)
        rows = EventSerializer(page, many=True).data
        return pages.get_paginated_response([visible(row, dispute, caller) for row in rows])


def visible(row: dict[str, Any], dispute: Dispute, caller: Caller) -> dict[str, Any]:
    """An event as the caller may see it: what the machine thought is shown to the customer as the check is."""
    if caller.kind == "client":
        return row
    shown_data = {} if row["kind"] in ("dispute.checked", "dispute.assigned") else row["data"]
    actor = row["actor"] if row["actor"]["type"] == caller.kind else {"type": row["actor"]["type"], "id": ""}
    return {**row, "data": shown_data, "actor": actor}


class DisputeComments(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"GET": "disputes:read", "POST": "disputes:write"}

    @extend_schema(operation_id="list_dispute_comments", responses=CommentSerializer(many=True))
    def get(self, request: Request, key: str) -> Response:
        """What was written to the dispute, oldest first."""
        pages = CursorPages(ordering="id")
        dispute = found(caller=caller_of(request), key=key)
        page = pages.paginate_queryset(queries.comments_of(dispute), request, view=self)
        return pages.get_paginated_response(CommentSerializer(page, many=True).data)

    @extend_schema(operation_id="add_dispute_comment", request=CommentSerializer, responses={201: CommentSerializer})
    @idempotent()
    def post(self, request: Request, key: str) -> Response:
        """Adds the customer's words. 409 once the dispute is closed."""
        written = CommentSerializer(data=request.data)
        written.is_valid(raise_exception=True)
        dispute = found(caller=caller_of(request), key=key)
        try:
            comment = talking.add_comment(
                dispute_id=dispute.pk,
                text=written.validated_data["text"],
                actor=actor_of(caller_of(request)),
                now=timezone.now(),
            )
        except lifecycle.WrongState as error:
            raise Conflict(str(error), "wrong_state") from None
        return Response(CommentSerializer(comment).data, status=status.HTTP_201_CREATED)


class WithdrawDispute(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "disputes:write"}

    @extend_schema(operation_id="withdraw_dispute", request=None, responses=DisputeSerializer)
    @idempotent()
    def post(self, request: Request, key: str) -> Response:
        """Takes the dispute back: it is closed as withdrawn and its hold ends at once. 409 once it is closed."""
        dispute = found(caller=caller_of(request), key=key)
        try:
            dispute = lifecycle.withdraw(dispute_id=dispute.pk, actor=actor_of(caller_of(request)), now=timezone.now())
        except lifecycle.WrongState as error:
            raise Conflict(str(error), "wrong_state") from None
        return Response(self.shown(dispute))


class AppealSerializer(StrictSerializer):
    text = PlainTextField(required=False, allow_blank=True, default="", max_length=5000)


class AppealDispute(DisputeView):
    required_scopes: ClassVar[dict[str, str | None]] = {"POST": "disputes:write"}

    @extend_schema(operation_id="appeal_dispute", request=AppealSerializer, responses={200: OpenedDisputeSerializer})
    @idempotent()
    def post(self, request: Request, key: str) -> Response:
        """Has a dispute that was rejected, or upheld in part, judged again by somebody else; once. It is in review
        again with a new hold. 409 where it is open, upheld, withdrawn, or was appealed before."""
        said = AppealSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        caller = caller_of(request)
        dispute = found(caller=caller, key=key)
        try:
            appealed = appeal(
                dispute_id=dispute.pk, text=said.validated_data["text"], actor=actor_of(caller), now=timezone.now()
            )
        except lifecycle.WrongState as error:
            raise Conflict(str(error), "wrong_state") from None
        except AlreadyAppealed:
            raise Conflict(
                "This dispute was appealed before, and an appeal is made once.", "already_appealed"
            ) from None
        except AlreadyOpen as error:
            raise Conflict(
                f"Dispute {error.dispute.reference} about this message and ground is open.",
                "already_open",
                headers={"Location": address_of(error.dispute)},
            ) from None
        body = render_dispute(
            dispute=appealed.dispute,
            caller=caller,
            hold=appealed.hold.hold,
            permits_out=shown_of(appealed.hold.permits_out, caller=caller),
        )
        return Response(body)


routes = [
    path("disputes", Disputes.as_view(), name="disputes"),
    path("disputes/<str:key>", OneDispute.as_view(), name="dispute"),
    path("disputes/<str:key>/events", DisputeEvents.as_view(), name="dispute-events"),
    path("disputes/<str:key>/comments", DisputeComments.as_view(), name="dispute-comments"),
    path("disputes/<str:key>/appeal", AppealDispute.as_view(), name="dispute-appeal"),
    path("disputes/<str:key>/withdraw", WithdrawDispute.as_view(), name="dispute-withdraw"),
]
