"""The letter as a page: for its own address, and for the API that answers with it."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone, translation
from django.views.decorators.http import require_safe

from config.api.throttles import seconds_until_more
from disputes.cases import letter_links
from disputes.cases.letter import Letter, letter_of

MISSES_A_MINUTE = 60
"""From one address."""


def render_letter(letter: Letter) -> str:
    """The whole page. It loads nothing from elsewhere, and needs no script."""
    with translation.override(letter.language):
        return render_to_string("disputes/letter.html", {"letter": letter})


@require_safe
def linked_letter(request: HttpRequest, token: str) -> HttpResponse:
    """The letter, to whoever has its link. One plain answer for a link that leads nowhere, or not any more.

    Reading it here delivers nothing: scanners of links open them too.
    """
    dispute = letter_links.dispute_of(token=token, now=timezone.now())
    if dispute is None:
        return sealed_page(_no_letter(request))
    asked = request.GET.get("language")
    return sealed_page(HttpResponse(render_letter(letter_of(dispute=dispute, language=asked))))


def _no_letter(request: HttpRequest) -> HttpResponse:
    """Only links that lead nowhere are counted: a proxy may stand before many readers at one address."""
    wait = seconds_until_more(f"letter:{request.META.get('REMOTE_ADDR', '')}", limit=MISSES_A_MINUTE, now=time.time())
    if wait is None:
        return HttpResponse(render_to_string("disputes/no_letter.html"), status=404)
    return HttpResponse(
        "请稍后再试。 Too many tries: please come back in a minute.",
        status=429,
        content_type="text/plain; charset=utf-8",
        headers={"Retry-After": str(wait)},
    )


def sealed_page(answer: HttpResponse) -> HttpResponse:
    """Keeps a page to whoever asked for it: in no cache, in no index, and its address in no other site's log."""
    answer["Cache-Control"] = "no-store"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return answer


pages = [path("l/<str:token>", linked_letter, name="letter-link")]
