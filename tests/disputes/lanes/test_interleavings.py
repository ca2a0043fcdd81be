"""Every interleaving that can happen, walked by PostgreSQL's isolationtester: the forms of locking that the service
uses lose nothing in any of them, and those that it does not use are shown to lose."""

from __future__ import annotations

import pytest

from config.api.locks import FEED_NUMBER, NAMESPACE, RULES_NAMESPACE
from disputes.lanes.locking import lane_of_customer, lane_of_phone, stripe_of_rule
from tests.disputes.lanes.isolation import PHONE, SPECS, Order, Step, Walked, prelude, walk

pytestmark = pytest.mark.django_db(transaction=True)

C1, C2, P = lane_of_customer("C1"), lane_of_customer("C2"), lane_of_phone(PHONE)
R1 = stripe_of_rule("R1")


def test_the_specs_find_the_lanes_as_the_service_does() -> None:
    with prelude() as cursor:
        cursor.execute(
            "SELECT spec.lane('c:C1'), spec.lane('c:C2'), spec.lanes('C1'), spec.phone(), spec.stripe('r:R1')"
        )
        assert cursor.fetchone() == (C1, C2, [C1, P], PHONE, R1)
    assert f"pg_advisory_xact_lock({NAMESPACE}, {FEED_NUMBER})" in (SPECS / "feed.spec").read_text()
    assert f"pg_advisory_xact_lock({RULES_NAMESPACE}, spec.stripe" in (SPECS / "pause.spec").read_text()


def lost(walked: list[Walked]) -> list[tuple[str, ...]]:
    return [one.order for one in walked if one.found["lost"]]


class TestAGateAndAHold:
    COMMIT = Step(name="g_commit", ends=True)
    GATE = (Step(name="g_read", wants=(C1, P), skips=True), Step(name="g_grant"), COMMIT)
    GATE_UNLOCKED = (Step(name="g_read_unlocked"), Step(name="g_grant"), COMMIT)
    GATE_THAT_WAITS = (Step(name="g_lock", wants=(C1, P)), Step(name="g_grant_by_next_statement"), COMMIT)
    GATE_IN_ONE_STATEMENT = (Step(name="g_one_statement", wants=(C1, P)), COMMIT)
    GATE_IN_REPEATABLE_READ = (
        Step(name="g_lock_in_repeatable_read", wants=(C1, P)),
        Step(name="g_grant_by_next_statement"),
        COMMIT,
    )
    REST = (Step(name="d_hold"), Step(name="d_commit", ends=True))
    HOLD = (Step(name="d_lock", wants=(C1,)), Step(name="d_list"), *REST)
    HOLD_UNLOCKED = (Step(name="d_unlocked"), Step(name="d_list"), *REST)
    HOLD_IN_ONE_STATEMENT = (Step(name="d_lock_and_list", wants=(C1,)), *REST)
    HOLD_IN_REPEATABLE_READ = (Step(name="d_lock_in_repeatable_read", wants=(C1,)), Step(name="d_list"), *REST)

    @pytest.mark.parametrize("gate", [GATE, GATE_THAT_WAITS], ids=["skipping", "waiting"])
    def test_lock_and_read_in_the_next_statement_lose_nothing(self, gate: tuple[Step, ...]) -> None:
        walked = walk("gate_and_hold", gate, self.HOLD)
        assert lost(walked) == []
        assert {one.found["granted"] for one in walked} == {0, 1}, "some before the hold, some refused after it"

    def test_control_without_the_lock_most_lose(self) -> None:
        walked = walk("gate_and_hold", self.GATE_UNLOCKED, self.HOLD_UNLOCKED)
        assert (len(walked), len(lost(walked))) == (35, 30)

    @pytest.mark.parametrize(
        ("gate", "hold"),
        [
            (GATE_IN_ONE_STATEMENT, HOLD),
            (GATE_IN_REPEATABLE_READ, HOLD),
            (GATE, HOLD_IN_ONE_STATEMENT),
            (GATE, HOLD_IN_REPEATABLE_READ),
        ],
        ids=["gate in one statement", "gate in repeatable read", "hold in one statement", "hold in repeatable read"],
    )
    def test_control_a_snapshot_older_than_the_lock_loses_whoever_waited(
        self, gate: tuple[Step, ...], hold: tuple[Step, ...]
    ) -> None:
        """Nobody is told: under repeatable read there is no serialisation error, since a lane is never updated."""
        walked = walk("gate_and_hold", gate, hold)
        (stale,) = {gate[0].name, hold[0].name} - {self.GATE[0].name, self.HOLD[0].name}
        assert lost(walked) == [one.order for one in walked if stale in one.waited]
        assert lost(walked)


class TestAPausedRule:
    """Two gates share the rule's lock, and a pause has it alone; one that waits makes every new try fail."""

    @staticmethod
    def _gate(name: str, *, locked: bool) -> tuple[Step, ...]:
        read = Step(name=f"{name}_read", shares=(R1,)) if locked else Step(name=f"{name}_read_unlocked")
        return read, Step(name=f"{name}_grant", ends=True)

    @staticmethod
    def _pause(*, locked: bool) -> tuple[Step, ...]:
        lock = Step(name="p_lock", wants=(R1,)) if locked else Step(name="p_unlocked")
        return lock, Step(name="p_list"), Step(name="p_hold", ends=True)

    def test_each_permit_is_listed_or_refused(self) -> None:
        walked = walk("pause", self._gate("a", locked=True), self._gate("b", locked=True), self._pause(locked=True))
        assert lost(walked) == []
        assert {one.found["granted"] for one in walked} == {0, 1, 2}
        for one in walked:
            before = [name for name in "ab" if one.order.index(f"{name}_read") < one.order.index("p_lock")]
            assert one.found["granted"] == len(before), one

    def test_control_without_the_lock_some_are_lost(self) -> None:
        walked = walk("pause", self._gate("a", locked=False), self._gate("b", locked=False), self._pause(locked=False))
        assert len(walked) == 210
        assert len(lost(walked)) > 100


class TestALoanThatChangesHands:
    """Whoever moves it takes the lanes of both owners, and whoever decides about it looks again under the lanes."""

    def _gate(self, grant: str = "g_grant") -> tuple[Step, ...]:
        def lanes(order: Order) -> tuple[int, int]:
            return owner_read_at("g_owner", order), P

        return Step(name="g_owner"), Step(name="g_read", wants=lanes, skips=True), Step(name=grant, ends=True)

    def _dispute(self, listing: str = "d_list") -> tuple[Step, ...]:
        def lane(order: Order) -> tuple[int]:
            return (owner_read_at("d_owner", order),)

        return (
            Step(name="d_owner"),
            Step(name="d_lock", wants=lane),
            Step(name=listing),
            Step(name="d_hold", ends=True),
        )

    MOVE = (Step(name="m_move", wants=(C1, C2)), Step(name="m_commit", ends=True))
    MOVE_WITHOUT_LANES = (Step(name="m_move_without_lanes"), Step(name="m_commit", ends=True))

    def test_with_both_nothing_is_lost(self) -> None:
        walked = walk("changed_hands", self._gate(), self.MOVE, self._dispute())
        assert len(walked) == 583, "of 1,260 that could be written down, those that can happen"
        assert lost(walked) == []
        seen = {(one.found["granted"], one.found["held"]) for one in walked}
        assert seen >= {(1, 1), (0, 1), (1, 0)}, "listed; refused, or left for the next round; begun again"

    def test_control_a_move_without_the_lanes_loses(self) -> None:
        order = "g_owner g_read m_move_without_lanes m_commit d_owner d_lock d_list d_hold g_grant"
        assert self._loses(order, self._gate(), self.MOVE_WITHOUT_LANES, self._dispute())

    def test_control_a_gate_that_does_not_look_again_loses(self) -> None:
        """It takes the lane of the owner before, while the dispute has that of the owner of now."""
        order = "g_owner m_move m_commit d_owner d_lock d_list g_read d_hold g_grant_without_looking_again"
        assert self._loses(order, self._gate("g_grant_without_looking_again"), self.MOVE, self._dispute())

    def test_control_a_dispute_that_does_not_look_again_loses(self) -> None:
        order = "d_owner m_move m_commit g_owner g_read d_lock d_list_without_looking_again d_hold g_grant"
        assert self._loses(order, self._gate(), self.MOVE, self._dispute("d_list_without_looking_again"))

    @staticmethod
    def _loses(order: str, *sessions: tuple[Step, ...]) -> bool:
        wanted = tuple(order.split())
        return lost(walk("changed_hands", *sessions, only=lambda one: one == wanted)) == [wanted]


class TestTheLastSlot:
    @staticmethod
    def _gate(name: str, *, locked: bool) -> tuple[Step, ...]:
        read = Step(name=f"{name}_read", wants=(C1, P), skips=True) if locked else Step(name=f"{name}_read_unlocked")
        return read, Step(name=f"{name}_grant"), Step(name=f"{name}_commit", ends=True)

    def test_with_the_lanes_one_of_two_gates_has_it(self) -> None:
        walked = walk("last_slot", self._gate("a", locked=True), self._gate("b", locked=True))
        assert [one.found["granted"] for one in walked] == [1] * 20

    def test_control_without_them_both_have_it(self) -> None:
        walked = walk("last_slot", self._gate("a", locked=False), self._gate("b", locked=False))
        assert [one.found["granted"] for one in walked].count(2) == 18, "all but one after the other"

    def test_control_counted_and_written_in_one_statement_both_have_it(self) -> None:
        sessions = [(Step(name=f"{name}_one_statement"), Step(name=f"{name}_commit", ends=True)) for name in "ab"]
        walked = walk("last_slot", *sessions)
        assert [one.found["granted"] for one in walked].count(2) == 4


class TestTheFeedsNumber:
    @staticmethod
    def _writer(name: str, *, locked: bool) -> tuple[Step, ...]:
        begin = Step(name=f"{name}_lock", wants=(FEED_NUMBER,)) if locked else Step(name=f"{name}_unlocked")
        return begin, Step(name=f"{name}_number"), Step(name=f"{name}_commit", ends=True)

    READER = (Step(name="r_read"),)

    def test_under_its_lock_a_reader_who_goes_on_from_the_last_skips_nothing(self) -> None:
        walked = walk("feed", self._writer("a", locked=True), self._writer("b", locked=True), self.READER)
        assert [one.order for one in walked if one.found["skipped"]] == []
        assert {one.found["seen_early"] for one in walked} == {0, 1, 2}

    def test_control_without_it_some_are_skipped(self) -> None:
        walked = walk("feed", self._writer("a", locked=False), self._writer("b", locked=False), self.READER)
        assert len(walked) == 140
        assert [one.order for one in walked if one.found["skipped"]]


class TestRounds:
    """What a gate got no lanes of is not decided, neither so nor so, and is decided in the next round."""

    DISPUTE = TestAGateAndAHold.HOLD

    @staticmethod
    def _gate(grant: str = "g_first_grant") -> tuple[Step, ...]:
        def left(order: Order) -> tuple[int, ...]:
            """The second round asks for what the first one left."""
            return (C1, P) if in_use(order, "g_first_read") and grant == "g_first_grant" else ()

        return (
            Step(name="g_first_read", wants=(C1, C2, P), skips=True),
            Step(name=grant, ends=True),
            Step(name="g_second_read", wants=left, skips=True),
            Step(name="g_second_grant", ends=True),
        )

    def test_an_item_whose_lanes_were_not_got_waits_for_the_next_round_and_stops_no_other(self) -> None:
        walked = walk("rounds", self._gate(), self.DISPUTE)
        assert lost(walked) == []
        for one in walked:
            held_up = {read: in_use(one.order, read) for read in ("g_first_read", "g_second_read")}
            expected = 1 if not held_up["g_first_read"] else 2 if not held_up["g_second_read"] else 0
            assert one.found["l1_in_round"] == expected, one
            assert (one.found["l2_in_round"], one.found["granted_l2"]) == (1, 1), one
            assert one.found["granted_l1"] == (expected == 1 and not after_the_hold(one.order, "g_first_read")), one
        assert {one.found["l1_in_round"] for one in walked} == {0, 1, 2}

    def test_control_deciding_what_no_lane_was_got_of_loses(self) -> None:
        assert lost(walk("rounds", self._gate("g_first_grant_all"), self.DISPUTE))


class TestAPermitThatIsHandedBack:
    """Whoever is told that the slot is free is told so before the message was recorded."""

    ROW = (0,)
    IMPORT = (Step(name="i_mark", wants=ROW), Step(name="i_commit", ends=True))

    def test_is_not_where_its_message_came_first(self) -> None:
        walked = walk("hand_back", self.IMPORT, (Step(name="s_hand_back", wants=self.ROW, ends=True),))
        assert len(walked) == 3
        for one in walked:
            first = one.order.index("s_hand_back") == 0
            assert (one.found["handed_back"], one.found["used"]) == (first, 1), one

    def test_control_who_looks_and_then_writes_is_told_so_of_a_used_one(self) -> None:
        sender = (Step(name="s_look"), Step(name="s_hand_back_anyway", wants=self.ROW, ends=True))
        walked = walk("hand_back", self.IMPORT, sender)
        wrong = [one.order for one in walked if one.found["handed_back"] and one.order.index("s_hand_back_anyway") > 1]
        assert ("s_look", "i_mark", "i_commit", "s_hand_back_anyway") in wrong


def owner_read_at(step: str, order: Order) -> int:
    """The lane of the loan's owner as that step reads it: the new one's from the commit of the move on."""
    return C2 if order.index("m_commit") < order.index(step) else C1


def in_use(order: Order, step: str) -> bool:
    """Whether the dispute has its lanes while that step tries for them."""
    return order.index("d_lock") < order.index(step) < order.index("d_commit")


def after_the_hold(order: Order, step: str) -> bool:
    return order.index("d_commit") < order.index(step)
