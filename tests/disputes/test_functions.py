"""The database's own functions: each is there once, and is called by somebody."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from config.environment import ROOT

pytestmark = pytest.mark.django_db


def functions() -> dict[str, list[tuple[str, bool]]]:
    """By name: the body of each function of ours, and whether a trigger runs it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, prosrc, EXISTS (SELECT FROM pg_trigger WHERE tgfoid = pg_proc.oid)"
            " FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'disputes\\_%'"
        )
        found: dict[str, list[tuple[str, bool]]] = {}
        for name, body, triggered in cursor.fetchall():
            found.setdefault(name, []).append((body, triggered))
    return found


def code() -> str:
    """All that can call them but migrations, which make them."""
    files = [path for path in (ROOT / "disputes").rglob("*.py") if path.parent.name != "migrations"]
    return "\n".join(path.read_text() for path in files)


def test_none_stands_there_twice_with_other_arguments() -> None:
    assert {name: len(rows) for name, rows in functions().items() if len(rows) > 1} == {}


def test_each_is_called_by_the_service_by_a_trigger_or_by_another_that_is() -> None:
    found, said = functions(), code()
    assert "disputes_gate_facts" in found

    def called_in(text: str) -> set[str]:
        return {name for name in found if re.search(rf"\b{name}\(", text)}

    called = called_in(said) | {name for name, rows in found.items() if any(triggered for _, triggered in rows)}
    while more := {name for by in called for body, _ in found[by] for name in called_in(body)} - called:
        called |= more
    assert set(found) - called == set()
