"""What is refused, line by line, with the field and the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from disputes.records.feeding import split_lines
from disputes.records.reading import MAX_LINE, Line, Refused, read_line
from tests.disputes.records import importer
from tests.disputes.records.importer import NOW


def read(line: dict[str, Any] | bytes) -> Line | Refused | None:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    return read_line(raw, number=1, now=NOW)


def errors(line: dict[str, Any] | bytes) -> list[str]:
    """``field code`` of each error of a line that is refused."""
    refused = read(line)
    assert isinstance(refused, Refused), "the line was taken"
    assert all(error["detail"].endswith((".", ")")) or error["code"] == "not_json" for error in refused.errors)
    return [f"{error['attr']} {error['code']}" for error in refused.errors]


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"{", "None not_json"),
        (b"not json", "None not_json"),
        (b"{'type': 'loan'}", "None not_json"),
        (b'{"type":"loan"} {"type":"loan"}', "None not_json"),
        (b'{"amount":NaN}', "None not_json"),
        (b'{"amount":1e999}', "None not_json"),
        (b'{"type":"\xff"}', "None not_utf8"),
        (b'{"type":"\\ud800x"}', "None not_json"),
        (b"[" * 5000 + b"]" * 5000, "None not_json"),
        (b"[]", "None not_an_object"),
        (b"null", "None not_an_object"),
        (b'"loan"', "None not_an_object"),
        (b'{"type":"loan","type":"loan"}', "type doubled_field"),
        (b'{"type":"loan","pauses":[{"from":"2026-01-01","from" :"2026-01-02"}]}', "from doubled_field"),
        (b'{"type":"loan","\\u0074ype":"loan"}', "type doubled_field"),
        (b'{"external_id":"L1"}', "type required"),
        (b'{"type":null}', "type required"),
        (b'{"type":"mortgage"}', "type unknown_type"),
        (b'{"type":5}', "type unknown_type"),
        (b'{"type":"loan","name":"' + b"x" * MAX_LINE + b'"}', "None line_too_long"),
    ],
)
def test_what_is_no_record_is_refused(raw: bytes, error: str) -> None:
    assert errors(raw) == [error]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (importer.loan(external_id=None), "external_id required"),
        (importer.loan(external_id=""), "external_id invalid_id"),
        (importer.loan(external_id="L 1"), "external_id invalid_id"),
        (importer.loan(external_id="L" * 121), "external_id invalid_id"),
        (importer.loan(external_id=7), "external_id wrong_type"),
        (importer.loan(external_id="L1\0"), "external_id invalid_id"),
        (importer.loan(version="2"), "version wrong_type"),
        (importer.loan(version=True), "version wrong_type"),
        (importer.loan(version=1.0), "version wrong_type"),
        (importer.loan(version=-1), "version out_of_range"),
        (importer.loan(version=2**63), "version out_of_range"),
        (importer.loan(posted_at="2026-03-01"), "posted_at naive_time"),
        (importer.loan(posted_at="2026-03-01T10:00:00"), "posted_at naive_time"),
        (importer.loan(posted_at="2026-02-30T10:00:00Z"), "posted_at impossible_date"),
        (importer.loan(posted_at="2026-03-01T25:00:00Z"), "posted_at not_a_time"),
        (importer.loan(posted_at="yesterday"), "posted_at not_a_time"),
        (importer.loan(posted_at=1767225600), "posted_at not_a_time"),
        (importer.loan(posted_at="0001-01-01T00:00:00+08:00"), "posted_at out_of_range"),
        (importer.loan(posted_at="9999-12-31T23:00:00-08:00"), "posted_at out_of_range"),
        (importer.loan(posted_at="2026-06-01T04:00:01Z"), "posted_at in_the_future"),
        (importer.loan(effective_at="2026-06-02T00:00:00Z"), "effective_at in_the_future"),
        (importer.repayment(effective_at="2026-01-02T00:00:00Z"), "effective_at unknown_field"),
        (importer.loan(colour="red"), "colour unknown_field"),
        (importer.loan(customer=None), "customer required"),
        (importer.loan(currency="XYZ"), "currency unknown_currency"),
        (importer.loan(currency="cny"), "currency unknown_currency"),
        (importer.loan(currency=156), "currency unknown_currency"),
        (importer.loan(time_zone="Mars/Olympus"), "time_zone unknown_time_zone"),
        (importer.loan(time_zone="../etc/passwd"), "time_zone unknown_time_zone"),
        (importer.loan(principal=1000), "principal float_amount"),
        (importer.loan(grace_days="3"), "grace_days wrong_type"),
        (importer.loan(grace_days=-1), "grace_days out_of_range"),
        (importer.loan(allocation="fees"), "allocation wrong_type"),
        (importer.loan(allocation=["fees", "tips"]), "allocation.1 unknown_value"),
        (importer.loan(allocation=["fees", "fees"]), "allocation doubled_entry"),
        (importer.loan(settled_on="2026-02-30"), "settled_on impossible_date"),
        (importer.loan(settled_on="01.02.2026"), "settled_on not_a_date"),
        (importer.loan(settled_on="1800-01-01"), "settled_on out_of_range"),
        (importer.loan(pauses={}), "pauses wrong_type"),
        (importer.loan(pauses=[{"until": "2026-01-01"}]), "pauses.0.from required"),
        (importer.loan(pauses=[{"from": "2026-01-02", "until": "2026-01-01"}]), "pauses.0.until until_before_from"),
        (importer.loan(pauses=[{"from": "2026-01-02", "why": "flood"}]), "pauses.0.why unknown_field"),
        (importer.loan(product="a\0b"), "product null_character"),
        (importer.loan(product="x" * 201), "product too_long"),
        (importer.instalment(due_on="2026-13-01"), "due_on impossible_date"),
        (importer.instalment(number=1.5), "number wrong_type"),
        (importer.instalment(amount=100.5), "amount float_amount"),
        (importer.instalment(amount=100), "amount float_amount"),
        (importer.instalment(amount="100.1234"), "amount too_many_decimals"),
        (importer.instalment(amount="-5"), "amount not_an_amount"),
        (importer.instalment(amount="1e3"), "amount not_an_amount"),
        (importer.instalment(amount="1_000"), "amount not_an_amount"),
        (importer.instalment(amount="١٠٠"), "amount not_an_amount"),
        (importer.instalment(amount="NaN"), "amount not_an_amount"),
        (importer.instalment(amount="1" * 16), "amount not_an_amount"),
        (importer.instalment(amount=True), "amount wrong_type"),
        (importer.repayment(paid_at="2026-06-01T05:00:00Z"), "paid_at in_the_future"),
        (importer.repayment(paid_at="2026-06-02"), "paid_at in_the_future"),
        (importer.reversal(reversed_at="2026-07-01T00:00:00Z"), "reversed_at in_the_future"),
        (importer.reversal(reversed_at="2026-05-01"), "reversed_at naive_time"),
        (importer.rule(aim="revenge"), "aim unknown_value"),
        (importer.message(phone="12"), "phone not_a_phone"),
        (importer.message(phone=13812340001), "phone not_a_phone"),
        (importer.message(channel="pigeon"), "channel unknown_value"),
        (importer.message(category="threat"), "category unknown_value"),
        (importer.message(loan=None), "loan required"),
        (importer.message(claimed_amount=5), "claimed_amount float_amount"),
        (importer.message(claimed_days_past_due="5"), "claimed_days_past_due wrong_type"),
        (importer.void("planet", "X"), "target_type unknown_value"),
        (importer.watermark("gossip"), "feed unknown_value"),
        (importer.customer(phones=[{"role": "own"}]), "phones.0.number required"),
        (importer.customer(phones=[{"number": "+8613812340001", "role": "boss"}]), "phones.0.role unknown_value"),
        (importer.customer(time_zones=["Asia/Shanghai", "Nowhere"]), "time_zones.1 unknown_time_zone"),
        (importer.customer(language="中文"), "language not_a_language"),
        (
            importer.customer(contact_preferences={"blocked": [{"days": ["XX"]}]}),
            "contact_preferences.blocked.0.days invalid",
        ),
        (importer.customer(contact_preferences=[]), "contact_preferences wrong_type"),
    ],
)
def test_a_field_at_fault_is_named(line: dict[str, Any], error: str) -> None:
    assert errors(line) == [error]


def test_every_field_at_fault_is_named_at_once() -> None:
    assert errors(importer.instalment(due_on="x", amount=1.0, number=None)) == [
        "number required",
        "due_on not_a_date",
        "amount float_amount",
    ]


def test_a_word_that_only_looks_like_a_doubled_field_is_none() -> None:
    assert isinstance(read(importer.message(body='say "loan": yes, "loan": no')), Line)


def test_a_payment_may_name_only_the_day_of_it_even_where_that_day_has_begun_elsewhere_alone() -> None:
    line = read(importer.repayment(paid_at="2026-06-01"))
    assert isinstance(line, Line)
    assert (line.fields["paid_at"], str(line.fields["paid_on"])) == (None, "2026-06-01")


def test_the_same_said_otherwise_is_the_same_line() -> None:
    one = read(importer.repayment(paid_at="2026-03-01T10:00:00+08:00", amount="100"))
    other = read(importer.repayment(amount="100.00", paid_at="2026-03-01T02:00:00.000Z", method="", posted_at=None))
    assert isinstance(one, Line)
    assert isinstance(other, Line)
    assert one.content == other.content
    assert one.fields["paid_at"] == datetime(2026, 3, 1, 2, tzinfo=UTC)


def test_when_it_was_posted_and_its_number_are_not_part_of_what_a_line_says() -> None:
    lines = [importer.loan(), importer.loan(version=4), importer.loan(posted_at="2026-01-01T00:00:00Z")]
    assert len({line.content for one in lines if isinstance(line := read(one), Line)}) == 1
    since, plain = read(importer.loan(effective_at="2026-01-01T00:00:00Z")), read(importer.loan())
    assert isinstance(since, Line)
    assert isinstance(plain, Line)
    assert since.content != plain.content


def test_a_survey_needs_no_loan() -> None:
    assert isinstance(read(importer.message(loan=None, category="survey")), Line)


def test_lines_are_cut_wherever_the_chunks_are() -> None:
    body = "".join(json.dumps(importer.customer(f"C{n}", name="王芳")) + "\r\n" for n in range(5)).encode()
    whole = list(split_lines([body]))
    assert len(whole) == 5
    for size in (1, 2, 7, 64):
        assert list(split_lines(body[at : at + size] for at in range(0, len(body), size))) == whole


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    kept = list(split_lines(b"x" * 65536 for _ in range(100)))
    assert len(kept) == 1
    assert len(kept[0].raw) <= MAX_LINE + 65537


def test_a_blank_line_is_none_and_a_byte_order_mark_is_not_looked_at() -> None:
    assert read(b"  \r") is None
    assert isinstance(read(b"\xef\xbb\xbf" + json.dumps(importer.loan()).encode()), Line)
