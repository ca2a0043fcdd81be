"""`make demo` against the running service: the story ends well, and can be told again."""

from __future__ import annotations

import re

from tests.stack import Stack


class TestTheStory:
    def test_is_told_to_its_end_over_http_and_again_with_new_people(self, stack: Stack):
        told = stack.manage("demo", "--fast", "--patience", "240")
        assert "accounts are as many days past due" in told
        assert "customer_right" in told
        assert "stale_records / late_posting" in told
        gate = [line.strip() for line in told.splitlines() if line.strip().startswith("gate")]
        said = "\n".join(gate)
        for when, answer in (
            ("before the dispute", "allow"),
            ("closed, not yet told", "outcome_not_delivered"),
            ("after the letter", "not_overdue"),
            ("while it is in review", "dispute_pending"),
            ("delivered, not yet posted", "records_not_corrected"),
            ("after the posting", "not_overdue"),
        ):
            line = next(line for line in gate if when in line)
            assert answer in line, said
        assert "NPS" in told
        assert f"{stack.base_url}/admin/" in told
        again = stack.manage("demo", "--fast", "--patience", "240")
        assert not set(references(told)) & set(references(again))


def references(told: str) -> list[str]:
    found = re.findall(r"D-[0-9A-Z]{4}-[0-9A-Z]{4}", told)
    assert found
    return found


class TestWhereItCannotBeTold:
    def test_says_why_in_one_line_and_fails(self, stack: Stack):
        stack.kill_worker()
        try:
            done = stack.try_to_manage("demo", "--fast", "--patience", "2")
        finally:
            stack.start_worker()
        assert done.returncode != 0
        assert "Is a worker running?" in done.stderr
        assert "Traceback" not in done.stderr
