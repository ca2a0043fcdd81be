"""Notices and webhooks in the admin: seen by those who may, sent again and switched by those who may."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from disputes.notices import delivering
from disputes.notices.models import WebhookDelivery, WebhookEndpoint
from disputes.notices.sending import NewNotice, queue_notice
from disputes.notices.webhooks import announce
from tests.http_receiver import Reply
from tests.webhook_receiver import Subscription, subscribed
from tests.work import work

pytestmark = pytest.mark.django_db


def somebody(*permissions: str) -> Client:
    """A member of the staff with these permissions."""
    user = User.objects.create_user("somebody", password="long-enough-for-now", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client = Client()
    client.force_login(user)
    return client


VIEWS = ("view_notice", "view_webhookendpoint", "view_webhookdelivery")
CHANGES = ("change_webhookendpoint", "change_webhookdelivery")


@pytest.fixture
def subscription() -> Iterator[Subscription]:
    with subscribed() as one:
        yield one


@pytest.fixture
def parked(subscription: Subscription) -> WebhookDelivery:
    """A delivery that was given up."""
    subscription.receiver.reply = lambda request: Reply(status=500)
    with transaction.atomic():
        announce(event="dispute.closed", key="d1", data={"dispute": "d1"}, at=timezone.now())
    later = timezone.now() + timedelta(days=4)
    delivering.deliver_next(endpoint_id=uuid.UUID(subscription.id), key="d1", now=later)
    return WebhookDelivery.objects.get(state="parked")


def act(client: Client, model: str, action: str, chosen: Any) -> Any:
    body = {"action": action, "_selected_action": [str(chosen.pk)]}
    return client.post(f"/admin/disputes/{model}/", body, follow=True)


def test_a_delivery_is_shown_with_its_state_its_last_error_and_its_body(parked: WebhookDelivery) -> None:
    client = somebody(*VIEWS)
    listed = client.get("/admin/disputes/webhookdelivery/").content.decode()
    for shown in ("dispute.closed", "parked", "answered 500"):
        assert shown in listed
    page = client.get(f"/admin/disputes/webhookdelivery/{parked.pk}/change/").content.decode()
    assert "&quot;type&quot;:&quot;dispute.closed&quot;" in page


def test_who_may_change_deliveries_sends_a_parked_one_again(
    parked: WebhookDelivery, subscription: Subscription
) -> None:
    subscription.receiver.reply = lambda request: Reply()
    answer = act(somebody(*VIEWS, *CHANGES), "webhookdelivery", "send_parked_again", parked)
    assert "To be sent again: 1." in answer.content.decode()
    work()
    parked.refresh_from_db()
    assert parked.state == "delivered"


def test_who_may_only_look_neither_sends_again_nor_switches(parked: WebhookDelivery) -> None:
    client = somebody(*VIEWS)
    act(client, "webhookdelivery", "send_parked_again", parked)
    act(client, "webhookendpoint", "switch_off", parked.endpoint)
    parked.refresh_from_db()
    assert parked.state == "parked"
    assert WebhookEndpoint.objects.get().enabled


def test_an_endpoint_is_switched_off_and_on_and_its_secret_is_nowhere(subscription: Subscription) -> None:
    client = somebody(*VIEWS, *CHANGES)
    endpoint = WebhookEndpoint.objects.get()
    act(client, "webhookendpoint", "switch_off", endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_because) == (False, "switched off")
    act(client, "webhookendpoint", "switch_on", endpoint)
    endpoint.refresh_from_db()
    assert endpoint.enabled
    page = client.get(f"/admin/disputes/webhookendpoint/{endpoint.pk}/change/").content.decode()
    assert endpoint.url in page
    assert subscription.secret not in page


def test_a_removed_endpoint_cannot_be_switched_on(subscription: Subscription) -> None:
    subscription.api.request("DELETE", subscription.address)
    act(somebody(*VIEWS, *CHANGES), "webhookendpoint", "switch_on", WebhookEndpoint.objects.get())
    assert not WebhookEndpoint.objects.get().enabled


def test_a_notice_is_shown_with_its_words_and_a_masked_address() -> None:
    with transaction.atomic():
        notice = queue_notice(
            NewNotice(
                kind="outcome",
                subject=uuid.UUID(int=5),
                key="1",
                channel="sms",
                address="+8613812345678",
                language="en",
                text="Your dispute is closed.",
            ),
            now=timezone.now(),
        )
    client = somebody(*VIEWS)
    listed = client.get("/admin/disputes/notice/").content.decode()
    page = client.get(f"/admin/disputes/notice/{notice.pk}/change/").content.decode()
    assert "+86138****5678" in listed
    assert "Your dispute is closed." in page
    assert "13812345678" not in listed + page


def test_lists_ask_a_number_of_queries_that_does_not_grow(
    subscription: Subscription, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        with transaction.atomic():
            announce(event="dispute.opened", key=f"d{number}", data={}, at=timezone.now())
    client = somebody(*VIEWS)
    with django_assert_max_num_queries(20):
        assert client.get("/admin/disputes/webhookdelivery/").status_code == 200


def test_without_a_permission_nothing_is_seen(parked: WebhookDelivery) -> None:
    client = somebody()
    for model in ("notice", "webhookendpoint", "webhookdelivery"):
        assert client.get(f"/admin/disputes/{model}/").status_code == 403
