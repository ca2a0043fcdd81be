"""The callers of the embedded set-up: clients and users, with what they prove themselves by in `credentials.json`."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from config.api.callers import SCOPES
from config.api.clients import change_client_secret, create_client
from config.api.models import Client
from config.environment import write_private

CLIENTS: dict[str, list[str]] = {
    "all": sorted(SCOPES),
    "sender": ["gate", "inbound:write", "optouts:write", "suppressions:read"],
    "core_banking": ["disputes:read", "records:read", "records:write"],
    "survey_tool": ["responses:read", "suppressions:read", "surveys:read", "surveys:write"],
}
"""Client → its scopes."""

USERS: dict[str, dict[str, Any]] = {
    "admin": {"is_superuser": True, "group": "administrators"},
    "supervisor": {"is_superuser": False, "group": "supervisors"},
    "agent": {"is_superuser": False, "group": "agents"},
}
"""Role → what its user is. The user is named after the role."""


def write_credentials(*, path: Path, base_url: str) -> dict[str, Any]:
    """Makes the clients and users that are missing, and the file (mode 600). Returns what it holds.

    Who is there already and whose secret the file knows keeps it; a secret that is lost, or that the database does not
    take, is made anew. Opens a transaction.
    """
    known = _read(path)
    with transaction.atomic():
        found = {
            "base_url": base_url,
            "clients": [_client(name, scopes, known) for name, scopes in CLIENTS.items()],
            "users": [_user(role, known) for role in USERS],
        }
        write_private(path, found)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _known(known: dict[str, Any], group: str, field: str, value: str) -> dict[str, Any]:
    rows = known.get(group)
    found = [row for row in rows if isinstance(row, dict) and row.get(field) == value] if isinstance(rows, list) else []
    return found[0] if found else {}


def _client(name: str, scopes: list[str], known: dict[str, Any]) -> dict[str, Any]:
    row = _known(known, "clients", "name", name)
    client = Client.objects.filter(name=name, client_id=row.get("client_id") or "").first()
    if client is None:
        client = Client.objects.filter(name=name).order_by("pk").first()
    if client is None:
        client_id, secret = create_client(name=name, scopes=scopes)
        return {"name": name, "client_id": client_id, "client_secret": secret, "scopes": scopes}
    if sorted(client.scopes) != sorted(scopes):
        client.scopes = scopes
        client.save(update_fields=["scopes", "updated"])
    secret = str(row.get("client_secret") or "")
    if not secret or not _takes(client, secret):
        secret = change_client_secret(client=client)
    return {"name": name, "client_id": client.client_id, "client_secret": secret, "scopes": scopes}


def _takes(client: Client, secret: str) -> bool:
    from django.contrib.auth.hashers import check_password

    return bool(check_password(secret, client.client_secret))


def _user(role: str, known: dict[str, Any]) -> dict[str, Any]:
    password = str(_known(known, "users", "role", role).get("password") or "")
    user = User.objects.filter(username=role).first()
    if user is None:
        user = User(username=role, is_staff=True, is_superuser=USERS[role]["is_superuser"])
        user.set_unusable_password()
        user.save()
    if not password or not user.check_password(password):
        password = secrets.token_urlsafe(15)
        validate_password(password, user)
        user.set_password(password)
        user.save(update_fields=["password"])
    user.groups.add(Group.objects.get_or_create(name=USERS[role]["group"])[0])
    return {"role": role, "username": role, "password": password}
