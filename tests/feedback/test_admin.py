"""What the back office sees of surveys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from feedback.waves.answering import take_answers
from feedback.waves.links import invitation_of
from feedback.waves.models import Schedule, Wave
from feedback.waves.scheduling import open_due_waves
from tests.feedback.scene import NOW, answers, invite, messaged, survey, wave_of

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULE = {
    "rule": "FREQ=MONTHLY;BYMONTHDAY=1",
    "zone": "Asia/Shanghai",
    "starts_on": "2026-01-01",
    "starts_at": "09:00",
    "missed": "one",
    "audience": "messaged",
    "quiet_days": "90",
    "open_days": "14",
    "channel": "sms",
    "enabled": "on",
}


def back_office() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long one for tests"))
    return client


def closed_wave(client: Client) -> Wave:
    messaged(12)
    now = timezone.now()
    wave = wave_of(survey(), now=now)
    for place, token in enumerate(invite(wave, now=now).values()):
        invitation = invitation_of(token=token)
        assert invitation is not None
        take_answers(invitation=invitation, raw=answers(9 if place % 3 else 4), language="en", complete=True, now=now)
    client.post("/admin/feedback/wave/", {"action": "close_now", "_selected_action": [str(wave.pk)]})
    wave.refresh_from_db()
    return wave


def test_a_closed_wave_is_drawn_with_its_interval_and_its_link_is_nowhere() -> None:
    client = back_office()
    wave = closed_wave(client)
    assert wave.state == "closed"
    page = client.get(f"/admin/feedback/wave/{wave.pk}/change/")
    said = page.content.decode()
    assert (page.status_code, 'class="rf-ci"' in said, "By language" in said) == (200, True, True)
    assert "/s/" not in said
    assert "NPS" in client.get("/admin/feedback/wave/").content.decode()


def test_the_next_wave_begins_where_the_chosen_one_ended() -> None:
    client = back_office()
    wave = wave_of(survey())
    client.post("/admin/feedback/wave/", {"action": "open_next", "_selected_action": [str(wave.pk)]})
    newest = Wave.objects.latest("opened_at")
    assert newest.pk != wave.pk
    assert newest.period.lower == wave.period.upper


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL is a whole number from 1 to 366"),
        ({"zone": "Mars/Olympus"}, "IANA"),
        ({"open_days": "900"}, "From 1 to 90"),
    ],
)
def test_a_schedule_says_what_is_wrong_with_it(change: Any, said: str) -> None:
    page = back_office().post(
        "/admin/feedback/schedule/add/", {"survey": str(survey().survey_id), **SCHEDULE, **change}
    )
    assert page.status_code == 200
    assert said in page.content.decode()
    assert not Schedule.objects.exists()


def test_a_schedule_is_written_and_changed_by_its_functions() -> None:
    client = back_office()
    made = client.post("/admin/feedback/schedule/add/", {"survey": str(survey().survey_id), **SCHEDULE})
    assert made.status_code == 302, made.content
    schedule = Schedule.objects.get()
    assert schedule.next_at is not None
    assert schedule.next_at > NOW
    changed = client.post(f"/admin/feedback/schedule/{schedule.pk}/change/", SCHEDULE | {"rule": "freq=daily"})
    assert changed.status_code == 302, changed.content
    schedule.refresh_from_db()
    assert (schedule.rule, schedule.enabled) == ("FREQ=DAILY", True)


def test_a_schedule_that_is_entered_switched_off_opens_nothing() -> None:
    entered = {name: value for name, value in SCHEDULE.items() if name != "enabled"}
    made = back_office().post("/admin/feedback/schedule/add/", {"survey": str(survey().survey_id), **entered})
    assert made.status_code == 302, made.content
    assert open_due_waves(now=timezone.now() + timedelta(days=400)) == 0


def test_every_page_opens() -> None:
    client = back_office()
    version = survey()
    for address in (
        "survey/",
        f"survey/{version.survey_id}/change/",
        "surveyversion/",
        f"surveyversion/{version.pk}/change/",
        "schedule/",
        "schedule/add/",
        "wave/",
    ):
        assert client.get(f"/admin/feedback/{address}").status_code == 200, address
