"""The surveys of the demo lender: waves of the last weeks, with what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from config.values.ids import new_id
from demo.calendar import ZONE
from demo.past import Agenda
from demo.words import OPINIONS
from disputes.holds import gate
from disputes.holds.walking import PASSES_WITH_TIME, GateItem
from disputes.notices.models import Notice
from disputes.notices.receipts import note_receipt
from feedback.results.closing import close_wave
from feedback.surveys.models import Survey
from feedback.surveys.publishing import create_survey
from feedback.waves.answering import note_opened, take_answers
from feedback.waves.inviting import send_invitations
from feedback.waves.models import Invitation, InvitationState, Wave, WaveState
from feedback.waves.opening import Asked
from feedback.waves.sampling import draw_samples
from feedback.waves.scheduling import Timing, create_schedule, open_due_waves

MESSAGES = "How we write to you"
DISPUTES = "After your dispute"
BY = "demo"


def _text(chinese: str, english: str) -> dict[str, str]:
    return {"zh-hans": chinese, "en": english}


WRITING: dict[str, Any] = {
    "title": _text("关于我们给您的短信", "How we write to you"),
    "intro": _text("三个问题,不到一分钟。", "Three questions, less than a minute."),
    "thanks": _text("谢谢您,我们会认真看每一条意见。", "Thank you. We read every word."),
    "questions": [
        {
            "key": "recommend",
            "kind": "nps",
            "text": _text("您有多大可能把我们推荐给朋友?", "How likely are you to recommend us to a friend?"),
            "required": True,
            "low": _text("完全不可能", "not at all"),
            "high": _text("非常可能", "extremely"),
        },
        {
            "key": "clear",
            "kind": "csat",
            "text": _text("短信内容清楚吗?", "How clear are our texts?"),
            "required": True,
            "low": _text("很不清楚", "very unclear"),
            "high": _text("很清楚", "very clear"),
        },
        {
            "key": "why",
            "kind": "choices",
            "text": _text("哪些地方需要改进?", "What should we do better?"),
            "options": [
                {"key": "time", "text": _text("发送时间", "The time of day")},
                {"key": "often", "text": _text("次数太多", "Fewer of them")},
                {"key": "wording", "text": _text("措辞", "The wording")},
                {"key": "amount", "text": _text("金额说明", "The sums explained")},
            ],
            "shown_if": {"question": "recommend", "in": list(range(7))},
        },
        {"key": "words", "kind": "text", "text": _text("还想告诉我们什么?", "Anything else?")},
    ],
    "dimensions": ["language", "product"],
}
SETTLED: dict[str, Any] = {
    "title": _text("关于您的异议", "About your dispute"),
    "intro": _text("两个问题,帮助我们改进。", "Two questions that help us do better."),
    "thanks": _text("谢谢您。", "Thank you."),
    "questions": [
        {
            "key": "handled",
            "kind": "csat",
            "text": _text("您对这次处理满意吗?", "How satisfied are you with how it was dealt with?"),
            "required": True,
        },
        {
            "key": "effort",
            "kind": "ces",
            "text": _text("提出异议方便吗?", "How easy was it to dispute?"),
            "required": True,
        },
    ],
    "dimensions": ["outcome"],
}
SCORES = ((1, 3, 4, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10), (3, 5, 6, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10, 10))
"""What is answered to `recommend`: early, and after the texts were put in order."""


def plan_waves(*, agenda: Agenda, now: datetime) -> None:
    """Puts the surveys, their waves and the answers on the agenda: weekly waves of who was messaged, the last one
    still open, and one of those whose dispute closed."""
    agenda.also["begin_wave"] = lambda payload, at: _begin(at, agenda)
    zone = ZoneInfo(ZONE)
    newest = now.astimezone(zone).date() - timedelta(days=2)
    days = [datetime.combine(newest - timedelta(days=7 * back), time(10), zone) for back in (3, 2, 1, 0)]
    agenda.add(days[0] - timedelta(days=5), lambda at: _write_surveys(at, first=days[0]))
    for day in days:
        agenda.add(day + timedelta(minutes=1), _open_due)
        agenda.add(day + timedelta(minutes=1) - timedelta(days=4), _open_due)
    agenda.add(now - timedelta(hours=1), _close_ended)
    for wave in Wave.objects.exclude(state__in=[WaveState.CLOSED, WaveState.SAMPLING]):  # of a telling cut short
        _plan_answers(wave, agenda=agenda)


def _write_surveys(at: datetime, *, first: datetime) -> None:
    if Survey.objects.filter(name=MESSAGES).exists():
        return
    then = first + timedelta(days=10)
    with transaction.atomic():
        writing = create_survey(name=MESSAGES, content=WRITING, created_by=BY, now=at)
        create_schedule(
            survey_id=writing.survey_id,
            timing=Timing(rule=_weekly(first), zone=ZONE, starts_on=first.date(), starts_at=first.time()),
            asked=Asked(audience="messaged", sample_size=70, quiet_days=30, open_days=6),
            now=at,
            first_period_from=first - timedelta(days=9),
        )
        settled = create_survey(name=DISPUTES, content=SETTLED, created_by=BY, now=at)
        create_schedule(
            survey_id=settled.survey_id,
            timing=Timing(rule=_weekly(then), zone=ZONE, starts_on=then.date(), starts_at=then.time()),
            asked=Asked(audience="dispute_closed", quiet_days=2, open_days=6),
            now=at,
            first_period_from=then - timedelta(days=16),
        )


def _weekly(at: datetime) -> str:
    return f"FREQ=WEEKLY;BYDAY={('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')[at.weekday()]}"


def _open_due(at: datetime) -> None:
    _close_ended(at)
    open_due_waves(now=at)


def _begin(at: datetime, agenda: Agenda) -> None:
    draw_samples(now=at)
    for wave in Wave.objects.filter(state=WaveState.INVITING):
        send_invitations(wave=wave, now=at, ask=lambda items: _leave(items, at))
        _plan_answers(wave, agenda=agenda)


def _plan_answers(wave: Wave, *, agenda: Agenda) -> None:
    agenda.add(wave.opened_at + timedelta(minutes=20), partial(_carried, wave=wave))
    early = wave.opened_at < agenda.until - timedelta(days=14)
    for invitation in Invitation.objects.filter(wave=wave, state=InvitationState.SENT):
        _plan_answer(invitation, agenda=agenda, at=wave.opened_at, early=early)


def _leave(items: Sequence[GateItem], at: datetime) -> Sequence[gate.Answer]:
    """The gate's leave of that day: who was held then is held now, as the past is told in its order; its clock is the
    database's, so that what it says of hours and caps is left out, and no permit of today is taken."""
    leave = gate.Answer(reasons=(), permit=gate.Permitted(id=new_id(), expires_at=at + timedelta(minutes=10)))
    asked = gate.decide(items=items, caller="demo", permit_seconds=60, dry_run=True).answers
    return [answer if set(answer.reasons) - PASSES_WITH_TIME else leave for answer in asked]


def _carried(at: datetime, *, wave: Wave) -> None:
    """The carrier's receipts of a wave's texts, but for a few that never came."""
    sent = Invitation.objects.filter(wave=wave).exclude(sent_at=None).values_list("pk", flat=True)
    for notice in Notice.objects.filter(kind="survey", subject__in=list(sent), state="handed_over").order_by("pk"):
        place = int(notice.subject.hex[-2:], 16)
        if place < 12:
            continue
        with transaction.atomic():
            note_receipt(notice_id=notice.pk, status="failed" if place < 18 else "delivered", at=at, now=at)


def _plan_answer(invitation: Invitation, *, agenda: Agenda, at: datetime, early: bool) -> None:
    """About half of them answer, most on the same day; some only look."""
    rng = Random(f"answer {invitation.customer} {at:%j}")  # noqa: S311
    chance = rng.random()
    opened = at + timedelta(minutes=30 + int(rng.expovariate(1 / 500)))
    if chance < 0.62:
        agenda.add(opened, lambda when: note_opened(invitation_id=invitation.pk, now=when))
    if chance < 0.5:
        act = partial(_take, invitation=invitation, rng=rng, early=early)
        agenda.add(opened + timedelta(minutes=2), act)


def _take(at: datetime, *, invitation: Invitation, rng: Random, early: bool) -> None:
    invitation = Invitation.objects.select_related("wave__version").get(pk=invitation.pk)
    if invitation.state not in (InvitationState.SENT, InvitationState.PARTIAL) or at >= invitation.wave.ends_at:
        return
    raw: dict[str, Any] = {}
    if invitation.wave.version.title == WRITING["title"]:
        score = rng.choice(SCORES[0 if early else 1])
        raw = {"recommend": score, "clear": max(1, min(5, score // 2 + rng.choice((-1, 0, 0, 1))))}
        if score <= 6 and rng.random() < 0.8:
            raw["why"] = rng.sample(["time", "often", "wording", "amount"], k=rng.choice((1, 1, 2)))
        if rng.random() < 0.2:
            raw["words"] = rng.choice(OPINIONS)
    else:
        liked = invitation.outcome in ("upheld", "partly_upheld")
        raw = {
            "handled": rng.choice((4, 5, 5, 3)) if liked else rng.choice((1, 2, 3, 3, 4)),
            "effort": rng.randint(4, 7),
        }
    language = invitation.language or "zh-hans"
    take_answers(invitation=invitation, raw=raw, language=language, complete=rng.random() < 0.94, now=at)


def _close_ended(at: datetime) -> None:
    for wave in Wave.objects.filter(ends_at__lte=at).exclude(state=WaveState.CLOSED).order_by("ends_at"):
        close_wave(wave_id=wave.pk, now=max(wave.ends_at, wave.opened_at))
