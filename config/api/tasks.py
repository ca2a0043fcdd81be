"""What beat does for the edge: old idempotency keys and dead tokens go."""

from __future__ import annotations

from celery import shared_task
from oauth2_provider.models import clear_expired

from config.api.idempotency import forget_old_keys


@shared_task(name="config.api.tasks.tidy", ignore_result=True)  # type: ignore[untyped-decorator]
def tidy() -> None:
    """Once an hour. Deletes idempotency keys older than a day, in portions, and expired tokens."""
    while forget_old_keys() > 0:
        pass
    clear_expired()
