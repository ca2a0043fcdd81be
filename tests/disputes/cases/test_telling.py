"""Where whoever opened a dispute is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from disputes.notices.models import Notice
from tests.callers import customer
from tests.disputes.cases.test_opening import dispute
from tests.lines import in_arrears, send_records

pytestmark = pytest.mark.django_db


def lender(**customer: Any) -> None:
    """C1 as their record says, with no phone of their own."""
    send_records(*({**row, "phones": [], **customer} if row["type"] == "customer" else row for row in in_arrears()))


def test_who_has_no_phone_is_told_by_email() -> None:
    lender(email="wang@example.org")
    assert dispute(customer("C1")).status_code == 201
    notice = Notice.objects.get(kind="acknowledgement")
    assert (notice.channel, notice.address) == ("email", "wang@example.org")


@pytest.mark.parametrize("email", ["", "none", "a b@example.org", "Wang <wang@example.org>", "a@b.org, c@d.org"])
def test_an_address_that_is_none_keeps_nobody_from_disputing(email: str) -> None:
    lender(email=email)
    assert dispute(customer("C1")).status_code == 201
    assert Notice.objects.count() == 0
