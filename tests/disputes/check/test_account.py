"""The account at an instant, on two clocks."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from disputes.check.account import account_at, by_component, parts_left
from disputes.check.rendering import render
from tests.disputes.check.book import Book, end_of, read_book


def dpd(book: Book, at: str, known: str | None = None) -> int:
    return account_at(history=book.history, at=book.at(at), known_at=book.at(known) if known else None).days_past_due


def test_overdue_starts_the_day_after_the_due_date():
    book = read_book("due 1 2026-03-10 1000.00")
    assert [dpd(book, f"2026-03-{day}T23:59:59") for day in ("09", "10", "11", "12")] == [0, 0, 1, 2]


def test_the_day_is_the_loans_own():
    # 2026-03-10T20:00Z is still the 10th in New York and already the 11th in Shanghai.
    for zone, days in (("America/New_York", 0), ("Asia/Shanghai", 1)):
        book = read_book(f"loan zone {zone}\ndue 1 2026-03-10 1000.00")
        assert dpd(book, "2026-03-10T20:00:00+00:00") == days


def test_a_payment_on_the_due_date_is_in_time_and_one_second_after_midnight_is_not_yet_made():
    book = read_book("due 1 2026-03-10 1000.00\npaid p1 2026-03-11T00:00:01 1000.00")
    assert dpd(book, "2026-03-11T00:00:00") == 1
    assert dpd(book, "2026-03-11T00:00:01") == 0
    assert dpd(read_book("due 1 2026-03-10 1000.00\npaid p1 2026-03-10T23:59 1000.00"), "2026-03-11") == 0


def test_money_goes_to_the_oldest_instalment_first():
    book = read_book("""
        due 1   2026-01-10  300.00
        due 2   2026-02-10  300.00
        due 3   2026-03-10  300.00
        paid p1 2026-02-15  450.00
        paid p2 2026-03-01  500.00
    """)
    account = account_at(history=book.history, at=end_of("2026-02-20", book.zone))
    assert [line.paid for line in account.instalments] == [Decimal("300.00"), Decimal("150.00"), Decimal(0)]
    assert (account.days_past_due, account.overdue_amount) == (10, Decimal("150.00"))
    assert (account.oldest_unpaid_due_on, account.next_due_on) == (date(2026, 2, 10), date(2026, 3, 10))
    later = account_at(history=book.history, at=end_of("2026-03-01", book.zone))
    assert [line.paid_off_on for line in later.instalments] == [date(2026, 2, 15), date(2026, 3, 1), date(2026, 3, 1)]
    assert (later.overpaid, later.outstanding, later.next_due_on) == (Decimal("50.00"), 0, None)


def test_the_same_instant_reads_differently_before_and_after_a_late_posting():
    book = read_book("""
        due 1   2026-03-10  1000.00
        paid p1 2026-03-09  1000.00  posted 2026-03-14
    """)
    assert dpd(book, "2026-03-12") == 0
    assert dpd(book, "2026-03-12", known="2026-03-12") == 2
    assert dpd(book, "2026-03-12", known="2026-03-14") == 0


def test_a_reversed_repayment_counts_until_its_reversal_and_never_after():
    book = read_book("""
        due 1       2026-03-10  1000.00
        paid p1     2026-03-09  1000.00
        reversed p1 2026-03-15  posted 2026-03-20
    """)
    assert dpd(book, "2026-03-14") == 0
    assert dpd(book, "2026-03-15") == 5
    assert dpd(book, "2026-03-16", known="2026-03-19") == 0


def test_of_several_reversals_the_earliest_counts():
    book = read_book("""
        due 1       2026-03-10  1000.00
        paid p1     2026-03-09  1000.00
        reversed p1 2026-03-15  id a
        reversed p1 2026-03-13  id b
    """)
    assert [dpd(book, f"2026-03-{day}") for day in (12, 13, 16)] == [0, 3, 6]


def test_a_reversal_that_is_moved_to_another_repayment_lets_the_first_one_stand():
    book = read_book("""
        due 1       2026-03-10  1000.00
        paid p1     2026-03-09  1000.00
        paid p2     2026-03-09  1.00
        reversed p1 2026-03-11  id a  version 1
        reversed p2 2026-03-11  id a  version 2  posted 2026-03-15
    """)
    assert dpd(book, "2026-03-12") == 0
    assert dpd(book, "2026-03-12", known="2026-03-14") == 2


def test_a_payment_booked_on_another_loan_first_counts_here_once_it_is_known_to():
    book = read_book("""
        due 1   2026-03-10  1000.00
        paid p1 2026-03-09  1000.00  version 1  loan OTHER
        paid p1 2026-03-09  1000.00  version 2  posted 2026-03-14
    """)
    assert dpd(book, "2026-03-12", known="2026-03-13") == 2
    assert dpd(book, "2026-03-12") == 0


def test_a_void_outlasts_later_versions_and_a_void_of_the_void_revives_them():
    table = """
        due 1   2026-03-10  1000.00
        paid p1 2026-03-09  1000.00  version 1
        void v1 repayment p1  posted 2026-03-11
        paid p1 2026-03-09  1000.00  version 2  posted 2026-03-12
    """
    assert dpd(read_book(table), "2026-03-15") == 5
    assert dpd(read_book(table + "\nvoid v2 void v1  posted 2026-03-13"), "2026-03-15") == 0
    assert dpd(read_book(table + "\nvoid v2 void v1  posted 2026-03-13"), "2026-03-15", known="2026-03-12") == 5
    # A void that was posted before what it names has no effect on it.
    assert dpd(read_book(table + "\nvoid v0 void v1  posted 2026-03-10"), "2026-03-15") == 5


def test_voids_that_void_each_other_end_with_the_newest():
    book = read_book("""
        due 1   2026-03-10  1000.00
        paid p1 2026-03-09  1000.00
        void v1 repayment p1  posted 2026-03-11
        void v2 void v1  posted 2026-03-12
        void v3 void v2  posted 2026-03-13
    """)
    assert [dpd(book, "2026-03-15", known=f"2026-03-{day}") for day in (10, 11, 12, 13)] == [0, 5, 0, 5]


def test_a_voided_loan_owes_nothing_and_its_payments_stay_visible():
    book = read_book("""
        due 1   2026-03-10  1000.00
        paid p1 2026-03-12   400.00
        void v1 loan L1  posted 2026-03-20
    """)
    account = account_at(history=book.history, at=book.at("2026-03-15"))
    assert (account.exists, account.days_past_due, account.outstanding, account.overpaid) == (False, 0, 0, 400)
    assert dpd(book, "2026-03-15", known="2026-03-19") == 5


def test_a_replaced_schedule_is_true_from_its_posting_and_a_correction_from_the_date_it_names():
    table = """
        due 1 2026-03-10 1000.00  version 1
        due 1 2026-04-10 1000.00  version 2  posted 2026-03-20
    """
    assert dpd(read_book(table), "2026-03-15") == 5
    assert dpd(read_book(table), "2026-03-21") == 0
    corrected = read_book(table.replace("posted", "effective 2026-03-01  posted"))
    assert dpd(corrected, "2026-03-15") == 0
    assert dpd(corrected, "2026-03-15", known="2026-03-19") == 5


def test_the_version_posted_first_always_was_whatever_its_number():
    book = read_book("""
        due 1 2026-03-10 1000.00  version 2  posted 2026-03-01
        due 1 2026-03-05 1000.00  version 1  posted 2026-03-08
    """)
    assert dpd(book, "2026-03-12") == 2
    assert dpd(book, "2026-02-01") == 0
    assert account_at(history=book.history, at=book.at("2026-02-01")).instalments[0].due_on == date(2026, 3, 10)


def test_grace_and_the_union_of_the_pauses_come_off_delinquent_days_and_never_off_days_past_due():
    book = read_book("""
        loan  grace 3
        due 1 2026-03-10 1000.00
        pause 2026-03-15 2026-03-20
        pause 2026-03-18 2026-03-25
        pause 2026-03-28 open
    """)
    figures = {}
    for day in ("12", "13", "14", "17", "22", "27", "30"):
        account = account_at(history=book.history, at=end_of(f"2026-03-{day}", book.zone))
        figures[day] = (account.days_past_due, account.delinquent_days)
    assert figures == {
        "12": (2, 0),
        "13": (3, 0),
        "14": (4, 1),
        "17": (7, 2),
        "22": (12, 2),
        "27": (17, 4),
        "30": (20, 5),
    }


def test_a_pause_before_the_due_date_takes_nothing_off():
    book = read_book("due 1 2026-03-10 1000.00\npause 2026-02-01 2026-03-12")
    account = account_at(history=book.history, at=end_of("2026-03-20", book.zone))
    assert (account.days_past_due, account.delinquent_days) == (10, 8)


def test_an_arrears_within_the_tolerance_does_not_count_but_many_small_ones_add_up():
    book = read_book("""
        loan    tolerance 1.00
        due 1   2026-03-10  1000.00
        due 2   2026-03-12  0.60
        due 3   2026-03-14  0.60
        paid p1 2026-03-10  999.50
    """)
    found = [account_at(history=book.history, at=end_of(f"2026-03-{day}", book.zone)) for day in (11, 13, 15)]
    assert [(one.days_past_due, one.overdue_amount) for one in found] == [
        (0, 0),
        (1, Decimal("1.10")),
        (3, Decimal("1.70")),
    ]


def test_from_the_day_it_was_settled_on_nothing_is_unpaid_even_where_the_records_heard_of_it_later():
    book = read_book("""
        loan    version 1
        loan    version 2  settled 2026-03-08  posted 2026-03-20
        due 1   2026-03-01  1000.00
    """)
    before, on, known_then = (
        account_at(history=book.history, at=end_of("2026-03-07", book.zone)),
        account_at(history=book.history, at=book.at("2026-03-08")),
        account_at(history=book.history, at=book.at("2026-03-15"), known_at=book.at("2026-03-19")),
    )
    assert (before.settled, before.days_past_due) == (False, 6)
    assert (on.settled, on.days_past_due, on.outstanding, on.instalments[0].outstanding) == (True, 0, 0, 0)
    assert (known_then.settled, known_then.days_past_due) == (False, 14)


def test_a_loan_given_up_is_not_owed_any_more():
    book = read_book("loan written_off 2026-04-01\ndue 1 2026-03-01 1000.00")
    assert (dpd(book, "2026-03-31"), dpd(book, "2026-04-01")) == (30, 0)


def test_an_instalment_of_nothing_is_never_paid_off():
    book = read_book("due 1 2026-03-01 0.00\ndue 2 2026-03-02 10.00\npaid p1 2026-03-02 10.00")
    account = account_at(history=book.history, at=book.at("2026-03-05"))
    assert [line.paid_off_on for line in account.instalments] == [None, date(2026, 3, 2)]


def test_ties_have_an_order_of_their_own():
    lines = [
        "due 2 2026-03-01 10.00 id b",
        "due 1 2026-03-01 20.00 id c",
        "due 1 2026-03-01 30.00 id a",
        "paid q 2026-03-01 15.00",
        "paid p 2026-03-01 15.00",
    ]
    forward, backward = read_book("\n".join(lines)), read_book("\n".join(reversed(lines)))
    for book in (forward, backward):
        account = account_at(history=book.history, at=book.at("2026-03-05"))
        assert [line.external_id for line in account.instalments] == ["a", "c", "b"]
        assert [row.external_id for row in account.repayments] == ["p", "q"]


def test_the_account_reads_as_the_api_shows_it():
    book = read_book("""
        due 1   2026-03-10  1000.00
        due 2   2026-04-10  1000.00
        paid p1 2026-03-12T10:30  400.00  posted 2026-03-13
    """)
    shown = render(account_at(history=book.history, at=book.at("2026-03-15T09:00")))
    assert shown == {
        "days_past_due": 5,
        "delinquent_days": 5,
        "overdue_amount": {"amount": "600.00", "currency": "CNY"},
        "oldest_unpaid_due_on": "2026-03-10",
        "next_due_on": "2026-04-10",
        "settled": False,
        "outstanding": {"amount": "1600.00", "currency": "CNY"},
        "overpaid": {"amount": "0.00", "currency": "CNY"},
        "instalments": [
            {
                "number": 1,
                "due_on": "2026-03-10",
                "amount": {"amount": "1000.00", "currency": "CNY"},
                "paid": {"amount": "400.00", "currency": "CNY"},
                "outstanding": {"amount": "600.00", "currency": "CNY"},
                "paid_off_on": None,
            },
            {
                "number": 2,
                "due_on": "2026-04-10",
                "amount": {"amount": "1000.00", "currency": "CNY"},
                "paid": {"amount": "0.00", "currency": "CNY"},
                "outstanding": {"amount": "1000.00", "currency": "CNY"},
                "paid_off_on": None,
            },
        ],
        "repayments": [
            {
                "external_id": "p1",
                "amount": {"amount": "400.00", "currency": "CNY"},
                "paid_at": "2026-03-12T02:30:00Z",
                "posted_at": "2026-03-12T16:00:00Z",
                "reversed_at": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("order", "paid", "left"),
    [
        ((), "0", {"penalties": "5", "fees": "10", "interest": "20", "principal": "65"}),
        ((), "30", {"penalties": "0", "fees": "0", "interest": "5", "principal": "65"}),
        (("principal", "interest"), "70", {"principal": "0", "interest": "15", "penalties": "5", "fees": "10"}),
    ],
)
def test_what_is_left_of_an_instalment_is_told_by_component(order, paid, left):
    book = read_book("due 1 2026-03-10 100.00  principal 65  interest 20  fees 10  penalties 5")
    found = parts_left(instalment=book.history.instalments[0], paid=Decimal(paid), allocation=order)
    assert {part: str(amount) for part, amount in found.items()} == left


def test_what_the_parts_do_not_explain_is_other():
    book = read_book("due 1 2026-03-10 100.00  interest 20")
    assert parts_left(instalment=book.history.instalments[0], paid=Decimal(30)) == {"interest": 0, "other": 70}


def test_a_day_of_daylight_saving_is_a_day_like_any_other():
    # On 2026-03-08 New York's clocks go forward at 02:00: that day has 23 hours, its last instant is 03:59:59 UTC.
    book = read_book("loan zone America/New_York\ndue 1 2026-03-07 10.00\npaid p1 2026-03-09T00:00 10.00")
    days = [dpd(book, at) for at in ("2026-03-08T04:59:59Z", "2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z")]
    assert days == [0, 1, 1]
    assert dpd(book, "2026-03-09T04:00:00Z") == 0
    # On 2026-11-01 they go back: 01:30 comes twice, and both are that day.
    autumn = read_book("loan zone America/New_York\ndue 1 2026-10-31 10.00")
    assert [dpd(autumn, f"2026-11-01T{hour}:30:00Z") for hour in ("03", "05", "06")] == [0, 1, 1]
    assert [dpd(autumn, at) for at in ("2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z")] == [1, 2]


def test_a_down_payment_is_an_instalment_due_on_the_day_of_the_loan():
    book = read_book("due 1 2026-03-01 250.00\ndue 2 2026-04-01 750.00\npaid p1 2026-03-01T12:00 250.00")
    before, after = (account_at(history=book.history, at=book.at(f"2026-03-01T{hour}:00")) for hour in ("11", "13"))
    assert (before.standing.due_today, before.days_past_due, before.next_due_on) == (250, 0, date(2026, 3, 1))
    assert (after.standing.due_today, after.next_due_on, after.instalments[0].paid_off_on) == (
        0,
        date(2026, 4, 1),
        date(2026, 3, 1),
    )
    assert dpd(read_book("due 1 2026-03-01 250.00"), "2026-03-02") == 1


def test_an_arrangement_is_kept_until_it_is_broken_or_over():
    book = read_book("""
        due 1       2026-03-01 100.00
        arrangement 2026-03-10 2026-03-20  kept 2026-03-15
        arrangement 2026-04-01 2026-04-05
        arrangement 2026-05-01 open
    """)
    kept = {
        day: account_at(history=book.history, at=end_of(f"2026-{day}", book.zone)).standing.arrangement_kept
        for day in ("03-09", "03-10", "03-15", "03-16", "03-20", "04-01", "04-05", "04-06", "05-01", "12-31")
    }
    assert [day for day, is_kept in kept.items() if is_kept] == ["03-10", "03-15", "04-01", "04-05", "05-01", "12-31"]


def test_a_payment_on_another_loan_of_the_customer_pays_nothing_of_this_one():
    book = read_book("due 1 2026-03-10 10.00\ndue 2 2026-03-10 7.00 loan OTHER\npaid p1 2026-03-09 10.00 loan OTHER")
    account = account_at(history=book.history, at=book.at("2026-03-12"))
    assert (account.days_past_due, account.overdue_amount, len(account.instalments)) == (2, 10, 1)
    assert (account.repayments, account.overpaid) == ((), 0)


@pytest.mark.parametrize(
    ("currency", "due", "paid", "left"),
    [("JPY", "1000", "999", "1"), ("CNY", "10.00", "9.99", "0.01"), ("KWD", "1.000", "0.999", "0.001")],
)
def test_the_smallest_unit_of_a_currency_counts(currency, due, paid, left):
    book = read_book(f"loan currency {currency}\ndue 1 2026-03-10 {due}\npaid p1 2026-03-09 {paid}")
    account = account_at(history=book.history, at=end_of("2026-03-11", book.zone))
    assert (account.days_past_due, render(account)["overdue_amount"]) == (1, {"amount": left, "currency": currency})


def test_money_fills_the_components_of_the_oldest_instalment_before_any_of_the_next():
    book = read_book("""
        loan    order interest,principal
        due 1   2026-03-10  100.00  principal 80  interest 15  penalties 5
        due 2   2026-04-10  100.00  principal 90  interest 10
        paid p1 2026-03-09   98.00
        paid p2 2026-03-20    9.00
    """)
    found = by_component(account_at(history=book.history, at=end_of("2026-03-20", book.zone)))
    assert [{name: (part.paid, part.outstanding) for name, part in parts.items()} for parts in found] == [
        {"interest": (15, 0), "principal": (80, 0), "penalties": (5, 0)},
        {"interest": (7, 3), "principal": (0, 90)},
    ]


def test_nothing_of_a_settled_loan_is_outstanding_in_any_component():
    book = read_book(
        "loan settled 2026-03-12\ndue 1 2026-03-10 100.00  principal 80  interest 20\npaid p1 2026-03-09 30"
    )
    (parts,) = by_component(account_at(history=book.history, at=book.at("2026-03-13")))
    assert {name: (part.paid, part.outstanding) for name, part in parts.items()} == {
        "interest": (20, 0),
        "principal": (10, 0),
    }


def test_a_payment_near_midnight_paid_off_its_instalment_on_the_local_day_also_where_the_clocks_change():
    book = read_book("""
        loan    zone America/New_York
        due 1   2026-03-01  1.00
        due 2   2026-03-02  1.00
        due 3   2026-03-03  1.00
        due 4   2026-03-04  1.00
        due 5   2026-03-05  1.00
        due 6   2026-03-06  1.00
        paid p1 2026-03-07T23:59:59  1.00
        paid p2 2026-03-08T00:30:00  1.00
        paid p3 2026-03-08T23:30:00  1.00
        paid p4 2026-03-09T00:30:00  1.00
        paid p5 2026-10-31T23:59:59.999999  1.00
        paid p6 2026-11-01T23:30:00  1.00
    """)
    account = account_at(history=book.history, at=book.at("2026-12-01"))
    days = ["2026-03-07", "2026-03-08", "2026-03-08", "2026-03-09", "2026-10-31", "2026-11-01"]
    assert [line["paid_off_on"] for line in render(account)["instalments"]] == days
    assert [str(line.paid_off_on) for line in account.instalments] == days
