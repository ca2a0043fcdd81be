"""Findings in plain words."""

from __future__ import annotations

from ast import literal_eval
from gettext import GNUTranslations
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from disputes.check.finding import Finding
from disputes.check.judging import judge
from disputes.check.sentences import CATALOGUES, LANGUAGES, catalogue, sentence_of
from disputes.check.texts import BETWEEN, CLOCK, COUNTS, RETIRED, SENTENCES, UNSETTLED
from disputes.policy.packs import Pack
from tests.disputes.check import test_changes, test_sending
from tests.disputes.check.book import claim, read_book
from tests.disputes.check.test_judging import CLAIMED, HOUSE, STORIES


def told() -> list[dict[str, Any]]:
    """Every finding of every story, as it is stored."""
    found: list[Finding] = []

    def tell(table: str, ground: str, *payments: str, watermarks: bool = True, pack: Pack = HOUSE) -> None:
        book = read_book(table, watermarks=watermarks)
        found.extend(
            judge(history=book.history, message=book.message, claim=claim(ground, *payments), pack=pack).findings
        )

    for table, _ in STORIES.values():
        tell(table, "not_overdue", watermarks=False)
    for ground, table, _, _ in test_sending.STORIES.values():
        tell(table, ground)
    for table, _ in test_changes.STORIES.values():
        tell(table, "not_overdue")
    for pack, table in test_sending.OTHER_PACKS:
        tell(table, "third_party_contacted", pack=pack)
    claims = ("2026-03-09 400.00", "2026-03-09 250.00", "2026-03-14 100.00", "2026-03-08 50.00", "2026-03-09 9.00")
    for extra in ("claims 350.00  days 2", "claims 1.00  days 9"):
        tell(CLAIMED.rstrip() + f"  {extra}", "already_paid", *claims)
    for table in TWICE:
        tell(table, "already_paid", "2026-03-08 50.00", "2026-03-08 50.00")
        tell(table, "already_paid", "2026-03-08 50.00", "2026-03-08 50.00", watermarks=False)
        tell(table, "already_paid", "2026-03-08 9.00", watermarks=False)
    for payments in (["2026-02-20 400.00"], ["2026-02-20 400.00", "2026-02-20 250.00"]):
        tell(CLAIMED, "already_paid", *payments)
    for payments in (["2026-02-20 7.00"], ["2026-02-20 7.00", "2026-02-20 7.00"]):
        tell(UNPAID + "paid p1 2026-02-20 7.00 loan L2", "already_paid", *payments)
    for table in AMOUNTS:
        tell(table, "wrong_amount")
    return [one.render() for one in found]


def spoken(saying: dict[str, Any]) -> set[str]:
    """The texts of a finding, and of the texts that are among its parameters."""
    texts = {saying["text"]}
    for value in saying["params"].values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "text" in one:
                texts |= spoken(one)
    return texts


PARTS = "principal 700 interest 100 fees 50 penalties 40"
AMOUNTS = (
    f"due 1 2026-03-10 900.00 {PARTS}\nmessage urge 2026-03-12T10:00  claims 1000.00",
    f"due 1 2026-03-10 900.00 {PARTS}\nmessage urge 2026-03-12T10:00  claims 800.00",
    "due 1 2026-03-10 900.00\nmessage urge 2026-03-12T10:00  claims 1000.00",
    "due 1 2026-03-10 900.00\npaid p1 2026-03-09 900.00\nmessage urge 2026-03-12T10:00  claims 1000.00",
    "due 1 2026-03-10 900.00\npaid p1 2026-03-09 300.00 posted 2026-03-13\n"
    "message urge 2026-03-12T10:00  claims 900.00",
)
UNPAID = "due 1 2026-03-10 1000.00\nmessage urge 2026-03-12T10:00\n"
TWICE = (
    # The same payment twice: in time, late, after the message, undone, and unknown to the records.
    UNPAID + "paid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00",
    UNPAID + "paid p1 2026-03-08 50.00 posted 2026-03-15\npaid p2 2026-03-08 50.00 posted 2026-03-14",
    "due 1 2026-03-06 1000.00\nmessage urge 2026-03-07T10:00\npaid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00",
    UNPAID + "paid p1 2026-03-08 50.00\npaid p2 2026-03-08 50.00\nreversed p1 2026-03-09\nreversed p2 2026-03-09",
    UNPAID,
)


def test_every_sentence_is_spoken_by_some_story_and_no_story_lacks_one():
    said = set().union(*(spoken(one) for one in told()))
    assert said | {"records_missing"} | RETIRED == set(SENTENCES)


def test_a_sentence_that_no_criterion_speaks_any_more_can_still_be_read_from_a_stored_check():
    params = {"claimed": {"amount": "9.00", "currency": "CNY"}, "amount": {"amount": "8.00", "currency": "CNY"}}
    stored = {"text": "amount_differs", "params": params}
    assert sentence_of(stored, language="en") == "The message named CNY 9.00; by the records it was CNY 8.00."


def test_every_text_that_promises_a_look_is_known_to_be_one():
    promising = {key for key, text in SENTENCES.items() if "person will" in text or "we look for" in text}
    assert promising == UNSETTLED


class TestTheCatalogue:
    def test_the_compiled_catalogue_says_what_the_written_one_says(self):
        for language, compiled in CATALOGUES.items():
            with compiled.open("rb") as file:
                entries = GNUTranslations(file)._catalog  # type: ignore[attr-defined]
            assert {key: text for key, text in entries.items() if key} == read_catalogue(compiled.with_suffix(".po")), (
                f"{language}: msgfmt was not run"
            )

    def test_every_text_is_translated_and_no_translation_is_left_over(self):
        texts = {*SENTENCES.values(), *((one, 0) for one, _ in COUNTS.values()), CLOCK, BETWEEN}
        for compiled in CATALOGUES.values():
            written = read_catalogue(compiled.with_suffix(".po"))
            assert texts <= set(written)
            places = {text for text in set(written) - texts if isinstance(text, str)}
            assert all(place.replace(" ", "").isalpha() for place in places)
            assert all(written.values())

    @pytest.mark.parametrize("text", [*SENTENCES.values(), CLOCK])
    def test_a_translation_has_the_parameters_of_its_text(self, text):
        for language in CATALOGUES:
            assert parameters(catalogue(language).gettext(text)) == parameters(text)

    def test_every_language_but_english_has_a_catalogue(self):
        assert set(LANGUAGES) == {"en", *CATALOGUES}


def parameters(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def read_catalogue(path: Path) -> dict[str | tuple[str, int], str]:
    """A written catalogue as the standard library keeps a compiled one, without its header."""
    found: dict[str | tuple[str, int], str] = {}
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line.split(" ", 1) for line in block.splitlines() if line and line[0] not in '#"']
        entry = {keyword: literal_eval(text) for keyword, text in lines}
        if entry.get("msgid"):
            one = entry["msgid"]
            found[(one, 0) if "msgid_plural" in entry else one] = entry.get("msgstr[0]") or entry["msgstr"]
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_reads_as_a_whole_sentence(language):
    for finding in told():
        sentence = sentence_of(finding, language=language)
        assert "{" not in sentence
        assert "None" not in sentence
        assert sentence.endswith("." if language == "en" else "。")


def test_amounts_and_days_are_written_as_the_reader_writes_them():
    finding = {
        "text": "was_overdue",
        "params": {
            "day": "2026-03-12",
            "days": 2,
            "amount": {"amount": "12345.60", "currency": "CNY"},
            "due_on": "2026-03-10",
        },
    }
    english = sentence_of(finding, language="en")
    assert english == "On 12 March 2026 the loan was 2 days overdue: CNY 12,345.60, due since 10 March 2026."
    chinese = sentence_of(finding, language="zh-hans")
    assert chinese == "2026年3月12日这笔贷款已逾期2天：应于2026年3月10日归还，逾期金额12,345.60元。"
    assert sentence_of(finding, language="fr") == english


def sentences(table: str, *payments: str) -> dict[str, str]:
    book = read_book(table)
    found = judge(history=book.history, message=book.message, claim=claim("already_paid", *payments), pack=HOUSE)
    return {one.name: sentence_of(one.render(), language="en") for one in found.findings}


def test_one_day_is_no_days():
    said = sentences("due 1 2026-03-10 1000.00\nmessage urge 2026-03-11T10:00  days 2")
    assert "the loan was 1 day overdue" in said["was_overdue"]
    assert said["days_differ"].endswith("2 days overdue; by the records it was 1 day.")


def test_money_that_was_posted_in_parts_was_shown_with_the_last_of_them():
    said = sentences(
        """
        due 1   2026-03-10  100.00
        paid p1 2026-03-08   60.00  posted 2026-03-15
        paid p2 2026-03-09   40.00  posted 2026-03-14
        message urge 2026-03-12T10:00
        """
    )
    assert "CNY 100.00 (latest on 9 March 2026)" in said["paid_before_posted_after"]
    assert "in full only on 15 March 2026" in said["paid_before_posted_after"]


def test_of_a_stale_list_only_what_the_records_showed_by_the_message_is_counted():
    said = sentences(
        """
        due 1   2026-03-10  100.00
        paid p1 2026-03-09  100.00  posted 2026-03-12T09:00
        paid p2 2026-03-10   50.00  posted 2026-03-15
        message urge 2026-03-12T10:00  list 2026-03-12T08:00
        """
    )
    assert said["paid_before_posted_after"].startswith("You had paid CNY 100.00 and the records showed it")


def test_payments_of_one_kind_that_the_customer_names_are_all_spoken_of():
    late = "paid p1 2026-03-08 60.00 posted 2026-03-15\npaid p2 2026-03-09 40.00 posted 2026-03-14"
    said = sentences(UNPAID + late, "2026-03-08 60.00", "2026-03-09 40.00")
    assert said["claimed_payment_found_late"].startswith("2 payments that you named")
    assert "15 March 2026" in said["claimed_payment_found_late"]
