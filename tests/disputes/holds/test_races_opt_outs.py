"""Opt-outs and opt-ins of one number at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import transaction

from disputes.holds import opting_out, placing
from disputes.holds.models import Hold
from disputes.holds.opting_out import opt_in, opt_out
from tests.disputes.holds import scene
from tests.disputes.holds.test_guarantee import naps_between_statements, take_none
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

TIMES = 6


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    scene.lender()


def out() -> Any:
    with transaction.atomic(durable=True):
        return opt_out(phone=scene.digest(1), source="sms", actor=scene.ACTOR, now=datetime.now(tz=UTC)).hold.pk


def back() -> Any:
    with transaction.atomic(durable=True):
        taken = opt_in(phone=scene.digest(1), source="sms", actor=scene.ACTOR, now=datetime.now(tz=UTC))
    return {hold.pk for hold in taken}


def standing_after(rounds: int) -> list[int]:
    """How many opt-outs of one number stand after several were said at once, round by round."""
    found = []
    with naps_between_statements():
        for _ in range(rounds):
            holds = at_once([out] * TIMES)
            assert not [one for one in holds if isinstance(one, BaseException)], holds
            found.append(Hold.objects.filter(released_at__isnull=True).count())
            back()
    return found


def test_several_at_once_are_one() -> None:
    assert standing_after(15) == [1] * 15


def test_control_without_the_phones_lane_they_are_several() -> None:
    with ExitStack() as stack:
        for module in (opting_out, placing):
            stack.enter_context(patch.object(module, "take_lanes", take_none))
        assert any(max(standing_after(5)) > 1 for _ in range(20))


def test_opting_out_and_in_at_once_ends_as_one_after_the_other() -> None:
    """Whatever stands at the end is what the gate says, and no opt-out is taken back twice."""
    with naps_between_statements():
        for _ in range(15):
            results = at_once([out, back, out, back])
            assert not [one for one in results if isinstance(one, BaseException)], results
            taken = [hold for holds in (results[1], results[3]) for hold in holds]
            assert len(taken) == len(set(taken))
            standing = Hold.objects.filter(released_at__isnull=True)
            assert standing.count() <= 1
            assert scene.reasons(scene.item(1)) == [("opted_out",) if standing.exists() else ()]
            back()


def test_an_opt_out_and_a_dispute_of_the_number_both_stand() -> None:
    with naps_between_statements():
        for _ in range(10):
            disputing = partial(scene.dispute, "not_my_debt", loan="L11", n=1, customer="C1")
            results = at_once([out, disputing])
            assert not [one for one in results if isinstance(one, BaseException)], results
            assert set(scene.reasons(scene.item(1), dry_run=True)[0]) == {"opted_out", "dispute_pending"}
            assert Hold.objects.filter(released_at__isnull=True, source="opt_out").count() == 1
