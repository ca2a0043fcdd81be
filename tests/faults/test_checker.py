"""The checker on histories written by hand: each forbidden order is found, and its lawful neighbour is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.checker import breaches, interleavings
from tests.faults.history import (
    Asked,
    HandedBack,
    Held,
    History,
    Kept,
    KeptChange,
    KeptDispute,
    KeptHold,
    KeptPermit,
    Read,
    Released,
)

KEYS = frozenset({"l:L1", "p:1"})
T = datetime(2026, 3, 1, tzinfo=UTC)


def asked(invoked: float, answered: float | None, permit: str | None = "P", **more: Any) -> Asked:
    return Asked(who="g", invoked=invoked, answered=answered, request="r", keys=KEYS, permit=permit, **more)


def held(invoked: float, answered: float | None, *out: str, **more: Any) -> Held:
    fields: dict[str, Any] = {"key": "k", "name": "d:D", "hold": "H", "dispute": "D", "keys": frozenset({"l:L1"})}
    return Held(who="d", invoked=invoked, answered=answered, out=frozenset(out), **fields | more)


def released(invoked: float, answered: float | None = None) -> Released:
    return Released(who="d", invoked=invoked, answered=answered, name="d:D")


def back(invoked: float, answered: float | None = None) -> HandedBack:
    return HandedBack(who="g", invoked=invoked, answered=answered, permit="P")


def found(kept: Kept | None = None, **history: Any) -> set[str]:
    return {breach.how for breach in breaches(history=History(**history), kept=kept)}


class TestAPermitAndAHold:
    def test_asked_for_after_the_answer_of_the_hold(self):
        assert found(asked=[asked(3, 4)], held=[held(1, 2)]) == {"granted against a hold"}

    def test_listed_and_given_again_after_it(self):
        assert found(asked=[asked(3, 4)], held=[held(1, 2, "P")]) == {"granted against a hold"}

    def test_refused_after_it(self):
        assert found(asked=[asked(3, 4, None)], held=[held(1, 2)]) == set()

    def test_asked_for_after_it_and_answered_after_its_release_was_asked_for(self):
        assert found(asked=[asked(3, 6)], held=[held(1, 2)], released=[released(5)]) == set()
        assert found(asked=[asked(3, 6)], held=[held(1, 2)], released=[released(7)]) == {"granted against a hold"}

    def test_answered_before_the_hold_was_asked_for(self):
        assert found(asked=[asked(1, 2)], held=[held(3, 4)]) == {"missing in permits_out"}
        assert found(asked=[asked(1, 2)], held=[held(3, 4, "P")]) == set()

    def test_ended_before_the_answer(self):
        assert found(asked=[asked(1, 2, expires=3.5)], held=[held(3, 4)]) == set()
        assert found(asked=[asked(1, 2, expires=4.5)], held=[held(3, 4)]) == {"missing in permits_out"}

    def test_handed_back_before_the_answer_or_maybe(self):
        assert found(asked=[asked(1, 2)], held=[held(3, 4)], handed_back=[back(3.5)]) == set()
        assert found(asked=[asked(1, 2)], held=[held(3, 4)], handed_back=[back(5)]) == {"missing in permits_out"}

    def test_under_way_together(self):
        assert found(asked=[asked(1, 5)], held=[held(2, 3)]) == {"neither before the hold nor refused"}
        assert found(asked=[asked(1, 5)], held=[held(2, 3, "P")]) == set()
        assert found(asked=[asked(1, 5)], held=[held(2, 3)], released=[released(4)]) == set()

    def test_of_another_loan(self):
        assert found(asked=[asked(3, 4)], held=[held(1, 2, keys=frozenset({"l:L2"}))]) == set()

    def test_calls_that_died_may_or_may_not_have_happened(self):
        assert found(asked=[asked(3, None, None)], held=[held(1, 2)]) == set()
        assert found(asked=[asked(3, 4)], held=[held(1, None, hold=None, dispute=None)]) == set()

    def test_a_release_that_died_may_have_happened(self):
        assert found(asked=[asked(5, 6)], held=[held(1, 2)], released=[released(3, None)]) == set()


class TestACapOfOne:
    def test_is_broken_by_two_that_count_at_one_instant(self):
        first, second = asked(1, 2, "P", capped="C"), asked(1, 3, "Q", capped="C")
        assert found(asked=[first, second]) == {"two permits over a cap of one"}

    def test_is_kept_where_the_first_may_have_been_handed_back(self):
        first, second = asked(1, 2, "P", capped="C"), asked(1, 5, "Q", capped="C")
        assert found(asked=[first, second], handed_back=[back(4)]) == set()
        assert found(asked=[first, second], handed_back=[back(6)]) == {"two permits over a cap of one"}

    def test_counts_a_permit_that_was_given_again_once(self):
        assert found(asked=[asked(1, 2, capped="C"), asked(3, 4, capped="C")]) == set()


class TestDisputes:
    def test_two_open_where_one_is_allowed(self):
        one, other = (
            held(at, at + 1, hold=f"H{at}", dispute=f"D{at}", name=f"d:D{at}", key=f"k{at}", one_of="C1 M1")
            for at in (1, 3)
        )
        assert found(held=[one, other]) == {"two open disputes where one is allowed"}
        withdrawn = Released(who="d", invoked=2.5, answered=None, name="d:D1")
        assert found(held=[one, other], released=[withdrawn]) == set()

    def test_one_key_with_two_effects(self):
        assert found(held=[held(1, 2, hold="H1"), held(3, 4, hold="H2")]) == {"an idempotency key with two effects"}
        assert found(held=[held(1, 2), held(3, 4)]) == set()


def permit(at: float, **more: Any) -> KeptPermit:
    fields: dict[str, Any] = {"id": "P", "request": "r", "keys": KEYS, "expires_at": T + timedelta(seconds=60)}
    return KeptPermit(**fields | {"granted_at": T + timedelta(seconds=at)} | more)


def hold(at: float, until: float | None = None, **more: Any) -> KeptHold:
    placed = T + timedelta(seconds=at)
    ended = None if until is None else T + timedelta(seconds=until)
    fields: dict[str, Any] = {"id": "H", "name": "d:D", "covers": {"l:L1": placed}, "released_events": int(bool(ended))}
    return KeptHold(**fields | {"placed_at": placed, "released_at": ended} | more)


PLACED = KeptChange(number=1, hold="H", kind="placed", out=frozenset({"P"}))
BARE = KeptChange(number=1, hold="H", kind="placed")
ENDED = KeptChange(number=2, hold="H", kind="released")


def database(**kept: Any) -> set[str]:
    return found(Kept(**kept))


class TestWhatTheDatabaseKept:
    def test_a_permit_granted_while_the_hold_stood(self):
        assert database(permits=[permit(2)], holds=[hold(1)], feed=[BARE]) == {"granted against a hold"}

    def test_a_permit_granted_before_and_not_listed(self):
        assert database(permits=[permit(0)], holds=[hold(1)], feed=[BARE]) == {"missing in permits_out"}
        assert database(permits=[permit(0)], holds=[hold(1)], feed=[PLACED]) == set()

    def test_two_permits_over_a_cap(self):
        two = [permit(1, capped="C"), permit(2, id="Q", capped="C")]
        assert database(permits=two) == {"two permits over a cap of one"}
        handed = [permit(1, capped="C", unused_at=T + timedelta(seconds=1.5)), permit(2, id="Q", capped="C")]
        assert database(permits=handed) == set()

    def test_two_permits_over_a_cap_of_which_the_first_was_handed_back_while_the_second_was_decided(self):
        handed = permit(1, capped="C", unused_at=T + timedelta(seconds=2.1))
        kept = Kept(permits=[handed, permit(2, id="Q", capped="C")])
        first, second = asked(1, 1.5, "P", capped="C"), asked(1.9, 2.4, "Q", capped="C")
        assert found(kept, asked=[first, second], handed_back=[back(2, 2.2)]) == set()
        assert found(kept, asked=[first], handed_back=[back(2, 2.2)]) == set()
        assert found(kept, asked=[first, second], handed_back=[back(2.5, 2.6)]) == {"two permits over a cap of one"}
        after = asked(2.3, 2.4, "Q", capped="C")
        assert found(kept, asked=[first, after], handed_back=[back(2, 2.2)]) == {"two permits over a cap of one"}
        assert database(permits=kept.permits) == {"two permits over a cap of one"}
        late = permit(1, capped="C", unused_at=T + timedelta(seconds=20))
        kept = Kept(permits=[late, permit(2, id="Q", capped="C")])
        assert found(kept, asked=[first], handed_back=[back(2, 2.2)]) == {"two permits over a cap of one"}

    def test_something_acknowledged_that_is_not_there(self):
        assert found(Kept(), asked=[asked(1, 2)]) == {"acknowledged and not kept"}
        assert found(Kept(), held=[held(1, 2)]) == {"acknowledged and not kept"}
        kept = Kept(permits=[permit(1)])
        assert found(kept, asked=[asked(1, 2)], handed_back=[back(3, None)]) == set()
        assert found(kept, asked=[asked(1, 2)], handed_back=[back(3, 4)]) == {"acknowledged and not kept"}

    def test_a_hold_that_time_alone_released(self):
        kept = Kept(holds=[hold(1, 2)], feed=[BARE, ENDED])
        assert found(kept) == {"a hold released that nobody released"}
        assert found(kept, released=[released(1)]) == set()

    def test_a_hold_gone_though_its_dispute_is_open(self):
        kept = Kept(
            holds=[hold(1, 2, dispute="D")], feed=[BARE, ENDED], disputes=[KeptDispute(id="D", closed=False, one_of="")]
        )
        assert found(kept, released=[released(1)]) == {"a hold gone though its dispute is open"}

    def test_two_disputes_where_one_is_allowed_and_one_without_a_key(self):
        two = [KeptDispute(id=name, closed=False, one_of="C1 M1") for name in ("D", "E")]
        holds = [hold(1, id=name, dispute=name) for name in ("D", "E")]
        feed = [KeptChange(number=n, hold=name, kind="placed") for n, name in enumerate("DE")]
        assert database(disputes=two, holds=holds, feed=feed) == {"two open disputes where one is allowed"}
        nobodys = [KeptDispute(id="D", closed=True, one_of="", answers=0)]
        assert database(disputes=nobodys) == {"an idempotency key with two effects"}

    def test_journal_and_feed_that_do_not_say_it(self):
        assert database(holds=[hold(1, placed_events=2)], feed=[BARE]) == {"journal or feed do not say what was done"}
        assert database(holds=[hold(1)]) == {"journal or feed do not say what was done"}


class TestTheFeed:
    def test_a_row_that_a_reader_went_past(self):
        rows = [KeptChange(number=n, hold=f"H{n}", kind="placed") for n in (1, 2)]
        holds = [hold(1, id=f"H{n}") for n in (1, 2)]
        page = Read(who="r", invoked=1, answered=2, after=0, numbers=(2,), reached=2)
        assert found(Kept(feed=rows, holds=holds), read=[page]) == {"a row of the feed that a reader missed"}
        page = Read(who="r", invoked=1, answered=2, after=0, numbers=(1,), reached=1)
        assert found(Kept(feed=rows, holds=holds), read=[page]) == set()

    def test_a_release_numbered_before_its_hold(self):
        rows = [
            KeptChange(number=1, hold="H", kind="released"),
            KeptChange(number=2, hold="H", kind="placed"),
        ]
        kept = Kept(feed=rows, holds=[hold(1, 2)])
        assert found(kept, released=[released(1)]) == {"a number of the feed out of order"}

    def test_a_lower_number_for_what_came_later(self):
        rows = [KeptChange(number=5, hold="H1", kind="placed"), KeptChange(number=3, hold="H2", kind="placed")]
        kept = Kept(
            feed=rows,
            holds=[hold(1, id=f"H{n}") for n in (1, 2)],
            disputes=[KeptDispute(id="D", closed=True, one_of="")],
        )
        acts = [held(1, 2, hold="H1", key="a"), held(3, 4, hold="H2", key="b")]
        assert found(kept, held=acts) == {"a number of the feed out of order"}
        acts = [held(1, 3.5, hold="H1", key="a"), held(3, 4, hold="H2", key="b")]
        assert found(kept, held=acts) == set()


def test_interleavings_are_pairs_that_were_under_way_together():
    history = History(
        asked=[asked(1, 3), asked(5, 6)],
        held=[held(2, 4)],
        released=[released(7, 8)],
    )
    assert interleavings(history) == 1
