"""A dispute's road as the lender's systems hear it: signed, in order, without personal data."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from disputes.cases.following import announce_assigned
from disputes.cases.releasing import resume_due
from disputes.cases.talking import ask_customer
from disputes.cases.transactions import in_transaction
from disputes.routing.assigning import assign_waiting
from disputes.routing.models import RoutedCase
from tests.callers import customer
from tests.disputes.cases.back_office import actor_of, agent, decided, in_review
from tests.lines import in_arrears, send_records
from tests.races import at_once
from tests.webhook_receiver import subscribed
from tests.work import work

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_step_is_told_in_the_order_in_which_it_happened():
    ann = agent("ann")
    send_records(*in_arrears())
    with subscribed() as lender:
        case = in_review(statement="I paid on Sunday.")
        act = {"dispute_id": case.pk, "text": "Which bank?", "actor": actor_of(ann), "user_id": ann.user_id}
        ask_customer(**act, any_case=False, now=timezone.now())
        work()
        customer("C1").post(f"/api/v1/disputes/{case.pk}/comments", {"text": "ICBC"})
        work()
        decided(case, ann)
        customer("C1").get(f"/api/v1/disputes/{case.pk}")
        work()
        resume_due(now=timezone.now() + timedelta(hours=49))
        work()
        events = lender.events()
    assert [event["type"] for event in events] == [
        "dispute.opened",
        "hold.placed",
        "dispute.checked",
        "dispute.assigned",
        "dispute.waiting_customer",
        "dispute.assigned",
        "dispute.closed",
        "hold.released",
    ]
    closed = events[-2]["data"]["dispute"]
    assert (closed["id"], closed["outcome"], closed["verdict"]) == (str(case.pk), "rejected", "lender_right")
    said = json.dumps(events, ensure_ascii=False)
    assert not [word for word in ("13812340001", "王芳", "Sunday", "ICBC", "Which bank") if word in said]


def test_nothing_is_told_of_what_was_rolled_back():
    send_records(*in_arrears())
    with subscribed() as lender:
        first = customer("C1").post(
            "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "not_overdue"}, Idempotency_Key="a"
        )
        again = customer("C1").post(
            "/api/v1/disputes", {"message": {"external_id": "M1"}, "ground": "not_overdue"}, Idempotency_Key="b"
        )
        work()
        kinds = [event["type"] for event in lender.events()]
    assert (first.status_code, again.status_code) == (201, 409)
    assert kinds.count("dispute.opened") == kinds.count("hold.placed") == 1


def test_that_an_agent_has_it_is_told_before_what_the_agent_does_however_quick_they_are():
    ann = agent("ann")
    send_records(*in_arrears())
    with subscribed() as lender:
        case = in_review()
        RoutedCase.objects.filter(pk=case.pk).update(owner=None, state="waiting")
        assign_waiting(now=timezone.now())
        decided(case, ann)
        work()
        events = lender.events()
    assert [event["type"] for event in events][-3:] == ["dispute.assigned", "dispute.assigned", "dispute.closed"]
    assert [event["data"]["dispute"]["status"] for event in events[-3:]] == ["in_review", "in_review", "closed"]


def test_that_an_agent_has_it_is_told_once_whoever_tells_it():
    ann = agent("ann")
    send_records(*in_arrears())
    with subscribed() as lender:
        case = in_review()
        RoutedCase.objects.filter(pk=case.pk).update(owner=None, state="waiting")
        assign_waiting(now=timezone.now())
        act = {"dispute_id": case.pk, "text": "Which bank?", "actor": actor_of(ann), "user_id": ann.user_id}
        tell = partial(announce_assigned, dispute_id=case.pk, now=timezone.now())
        at_once(
            [
                lambda: ask_customer(**act, any_case=False, now=timezone.now()),
                *[lambda: in_transaction(tell)] * 3,
                work,
            ]
        )
        work()
        kinds = [event["type"] for event in lender.events()]
    assert kinds[-2:] == ["dispute.assigned", "dispute.waiting_customer"]
    assert kinds.count("dispute.assigned") == 2
