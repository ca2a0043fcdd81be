"""Delivery receipts: what the carrier says became of a notice."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction

from disputes.notices.models import Notice, NoticeState
from disputes.notices.sending import tell_delivered, tell_failed

DELIVERED, FAILED = "delivered", "failed"


class NotSentYet(Exception):
    """Nobody has tried to send this notice: no carrier can know of it."""


def find_notice(*, key: str) -> Notice:
    """By the notice's id, else by the carrier's reference (of several, the newest). Raises Notice.DoesNotExist."""
    try:
        return Notice.objects.get(pk=uuid.UUID(key))
    except (ValueError, Notice.DoesNotExist):
        found = Notice.objects.filter(provider_ref=key).order_by("-id").first()
        if found is None:
            raise Notice.DoesNotExist from None
        return found


def note_receipt(*, notice_id: uuid.UUID, status: str, at: datetime, now: datetime) -> Notice:
    """Records ``delivered`` or ``failed`` at `at` (aware). Needs a transaction; locks the notice's row.

    Delivered is the last word: it overrules a failure (a phone that was off), and a failure after it is ignored (a
    carrier's late copy, one part of a long text). The same receipt again changes nothing. An instant before the notice
    was queued, by a carrier's slow clock, counts as that one. Topics `notice.delivered` and `notice.failed`, each at
    most once a notice.

    Raises Notice.DoesNotExist, NotSentYet.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a receipt is noted in a transaction of its caller's")
    if status not in (DELIVERED, FAILED):
        raise ValueError(f"no such status: {status}")
    notice = Notice.objects.select_for_update(no_key=True).get(pk=notice_id)
    if notice.attempts == 0:
        raise NotSentYet(str(notice_id))
    if notice.state == NoticeState.DELIVERED or (status == FAILED and notice.state == NoticeState.FAILED):
        return notice
    at = min(max(at, notice.queued_at), now)
    if status == DELIVERED:
        notice.state, notice.delivered_at, notice.failure = NoticeState.DELIVERED, at, ""
        notice.save(update_fields=["state", "delivered_at", "failure"])
        tell_delivered(notice)
        return notice
    told = notice.state == NoticeState.UNKNOWN  # when it was given up
    notice.state, notice.failed_at, notice.failure = NoticeState.FAILED, at, "the carrier's receipt"
    notice.save(update_fields=["state", "failed_at", "failure"])
    if not told:
        tell_failed(notice)
    return notice
