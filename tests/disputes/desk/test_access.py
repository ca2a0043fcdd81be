"""Every page and every act of the back office × every group, over HTTP, in one table.

`yes`: the page opens, the act is done; `no`: 403; `told`: refused on the page itself (409), which says why.
An agent's own case is `mine`; `theirs` is another agent's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from disputes.cases.models import Comment, Dispute
from disputes.holds.models import Hold
from disputes.journal.recording import Actor
from disputes.outbox.models import OutboxTopic
from disputes.routing import assigning
from tests.disputes.desk.staff import Person, dispute_in_review, supervisor
from tests.lines import in_arrears

pytestmark = pytest.mark.django_db

TABLE = """
what                          agent  supervisor  auditor  administrator  nobody

home                          yes    yes         yes      yes            yes
list of disputes              yes    yes         yes      no             no
page of mine                  yes    yes         yes      no             no
page of theirs                yes    yes         yes      no             no

note on mine                  yes    yes         told     no             no
note on theirs                told   yes         told     no             no
ask on mine                   yes    yes         told     no             no
ask on theirs                 told   yes         told     no             no
uphold mine                   yes    yes         told     no             no
uphold theirs                 told   yes         told     no             no
reject theirs                 told   yes         told     no             no
hand_on mine                  yes    yes         told     no             no
hand_on theirs                told   yes         told     no             no
hold mine                     yes    yes         told     no             no
hold theirs                   told   yes         told     no             no

list of holds                 no     yes         yes      no             no
list of sending rules         no     yes         yes      no             no
may we text                   yes    yes         no       no             no
place a hold                  yes    yes         no       no             no
opt-outs                      yes    yes         yes      no             no
denials                       no     yes         yes      no             no
sends without a permit        no     yes         yes      no             no
outcomes not delivered        no     yes         yes      no             no
list of inbound messages      no     yes         yes      no             no
list of queues                no     yes         yes      no             no
list of agents                no     yes         yes      no             no
list of calendars             no     yes         yes      no             no
add a queue                   no     yes         no       no             no
add an agent                  no     yes         no       no             no
add a calendar                no     yes         no       no             no
list of routed cases          no     yes         yes      no             no
list of escalations           no     yes         yes      no             no
list of notices               no     yes         yes      no             no
list of webhook endpoints     no     no          yes      yes            no
list of topics                no     no          yes      yes            no
policy packs                  no     yes         yes      yes            no
list of clients               no     no          no       yes            no
list of users                 no     no          no       yes            no
add a user                    no     no          no       yes            no
list of groups                no     no          no       yes            no
add a group                   no     no          no       no             no
"""

PAGES = {
    "home": "admin:index",
    "policy packs": "admin:desk_packs",
    "list of disputes": "admin:disputes_dispute_changelist",
    "list of holds": "admin:disputes_hold_changelist",
    "list of sending rules": "admin:disputes_sendingrule_changelist",
    "may we text": "admin:desk_look_up",
    "place a hold": "admin:desk_place_hold",
    "opt-outs": "admin:desk_opt_outs",
    "denials": "admin:desk_denials",
    "sends without a permit": "admin:desk_unauthorised",
    "outcomes not delivered": "admin:desk_undelivered",
    "list of inbound messages": "admin:disputes_inboundmessage_changelist",
    "list of queues": "admin:disputes_queue_changelist",
    "list of agents": "admin:disputes_agent_changelist",
    "list of calendars": "admin:disputes_calendar_changelist",
    "add a queue": "admin:disputes_queue_add",
    "add an agent": "admin:disputes_agent_add",
    "add a calendar": "admin:disputes_calendar_add",
    "list of routed cases": "admin:disputes_routedcase_changelist",
    "list of escalations": "admin:disputes_escalation_changelist",
    "list of notices": "admin:disputes_notice_changelist",
    "list of webhook endpoints": "admin:disputes_webhookendpoint_changelist",
    "list of topics": "admin:disputes_outboxtopic_changelist",
    "list of clients": "admin:api_client_changelist",
    "list of users": "admin:auth_user_changelist",
    "add a user": "admin:auth_user_add",
    "list of groups": "admin:auth_group_changelist",
    "add a group": "admin:auth_group_add",
}

SAID: dict[str, dict[str, str]] = {
    "note": {"text": "They called twice."},
    "ask": {"text": "Please send the receipt."},
    "uphold": {"outcome": "upheld", "reason": "payment_proved", "explanation": "You showed the receipt."},
    "reject": {"outcome": "rejected", "reason": "payment_not_found", "explanation": "We found nothing."},
    "hand_on": {"why": "on leave"},
    "hold": {"covers": "loan", "why": "asked on the phone"},
}


@dataclass(frozen=True)
class Row:
    what: str
    said: dict[str, str]


def rows() -> list[Row]:
    lines = [re.split(r"\s{2,}", line.strip()) for line in TABLE.strip().splitlines() if line.strip()]
    return [Row(what=line[0], said=dict(zip(lines[0][1:], line[1:], strict=True))) for line in lines[1:]]


GROUP = {"agent": "agents", "supervisor": "supervisors", "auditor": "auditors", "administrator": "administrators"}


@pytest.fixture
def mine() -> Dispute:
    return dispute_in_review(*in_arrears())


def person(kind: str) -> Person:
    groups = [GROUP[kind]] if kind in GROUP else []
    return Person(kind, *groups, on_duty=True if kind == "agent" else None)


def give(dispute: Dispute, to: Person, *, by: Person) -> None:
    """Puts the case before an agent."""
    assert to.agent is not None
    actor = Actor(type="user", id=str(by.user.pk))
    assigning.hand_on(dispute=dispute.pk, actor=actor, now=dispute.opened_at, agent_id=to.agent.pk)


def answer(row: Row, who: Person, dispute: Dispute, other: Person) -> str:
    if row.what in PAGES:
        status = who.http.get(reverse(PAGES[row.what])).status_code
    elif row.what.startswith("page"):
        status = who.page(dispute).status_code
    else:
        act = row.what.split()[0]
        name = "decide" if act in ("uphold", "reject") else act
        said = SAID[act] | ({"check_id": str(dispute.last_check_id)} if name == "decide" else {})
        if act == "hand_on":
            said["to"] = f"agent:{other.agent.pk if other.agent else 0}"
        once = str(uuid.uuid4())
        address = reverse("admin:desk_act", args=[dispute.pk, name])
        status = who.http.post(address, {"once": once, **said}).status_code
    return {200: "yes", 302: "yes", 403: "no", 409: "told"}.get(status, str(status))


@contextmanager
def undone() -> Iterator[None]:
    """What an act changes is taken back, so that the next one finds everything as it was."""
    # As the test's own transaction: an act may open its outermost one inside.
    around: Any = transaction.atomic()
    around._from_testcase = True
    with around:
        yield
        transaction.set_rollback(True)


def stands(dispute: Dispute) -> tuple[int, int, str]:
    return Comment.objects.count(), Hold.objects.count(), Dispute.objects.values_list("status", flat=True).get()


@pytest.mark.parametrize("kind", ["agent", "supervisor", "auditor", "administrator", "nobody"])
def test_each_group_opens_and_does_what_the_table_says(kind: str, mine: Dispute) -> None:
    who, other = person(kind), Person("other", "agents", on_duty=True)
    third, boss = Person("third", "agents", on_duty=True), supervisor("giver")
    before, surprises = stands(mine), []
    for row in rows():
        with undone():
            if " mine" in row.what or " theirs" in row.what:
                give(mine, other if row.what.endswith("theirs") or kind != "agent" else who, by=boss)
            found = answer(row, who, mine, third)
            if found != row.said[kind]:
                surprises.append(f"{row.what}: {found}, not {row.said[kind]}")
            if found in ("no", "told") and stands(mine) != before:
                surprises.append(f"{row.what}: refused, and done all the same")
    assert surprises == []


def test_who_is_not_logged_in_is_sent_to_the_login(mine: Dispute) -> None:
    for address in (
        reverse("admin:index"),
        reverse("admin:disputes_dispute_change", args=[mine.pk]),
        reverse("admin:desk_letter", args=[mine.pk]),
    ):
        answer = Client().get(address)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse("admin:login"))


def test_an_act_without_the_pages_token_is_refused(mine: Dispute) -> None:
    boss = supervisor()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(boss.user)
    address = reverse("admin:desk_act", args=[mine.pk, "note"])
    assert strict.post(address, {"once": "00000000-0000-7000-8000-000000000001", "text": "x"}).status_code == 403
    assert not Comment.objects.exists()


def test_an_act_is_posted_never_got(mine: Dispute) -> None:
    assert supervisor().http.get(reverse("admin:desk_act", args=[mine.pk, "note"])).status_code == 405


def test_a_superuser_reads_all_and_decides_nothing(mine: Dispute) -> None:
    root = Person("root", is_superuser=True)
    assert root.page(mine).status_code == 200
    assert root.act(mine, "note", text="hello").status_code == 409
    assert root.http.get(reverse("admin:auth_user_changelist")).status_code == 200


def test_nothing_of_a_dispute_is_changed_or_deleted_by_a_plain_form(mine: Dispute) -> None:
    boss = supervisor()
    change = reverse("admin:disputes_dispute_change", args=[mine.pk])
    assert boss.http.post(change, {"status": "closed"}).status_code == 403
    assert boss.http.get(reverse("admin:disputes_dispute_delete", args=[mine.pk])).status_code == 403
    assert boss.http.get(reverse("admin:disputes_dispute_add")).status_code == 403
    assert OutboxTopic.objects.filter(topic="dispute.closed").count() == 0
