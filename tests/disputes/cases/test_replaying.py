"""Stored checks replayed and explained from what they stored, from a shell."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from disputes.cases import replaying
from disputes.cases.models import Check, Dispute
from disputes.check.judging import ENGINE_VERSION
from disputes.policy.packs import Packs
from tests.callers import customer
from tests.disputes.cases.test_opening import dispute, payment
from tests.lines import in_arrears, late_posting, repayment_line, send_records
from tests.work import work

pytestmark = pytest.mark.django_db

GROUNDS = ("already_paid", "wrong_amount", "too_frequent", "not_my_debt", "other")


@pytest.fixture
def checks() -> list[Check]:
    """Of five disputes, checked twice."""
    send_records(*in_arrears())
    for ground in GROUNDS:
        assert dispute(customer("C1"), ground=ground, claimed_payments=[payment()]).status_code == 201
    work()
    paid = {"paid": "2026-02-01T09:00:00+08:00", "posted": "2026-02-05T09:00:00+08:00"}
    send_records(repayment_line("P1", amount="30.00", **paid))
    work()
    return list(Check.objects.order_by("id"))


def tampered(check: Check, **columns: Any) -> None:
    """Changes a stored check, with the guard that forbids it off."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE disputes_check DISABLE TRIGGER USER")
    Check.objects.filter(pk=check.pk).update(**columns)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE disputes_check ENABLE TRIGGER USER")


def recheck(*said: str) -> tuple[str, int]:
    """What the command prints, and how it ends."""
    out = StringIO()
    try:
        call_command("recheck", *said, stdout=out, stderr=StringIO())
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


class TestRecheck:
    def test_proves_that_every_stored_check_is_the_same(self, checks):
        assert len(checks) >= 2 * len(GROUNDS) - 1
        out, code = recheck()
        assert (out, code) == (f"{len(checks)} checks by engine {ENGINE_VERSION}: {len(checks)} the same.\n", 0)

    def test_reads_no_record(self, checks, django_assert_num_queries):
        with django_assert_num_queries(1) as seen:
            recheck()
        tables = set(re.findall(r"disputes_[a-z]+", seen.captured_queries[0]["sql"]))
        assert tables == {"disputes_check", "disputes_dispute"}

    def test_prints_the_same_bytes_each_time_in_the_order_of_ids(self, checks):
        for check in checks[::2]:
            tampered(check, verdict="lender_right", cause=None)
        first, second = recheck("--json"), recheck("--json")
        assert first == second
        ids = [json.loads(line)["check"] for line in first[0].splitlines()[:-1]]
        assert ids == sorted(ids)

    @pytest.mark.parametrize(
        ("columns", "parts"),
        [
            ({"verdict": "customer_right"}, ["verdict"]),
            ({"cause": "risk_strategy"}, ["cause"]),
            ({"findings": []}, ["findings"]),
            ({"facts": {"at": "2026-02-03T02:00:00.000000+00:00"}}, ["facts"]),
        ],
    )
    def test_reports_what_flipped_and_ends_with_1(self, checks, columns, parts):
        tampered(checks[0], **columns)
        out, code = recheck("--json")
        row, sums = (json.loads(line) for line in out.splitlines())
        assert (row["check"], row["result"], row["differs"], code) == (str(checks[0].pk), "flipped", parts, 1)
        assert (sums["flipped"], sums["same"]) == (1, len(checks) - 1)

    def test_says_in_words_what_it_was_and_is(self, checks):
        tampered(checks[0], verdict="customer_right", cause="risk_strategy")
        out, _ = recheck()
        assert "flipped; verdict, cause: customer_right/risk_strategy/- -> lender_right/-/-" in out

    def test_of_another_engine_is_news_and_no_fault(self, checks):
        tampered(checks[0], engine_version="0", verdict="customer_right")
        out, code = recheck()
        assert code == 0
        assert "1 answered otherwise by this engine" in out
        assert "\n1 checks by engine" in recheck("--version", "0")[0]

    def test_sees_an_input_that_was_altered(self, checks):
        check = checks[0]
        check.input = check.input.replace("100", "101")
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE disputes_check DISABLE TRIGGER USER")
        check.save(update_fields=["input"])
        out, code = recheck()
        assert "1 with an input that is not what its digest says" in out
        assert code == 1

    def test_counts_what_it_cannot_read_or_judge(self, checks, monkeypatch):
        for check, text in ((checks[0], "{}"), (checks[1], re.sub('"format":[0-9]+', '"format":99', checks[1].input))):
            check.input = text
            check.save(update_fields=["input"])
        real = replaying.packs()
        out, code = recheck()
        assert "2 unreadable" in out
        assert code == 1
        gone = Packs(by_name={name: rows for name, rows in real.by_name.items() if name != checks[2].policy_name})
        monkeypatch.setattr(replaying, "packs", lambda: gone)
        assert f"{len(checks) - 2} without their pack" in recheck()[0]

    def test_sees_a_pack_that_was_edited_since(self, checks):
        tampered(checks[0], policy_digest="0" * 16)
        tampered(checks[1], policy_digest=None)
        out, code = recheck("--json")
        row, sums = (json.loads(line) for line in out.splitlines())
        assert (row["pack_edited"], row["result"], sums["pack_edited"], code) == (True, "same", 1, 0)

    def test_goes_on_after_where_it_was_stopped(self, checks, monkeypatch):
        monkeypatch.setattr(replaying, "AT_ONCE", 2)
        real, seen = replaying._replayed, []

        def stopping(check):
            if len(seen) == 5:
                raise KeyboardInterrupt
            seen.append(check.pk)
            return real(check)

        monkeypatch.setattr(replaying, "_replayed", stopping)
        err = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("recheck", stdout=StringIO(), stderr=err)
        assert end.value.code == 130
        assert f"--after {seen[4]}" in err.getvalue()
        monkeypatch.setattr(replaying, "_replayed", real)
        out, code = recheck("--after", str(seen[4]))
        assert (out.split()[0], code) == (str(len(checks) - 5), 0)

    def test_takes_only_what_is_asked_for(self, checks):
        at = timezone.now().isoformat()
        assert recheck("--since", at)[0].startswith("0 checks")
        assert recheck("--dispute", checks[0].dispute.reference.lower())[0].startswith("2 checks")
        assert recheck("--version", "none")[0].startswith("0 checks")

    @pytest.mark.parametrize(
        "said", [("--since", "yesterday"), ("--since", "2026-01-01"), ("--after", "7"), ("--dispute", "D-1")]
    )
    def test_cannot_run_on_nonsense(self, said):
        with pytest.raises(CommandError) as error:
            recheck(*said)
        assert error.value.returncode == 2


class TestAStoredCheck:
    @pytest.mark.parametrize("change", ["UPDATE disputes_check SET verdict = 'x'", "DELETE FROM disputes_check"])
    def test_is_never_changed_whoever_asks(self, checks, change):
        with pytest.raises(Exception, match="only ever added to"), connection.cursor() as cursor:
            cursor.execute(change)


def explain(*said: str) -> str:
    out = StringIO()
    call_command("explain", *said, stdout=out)
    return out.getvalue()


class TestExplain:
    def test_lays_the_check_open_on_every_clock(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        out = explain(body["reference"])
        for said in (
            body["reference"],
            "M1",
            "2026-02-03 10:00",
            "as it was",
            "as known when sent",
            "as known at the list",
            "P1",
            "2026-02-01 09:00",
            "2026-02-04 09:00",
            "not known",
            "stale_records",
            "customer_right",
            Check.objects.get().records_digest[:40],
            f"house {Check.objects.get().policy_version}",
        ):
            assert said in out, said
        row = next(line for line in out.splitlines() if "Days past due" in line)
        assert [cell.strip() for cell in row.strip("│ ").split("│")] == ["Days past due", "0", "2", "2"]

    def test_speaks_the_language_that_is_asked_for(self):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in explain(body["reference"], "--language", "zh-hans"))

    def test_shows_an_earlier_check_of_the_dispute(self, checks):
        first = checks[0]
        assert str(first.pk) in explain(first.dispute.reference, "--check", str(first.pk))

    def test_reads_no_record_and_writes_nothing(self, django_assert_num_queries):
        send_records(*late_posting())
        body = dispute(customer("C1")).json()
        work()
        with django_assert_num_queries(1):
            explain(body["id"])

    def test_says_where_this_engine_answers_otherwise(self, checks):
        tampered(checks[-1], verdict="customer_right", engine_version="0")
        assert "another answer" in explain(checks[-1].dispute.reference)

    @pytest.mark.parametrize(
        ("key", "told"), [("D-0000-0000", "no such dispute"), ("L1", "no reference"), ("D-1", "no reference")]
    )
    def test_knows_no_dispute_that_is_not_there(self, key, told):
        with pytest.raises(CommandError, match=told) as error:
            explain(key)
        assert error.value.returncode == 2

    def test_says_that_nothing_was_checked_yet(self):
        send_records(*in_arrears())
        body = dispute(customer("C1")).json()
        assert Dispute.objects.get().last_check is None
        with pytest.raises(CommandError, match="not been checked yet"):
            explain(body["reference"])
