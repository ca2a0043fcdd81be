"""A lender with a survey: people who were messaged or whose dispute closed, and waves of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from config.values.ids import new_id
from disputes.holds.gate import Answer, Permitted
from disputes.holds.walking import GateItem
from disputes.notices.models import Notice
from disputes.notices.sending import send_notice
from feedback.surveys.models import SurveyVersion
from feedback.surveys.publishing import create_survey
from feedback.waves.inviting import send_invitations
from feedback.waves.models import Wave
from feedback.waves.opening import Asked, open_wave
from feedback.waves.sampling import draw_samples
from tests.lines import customer_line, loan_lines, message_line, send_records

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
"""10:00 in Shanghai, a Monday."""
FEBRUARY = (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


def text(words: str) -> dict[str, str]:
    return {"zh-hans": f"{words}(中)", "en": words}


NPS = {"key": "recommend", "kind": "nps", "text": text("Would you recommend us?"), "required": True}
WHY = {
    "key": "why",
    "kind": "text",
    "text": text("What went wrong?"),
    "required": True,
    "shown_if": {"question": "recommend", "in": [0, 1, 2, 3, 4, 5, 6]},
}
EASE = {"key": "ease", "kind": "ces", "text": text("How easy was it?"), "required": True}
WAYS = {
    "key": "ways",
    "kind": "choices",
    "text": text("How did you reach us?"),
    "options": [{"key": "app", "text": text("App")}, {"key": "phone", "text": text("Phone")}],
}
CONTENT: dict[str, Any] = {
    "title": text("Your dispute"),
    "intro": text("One minute."),
    "thanks": text("We read every answer."),
    "questions": [NPS, WHY, EASE, WAYS],
    "dimensions": ["language"],
}


def survey(name: str = "After a dispute", **changes: Any) -> SurveyVersion:
    with transaction.atomic():
        return create_survey(name=name, content=CONTENT | changes, created_by="test", now=NOW)


def messaged(count: int, *, first: int = 1, language: str = "en", at: str = "2026-02-03T10:00:00+08:00") -> list[str]:
    """Customers with a phone, a loan and one message each. Returns their ids."""
    names = [f"C{n}" for n in range(first, first + count)]
    lines: list[Any] = []
    for n, name in enumerate(names, start=first):
        phone = f"+86138{n:08d}"
        lines.append(customer_line(name, phone=phone, language=language))
        lines += loan_lines(f"L{n}", customer=name, due=("2026-02-01",))
        lines.append(message_line(f"M{n}", loan=f"L{n}", phone=phone, sent_at=at))
    send_records(*lines)
    return names


def wave_of(version: SurveyVersion, *, now: datetime = NOW, seed: bytes | None = None, **asked: Any) -> Wave:
    start, end = asked.pop("period", FEBRUARY)
    with transaction.atomic():
        return open_wave(
            survey_id=version.survey_id,
            asked=Asked(**{"audience": "messaged", **asked}),
            start=start,
            end=end,
            opened_by="test",
            seed=seed,
            now=now,
        )


def let_all_through(items: Sequence[GateItem]) -> list[Answer]:
    """A gate of a time that is past."""
    return [
        Answer(reasons=(), permit=Permitted(id=new_id(), expires_at=datetime.now(tz=UTC) + timedelta(minutes=10)))
        for _ in items
    ]


def invite(wave: Wave, *, now: datetime = NOW) -> dict[str, str]:
    """Draws the sample, sends every text and returns customer → token, as they read it in the text."""
    draw_samples(now=now)
    send_invitations(wave=wave, now=now, ask=let_all_through)
    return tokens_of(wave, now=now)


def tokens_of(wave: Wave, *, now: datetime = NOW) -> dict[str, str]:
    customers = dict(wave.invitations.values_list("pk", "customer"))
    tokens = {}
    for notice in Notice.objects.filter(kind="survey", subject__in=list(customers)):
        if notice.state == "queued":
            send_notice(notice_id=notice.pk, now=now)
        found = re.search(r"/s/([0-9A-Za-z]+)", str(notice.text))
        assert found is not None
        tokens[customers[notice.subject]] = found[1]
    return tokens


def answers(nps: int, *, ease: int = 5, **more: Any) -> Mapping[str, Any]:
    """Complete answers, with the words that a low figure asks for."""
    return {"recommend": nps, "ease": ease} | ({"why": "slow"} if nps <= 6 else {}) | more


def customers_of(rows: Iterable[Any]) -> set[str]:
    return {row.customer for row in rows}
