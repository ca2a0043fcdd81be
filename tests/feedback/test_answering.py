"""Answering by the API and by the page, and closing, which ends it."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from config.api.locks import wave_lock
from feedback.results import closing
from feedback.results.closing import close_ended_waves, close_wave
from feedback.results.models import WaveSummary
from feedback.surveys.answers import BadAnswers
from feedback.waves import answering
from feedback.waves.answering import AlreadyAnswered, WaveEnded, take_answers
from feedback.waves.links import invitation_of
from feedback.waves.models import Answer, Invitation, Wave
from tests.callers import anybody, system
from tests.feedback.scene import CONTENT, answers, invite, messaged, survey, wave_of
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

pytestmark = pytest.mark.django_db(transaction=True)


def open_wave(count: int = 1, **asked: Any) -> tuple[Wave, dict[str, str]]:
    """A wave of today, invited: customer → token."""
    messaged(count)
    now = timezone.now()
    wave = wave_of(survey(), now=now, **asked)
    return wave, invite(wave, now=now)


def post(token: str, given: Any, **more: Any) -> Any:
    return anybody().post(f"/api/v1/invitations/{token}", {"answers": given} | more)


def funnel(wave: Wave) -> dict[str, Any]:
    summary: dict[str, Any] = system("surveys:read").get(f"/api/v1/waves/{wave.pk}/summary").json()
    return summary


# --- by the API ---


def test_a_link_shows_what_is_asked_and_takes_the_answers_once() -> None:
    wave, tokens = open_wave()
    address = f"/api/v1/invitations/{tokens['C1']}"
    asked = anybody().get(address)
    assert (asked.status_code, asked.json()["state"], asked.json()["language"]) == (200, "open", "en")
    assert asked.json()["questions"] == CONTENT["questions"]
    assert (asked["Cache-Control"], asked["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert post(tokens["C1"], answers(9)).json()["state"] == "answered"
    assert post(tokens["C1"], answers(9)).status_code == 200
    again = post(tokens["C1"], answers(2))
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "already_answered")
    after = anybody().get(address).json()
    assert (after["state"], after["answers"]) == ("answered", {})
    assert Answer.objects.filter(wave=wave).count() == 2


def test_an_idempotency_key_replays_the_answer_to_the_byte_and_takes_no_other_request() -> None:
    _, tokens = open_wave(2)
    address, later = f"/api/v1/invitations/{tokens['C1']}", {"answers": {"recommend": 3}, "complete": False}
    first = anybody().post(address, later, Idempotency_Key="k")
    final = post(tokens["C1"], answers(9))
    again = anybody().post(address, later, Idempotency_Key="k")
    assert (first.status_code, final.status_code, again.status_code) == (200, 200, 200)
    assert (again.content, again["Idempotent-Replayed"]) == (first.content, "true")
    assert anybody().post(address, {"answers": answers(2)}, Idempotency_Key="k").status_code == 422
    other = anybody().post(f"/api/v1/invitations/{tokens['C2']}", later, Idempotency_Key="k")
    assert (other.status_code, other.has_header("Idempotent-Replayed")) == (200, False)


def test_reading_changes_nothing_but_when_the_link_was_first_opened() -> None:
    wave, tokens = open_wave()
    before = Invitation.objects.values().get()
    for _ in range(2):
        anybody().get(f"/api/v1/invitations/{tokens['C1']}?recommend=0&complete=true")
        Client().get(f"/s/{tokens['C1']}?q_recommend=0")
    after = Invitation.objects.values().get()
    assert {name for name in after if after[name] != before[name]} == {"opened_at"}
    assert not Answer.objects.exists()
    assert funnel(wave)["opened"] == 1


def test_what_is_kept_for_later_is_shown_again_and_counts_as_partial() -> None:
    wave, tokens = open_wave()
    assert post(tokens["C1"], {"recommend": 3}, complete=False).json()["state"] == "open"
    assert anybody().get(f"/api/v1/invitations/{tokens['C1']}").json()["answers"] == {"recommend": 3}
    assert (funnel(wave)["partial"], funnel(wave)["answered"]) == (1, 0)


@pytest.mark.parametrize(
    ("given", "attr"),
    [
        ({"recommend": 9}, "answers.ease"),
        ({"recommend": 2, "ease": 3}, "answers.why"),
        ({"recommend": 11, "ease": 3}, "answers.recommend"),
        ({"recommend": 9, "ease": 3, "colour": 1}, "answers.colour"),
    ],
)
def test_wrong_or_lacking_answers_are_named(given: Any, attr: str) -> None:
    _, tokens = open_wave()
    refused = post(tokens["C1"], given)
    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (400, attr)
    assert not Answer.objects.exists()


@pytest.mark.parametrize("token", ["x", "A" * 12, "a" * 200, "%2e%2e", "ключ"])
def test_a_link_that_nobody_made_has_one_plain_answer(token: str) -> None:
    for answer in (anybody().get(f"/api/v1/invitations/{token}"), Client().get(f"/s/{token}")):
        assert answer.status_code == 404


def test_whoever_guesses_links_is_stopped_and_whoever_has_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from feedback.pages import misses

    _, tokens = open_wave()
    monkeypatch.setattr(misses, "MISSES_A_MINUTE", 3)
    now = time.time()  # all within one minute, also where the clock strikes meanwhile
    monkeypatch.setattr(misses, "time", SimpleNamespace(time=lambda: now))
    guesser: Any = {"REMOTE_ADDR": f"203.0.113.{timezone.now().second}"}
    statuses = [Client(**guesser).get("/s/AAAAAAAAAAAA").status_code for _ in range(6)]
    assert statuses[-1] == 429
    assert Client(**guesser).get("/api/v1/invitations/AAAAAAAAAAAA").status_code == 429
    assert Client(**guesser).get(f"/s/{tokens['C1']}").status_code == 200


def test_tokens_are_kept_nowhere() -> None:
    wave, tokens = open_wave()
    token = tokens["C1"]
    with connection.cursor() as cursor:
        for table in ("feedback_invitation", "feedback_invitationlink", "disputes_outboxtopic", "disputes_event"):
            cursor.execute(f"SELECT to_jsonb(each)::text FROM {table} AS each")
            assert not [row for row in cursor.fetchall() if token in row[0]]
    found = invitation_of(token=token)
    assert found is not None
    assert found.wave_id == wave.pk


# --- the page ---


def fields_of(page: Any) -> set[str]:
    return set(re.findall(r'name="(q_[a-z]+)"', page.content.decode()))


def test_the_page_asks_one_question_more_where_an_answer_leads_to_it_and_then_thanks() -> None:
    wave, tokens = open_wave()
    browser, address = Client(enforce_csrf_checks=True), f"/s/{tokens['C1']}"
    first = browser.get(address)
    assert fields_of(first) == {"q_recommend", "q_ease", "q_ways"}
    assert (first["Referrer-Policy"], first["Cache-Control"]) == ("no-referrer", "no-store")
    assert "<script" not in first.content.decode()
    assert not first.cookies
    seen = ["recommend", "ease", "ways"]
    second = browser.post(address, {"seen": seen, "q_recommend": "3", "q_ease": "6", "q_ways": ["app", "phone"]})
    assert fields_of(second) == {"q_recommend", "q_why", "q_ease", "q_ways"}
    assert 'value="3" checked' in second.content.decode()
    last = browser.post(
        address,
        {"seen": [*seen, "why"], "q_recommend": "3", "q_ease": "6", "q_ways": "app", "q_why": "<b>slow</b>"},
    )
    assert "We read every answer." in last.content.decode()
    assert answering.stored_answers(invitation=wave.invitations.select_related("wave__version").get()) == {
        "recommend": 3,
        "why": "<b>slow</b>",
        "ease": 6,
        "ways": ["app"],
    }
    assert "Already answered" in browser.get(address).content.decode()
    assert "Already answered" in browser.post(address, {"seen": seen}).content.decode()


def test_the_page_marks_what_is_lacking_and_keeps_what_was_given() -> None:
    _, tokens = open_wave()
    page = Client().post(
        f"/s/{tokens['C1']}", {"seen": ["recommend", "ease", "ways"], "q_recommend": "9", "q_ease": "99"}
    )
    said = page.content.decode()
    assert said.count('class="fault"') == 1
    assert 'value="9" checked' in said
    assert 'value="9" checked' in Client().get(f"/s/{tokens['C1']}").content.decode()


def test_the_page_speaks_both_languages() -> None:
    _, tokens = open_wave()
    pages = [Client().get(f"/s/{tokens['C1']}?language={one}") for one in ("en", "zh-hans")]
    assert [page["Content-Language"] for page in pages] == ["en", "zh-hans"]
    english, chinese = (page.content.decode() for page in pages)
    assert 'lang="en"' in english
    assert "How easy was it?" in english
    assert 'lang="zh-Hans"' in chinese
    assert "How easy was it?(中)" in chinese


# --- closing ---


def test_two_tabs_give_one_answer() -> None:
    wave, tokens = open_wave(5)
    for token in tokens.values():
        invitation = invitation_of(token=token)

        def send(nps: int, invitation: Any = invitation) -> Any:
            return take_answers(
                invitation=invitation, raw=answers(nps), language="en", complete=True, now=timezone.now()
            )

        results = at_once([lambda nps=nps: send(nps) for nps in (7, 8, 9, 10)])
        assert len([one for one in results if not isinstance(one, Exception)]) == 1
        assert len([one for one in results if isinstance(one, AlreadyAnswered)]) == 3
    assert Answer.objects.filter(wave=wave, question="recommend").count() == 5


def _closed_while_answering(*, locked: bool) -> tuple[int, int]:
    """(answers that were taken, answers in the frozen figures) of a wave that closes while twelve people answer.

    The first four answer before it is closed, the last four when its answers have been counted, the others whenever
    they come. The closer is held, between counting and its commit, until every answer had its chance.
    """
    wave, tokens = open_wave(12)
    invitations = [invitation_of(token=token) for token in tokens.values()]
    kept, counting, early, late = closing._figures, threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def counted(found: Wave) -> Any:
        figures = kept(found)
        counting.set()
        if locked:
            until_somebody_waits_for_me()
        else:
            for _ in range(4):
                late.acquire(timeout=PATIENCE)
        return figures

    def answer(place: int) -> Any:
        if place >= 8:
            assert counting.wait(PATIENCE)
        try:
            return take_answers(
                invitation=invitations[place],  # type: ignore[arg-type]
                raw=answers(9),
                language="en",
                complete=True,
                now=timezone.now(),
                share=locked,
            )
        finally:
            if place < 4:
                early.release()
            if place >= 8:
                late.release()

    def close() -> None:
        for _ in range(4):
            assert early.acquire(timeout=PATIENCE)
        close_wave(wave_id=wave.pk, now=timezone.now(), alone=locked)

    closing._figures = counted
    try:
        results = at_once([*(partial(answer, place) for place in range(12)), close])
    finally:
        closing._figures = kept
    assert not [one for one in results if isinstance(one, Exception) and not isinstance(one, WaveEnded)], results
    taken = Answer.objects.filter(wave=wave, question="recommend").count()
    return taken, WaveSummary.objects.get(pk=wave.pk).tallies.get("recommend", {}).get("", 0)


def test_every_answer_that_was_taken_is_in_the_frozen_figures() -> None:
    taken, frozen = _closed_while_answering(locked=True)
    assert taken == frozen
    assert 0 < taken < 12


def test_without_the_lock_answers_are_taken_that_the_figures_lack() -> None:
    taken, frozen = _closed_while_answering(locked=False)
    assert taken > frozen


def test_figures_appear_when_the_wave_is_closed_and_stay() -> None:
    wave, tokens = open_wave(12)
    for place, token in enumerate(tokens.values()):
        assert post(token, answers(10 if place < 8 else 2)).status_code == 200
    before = funnel(wave)
    assert (before["questions"], before["segments"]) == ([], [])
    assert (before["invited"], before["handed_over"], before["answered"], before["response_rate"]) == (12, 12, 12, 1.0)
    closed = system("surveys:write").post(f"/api/v1/waves/{wave.pk}/close", Idempotency_Key="c")
    assert (closed.status_code, closed.json()["state"], len(closed.json()["seed"])) == (200, "closed", 32)
    figures = funnel(wave)
    recommend = figures["questions"][0]
    assert (recommend["nps"], recommend["n"], recommend["too_few"]) == (pytest.approx(100 * 4 / 12, abs=0.1), 12, False)
    assert recommend["distribution"][10] == {"value": 10, "count": 8, "share": pytest.approx(8 / 12, abs=1e-4)}
    assert figures["segments"][0]["rows"][0]["group"] == "en"
    Answer.objects.all().delete()
    assert funnel(wave) == figures
    with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic():
        WaveSummary.objects.update(questions=[])


def test_a_wave_that_is_over_says_so() -> None:
    wave, tokens = open_wave(open_days=1)
    assert close_ended_waves(now=timezone.now()) == 0
    assert close_ended_waves(now=timezone.now() + timedelta(days=1)) == 1
    refused = post(tokens["C1"], answers(9))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "ended")
    assert anybody().get(f"/api/v1/invitations/{tokens['C1']}").json()["state"] == "ended"
    assert "This survey has ended" in Client().get(f"/s/{tokens['C1']}").content.decode()
    wave.refresh_from_db()
    assert wave.state == "closed"


def test_a_change_is_told_against_the_closed_wave_before() -> None:
    messaged(24)
    version, now = survey(), timezone.now()
    for back, nps in ((2, 3), (1, 10)):
        wave = wave_of(version, now=now - timedelta(days=back), quiet_days=0, open_days=9)
        for token in invite(wave, now=now - timedelta(days=back)).values():
            invitation = invitation_of(token=token)
            assert invitation is not None
            take_answers(invitation=invitation, raw=answers(nps), language="en", complete=True, now=now)
        close_wave(wave_id=wave.pk, now=now)
    change = funnel(wave)["questions"][0]["change"]
    assert (change["difference"], change["beyond_chance"]) == (200.0, None)
    trend = system("surveys:read").get(f"/api/v1/surveys/{version.survey_id}/trend").json()["waves"]
    assert [row["questions"][0]["nps"] for row in trend] == [-100.0, 100.0]


def test_a_wave_has_a_lock_of_its_own() -> None:
    wave, tokens = open_wave()
    other = wave_of(survey(name="B"), quiet_days=0)
    assert wave_lock(wave=wave.pk) != wave_lock(wave=other.pk)
    invitation = invitation_of(token=tokens["C1"])
    assert invitation is not None
    with pytest.raises(BadAnswers):
        take_answers(invitation=invitation, raw=[], language="en", complete=False, now=timezone.now())
