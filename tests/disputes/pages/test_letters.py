"""The letter: what it says for each way to close a dispute, to whom, and what it keeps to itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from config.values.ids import new_id
from disputes.cases.letter import NoLetterYet, letter_of
from disputes.cases.letter_links import link_for
from disputes.cases.models import Check, Decision, DecisionReason, Dispute, Ground, LetterLink, Outcome
from disputes.cases.queries import SILENT_GROUNDS
from disputes.holds.policies import packs
from disputes.pages.letters import MISSES_A_MINUTE, render_letter
from tests.callers import customer, system
from tests.lines import in_arrears, late_posting, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

OF_THE_DEBT = [
    "L1",
    "C1",
    "M1",
    "王芳",
    "100.00",
    "100元",
    "13812340001",
    "已逾期",
    "立即还款",
    "2026-02",
    "2月",
    "February",
]
"""What the records hold of C1's debt, in every form that a letter could write it in."""

IN_JUNE = datetime(2026, 6, 15, 4, tzinfo=UTC)

WAYS = ("核查", "调解", "仲裁", "诉讼", "12378", "12363", "12321")


def opened(*lines: dict[str, Any], ground: str = "already_paid", who: str = "C1") -> Dispute:
    send_records(*(lines or late_posting()))
    answer = customer(who).post(
        "/api/v1/disputes",
        {"message": {"external_id": "M1"}, "ground": ground, "language": "en"},
        Idempotency_Key="k",
    )
    assert answer.status_code == 201, answer.content
    work()
    return Dispute.objects.get(pk=answer.json()["id"])


def closed(dispute: Dispute, *, outcome: str, reason: str = "", ground: str = "", words: str = "") -> Dispute:
    """Closed as a person would, without the rules of deciding: the letter only reads what stands there."""
    dispute.status, dispute.outcome, dispute.closed_at = "closed", outcome, timezone.now()
    dispute.ground = ground or dispute.ground
    dispute.closed_by_person = bool(reason)
    dispute.save()
    Decision.objects.filter(dispute=dispute).delete()
    if reason:
        Decision.objects.create(
            dispute=dispute,
            state="final",
            outcome=outcome,
            reason=reason,
            explanation=words or "王芳, loan L1: 100.00 were due on 2026-02-01.",
            decided_by=User.objects.get_or_create(username="li")[0],
            decided_at=dispute.closed_at,
        )
    return Dispute.objects.select_related("message", "last_check").get(pk=dispute.pk)


def page_of(dispute: Dispute, language: str) -> str:
    page = render_letter(letter_of(dispute=dispute, language=language))
    return re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def told_of_the_debt(dispute: Dispute, language: str) -> list[str]:
    """What a letter says of it. The dispute's reference is left out: it is random, and may spell anything."""
    # A letter of February, or of December (12月), names the debt's month as its own.
    dispute.opened_at, dispute.closed_at = IN_JUNE, IN_JUNE
    page = page_of(dispute, language).replace(dispute.reference, "")
    return [word for word in OF_THE_DEBT if word in page]


@pytest.fixture
def mainland(settings: Any) -> None:
    settings.POLICY_PACK = "cn"


def test_who_was_right_reads_what_was_paid_and_when_the_records_showed_it() -> None:
    dispute = opened()
    assert dispute.outcome == "upheld"
    letter = letter_of(dispute=dispute)
    assert letter.decision.startswith("Your dispute is upheld")
    assert letter.reasons[0] == "Our records themselves show that you are right."
    assert any("CNY 100.00" in reason and "4 February 2026" in reason for reason in letter.reasons)
    values = {fact.label: fact.value for fact in letter.facts}
    assert values["The message was sent"] == "3 February 2026 10:00"
    assert values["Overdue on that day, by all that is known today"] == "0 days"
    assert values["Overdue on that day, as our records showed it then"] == "2 days"
    assert values["Overdue amount on that day, as our records showed it then"] == "CNY 100.00"


def test_who_was_refused_reads_the_facts_the_reason_the_persons_words_and_how_to_appeal(mainland: None) -> None:
    dispute = closed(opened(*in_arrears()), outcome="rejected", reason="payment_not_found", words="We asked the bank.")
    letter = letter_of(dispute=dispute)
    assert letter.reasons[0] == "The payment that you named could not be found in the records."
    assert any("2 days overdue: CNY 100.00" in reason for reason in letter.reasons)
    assert letter.words == "We asked the bank."
    assert "48 hours" in letter.messages
    assert dispute.reference in letter.appeal[0]
    assert "We asked the bank." in page_of(dispute, "en")


def test_who_was_found_right_by_a_person_is_not_told_that_they_were_overdue() -> None:
    dispute = closed(opened(*in_arrears()), outcome="upheld", reason="payment_proved", words="Your slip shows it.")
    letter = letter_of(dispute=dispute)
    assert letter.reasons == ("You showed that you had paid.",)
    labels = [fact.label for fact in letter.facts]
    assert "Overdue on that day, as our records showed it then" in labels
    assert not [label for label in labels if "known today" in label]
    in_part = closed(dispute, outcome="partly_upheld", reason="amount_wrong")
    assert len(letter_of(dispute=in_part).reasons) > 1


def test_what_the_machine_holds_against_a_customer_stays_out_where_no_person_decided() -> None:
    dispute = opened()
    check: Check = dispute.last_check  # type: ignore[assignment]
    against = {**check.findings[0], "speaks_for": "lender", "text": "paid_off", "params": {"day": "2026-02-03"}}
    check.findings = [*check.findings, against]
    check.pk, check.records_digest = new_id(), "another"  # a check is never changed, so this is one more
    check.save(force_insert=True)
    dispute.last_check = check
    dispute.save()
    assert "everything on this loan had been paid" not in page_of(dispute, "en")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_way_to_close_every_ground_has_a_letter_in_both_languages(mainland: None, language: str) -> None:
    dispute = opened(*in_arrears())
    seen = set()
    for ground in Ground.values:
        for outcome in Outcome.values:
            decided = outcome not in ("withdrawn", "merged")
            dispute = closed(dispute, outcome=outcome, ground=ground, reason="goodwill" if decided else "")
            page = page_of(dispute, language)
            letter = letter_of(dispute=dispute, language=language)
            assert letter.decision in page
            assert dispute.reference in page
            assert "{" not in page
            if decided:
                assert [way for way in WAYS if way not in page] == [], (ground, outcome)
                assert letter.reasons
                assert letter.messages
            if outcome in ("partly_upheld", "rejected"):
                assert letter.appeal
            seen.add((letter.silent, letter.decision))
    assert len(seen) == 10, "some letters say the same of different outcomes"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_reason_is_said_in_both_languages(language: str) -> None:
    dispute = opened(*in_arrears())
    said = set()
    for reason in DecisionReason.values:
        dispute = closed(dispute, outcome="upheld", reason=reason)
        said.add(letter_of(dispute=dispute, language=language).reasons[0])
    assert len(said) == len(DecisionReason.values)


@pytest.mark.parametrize("ground", SILENT_GROUNDS)
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_who_says_that_the_debt_is_not_theirs_reads_nothing_of_it(mainland: None, ground: str, language: str) -> None:
    dispute = opened(*in_arrears())
    for outcome in Outcome.values:
        for reason in DecisionReason.values if outcome in ("upheld", "partly_upheld", "rejected") else [""]:
            one = closed(dispute, outcome=outcome, ground=ground, reason=reason)
            assert told_of_the_debt(one, language) == [], (outcome, reason)


def test_the_same_letter_on_another_ground_does_name_it() -> None:
    """So that the words above are those that a letter would use."""
    dispute = closed(opened(*in_arrears()), outcome="rejected", reason="records_confirm_arrears")
    page = page_of(dispute, "zh-hans") + page_of(dispute, "en")
    written = ["L1", "王芳", "100.00", "2026-02", "2月", "February", "已逾期"]
    assert [word for word in written if word not in page] == []
    assert set(written) <= set(OF_THE_DEBT)


def test_who_is_not_the_loans_customer_reads_nothing_of_it_on_any_ground(mainland: None) -> None:
    dispute = opened(*in_arrears())
    for changed in ({"owns_loan": False}, {"customer": None, "opened_by_type": "phone"}):
        for name, value in changed.items():
            setattr(dispute, name, value)
        for ground in Ground.values:
            one = closed(dispute, outcome="rejected", reason="records_confirm_arrears", ground=ground)
            assert told_of_the_debt(one, "en") + told_of_the_debt(one, "zh-hans") == [], (changed, ground)


def test_an_open_dispute_has_no_letter() -> None:
    with pytest.raises(NoLetterYet):
        letter_of(dispute=opened(*in_arrears()))


def test_a_wrong_number_is_told_that_no_message_comes_any_more() -> None:
    dispute = closed(opened(*in_arrears()), outcome="upheld", ground="not_my_debt", reason="not_their_debt")
    assert letter_of(dispute=dispute).messages == "No collection message goes to this number any more."


def test_messages_stay_stopped_while_the_records_do_not_show_what_was_found() -> None:
    dispute = opened(*in_arrears())
    dispute.awaits_correction = True
    letter = letter_of(dispute=closed(dispute, outcome="upheld", reason="payment_proved"))
    assert "stay stopped until our records show" in letter.messages


def test_every_way_on_that_a_pack_names_stands_in_both_languages() -> None:
    for name in packs().names():
        for pack in packs().by_name[name]:
            for way in pack.letter_ways:
                assert way.text("en") != way.text("zh-hans")


def test_chinese_stands_with_the_marks_that_are_printed_beside_it() -> None:
    dispute = closed(opened(*in_arrears()), outcome="rejected", reason="records_confirm_arrears", words="a,b")
    letter = letter_of(dispute=dispute, language="zh-hans")
    told = " ".join([letter.decision, *letter.reasons, letter.messages, *letter.appeal, *letter.labels.values()])
    assert re.findall(r"[\u4e00-\u9fff][,;:]|[,;:][\u4e00-\u9fff]", told) == []
    assert [fact.value for fact in letter.facts if ":" in fact.value] == ["2026年2月3日 10:00"]
    assert letter.words == "a,b", "what a person wrote is left as it is"


# --- over the API ---


def test_the_letter_is_a_page_for_its_customer_and_reading_it_delivers_the_outcome() -> None:
    dispute = opened()
    before = customer("C1").get("/api/v1/disputes?status=closed")
    assert before.status_code == 200
    answer = customer("C1").get(f"/api/v1/disputes/{dispute.pk}/letter", Accept="text/html")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer["Cache-Control"] == "no-store"
    assert "Your dispute is upheld" in answer.content.decode()
    dispute.refresh_from_db()
    assert dispute.outcome_delivered_at is not None


def test_neither_a_system_nor_a_head_delivers_the_outcome() -> None:
    dispute = opened()
    address = f"/api/v1/disputes/{dispute.pk}/letter"
    assert system("disputes:read").get(address).status_code == 200
    assert customer("C1").request("HEAD", address).status_code == 200
    dispute.refresh_from_db()
    assert dispute.outcome_delivered_at is None


def test_the_letter_comes_by_reference_and_in_the_language_asked_for() -> None:
    dispute = opened()
    page = customer("C1").get(f"/api/v1/disputes/{dispute.reference}/letter?language=zh-hans")
    assert "您的异议成立" in page.content.decode()
    refused = customer("C1").get(f"/api/v1/disputes/{dispute.reference}/letter?language=fr")
    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (400, "language")


@pytest.mark.parametrize("accept", ["application/pdf", "text/html;q=0", "image/png, application/json"])
def test_a_form_that_there_is_not_is_refused_in_the_one_shape(accept: str) -> None:
    dispute = opened()
    answer = customer("C1").get(f"/api/v1/disputes/{dispute.pk}/letter", Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/json")
    assert answer.json()["type"] == "client_error"
    dispute.refresh_from_db()
    assert dispute.outcome_delivered_at is None


def test_while_the_dispute_is_open_there_is_no_letter_and_anothers_is_not_there() -> None:
    dispute = opened(*in_arrears())
    address = f"/api/v1/disputes/{dispute.pk}/letter"
    assert customer("C1").get(address).status_code == 409
    assert customer("C2").get(address).status_code == 404


# --- by its link ---


def test_the_link_of_the_sms_shows_the_letter_without_a_login_and_delivers_nothing() -> None:
    dispute = opened()
    path = link_for(dispute)
    assert re.fullmatch(r"/l/[0-9A-Za-z]{12}", path)
    answer = Client().get(path)
    assert answer.status_code == 200
    assert "Your dispute is upheld" in answer.content.decode()
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("no-store", "no-referrer")
    dispute.refresh_from_db()
    assert dispute.outcome_delivered_at is None


def test_the_same_closing_has_one_link_and_the_database_does_not_hold_it() -> None:
    dispute = opened()
    LetterLink.objects.all().delete()
    path = link_for(dispute)
    assert link_for(dispute) == path
    link = LetterLink.objects.get()
    assert path.removeprefix("/l/").encode() not in bytes(link.digest)
    again = closed(dispute, outcome="rejected", reason="sent_rightly")
    assert link_for(again) != path
    assert Client().get(path).status_code == 404, "the letter of a closing that was overtaken"


def test_a_link_ends_after_ninety_days(monkeypatch: pytest.MonkeyPatch) -> None:
    dispute = opened()
    path = link_for(dispute)
    later = datetime.now(tz=UTC) + timedelta(days=90, minutes=1)
    monkeypatch.setattr("disputes.pages.letters.timezone.now", lambda: later)
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("token", ["", "abc", "A" * 12, "A" * 13, "%00" * 12, "é" * 12])
def test_any_other_link_gets_one_plain_answer(token: str) -> None:
    assert Client().get(f"/l/{token}").status_code == 404


def test_who_guesses_is_stopped_and_a_good_link_goes_on_working() -> None:
    path = link_for(opened())
    guesser = Client(REMOTE_ADDR="203.0.113.9")
    answers = {guesser.get(f"/l/{n:012d}").status_code for n in range(MISSES_A_MINUTE * 2 + 1)}
    assert answers == {404, 429}
    assert guesser.get(path).status_code == 200
