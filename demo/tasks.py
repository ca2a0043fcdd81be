"""What beat starts for the demo lender, on the embedded set-up alone."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from demo import loading


@shared_task(name="demo.tasks.refresh", ignore_result=True)
def refresh() -> bool:
    """Sends the watermarks that a lender's feeds would have sent by now, where the demo lender is loaded."""
    return loading.refresh(now=timezone.now())
