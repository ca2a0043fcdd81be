"""Messages without a valid permit: found as they arrive, in any order of what arrives, and counted for supervisors."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from config.values.ids import new_id
from disputes.holds import unauthorised
from disputes.holds.models import Permit, SendToLookAt, UnauthorisedSend
from disputes.holds.unauthorised import count_by_day, count_by_group, look_at_sends, sends
from disputes.records.models import Message
from tests.disputes.holds import scene
from tests.lines import RULE, customer_line, loan_lines, message_line, send_records

pytestmark = pytest.mark.django_db

SENT = datetime.now(tz=UTC).replace(microsecond=0) - timedelta(hours=2)
OWN = "+8613812340001"


@pytest.fixture(autouse=True)
def _since_yesterday(any_hour: Callable[..., None], settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    settings.GATE_REQUIRED_FROM = SENT - timedelta(days=1)


def lender() -> None:
    send_records(RULE, customer_line(phone=OWN), *loan_lines())


def line(external_id: str, *, seconds: float = 0, **more: Any) -> dict[str, Any]:
    return message_line(
        external_id,
        phone=OWN,
        sent_at=(SENT + timedelta(seconds=seconds)).isoformat(),
        posted_at=(SENT + timedelta(seconds=seconds + 60)).isoformat(),
        list_built_at=None,
        **more,
    )


def grant(**more: Any) -> str:
    """A permit for a message about L1 that lives around SENT."""
    permit = Permit.objects.create(
        **{
            "id": new_id(),
            "caller": "t",
            "request_id": "",
            "granted_at": SENT - timedelta(seconds=30),
            "expires_at": SENT + timedelta(seconds=30),
            "phone_digest": scene.phone_digest(OWN),
            "loan": "L1",
            "customer": "C1",
            "channel": "sms",
            "category": "urge",
            **more,
        }
    )
    return str(permit.pk)


def found() -> dict[str, tuple[str, ...]]:
    """Looks at what came, and says what is listed, by message."""
    look_at_sends(now=datetime.now(tz=UTC))
    assert not SendToLookAt.objects.exists()
    return {row.message.external_id: tuple(row.faults) for row in UnauthorisedSend.objects.select_related("message")}


class TestWhatIsFound:
    def test_a_message_that_names_no_permit_and_one_that_names_nonsense(self) -> None:
        lender()
        send_records(line("M1"), line("M2", permit="nonsense"), line("M3", permit=str(uuid.uuid4())))
        assert found() == {"M1": ("no_permit",), "M2": ("unknown_permit",), "M3": ("unknown_permit",)}

    def test_nothing_where_the_permit_is_in_order(self) -> None:
        lender()
        send_records(line("M1", permit=grant()))
        assert found() == {}

    @pytest.mark.parametrize(
        ("fault", "permit"),
        [
            ("other_permit", {"loan": "L9"}),
            ("expired_permit", {"expires_at": SENT - timedelta(seconds=1)}),
            ("returned_permit", {"unused_at": SENT - timedelta(seconds=1)}),
        ],
    )
    def test_a_permit_that_is_not_in_order(self, fault: str, permit: dict[str, Any]) -> None:
        lender()
        send_records(line("M1", permit=grant(**permit)))
        assert found() == {"M1": (fault,)}

    def test_the_second_message_of_a_permit(self) -> None:
        lender()
        permit = grant()
        send_records(line("M1", permit=permit), line("M2", permit=permit, seconds=1))
        assert found() == {"M2": ("used_permit",)}

    @pytest.mark.parametrize("first", ["M1", "M2"])
    def test_a_permit_of_another_message_is_not_used_by_it(self, first: str) -> None:
        """Two permits that a sender mixed up: the one that was granted a permit is none the worse for it."""
        lender()
        permit = grant()
        mixed_up = line("M1", permit=permit, seconds=-1) | {"category": "warning"}
        sent = [mixed_up, line("M2", permit=permit)]
        for one in sent if first == "M1" else reversed(sent):
            send_records(one)
        assert "other_permit" in found()["M1"]
        assert "M2" not in found()
        assert Permit.objects.get().message == "M2"

    def test_a_message_against_a_hold_that_stood(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lender()
        monkeypatch.setattr("disputes.holds.placing.database_clock", lambda *_: SENT - timedelta(seconds=1))
        scene.hold(scene.Covers(loans=frozenset({"L1"})))
        send_records(line("M1", permit=grant()))
        assert found() == {"M1": ("against_hold",)}

    def test_nothing_from_before_permits_were_needed(self, settings: Any) -> None:
        settings.GATE_REQUIRED_FROM = SENT + timedelta(seconds=5)
        lender()
        send_records(line("M1"), line("M2", seconds=5))
        assert found() == {"M2": ("no_permit",)}

    def test_nothing_where_they_never_are(self, settings: Any) -> None:
        settings.GATE_REQUIRED_FROM = None
        lender()
        send_records(line("M1"))
        assert not SendToLookAt.objects.exists()
        assert found() == {}

    def test_earlier_messages_too_once_permits_are_needed_from_an_earlier_instant_on(self, settings: Any) -> None:
        settings.GATE_REQUIRED_FROM = SENT + timedelta(seconds=5)
        lender()
        send_records(line("M1"), line("M2", seconds=5))
        assert set(found()) == {"M2"}
        settings.GATE_REQUIRED_FROM = SENT
        assert set(found()) == {"M1", "M2"}


class TestAnyOrderEndsTheSame:
    """M1 and M2 name one permit, M1 is sent first; M1 is corrected so that it names another, or voided; M3 names none
    and is voided."""

    VOIDS = (
        {"type": "void", "external_id": "V3", "target_type": "message", "target": "M3"},
        {"type": "void", "external_id": "V1", "target_type": "message", "target": "M1"},
    )

    @pytest.mark.parametrize("order", range(5))
    @pytest.mark.parametrize("looks", ["between", "at the end"])
    @pytest.mark.parametrize("ending", ["corrected", "voided", "left"])
    def test_of_messages_corrections_and_voids(self, order: int, looks: str, ending: str) -> None:
        lender()
        permit = grant()
        lines = [
            line("M1", permit=permit, version=1),
            line("M2", permit=permit, seconds=1),
            line("M3", seconds=2),
            self.VOIDS[0],
        ]
        if ending == "corrected":
            lines.append(line("M1", permit=None, version=2))
        elif ending == "voided":
            lines.append(self.VOIDS[1])
        random.Random(order).shuffle(lines)
        for one in lines:
            send_records(one)
            if looks == "between":
                found()
        expected = {
            "corrected": {"M1": ("no_permit",)},
            "voided": {},
            "left": {"M2": ("used_permit",)},
        }
        assert found() == expected[ending]

    def test_a_void_that_was_taken_back(self) -> None:
        lender()
        permit = grant()
        send_records(line("M1", permit=permit), line("M2", permit=permit, seconds=1), self.VOIDS[1])
        assert found() == {}
        send_records({"type": "void", "external_id": "V9", "target_type": "void", "target": "V1"})
        assert found() == {"M2": ("used_permit",)}


class TestTheImport:
    def test_pays_one_statement_a_batch(self) -> None:
        lender()
        send_records(line("M0"))
        messages = list(Message.objects.all())
        with connection.execute_wrapper(asked := Asked()):
            unauthorised.note_sends(messages)
        assert asked.count == 1

    def test_looks_cost_the_same_number_of_statements_however_many_there_are(self) -> None:
        lender()
        counts = []
        for n in (2, 40):
            send_records(*(line(f"M{n}-{m}", permit=grant()) for m in range(n)))
            with connection.execute_wrapper(asked := Asked()):
                look_at_sends(now=datetime.now(tz=UTC), at_most=1)
            counts.append(asked.count)
        # The first look also notes since when.
        assert counts[1] <= counts[0]


class Asked:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        self.count += 1
        return execute(sql, *rest)


class TestCounts:
    @pytest.fixture(autouse=True)
    def _sent(self, settings: Any) -> None:
        settings.LENDER_TIME_ZONE = "Asia/Shanghai"
        lender()
        send_records(
            line("M1", vendor="V1", sending_rule="R1"),
            line("M2", vendor="V1", sending_rule="R1", permit="x"),
            line("M3", vendor="V2"),
            line("M4", vendor="V1", sending_rule="R1", permit=grant()),
        )
        found()

    span = {"start": SENT - timedelta(days=7), "end": SENT + timedelta(days=1)}

    def test_by_vendor_and_rule_with_the_reasons(self) -> None:
        first, second = count_by_group(**self.span)
        assert (first.vendor, first.sending_rule, first.count) == ("V1", "R1", 2)
        assert first.faults == (("no_permit", 1), ("unknown_permit", 1))
        assert (second.vendor, second.count, second.last) == ("V2", 1, SENT)

    def test_by_day_of_the_lenders_zone(self) -> None:
        day = (SENT + timedelta(hours=8)).date()
        assert count_by_day(**self.span) == [(day, "V1", 2), (day, "V2", 1)]

    def test_the_list_behind_a_count_has_as_many(self) -> None:
        for group in count_by_group(**self.span):
            named = {**self.span, "vendor": group.vendor, "sending_rule": group.sending_rule}
            assert sends(**named).count() == group.count
            for fault, count in group.faults:
                assert sends(**named, fault=fault).count() == count

    def test_not_of_a_span_before(self) -> None:
        assert count_by_group(start=SENT - timedelta(days=7), end=SENT) == []
