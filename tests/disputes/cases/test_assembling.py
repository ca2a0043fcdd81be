"""What the check reads beside the account: whom a message reached, what was sent before it, and with what leave."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.fields import phone_digest
from config.values.ids import new_id
from disputes.cases.assembling import assemble
from disputes.check.canonical import dump_input
from disputes.check.facts import Claim, CustomerPhone
from disputes.holds.models import Hold, HoldCover, Permit
from disputes.records.models import Message
from tests.disputes.records.importer import undone
from tests.lines import RULE, customer_line, loan_lines, message_line, send_records, watermarks

pytestmark = pytest.mark.django_db

OWN, OTHER = "+8613812340001", "+8613812340002"
SENT = datetime(2026, 2, 3, 2, 0, tzinfo=UTC)
"""When M1 goes out."""


def read(external_id: str = "M1"):
    message = Message.objects.get(external_id=external_id)
    return assemble(messages=[message])[message.pk]


def at(days: float) -> str:
    """So many days before M1 goes out."""
    return (SENT - timedelta(days=days)).isoformat()


class TestTheCustomer:
    def test_is_read_with_every_version_of_their_phones_zones_and_wishes(self):
        wishes = {"blocked": [{"days": ["fr"]}]}
        send_records(
            RULE,
            *loan_lines(),
            customer_line(posted_at=at(30)),
            customer_line(phone=OTHER, posted_at=at(-1), time_zones=["Asia/Tokyo"], contact_preferences=wishes),
            message_line(),
        )
        first, second = sorted(read().history.customers, key=lambda version: version.posted_at)
        assert first.phones == (CustomerPhone(digest=phone_digest(OWN).hex(), role="own"),)
        assert second.time_zones == ("Asia/Tokyo",)
        assert second.preferences == '{"blocked":[{"days":["fr"]}]}'
        assert second.phones[0].digest == phone_digest(OTHER).hex()

    def test_of_a_loan_that_changed_hands_are_both(self):
        send_records(
            RULE,
            *loan_lines(),
            {**loan_lines(customer="C2")[0], "posted_at": at(-2)},
            customer_line("C1"),
            customer_line("C2", phone=OTHER),
            message_line(),
        )
        assert {version.external_id for version in read().history.customers} == {"C1", "C2"}

    def test_that_never_was_has_the_void_beside_them(self):
        void = {"type": "void", "external_id": "V1", "target_type": "customer", "target": "C1"}
        send_records(RULE, customer_line(), *loan_lines(), message_line(), void)
        assert ("customer", "C1") in {(one.target_type, one.target) for one in read().history.voids}


class TestWhatWasSentBefore:
    def lender(self, *more):
        send_records(
            RULE, customer_line(), *loan_lines(), *loan_lines("L2"), *loan_lines("L3", customer="C2"), *more,
            message_line(),
        )  # fmt: skip
        return {one.external_id: one for one in read().history.sent}

    def test_to_the_phone_about_the_loan_or_about_another_loan_of_theirs_counts(self):
        sent = self.lender(
            message_line("M2", loan="L3", sent_at=at(1)),
            message_line("M3", phone=OTHER, sent_at=at(2)),
            message_line("M4", loan="L2", phone=OTHER, sent_at=at(3)),
            message_line("M5", loan="L3", phone=OTHER, sent_at=at(1)),
        )
        assert set(sent) == {"M2", "M3", "M4"}
        assert (sent["M2"].customer, sent["M4"].customer) == ("C2", "C1")

    def test_what_came_after_it_or_too_long_before_does_not(self):
        assert set(self.lender(message_line("M2", sent_at=at(-0.1)), message_line("M3", sent_at=at(40)))) == set()

    def test_what_was_sent_at_the_same_instant_is_there_and_what_never_was_is_not(self):
        void = {"type": "void", "external_id": "V1", "target_type": "message", "target": "M3"}
        sent = self.lender(message_line("M2", sent_at=at(0)), message_line("M3", sent_at=at(1)), void)
        assert set(sent) == {"M2"}

    def test_the_same_words_have_the_same_digest_whatever_reference_they_show(self):
        sent = self.lender(
            message_line("M2", sent_at=at(0.1), body="还款 S-M2 谢谢", short_ref="S-M2"),
            message_line("M3", sent_at=at(0.2), body="还款 S-M3  谢谢", short_ref="S-M3"),
            message_line("M4", sent_at=at(0.3), body="别的话"),
        )
        assert sent["M2"].text == sent["M3"].text != sent["M4"].text
        assert sent["M2"].text

    def test_words_are_compared_with_the_message_s_own(self):
        sent = self.lender(message_line("M2", sent_at=at(0.1)))
        assert sent["M2"].text == read().message.text != ""

    def test_words_of_messages_that_cannot_be_the_same_one_are_not_opened(self):
        assert self.lender(message_line("M2", sent_at=at(3)))["M2"].text == ""


class TestTheLeave:
    def grant(self, permit: uuid.UUID, **more) -> None:
        Permit.objects.create(
            pk=permit,
            caller="t",
            request_id="q",
            phone_digest=phone_digest(OWN),
            channel="sms",
            category="urge",
            **{"loan": "L1", "granted_at": SENT - timedelta(seconds=20), "expires_at": SENT, **more},
        )

    def test_of_the_message_is_the_permit_that_it_names(self):
        permit = permit_id()
        self.grant(permit, reply_to="in-1")
        send_records(RULE, customer_line(), *loan_lines(), message_line(permit=str(permit)))
        [found] = read().history.permits
        assert (found.id, found.used_by, found.reply_to) == (str(permit), "M1", "in-1")
        assert found.phone == read().message.phone

    @pytest.mark.parametrize("first", ["M1", "M2"])
    def test_belongs_to_the_message_that_was_sent_first_whichever_arrives_first(self, first):
        permit = permit_id()
        self.grant(permit)
        lines = [message_line("M1", permit=str(permit)), message_line("M2", permit=str(permit), sent_at=at(0.001))]
        lines = lines if first == "M1" else lines[::-1]
        send_records(RULE, customer_line(), *loan_lines(), lines[0])
        send_records(lines[1])
        assert [read(name).history.permits[0].used_by for name in ("M1", "M2")] == ["M2", "M2"]

    def test_is_none_where_the_permit_is_no_permit_of_ours(self):
        send_records(RULE, customer_line(), *loan_lines(), message_line(permit="anything"))
        assert read().history.permits == ()
        assert read().message.permit == "anything"


class TestTheHoldsOverIt:
    def place(self, key: str, *, since: timedelta, until: timedelta | None = None, **more) -> None:
        released_at = None if until is None else SENT + until
        hold = Hold.objects.create(
            **{"source": "manual", "scope": "loan", "reason": "manual_hold", **more},
            placed_at=SENT + since,
            placed_by="t",
            released_at=released_at,
        )
        HoldCover.objects.create(hold=hold, key=key, since=SENT + since, released_at=released_at)

    def read(self, settings, *lines):
        settings.GATE_REQUIRED_FROM = SENT - timedelta(days=1)
        send_records(RULE, customer_line(), *loan_lines(), *(lines or [message_line()]))
        return read().history

    hour = timedelta(hours=1)

    @pytest.mark.parametrize("key", ["l:L1", "c:C1", f"p:{phone_digest(OWN).hex()}", "r:R1"])
    def test_stood_on_loan_customer_phone_or_rule(self, settings, key):
        self.place(key, since=-self.hour)
        [hold] = self.read(settings).holds
        assert (hold.source, hold.reason, hold.since) == ("manual", "manual_hold", SENT - self.hour)

    def test_had_come_by_then_and_not_gone(self, settings):
        self.place("l:L1", since=self.hour)
        self.place("l:L1", since=-self.hour * 2, until=-self.hour)
        assert self.read(settings).holds == ()

    def test_read_the_same_after_they_are_released(self, settings):
        self.place("l:L1", since=-self.hour)
        before = self.read(settings)
        now = SENT + self.hour
        Hold.objects.update(released_at=now)
        HoldCover.objects.update(released_at=now)
        assert read().history == before

    def test_on_who_owned_the_loan_before_do_not_count(self, settings):
        self.place("c:C0", since=-self.hour)
        old = {**loan_lines(customer="C0")[0], "posted_at": at(60)}
        moved = {**loan_lines()[0], "posted_at": at(50)}
        assert self.read(settings, customer_line("C0", phone=OTHER), old, moved, message_line()).holds == ()

    def test_are_not_looked_for_before_the_gate_was_required(self, settings):
        self.place("l:L1", since=-self.hour)
        settings.GATE_REQUIRED_FROM = SENT + self.hour
        send_records(RULE, customer_line(), *loan_lines(), message_line())
        history = read().history
        assert (history.holds, history.gate_required_from) == ((), SENT + self.hour)


class TestAll:
    def test_takes_as_many_statements_for_many_messages_as_for_one(self, settings):
        settings.GATE_REQUIRED_FROM = SENT - timedelta(days=90)
        numbers = range(1, 9)
        send_records(
            RULE,
            *(customer_line(f"C{n}", phone=f"+861381234000{n}") for n in numbers),
            *(line for n in numbers for line in loan_lines(f"L{n}", customer=f"C{n}")),
            *(message_line(f"M{n}", loan=f"L{n}", phone=f"+861381234000{n}", permit=str(permit_id())) for n in numbers),
            *watermarks(),
        )
        messages = list(Message.objects.order_by("external_id"))
        with CaptureQueriesContext(connection) as one:
            assemble(messages=messages[:1])
        with CaptureQueriesContext(connection) as all_of_them:
            found = assemble(messages=messages)
        assert len(all_of_them) == len(one)
        for message in messages:
            assert found[message.pk] == assemble(messages=[message])[message.pk]

    def test_gives_the_same_input_in_whatever_order_the_lines_came(self):
        lines = [
            RULE,
            customer_line(posted_at=at(30)),
            customer_line(phone=OTHER, posted_at=at(9)),
            *loan_lines(),
            message_line("M2", sent_at=at(0.1), posted_at=at(0.1)),
            message_line("M3", sent_at=at(2), posted_at=at(2)),
            message_line(posted_at=at(0)),
        ]
        texts = set()
        for turned in (lines, lines[::-1]):
            with undone():
                send_records(*turned)
                found = read()
                assert len(found.history.sent) == 2
                text = dump_input(
                    history=found.history,
                    message=found.message,
                    claim=Claim(ground="too_frequent"),
                    pack_name=found.pack.name,
                    pack_version=found.pack.version,
                )
                texts.add(text)
        assert len(texts) == 1


def permit_id() -> uuid.UUID:
    return new_id()
