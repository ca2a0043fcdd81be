"""What people texted back, in the admin."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client

from disputes.inbound.keeping import keep
from disputes.inbound.models import InboundMessage

pytestmark = pytest.mark.django_db

LIST = "/admin/disputes/inboundmessage/"


def member(group: str) -> Client:
    user = User.objects.create_user(group, password="long-enough-for-now", is_staff=True)
    user.groups.set(Group.objects.filter(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def kept() -> InboundMessage:
    now = datetime.now(tz=UTC)
    with transaction.atomic():
        said, _ = keep(caller="c", external_id="1", phone="+8613812340001", text="为什么?", received_at=now, now=now)
    return said


def mark(client: Client, said: InboundMessage) -> None:
    client.post(LIST, {"action": "read", "_selected_action": [str(said.pk)]})
    said.refresh_from_db()


def test_a_supervisor_reads_what_was_kept_and_marks_it(kept: InboundMessage) -> None:
    client = member("supervisors")
    page = client.get(LIST, {"to_read": "yes"}).content.decode()
    assert "为什么?" in page
    assert "+8613812340001" not in page
    assert "0001" in page
    assert "为什么?" in client.get(f"{LIST}{kept.pk}/change/").content.decode()
    mark(client, kept)
    assert kept.read_at is not None
    assert kept.read_by == "supervisors"
    assert "为什么?" not in client.get(LIST, {"to_read": "yes"}).content.decode()


def test_an_auditor_looks_on(kept: InboundMessage) -> None:
    client = member("auditors")
    assert "为什么?" in client.get(LIST).content.decode()
    mark(client, kept)
    assert kept.read_at is None


def test_an_agent_and_an_administrator_see_none_of_it(kept: InboundMessage) -> None:
    for group in ("agents", "administrators"):
        assert member(group).get(LIST).status_code == 403
