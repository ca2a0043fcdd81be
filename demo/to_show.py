"""What of the demo lender is worth a picture: paths of pages."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from demo import handset
from demo.asking import MESSAGES
from disputes.cases.models import Dispute
from disputes.notices.models import Notice
from disputes.routing.models import RoutedCase
from feedback.results.models import WaveSummary


class NothingToShow(Exception):
    """The demo lender has not what a picture shows."""


def pages() -> dict[str, str]:
    """Name of a picture → path of its page. Raises NothingToShow."""
    return {
        "desk-dispute": f"/admin/disputes/dispute/{_case_of('agent')}/change/",
        "wave-results": f"/admin/feedback/wave/{_closed_wave()}/change/",
        "letter-zh-hans": _letter(language="zh-hans"),
        "letter-en": _letter(language="en"),
        "survey-phone": urlsplit(handset.open_survey()).path or _nothing("an open survey"),
    }


def _case_of(username: str) -> str:
    """A case of the agent's about an account, with a check that speaks for the lender where there is one."""
    theirs = RoutedCase.objects.filter(owner__user__username=username).values("pk")
    cases = Dispute.objects.filter(pk__in=theirs, last_check__isnull=False).order_by("opened_at")
    best = cases.filter(ground__in=["already_paid", "wrong_amount"], last_check__verdict="lender_right")
    found = best.first() or cases.first()
    return str(found.pk) if found else _nothing(f"a case of {username}'s")


def _closed_wave() -> str:
    """The last closed wave with figures."""
    summary = WaveSummary.objects.filter(wave__survey__name=MESSAGES).order_by("-wave__opened_at").first()
    return str(summary.wave_id) if summary else _nothing("a closed wave")


def _letter(*, language: str) -> str:
    """A letter about a payment that was posted late, where there is one in the language."""
    told = Notice.objects.filter(kind="outcome", language=language).values("subject")
    closed = Dispute.objects.filter(pk__in=told, customer__isnull=False).order_by("-closed_at")
    found = (
        closed.filter(last_check__cause="stale_records", ground="already_paid").first()
        or closed.filter(outcome="upheld").first()
        or closed.first()
    )
    notice = Notice.objects.filter(kind="outcome", subject=found.pk).order_by("-pk").first() if found else None
    link = re.search(r"/l/[0-9A-Za-z]+", notice.text) if notice else None
    return link[0] if link else _nothing(f"a letter in {language}")


def _nothing(what: str) -> str:
    raise NothingToShow(what)
