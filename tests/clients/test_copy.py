"""The local copy: what the feed told, whole and in order, and never leave for anything."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from recourse_client import Failed, Feed, Item, LocalCopy, Reason, Sender
from recourse_client.reading import read_page

from tests.clients.peer import Asked, Peer, as_json, http
from tests.clients.test_closed import URGE, Carrier, OwnClock, clock, peer
from tests.races import PATIENCE, until

__all__ = ["clock", "peer"]

AT = "2026-11-24T10:00:00+00:00"

OPENING_AT_ONCE = """
import multiprocessing, sys
from recourse_client import LocalCopy

def open_all(files, together, refused):
    for file in files:
        together.wait()
        try:
            LocalCopy(file).begin("s")
        except Exception as error:
            refused.put(repr(error))

files = sys.argv[1:]
together, refused = multiprocessing.Barrier(8), multiprocessing.Queue()
opening = [multiprocessing.Process(target=open_all, args=(files, together, refused)) for _ in range(8)]
for process in opening:
    process.start()
for process in opening:
    process.join()
refused.put(None)
print([*iter(refused.get, None)])
"""


def row(number: int, kind: str = "placed", *, hold: str | None = None, out: Sequence[str] = (), **covers: Any) -> Any:
    return {
        "number": number,
        "kind": kind,
        "hold": hold or str(uuid.uuid4()),
        "at": AT,
        "scope": "loan",
        "reason": "dispute_pending",
        "covers": {"loans": [], "customers": [], "phone_digests": [], "sending_rules": [], **covers},
        "permits_out": [{"id": permit, "expires_at": "2026-11-24T10:01:00+00:00"} for permit in out],
    }


class Told:
    """A feed of these rows, in pages of `limit`."""

    def __init__(self, *rows: Any, limit: int = 2) -> None:
        self.rows = list(rows)
        self.limit = limit

    def __call__(self, asked: Asked, line: socket.socket) -> None:
        after = int(asked.path.rpartition("=")[2])
        found = [one for one in self.rows if one["number"] > after]
        page = found[: self.limit]
        told = {
            "after": page[-1]["number"] if page else after,
            "more": len(found) > self.limit,
            "results": page,
        }
        line.sendall(as_json(asked, told))


def follow(peer: Peer, copy: LocalCopy, clock: OwnClock | None = None) -> Feed:
    return Feed(peer.base_url, "id", "secret", copy=copy, answer_seconds=20, clock=clock or OwnClock())


class TestACopy:
    def test_has_every_page(self, peer: Peer):
        permits = [str(uuid.uuid4()) for _ in range(5)]
        peer.changes = Told(
            *(row(3 * n + 1, loans=[f"L{n}"], out=[permit]) for n, permit in enumerate(permits)),
        )
        copy = LocalCopy()
        assert follow(peer, copy).read() == 5
        assert all(copy.is_recalled(permit) for permit in permits)
        assert [copy.is_held(loan=f"L{n}") for n in range(6)] == [True] * 5 + [False]
        assert copy.age() < 60

    def test_knows_every_kind_of_thing_that_is_held(self, peer: Peer):
        peer.changes = Told(
            row(1, loans=["L1"], customers=["C1"], phone_digests=["ab" * 32], sending_rules=["R1"]),
        )
        copy = LocalCopy()
        follow(peer, copy).read()
        assert copy.is_held(customer="C1")
        assert copy.is_held(phone_digest="ab" * 32)
        assert copy.is_held(rule="R1", loan="L2")
        assert not copy.is_held(customer="L1", loan="C1", rule="x")
        assert copy.held_for(loan="L1") == ("dispute_pending",)

    def test_frees_what_the_last_hold_left(self, peer: Peer):
        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        told = Told(row(1, hold=first, loans=["L1"]), row(2, hold=second, loans=["L1"]))
        peer.changes = told
        copy = LocalCopy()
        feed = follow(peer, copy)
        feed.read()
        told.rows.append(row(3, "released", hold=first, loans=["L1"]))
        feed.read()
        assert copy.is_held(loan="L1")
        told.rows.append(row(4, "released", hold=second, loans=["L1"]))
        feed.read()
        assert not copy.is_held(loan="L1")

    def test_grows_with_a_hold_that_was_widened(self, peer: Peer):
        hold = str(uuid.uuid4())
        peer.changes = Told(row(1, hold=hold, loans=["L1"]), row(2, "changed", hold=hold, loans=["L1", "L2"]))
        copy = LocalCopy()
        follow(peer, copy).read()
        assert copy.is_held(loan="L2")

    def test_goes_on_from_where_it_was_after_a_failure_in_the_middle(self, peer: Peer):
        whole = Told(*(row(n, loans=[f"L{n}"]) for n in range(1, 6)))

        def fail_at_three(asked: Asked, line: socket.socket) -> None:
            if asked.path.endswith("after=2"):
                peer.changes = whole
                line.sendall(as_json(asked, {"results": []})[:-10])
                line.shutdown(socket.SHUT_RDWR)
                return
            whole(asked, line)

        peer.changes = fail_at_three
        copy = LocalCopy()
        feed = follow(peer, copy)
        with pytest.raises(Failed):
            feed.read()
        assert copy.is_held(loan="L2")
        assert not copy.is_held(loan="L3")
        assert copy.age() == float("inf")
        assert feed.read() == 3
        assert [path.rpartition("=")[2] for path in peer.paths() if "changes" in path] == ["0", "2", "2", "4"]

    @pytest.mark.parametrize(
        "told",
        [
            {"after": 9, "more": False, "results": [row(9), row(8)]},
            {"after": 7, "more": False, "results": [row(9)]},
            {"after": 0, "more": True, "results": []},
            {"after": 9, "more": False, "results": [row(9, "lifted")]},
            {"after": 9, "more": False, "results": [row(9) | {"hold": "x"}]},
            {"after": 9, "more": False, "results": [row(9) | {"covers": {}}]},
            {"after": 9, "more": False, "results": [row(9) | {"permits_out": None}]},
            {"after": 10**30, "more": False, "results": [row(10**30)]},
            {"after": 0, "results": []},
        ],
    )
    def test_takes_nothing_from_a_page_that_is_not_as_agreed(self, peer: Peer, told: Any):
        peer.changes = lambda asked, line: line.sendall(as_json(asked, told))
        copy = LocalCopy()
        with pytest.raises(Failed) as refused:
            follow(peer, copy).read()
        assert refused.value.reason is Reason.BAD_ANSWER
        assert copy.begin(peer.base_url) == 0
        assert copy.age() == float("inf")

    def test_belongs_to_one_service(self, peer: Peer):
        copy = LocalCopy()
        follow(peer, copy)
        with pytest.raises(ValueError, match="is a copy of"):
            Feed("https://elsewhere.example", "id", "secret", copy=copy)


class TestAFile:
    def test_is_followed_by_one_process_and_read_by_others(self, peer: Peer, tmp_path: Path):
        permit = str(uuid.uuid4())
        peer.changes = Told(row(1, loans=["L1"], out=[permit]))
        file = tmp_path / "copy.sqlite"
        follow(peer, LocalCopy(file)).read()
        seen = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from recourse_client import LocalCopy; copy = LocalCopy(sys.argv[1]);"
                "print(copy.is_recalled(sys.argv[2]), copy.is_held(loan='L1'), copy.age() < 60)",
                str(file),
                permit,
            ],
            env={"PYTHONPATH": "clients/python"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert seen.stdout.split() == ["True"] * 3

    def test_is_made_by_several_processes_at_once(self, tmp_path: Path):
        """File after file: SQLite refuses one of them now and then, and does not wait."""
        opened = subprocess.run(
            [sys.executable, "-c", OPENING_AT_ONCE, *(str(tmp_path / f"copy-{n}.sqlite") for n in range(100))],
            env={"PYTHONPATH": "clients/python"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert opened.stdout == "[]\n"

    def test_keeps_its_place_when_it_is_opened_again(self, peer: Peer, tmp_path: Path):
        told = Told(*(row(n, loans=[f"L{n}"]) for n in range(1, 4)))
        peer.changes = told
        first = LocalCopy(tmp_path / "copy.sqlite")
        follow(peer, first).read()
        first.close()
        told.rows.append(row(4, loans=["L4"]))
        again = LocalCopy(tmp_path / "copy.sqlite")
        assert follow(peer, again).read() == 1
        assert all(again.is_held(loan=f"L{n}") for n in range(1, 5))

    def test_of_a_machine_that_was_started_anew_is_stale_until_it_is_read_again(self, peer: Peer, tmp_path: Path):
        peer.changes = Told(row(1))
        follow(peer, LocalCopy(tmp_path / "copy.sqlite")).read()

        class Restarted(OwnClock):
            def boot(self) -> str:
                return "another"

        copy = LocalCopy(tmp_path / "copy.sqlite", clock=Restarted())
        assert copy.age() == float("inf")
        follow(peer, copy).read()
        assert copy.age() < 60

    def test_is_not_set_back_by_a_follower_that_comes_late(self):
        hold = str(uuid.uuid4())
        pages = [
            read_page(json.dumps({"after": one["number"], "more": False, "results": [one]}).encode(), after=after)
            for after, one in enumerate([row(1, hold=hold, loans=["L1"]), row(2, "released", hold=hold)])
        ]
        copy = LocalCopy()
        copy.begin("s")
        for after, page in ((0, pages[0]), (1, pages[1]), (0, pages[0])):
            copy.apply(page, since=after, asked_at=0)
        assert copy.begin("s") == 2
        assert not copy.is_held(loan="L1")

    def test_with_two_followers_is_never_set_back(self, peer: Peer, tmp_path: Path):
        hold = str(uuid.uuid4())
        rows = [row(n, loans=[f"L{n}"]) for n in range(1, 60)]
        peer.changes = Told(row(100, hold=hold, loans=["X"]), row(101, "released", hold=hold), limit=1)
        peer.changes.rows[:0] = rows  # type: ignore[attr-defined]
        copies = [LocalCopy(tmp_path / "copy.sqlite") for _ in range(2)]
        threads = [threading.Thread(target=follow(peer, copy).read) for copy in copies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert copies[0].begin(peer.base_url) == 101
        assert all(copies[0].is_held(loan=f"L{n}") for n in range(1, 60))
        assert not copies[0].is_held(loan="X")


class TestASenderWithACopy:
    def test_sends_nothing_that_the_copy_knows_as_recalled(self, peer: Peer, clock: OwnClock):
        copy = LocalCopy(clock=clock)
        sender = Sender(peer.base_url, "id", "secret", copy=copy, answer_seconds=20, clock=clock)
        (decision,) = sender.ask([Item(**URGE)])
        peer.changes = Told(row(1, loans=["L1"], out=[decision.permit.id]))
        follow(peer, copy, clock).read()
        carrier = Carrier()
        outcome = sender.hand_over(decision, carrier)
        assert (outcome.reason, outcome.handed_back) == (Reason.RECALLED, True)
        assert carrier.taken == []

    def test_sends_nothing_by_a_copy_that_is_too_old_to_tell(self, peer: Peer, clock: OwnClock):
        copy = LocalCopy(stale_seconds=5, clock=clock)
        sender = Sender(peer.base_url, "id", "secret", copy=copy, answer_seconds=20, clock=clock)
        peer.changes = Told(row(1))
        feed = follow(peer, copy, clock)
        clock.stand_still()
        feed.read()
        first, second = sender.ask([Item(**URGE), Item(**URGE)])
        clock.steady_ahead = clock.wall_ahead = 6
        assert (first.may_send, first.reason) == (False, Reason.COPY_STALE)
        assert sender.hand_over(first, Carrier()).reason is Reason.COPY_STALE
        feed.read()
        assert sender.hand_over(second, Carrier()).sent

    def test_may_send_what_was_asked_for_just_now_though_the_copy_is_old(self, peer: Peer, clock: OwnClock):
        copy = LocalCopy(clock=clock)
        assert copy.age() == float("inf")
        sender = Sender(peer.base_url, "id", "secret", copy=copy, answer_seconds=20, clock=clock)
        assert sender.send(Item(**URGE), Carrier()).sent

    def test_hears_of_recalls_from_elsewhere(self, peer: Peer, tmp_path: Path):
        here, there = LocalCopy(tmp_path / "copy.sqlite"), LocalCopy(tmp_path / "copy.sqlite")
        sender = Sender(peer.base_url, "id", "secret", copy=here, answer_seconds=20)
        (decision,) = sender.ask([Item(**URGE)])
        there.recall([decision.permit.id])
        assert sender.hand_over(decision, Carrier()).reason is Reason.RECALLED

    def test_sends_nothing_when_the_copy_cannot_be_read(self, peer: Peer, tmp_path: Path):
        file = tmp_path / "copy.sqlite"
        copy = LocalCopy(file)
        sender = Sender(peer.base_url, "id", "secret", copy=copy, answer_seconds=20)
        copy.close()
        for name in ("copy.sqlite-wal", "copy.sqlite-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        file.write_bytes(b"this is no database" * 500)
        assert sender.send(Item(**URGE), Carrier()).reason is Reason.COPY_STALE


class TestAFollower:
    def test_goes_on_after_failures_and_says_why_it_waits(self, peer: Peer):
        peer.changes = lambda asked, line: line.sendall(http(asked, b"{}", status=500))
        copy = LocalCopy()
        feed = Feed(
            peer.base_url,
            "id",
            "secret",
            copy=copy,
            poll_seconds=0.02,
            connect_seconds=PATIENCE,
            answer_seconds=PATIENCE,
        )
        with feed:
            until(lambda: feed.last_failure)
            assert feed.last_failure.reason is Reason.SERVER_ERROR
            peer.changes = Told(row(1, loans=["L1"]))
            until(lambda: copy.is_held(loan="L1"))
            until(lambda: feed.last_failure is None)

    def test_asks_only_for_what_it_has_not_seen(self, peer: Peer):
        peer.changes = Told(*(row(n) for n in range(1, 4)), limit=100)
        feed = follow(peer, LocalCopy())
        feed.read()
        feed.read()
        assert json.dumps([path for path in peer.paths() if "changes" in path][-1]).endswith('after=3"')
