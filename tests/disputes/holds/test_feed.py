"""The feed: numbered in commit order, so that whoever reads on from a number misses nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from django.db import transaction
from recourse_client.local_copy import LocalCopy
from recourse_client.reading import read_page

from config.statements import Statement
from disputes.holds import by_hand, feed, queries
from disputes.holds.models import Permit, SuppressionChange
from disputes.holds.placing import change_reason, number_changes, place_hold, release_hold, widen_hold
from disputes.holds.scopes import Covers
from disputes.notices.models import WebhookMessage
from disputes.notices.webhooks import register_endpoint
from tests import callers
from tests.disputes.holds import scene
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _pack(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)


def write_while_somebody_reads(writers: int, each: int) -> tuple[set[int], set[int]]:
    """(numbers that were committed, numbers that a reader saw who asks for what comes after the last it has)."""
    done = threading.Event()
    seen: list[int] = []

    def write(n: int) -> None:
        for number in range(each):
            with transaction.atomic(durable=True):
                place_hold(
                    source="manual",
                    scope="loan",
                    reason="manual_hold",
                    covers=Covers(loans=frozenset({f"L{n}-{number}"})),
                    actor=scene.ACTOR,
                    now=datetime.now(tz=UTC),
                )
                number_changes()
                # Between number and commit another may draw the next and commit first.
                time.sleep(0.001 * (n % 3))

    def write_all() -> None:
        results = at_once([partial(write, n) for n in range(writers)])
        done.set()
        assert results == [None] * writers, results

    def read() -> None:
        while True:
            last = done.is_set()
            rows = queries.changes_after(number=seen[-1] if seen else 0, limit=1000)
            seen.extend(row.number for row in rows)
            if last and not rows:
                return

    assert at_once([write_all, read]) == [None, None]
    return set(SuppressionChange.objects.values_list("number", flat=True)), set(seen)


def test_a_reader_who_goes_on_from_the_last_number_misses_nothing() -> None:
    committed, seen = write_while_somebody_reads(writers=6, each=40)
    assert len(committed) == 240
    assert committed - seen == set()


def test_control_without_the_lock_some_are_missed() -> None:
    for _ in range(30):
        with patch.object(feed, "_lock_numbers", lambda: Statement("SELECT 1")):
            committed, seen = write_while_somebody_reads(writers=6, each=40)
        if committed - seen:
            return
    pytest.fail("nothing was missed: the race proves nothing")


def test_changes_of_a_transaction_that_was_rolled_back_are_never_written() -> None:
    scene.lender()
    with transaction.atomic():
        place(loan="L11")
        transaction.set_rollback(True)
    with transaction.atomic():
        place(loan="L12")
        number_changes()
    assert [change.keys for change in SuppressionChange.objects.all()] == [["l:L12"]]


def test_a_transaction_that_forgets_its_numbers_has_them_late() -> None:
    scene.lender()
    with transaction.atomic():
        place(loan="L11")
    assert [change.keys for change in SuppressionChange.objects.all()] == [["l:L11"]]


def place(*, loan: str) -> Any:
    return place_hold(
        source="manual",
        scope="loan",
        reason="manual_hold",
        covers=Covers(loans=frozenset({loan})),
        actor=scene.ACTOR,
        now=datetime.now(tz=UTC),
    )


def listen() -> None:
    """Somebody wants the webhooks of what is placed."""
    register_endpoint(url="http://127.0.0.1:9/x", events=["hold.placed"], created_by="t", now=datetime.now(tz=UTC))


class TestACampaignThatIsPaused:
    """Very many permits are recalled at once: no row, and no page, lists more than it has room for."""

    def pause(self, permits: int) -> tuple[str, list[str]]:
        """(the pause of a rule by which so many permits are out, their ids in the order in which they were granted)"""
        scene.lender()
        at = datetime.now(tz=UTC)
        granted = Permit.objects.bulk_create(
            Permit(
                caller=scene.SENDER,
                request_id=f"r{n}",
                granted_at=at + timedelta(microseconds=n),
                expires_at=at + timedelta(minutes=10),
                phone_digest=scene.digest(1),
                channel="sms",
                category="urge",
                sending_rule="R7",
            )
            for n in range(permits)
        )
        with transaction.atomic():
            placed = by_hand.pause_rule(rule="R7", why="wrong list", actor=scene.ACTOR, now=at, supervisor=True)
        ids = [str(permit.pk) for permit in granted]
        assert [str(permit.id) for permit in placed.permits_out] == ids
        return str(placed.hold.pk), ids

    def test_is_told_in_rows_that_follow_each_other(self) -> None:
        hold, ids = self.pause(2 * feed.LISTED + 1)
        rows = list(SuppressionChange.objects.order_by("number"))
        assert [(row.kind, len(row.permits_out)) for row in rows] == [
            ("placed", feed.LISTED),
            ("changed", feed.LISTED),
            ("changed", 1),
        ]
        assert [one["id"] for row in rows for one in row.permits_out] == ids
        assert {(str(row.hold_id), row.scope, row.reason, *row.keys) for row in rows} == {
            (hold, "sending_rule", "rule_paused", "r:R7")
        }
        assert rows[-1].number - rows[0].number == 2, "nothing comes between them"

    def test_is_brought_to_the_database_in_statements_of_a_bounded_length(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And one after the other is numbered as all at once."""
        monkeypatch.setattr(feed, "LISTED", 2)
        monkeypatch.setattr(feed, "TOLD_AT_ONCE", 4)
        brought: list[int] = []

        def numbered(rows: Any) -> Any:
            for statement in told(rows):
                brought.append(sum(len(row["permits_out"]) for row in json.loads(statement.parameters[0])))
                yield statement

        told = feed._numbered
        monkeypatch.setattr(feed, "_numbered", numbered)
        _, ids = self.pause(11)
        rows = list(SuppressionChange.objects.order_by("number"))
        assert brought == [4, 4, 3]
        assert [(row.kind, len(row.permits_out)) for row in rows] == [
            ("placed", 2),
            *[("changed", 2)] * 4,
            ("changed", 1),
        ]
        assert [one["id"] for row in rows for one in row.permits_out] == ids
        assert rows[-1].number - rows[0].number == 5, "nothing comes between them"

    def test_is_told_in_one_row_where_that_has_room(self) -> None:
        self.pause(feed.LISTED)
        assert [row.kind for row in SuppressionChange.objects.all()] == ["placed"]

    def test_is_read_whole_page_by_page_by_the_senders_copy(self) -> None:
        _, ids = self.pause(queries.PERMITS_A_PAGE + feed.LISTED + 1)
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        gateway, copy, listed = callers.system("suppressions:read"), LocalCopy(), []
        more = True
        while more:
            after = copy.begin("http://recourse.example")
            answer = gateway.get(f"/api/v1/suppressions/changes?after={after}")
            page = read_page(answer.content, after=after)
            copy.apply(page, since=after, asked_at=0.0)
            listed.append([permit["id"] for row in answer.json()["results"] for permit in row["permits_out"]])
            more = page.more
            assert copy.is_held(rule="R7")
            assert (copy.age() == float("inf")) == more, "whole with the last page alone"
        assert [len(one) for one in listed] == [queries.PERMITS_A_PAGE, feed.LISTED + 1]
        assert [*listed[0], *listed[1]] == ids
        assert all(copy.is_recalled(permit) for permit in (ids[0], ids[feed.LISTED], ids[-1]))
        assert copy.is_held(loan="L11"), "and what came after it"

    def test_is_announced_with_as_many_permits_as_a_row_lists_and_the_feed_has_the_rest_of_the_hold(self) -> None:
        listen()
        hold, ids = self.pause(2 * feed.LISTED + 1)
        told = json.loads(WebhookMessage.objects.get().body)["data"]["hold"]
        assert (told["id"], told["permits_out_count"]) == (hold, len(ids))
        assert [permit["id"] for permit in told["permits_out"]] == ids[: feed.LISTED]
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        gateway, listed, after, more = callers.system("suppressions:read"), [], 0, True
        while more:
            page = gateway.get(f"/api/v1/suppressions/changes?hold={hold}&after={after}").json()
            after, more = page["after"], page["more"]
            assert {row["hold"] for row in page["results"]} == {hold}
            listed += [permit["id"] for row in page["results"] for permit in row["permits_out"]]
        assert listed == ids

    def test_is_announced_whole_where_a_body_has_room(self) -> None:
        listen()
        _, ids = self.pause(feed.LISTED)
        told = json.loads(WebhookMessage.objects.get().body)["data"]["hold"]
        assert ([permit["id"] for permit in told["permits_out"]], told["permits_out_count"]) == (ids, feed.LISTED)

    def test_a_row_that_is_longer_than_a_page_is_a_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pause(3)
        scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        monkeypatch.setattr(queries, "PERMITS_A_PAGE", 2)
        (first,), more = queries.page_of_changes(number=0, limit=100)
        assert (len(first.permits_out), more) == (3, True)
        (second,), more = queries.page_of_changes(number=first.number, limit=100)
        assert (second.permits_out, more) == ([], False)


class TestOverHttp:
    def test_the_feed_is_read_on_from_a_number(self) -> None:
        scene.lender()
        gateway = callers.system("suppressions:read")
        (out,) = scene.ask(scene.item(1))
        assert out.permit
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        with transaction.atomic():
            release_hold(hold=placed.hold, actor=scene.ACTOR, reason="x", now=datetime.now(tz=UTC))
            number_changes()
        first = gateway.get("/api/v1/suppressions/changes?limit=1").json()
        assert first["more"] is True
        (row,) = first["results"]
        assert (row["kind"], row["hold"], row["covers"]["loans"]) == ("placed", str(placed.hold.pk), ["L11"])
        assert [permit["id"] for permit in row["permits_out"]] == [str(out.permit.id)]
        second = gateway.get(f"/api/v1/suppressions/changes?after={first['after']}").json()
        assert [row["kind"] for row in second["results"]] == ["released"]
        end = gateway.get(f"/api/v1/suppressions/changes?after={second['after']}").json()
        assert end == {"after": second["after"], "more": False, "results": []}

    @pytest.mark.parametrize(
        "query", ["after=x", "after=-1", f"after={2**70}", "limit=0", "limit=101", "hold=", "hold=x"]
    )
    def test_a_bad_query_is_named(self, query: str) -> None:
        answer = callers.system("suppressions:read").get(f"/api/v1/suppressions/changes?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == query.partition("=")[0]

    def test_a_plus_sign_that_was_not_escaped_is_read_as_one(self) -> None:
        scene.lender()
        scene.dispute("not_my_debt", loan="L11", n=1, customer="C1")
        gateway = callers.system("suppressions:read")
        (row,) = gateway.get(f"/api/v1/suppressions?phone={scene.number(1)}").json()["results"]
        assert row["scope"] == "phone"

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("phone=", "blank"),
            ("loan=", "blank"),
            ("at=", "naive"),
            ("phones=%2B8613812340001", "unknown_field"),
            ("phone=%2B8613812340001&before=2026-01-01T00:00:00Z", "unknown_field"),
        ],
    )
    def test_a_filter_that_filters_nothing_is_refused(self, query: str, code: str) -> None:
        answer = callers.system("suppressions:read").get(f"/api/v1/suppressions?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)

    def test_an_instant_of_any_offset_is_asked_for(self) -> None:
        answer = callers.system("suppressions:read").get("/api/v1/suppressions?at=2026-01-01T00:00:00%2B23:59&limit=5")
        assert (answer.status_code, answer.json()["results"]) == (200, [])

    def test_what_is_held_now_and_what_was(self) -> None:
        scene.lender()
        gateway = callers.system("suppressions:read")
        placed = scene.dispute("not_my_debt", loan="L11", n=1, customer="C1")
        scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
        at = placed.hold.placed_at.isoformat().replace("+00:00", "Z")
        phone = scene.number(1).replace("+", "%2B")
        assert len(gateway.get("/api/v1/suppressions").json()["results"]) == 2
        (row,) = gateway.get(f"/api/v1/suppressions?phone={phone}").json()["results"]
        assert (row["id"], row["scope"], row["source"]) == (str(placed.hold.pk), "phone", "dispute")
        with transaction.atomic():
            release_hold(hold=placed.hold, actor=scene.ACTOR, reason="x", now=datetime.now(tz=UTC))
            number_changes()
        assert gateway.get(f"/api/v1/suppressions?phone={phone}").json()["results"] == []
        assert len(gateway.get(f"/api/v1/suppressions?phone={phone}&at={at}").json()["results"]) == 1
        before = "2020-01-01T00:00:00Z"
        assert gateway.get(f"/api/v1/suppressions?phone={phone}&at={before}").json()["results"] == []

    def test_a_past_instant_shows_scope_and_reason_as_they_were_then(self) -> None:
        """A dispute's hold that was widened, then waited for the outcome's delivery, then for the records."""
        scene.lender()
        placed = scene.dispute("not_overdue", loan="L11", n=1, customer="C1")
        instants = [placed.hold.placed_at]

        def act(change: Callable[[], Any]) -> None:
            with transaction.atomic():
                change()
                number_changes()
            instants.append(datetime.now(tz=UTC))

        now = {"hold": placed.hold, "now": datetime.now(tz=UTC)}
        act(lambda: None)
        act(lambda: widen_hold(covers=Covers(phones=frozenset({scene.digest(1)})), **now))
        act(lambda: change_reason(reason="outcome_not_delivered", **now))
        act(lambda: change_reason(reason="records_not_corrected", **now))
        last = datetime.now(tz=UTC)
        act(lambda: release_hold(actor=scene.ACTOR, reason="x", **now))
        gateway, seen = callers.system("suppressions:read"), []
        for at in [*instants[:-1], last]:
            query = urlencode({"loan": "L11", "at": at.isoformat()})
            (row,) = gateway.get(f"/api/v1/suppressions?{query}").json()["results"]
            seen.append((row["scope"], row["reason"], len(row["covers"]["phone_digests"])))
        assert seen == [
            ("loan", "dispute_pending", 0),
            ("loan", "dispute_pending", 0),
            ("loan_and_phone", "dispute_pending", 1),
            ("loan_and_phone", "outcome_not_delivered", 1),
            ("loan_and_phone", "records_not_corrected", 1),
            ("loan_and_phone", "records_not_corrected", 1),
        ]
        query = urlencode({"loan": "L11", "at": datetime.now(tz=UTC).isoformat()})
        assert gateway.get(f"/api/v1/suppressions?{query}").json()["results"] == []
