"""What a worker would do, done here and now: the outbox's topics, by the service's own table of who hears what."""

from __future__ import annotations

from disputes.outbox import queue
from disputes.outbox.models import OutboxTopic
from disputes.tasks import SUBSCRIBERS


def work(*, rounds: int = 20) -> None:
    """Delivers what waits in the outbox until nothing does."""
    for _ in range(rounds):
        waiting = list(OutboxTopic.objects.filter(done_at__isnull=True).order_by("id").values_list("pk", flat=True))
        if not waiting:
            return
        for topic_id in waiting:
            queue.deliver(topic_id=topic_id, subscribers=SUBSCRIBERS)
    raise AssertionError("the outbox does not come to rest")
