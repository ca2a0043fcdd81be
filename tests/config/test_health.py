"""What probes are told, by a running service."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx
import pytest

from config.embedded import SERVICE_ROLE
from tests.races import PATIENCE
from tests.stack import Stack


def get(stack: Stack, path: str) -> httpx.Response:
    return httpx.get(f"{stack.base_url}/{path}", timeout=PATIENCE)


def test_healthz_says_that_the_process_lives(stack: Stack) -> None:
    answer = get(stack, "healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["healthz", "readyz", "metrics"])
def test_a_probe_is_only_read(stack: Stack, path: str) -> None:
    assert httpx.post(f"{stack.base_url}/{path}", timeout=PATIENCE).status_code == 405


def test_readyz_names_what_is_down_and_recovers(stack: Stack) -> None:
    well = {"status": "ok", "database": "ok", "broker": "ok", "migrations": "ok", "permits": "ok"}
    # A probe is told "down" where the broker does not answer within a second, however busy the machine is.
    assert stack.wait_for(lambda: get(stack, "readyz").json() == well)
    stack.kill_broker()
    answer = get(stack, "readyz")
    assert (answer.status_code, answer.json()["broker"], answer.json()["database"]) == (503, "down", "ok")
    assert get(stack, "healthz").status_code == 200
    stack.start_broker()
    assert stack.wait_for(stack.ready)


def test_the_web_processes_hold_no_rights_beyond_rows(stack: Stack) -> None:
    """The service runs as its own role, which cannot even make a table."""
    with stack.database() as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [SERVICE_ROLE]).fetchone():
            pytest.skip(f"this server has no role {SERVICE_ROLE}")

        def users() -> list[Any]:
            # Autovacuum is nobody's client.
            return connection.execute(
                "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchall()

        # The service keeps its connections; one that a test has closed goes a moment later.
        assert stack.wait_for(lambda: users() == [(SERVICE_ROLE,)])


def test_metrics_add_up_all_web_processes(stack: Stack) -> None:
    answer = get(stack, "metrics")
    assert answer.status_code == 200
    assert "django_http_requests_total_by_method_total" in answer.text
    (until,) = re.findall(r"^recourse_permits_granted_until_seconds (\d+)$", answer.text, re.MULTILINE)
    assert int(until) > time.time() + 300 * 86400


def test_the_admin_and_the_docs_need_no_internet(stack: Stack) -> None:
    for path in ("admin/login/", "api/docs/"):
        page = get(stack, path)
        assert page.status_code == 200
        assert "https://" not in page.text.replace("https://www.w3.org", "")
