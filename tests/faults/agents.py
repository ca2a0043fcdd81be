"""The desk's acts in a process of their own: holds by hand, and decisions. Reads and writes as `tests.faults.caller`
does; ``owners`` of nothing: an agent calls the rooms' functions as the desk's pages do."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import close_old_connections, connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from disputes.cases import deciding, lifecycle, releasing  # noqa: E402
from disputes.cases.models import Dispute  # noqa: E402
from disputes.cases.transactions import in_transaction  # noqa: E402
from disputes.holds import by_hand  # noqa: E402
from disputes.holds.models import Hold  # noqa: E402
from disputes.journal.recording import Actor  # noqa: E402
from tests.faults import caller  # noqa: E402

ACTOR = Actor(type="agent", id="test")


def hold_by_hand(told: dict[str, Any], chance: random.Random) -> None:
    """Holds a loan, then lifts it. Where the call died it looks whether the hold is there."""
    loan, key = chance.choice(told["people"])["loan"], uuid.uuid4().hex
    row: dict[str, Any] = {
        "kind": "held",
        "who": "agent",
        "key": key,
        "keys": [f"l:{loan}"],
        "invoked": time.monotonic(),
    }
    try:
        placed = in_transaction(lambda: by_hand.place(why=key, actor=ACTOR, now=timezone.now(), loan=loan))
        found, out = placed.hold.pk, [str(permit.id) for permit in placed.permits_out]
        caller.log(**row, answered=time.monotonic(), name=f"h:{found}", hold=str(found), out=out)
    except Exception:
        connection.close()
        known = insist(lambda: Hold.objects.filter(source="manual", why=key).first())
        if known is None:
            caller.log(**row, answered=None)
            return
        found = known.pk
        caller.log(**row, answered=time.monotonic(), name=f"h:{found}", hold=str(found), out=None)
    time.sleep(chance.uniform(0, 0.2))
    caller.log(kind="released", who="agent", invoked=time.monotonic(), answered=None, name=f"h:{found}")
    act = {"hold_id": found, "why": "over", "actor": ACTOR}
    insist(lambda: in_transaction(lambda: by_hand.lift(**act, now=timezone.now())))


def decide(chance: random.Random, user: int) -> None:
    """Upholds a dispute that waits for a person, and says that its outcome cannot be delivered: its hold then ends."""
    close_old_connections()
    waiting = list(Dispute.objects.filter(status="in_review", ground="other").order_by("pk")[:20])
    if not waiting:
        time.sleep(0.2)
        return
    one = chance.choice(waiting)
    caller.log(kind="released", who="agent", invoked=time.monotonic(), answered=None, name=f"d:{one.pk}")
    said = {"outcome": "upheld", "reason": "goodwill", "explanation": "", "check_id": one.last_check_id}
    try:
        deciding.decide(dispute_id=one.pk, **said, actor=ACTOR, user_id=user, any_case=True, now=timezone.now())
    except (deciding.StaleCheck, deciding.DecidedBefore, lifecycle.WrongState):
        return
    act = {"dispute_id": one.pk, "why": "test", "actor": ACTOR, "now": timezone.now()}
    in_transaction(lambda: releasing.say_undeliverable(**act))
    caller.log(kind="decided", who="agent", dispute=str(one.pk))


def insist(act: Callable[[], Any]) -> Any:
    while True:
        try:
            return act()
        except Exception:
            connection.close()
            if caller.STOP.is_set():
                return None
            time.sleep(0.1)


def run(told: dict[str, Any], number: int, act: Callable[[random.Random], None]) -> None:
    chance = random.Random(f"{told['seed']} agent {number}")
    while not caller.STOP.is_set():
        try:
            act(chance)
        except Exception as error:
            caller.log(kind="failed", who="agent", error=f"{type(error).__name__}: {error}"[:500])
            connection.close()
            time.sleep(0.2)
    connection.close()


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    user = User.objects.get(username="supervisor").pk
    caller._file = Path(told["log"]).open("w")  # noqa: SIM115 (open as long as the process lives)
    threads = [
        threading.Thread(target=run, args=(told, 0, lambda chance: hold_by_hand(told, chance))),
        threading.Thread(target=run, args=(told, 1, lambda chance: decide(chance, user))),
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    caller.STOP.set()
    for thread in threads:
        thread.join()
