"""Several statements in one call: each as if it had been sent by itself."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from config.statements import Statement, as_json, as_row, insert, make, run
from config.values.ids import new_id
from disputes.cases.models import Dispute
from disputes.holds.models import Hold
from disputes.notices.models import Notice
from disputes.outbox.models import OutboxTopic
from disputes.routing.models import Clock
from tests.races import PATIENCE, at_once, until_somebody_waits_for_me

AT = datetime(2026, 11, 28, 9, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.django_db
class TestOneCall:
    def test_answers_every_statement_in_its_order(self) -> None:
        first, none, last = (
            Statement("SELECT n, %s FROM generate_series(1, %s) AS n", ["a;\nb%", 2]),
            Statement("UPDATE disputes_outboxtopic SET attempts = %s WHERE key = %s", [1, "nobody's"]),
            Statement("SELECT %s::text", [None]),
        )
        run(first, none, last)
        assert (first.rows, none.rows, last.rows) == ([(1, "a;\nb%"), (2, "a;\nb%")], [], [(None,)])

    def test_of_any_number_of_parameters_says_the_same(self) -> None:
        few, many = ([Statement("SELECT %s::text, '%%'", [f"it's {n}"]) for n in range(count)] for count in (3, 90))
        for asked in (few, many):
            run(*asked)
            assert [one.rows for one in asked] == [[(f"it's {n}", "%")] for n in range(len(asked))]

    def test_ends_with_the_first_that_fails(self) -> None:
        row = {"topic": "t", "key": "k", "payload": {}, "due_at": AT}
        bad = OutboxTopic(**row, id=1)
        with pytest.raises(IntegrityError), transaction.atomic():
            run(insert(bad), insert(bad), insert(OutboxTopic(**row, id=2)))
        assert not OutboxTopic.objects.exists()


def dispute() -> Dispute:
    return Dispute(
        ground="already_paid",
        language="en",
        channel="app",
        person="c:C1",
        customer="C1",
        phone_digest=b"\1" * 17,
        opened_by_type="customer",
        message_key="?",
        statement="I've paid 100 %s; really",
        watching=["loan:L1"],
        policy_name="house",
        policy_version="1",
        opened_at=AT,
        acknowledge_by=AT,
        first_answer_by=AT,
        decide_by=AT,
    )


def hold() -> Hold:
    return Hold(source="manual", scope="loan", reason="manual_hold", placed_at=AT, placed_by="user:1", why='"; \\')


def notice() -> Notice:
    return Notice(
        kind="k",
        subject=new_id(),
        key="1",
        channel="sms",
        address="+8613812340001",
        address_digest=b"\2" * 17,
        language="zh-hans",
        subject_line="",
        text="您的异议",
        queued_at=AT,
    )


@pytest.mark.django_db
@pytest.mark.parametrize("made", [dispute, hold, notice], ids=["dispute", "hold", "notice"])
def test_a_row_is_inserted_as_it_would_be_saved(made: Any) -> None:
    saved, inserted = made(), made()
    if isinstance(saved, Dispute):
        saved.message_key = "another"  # one person has one open dispute about a message
    saved.save(force_insert=True)
    run(insert(inserted))
    stored, like = (type(one).objects.get(pk=one.pk) for one in (inserted, saved))
    apart = {"id", "reference", "subject", "message_key", "claimed_until"}
    for one in stored._meta.concrete_fields:
        if one.name not in apart:
            assert getattr(stored, one.attname) == getattr(like, one.attname), one.name


@pytest.mark.django_db
def test_several_rows_are_inserted_at_once_also_where_one_lacks_a_value() -> None:
    one = {"dispute": new_id(), "business": False, "started_at": AT, "due_at": AT, "pack": "house 1"}
    run(insert(Clock(kind="first_answer", **one), Clock(kind="decide", warn_at=AT, **one)))
    assert dict(Clock.objects.values_list("kind", "warn_at")) == {"first_answer": None, "decide": AT}


@pytest.mark.django_db(transaction=True)
class TestAStatementAfterALock:
    """Somebody holds the row, changes another and commits while the call waits for the row."""

    def seen(self, *asked: Statement) -> Any:
        locked, changed = (
            OutboxTopic.objects.create(topic=topic, key="before", due_at=timezone.now()) for topic in ("row", "other")
        )
        held = threading.Event()

        def change() -> None:
            with transaction.atomic():
                run(Statement("SELECT FROM disputes_outboxtopic WHERE id = %s FOR UPDATE", [locked.pk]))
                held.set()
                until_somebody_waits_for_me()
                OutboxTopic.objects.filter(pk=changed.pk).update(key="after")

        def ask() -> None:
            assert held.wait(PATIENCE)
            with transaction.atomic():
                run(*asked)

        assert at_once([change, ask]) == [None, None]
        return asked[-1].rows[-1][-1]

    def test_sees_what_was_committed_before_the_lock_was_got(self) -> None:
        lock = Statement("SELECT id FROM disputes_outboxtopic WHERE topic = 'row' FOR UPDATE")
        assert self.seen(lock, Statement("SELECT key FROM disputes_outboxtopic WHERE topic = 'other'")) == "after"

    def test_control_in_the_same_statement_it_does_not(self) -> None:
        both = Statement(
            "WITH locked AS MATERIALIZED (SELECT id FROM disputes_outboxtopic WHERE topic = 'row' FOR UPDATE)"
            " SELECT locked.id, other.key FROM locked CROSS JOIN disputes_outboxtopic AS other"
            " WHERE other.topic = 'other'"
        )
        assert self.seen(both) == "before"


class TestANewObject:
    @pytest.mark.parametrize(
        ("model", "values"),
        [
            (Dispute, {"status": "checking", "message_id": new_id(), "watching": ["loan:L1"]}),
            (Clock, {"kind": "decide", "business": True, "started_at": AT}),
            (Notice, {"kind": "k", "text": "sealed", "address_digest": b"\1" * 17}),
            (Hold, {"source": "manual"}),
            (OutboxTopic, {"topic": "t"}),
        ],
    )
    def test_is_as_its_model_makes_it(self, model: type[Any], values: dict[str, Any]) -> None:
        made, plain = make(model, **values), model(**values)
        for field in model._meta.concrete_fields:
            ours, theirs = (getattr(one, field.attname) for one in (made, plain))
            anew = field.has_default() and callable(field.default) and field.attname not in values
            if anew or field.has_db_default():
                assert type(ours) is type(theirs)
            else:
                assert repr(ours) == repr(theirs)
        assert made._state.adding
        assert make(model).pk != make(model).pk or made.pk is None

    def test_shares_nothing_that_can_be_changed(self) -> None:
        one, other = make(Dispute), make(Dispute)
        one.watching.append("loan:L1")
        assert other.watching == []

    def test_refuses_what_its_model_has_not(self) -> None:
        with pytest.raises(TypeError, match="colour"):
            make(Hold, colour="red")


class TestARow:
    def test_is_what_would_be_written_but_null_and_what_the_database_makes(self) -> None:
        sealed = dict.fromkeys(("address", "subject_line", "text"), "sealed")
        row = as_row(make(Notice, kind="k", address_digest=b"\1\2", queued_at=AT, **sealed))
        assert row["address_digest"] == "\\x0102"
        assert row["text"].startswith("\\x")
        assert "sealed" not in row["text"]
        assert not {"claimed_until", "provider_ref", "delivered_at"} & row.keys()
        assert json.loads(as_json(row))["queued_at"] == "2026-11-28T09:00:00.123456Z"
