"""Whether the process lives, whether it is ready, and its figures. For probes: no token, no personal data."""

from __future__ import annotations

from datetime import timedelta

import redis
from celery import current_app
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from kombu.exceptions import OperationalError

from disputes.holds.partitions import granted_until


@csrf_exempt  # so that a method that they do not have is answered 405, not 403
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200: the process answers. It asks nothing of anything else, so that no outage restarts every process."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database and broker answer and no migration waits, else 503; which of them is in the body, and whether
    permits have a place (`permits`).

    Without one the gate denies everything, but disputes, opt-outs and imports are taken as ever: with 503 whoever
    balances the load would turn those away too. So that alone is told, with 200.
    """
    found = {"database": _database(), "broker": _broker()}
    found["migrations"] = _migrations() if found["database"] == "ok" else "unknown"
    ready = all(state == "ok" for state in found.values())
    found["permits"] = _permits() if found["migrations"] == "ok" else "unknown"
    said = "unavailable" if not ready else "ok" if found["permits"] == "ok" else "degraded"
    return JsonResponse({"status": said, **found}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return "down"
    return "ok"


def _broker() -> str:
    try:
        with current_app.connection_for_write(connect_timeout=1) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=1)
            broker.default_channel  # noqa: B018 - a Redis connection is made with its first channel
    except (OSError, redis.exceptions.RedisError, OperationalError):
        return "down"
    return "ok"


_NONE_WAITS = False


def _migrations() -> str:
    """Asked of the database until none waits; afterwards only a new process can bring a new one."""
    global _NONE_WAITS
    if not _NONE_WAITS:
        executor = MigrationExecutor(connection)
        _NONE_WAITS = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if _NONE_WAITS else "pending"


ENDS_SOON = timedelta(days=7)
"""How long before the last month ends `readyz` says so."""


def _permits() -> str:
    """`ok`; `ending`: the last month that permits have a place for ends within a week; `missing`: this one has none."""
    try:
        until = granted_until()
    except DatabaseError:
        connection.close()
        return "unknown"
    if until is None:
        return "missing"
    return "ending" if until - timezone.now() < ENDS_SOON else "ok"


@csrf_exempt
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, of all web processes together where PROMETHEUS_MULTIPROC_DIR is set; and until when permits can
    be granted, which the database says. Where it does not answer the rest is shown all the same."""
    figures: HttpResponse = ExportToDjangoView(request)
    try:
        until = granted_until()
    except DatabaseError:
        connection.close()
        return figures
    figures.content += _PERMITS.format(until=0 if until is None else int(until.timestamp())).encode()
    return figures


_PERMITS = """\
# HELP recourse_permits_granted_until_seconds Unix time of the end of the last month that permits have a place for.
# TYPE recourse_permits_granted_until_seconds gauge
recourse_permits_granted_until_seconds {until}
"""
