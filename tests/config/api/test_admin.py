"""Clients in the admin: changed and ended there, made elsewhere; tokens are not to be seen or typed in."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from config.api.models import Client as ClientModel
from tests import callers

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(admin_client: Client) -> Client:
    return admin_client


def test_a_clients_scopes_are_changed_without_touching_its_secret(desk: Client) -> None:
    system = callers.system("gate", "disputes:read")
    client = ClientModel.objects.get()
    secret = client.client_secret
    address = reverse("admin:api_client_change", args=[client.pk])
    assert desk.get(address).status_code == 200
    answer = desk.post(address, {"name": "gateway", "scopes": ["gate"]})
    assert answer.status_code == 302
    client.refresh_from_db()
    assert (client.name, client.scopes, client.client_secret) == ("gateway", ["gate"], secret)
    assert system.get("/api/v1/disputes").status_code == 403


def test_an_unknown_scope_is_refused(desk: Client) -> None:
    callers.system("gate")
    client = ClientModel.objects.get()
    answer = desk.post(reverse("admin:api_client_change", args=[client.pk]), {"name": "x", "scopes": ["nonsense"]})
    assert answer.status_code == 200
    client.refresh_from_db()
    assert client.scopes == ["gate"]


def test_a_deleted_client_is_let_in_no_more(desk: Client) -> None:
    system = callers.system("disputes:read")
    address = reverse("admin:api_client_delete", args=[ClientModel.objects.get().pk])
    assert desk.post(address, {"post": "yes"}).status_code == 302
    assert system.get("/api/v1/disputes").status_code == 401


def test_nothing_of_the_edge_is_added_by_hand_and_tokens_have_no_page(desk: Client) -> None:
    assert desk.get(reverse("admin:api_client_add")).status_code == 403
    registered: list[Any] = [model._meta.app_label for model in admin.site._registry]
    assert "oauth2_provider" not in registered
