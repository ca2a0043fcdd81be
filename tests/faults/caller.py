"""A caller's process, run by itself: threads that call the service as fast as they can, and a log of every call.

Reads one JSON object on its first line: ``base_url`` ``token`` ``log`` (a file) ``people`` [{customer loan phone
message}] ``capped`` (the same) ``moving`` {loan phone owners} ``acts`` (names of the functions below, one a thread)
``seed``. The end of its input ends it.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

CLOCK_MARGIN = 0.05
GROUNDS = {"not_overdue": "l", "already_paid": "l", "not_my_debt": "p", "identity_theft": "lp", "other": "c"}
"""Ground → what its hold covers for certain."""


class Caller:
    def __init__(self, told: dict[str, Any], number: int) -> None:
        self.told = told
        self.who = f"{told['acts'][number]}-{told['seed']}-{number}"
        self.chance = random.Random(f"{told['seed']} {number}")
        self.http = httpx.Client(
            base_url=f"{told['base_url']}/api/v1", headers={"Authorization": f"Bearer {told['token']}"}, timeout=15
        )
        self.reached = 0

    def call(self, method: str, path: str, key: str = "", **more: Any) -> tuple[float, float, httpx.Response | None]:
        """Invoked, answered, and the answer; None where there was none, or it does not say what was done. Waits for a
        server that takes the call at all."""
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            invoked = time.monotonic()
            try:
                answer = self.http.request(method, path, headers=headers, **more)
            except httpx.ConnectError:
                if not STOP.wait(0.1):
                    continue
                return invoked, time.monotonic(), None
            except httpx.TransportError:
                return invoked, time.monotonic(), None
            return invoked, time.monotonic(), answer if answer.status_code < 500 else None

    def insist(self, path: str, body: Any, *, key: str) -> tuple[float, float | None, httpx.Response | None]:
        """The same request with the same key until it is answered, or the end comes. `invoked`: of the first."""
        first: float | None = None
        while True:
            invoked, answered, answer = self.call("POST", path, key, json=body)
            first = invoked if first is None else first
            if answer is not None and not (
                answer.status_code == 429
                or ((answer.status_code == 409 and "idempotency_key_in_use" in answer.text) or '"busy"' in answer.text)
            ):
                return first, answered, answer
            if STOP.is_set():
                return first, None, None
            time.sleep(0.1)

    def ask(self) -> None:
        people = [*self.told["people"], self.told["moving"]]
        batch = self.chance.choices(people, k=self.chance.choice((1, 1, 2, 5)))
        self._gate(batch, "urge", seconds=self.chance.choice((1, 3, 8)))

    def remind(self) -> None:
        """Takes a slot under a cap of one, and hands it back a moment later."""
        granted = self._gate([self.chance.choice(self.told["capped"])], "reminder", seconds=30)
        for permit in granted:
            time.sleep(self.chance.uniform(0, 0.03))
            invoked, answered, answer = self.insist(f"/gate/permits/{permit}/unused", {}, key=uuid.uuid4().hex)
            done = answered if answer is not None and answer.status_code == 200 else None
            log(kind="back", who=self.who, invoked=invoked, answered=done, permit=permit)

    def _gate(self, batch: list[dict[str, Any]], category: str, *, seconds: int) -> list[str]:
        items = [
            {"request_id": uuid.uuid4().hex, "phone": one["phone"], "loan": one["loan"], "channel": "sms"}
            | {"category": category}
            for one in batch
        ]
        for _ in range(2):  # what died is asked once more: the same request has the same permit
            invoked, answered, answer = self.call(
                "POST", "/gate/decisions", json={"items": items, "permit_seconds": seconds}
            )
            # In this order: a thread that is set aside between the two then takes a permit to end sooner, not later.
            steady, wall = time.monotonic(), time.time()
            decisions = answer.json()["decisions"] if answer is not None and answer.status_code == 200 else []
            for place, item in enumerate(items):
                permit = decisions[place]["permit"] if decisions else None
                row: dict[str, Any] = {"permit": None, "reasons": decisions[place]["reasons"] if decisions else []}
                if permit:
                    ends = datetime.fromisoformat(permit["expires_at"]).timestamp()
                    row |= {"permit": permit["id"], "expires": steady + ends - wall - CLOCK_MARGIN}
                row |= {"invoked": invoked, "answered": answered if decisions else None, "category": category}
                customer = batch[place].get("customer")
                log(kind="asked", who=self.who, request=item["request_id"], loan=item["loan"], phone=item["phone"],
                    customer=customer, **row)  # fmt: skip
            if decisions:
                return [one["permit"]["id"] for one in decisions if one["permit"]]
            time.sleep(0.2)
        return []

    def dispute(self) -> None:
        """Opens a dispute, now and then by two keys at once, and takes it back, or leaves it to an agent."""
        moving = self.chance.random() < 0.2
        person = self.told["moving"] if moving else self.chance.choice(self.told["people"])
        ground = "already_paid" if moving else self.chance.choice(list(GROUNDS))
        body = {"message": {"external_id": person["message"]}, "ground": ground}
        if not moving:
            body["customer"] = person["customer"]
        key = uuid.uuid4().hex
        invoked, answered, answer = self.insist("/disputes", body, key=key)
        covers = [f"{kind}:{person[name]}" for kind, name in (("l", "loan"), ("p", "phone")) if kind in GROUNDS[ground]]
        if GROUNDS[ground] == "c":
            covers = [f"c:{person['customer']}", f"p:{person['phone']}"]
        row: dict[str, Any] = {"kind": "held", "who": self.who, "invoked": invoked, "key": key, "keys": covers}
        if answer is None:
            log(**row, answered=None)
            return
        if answer.status_code != 201:
            assert answer.status_code == 409, answer.text
            return
        opened = answer.json()
        out = [permit["id"] for permit in opened["permits_out"]]
        row |= {"hold": opened["hold"]["id"], "dispute": opened["id"], "name": f"d:{opened['id']}", "out": out}
        log(**row, answered=answered, one_of=f"{person['message']} {ground}")
        time.sleep(self.chance.uniform(0, 0.15))
        if ground == "other" and self.chance.random() < 0.5:
            return  # an agent's
        name = row["name"]
        log(kind="released", who=self.who, invoked=time.monotonic(), answered=None, name=name)
        invoked, answered, answer = self.insist(f"/disputes/{opened['id']}/withdraw", {}, key=uuid.uuid4().hex)
        if answer is not None and answer.status_code == 200:
            log(kind="released", who=self.who, invoked=invoked, answered=answered, name=name)

    def opt(self) -> None:
        """Opts one's own number out and in again. Nobody else does that for this number."""
        phone = self.told["people"][0]["phone"]
        key = uuid.uuid4().hex
        invoked, answered, answer = self.insist("/opt-outs", {"phone": phone, "source": "test"}, key=key)
        row: dict[str, Any] = {"kind": "held", "who": self.who, "invoked": invoked, "key": key, "keys": [f"p:{phone}"]}
        if answer is None:
            log(**row, answered=None)
        else:
            assert answer.status_code in (200, 201), answer.text
            out = [permit["id"] for permit in answer.json()["permits_out"]] if answer.status_code == 201 else None
            log(**row, answered=answered, name=f"o:{phone}", hold=answer.json()["id"], out=out)
        time.sleep(self.chance.uniform(0, 0.15))
        log(kind="released", who=self.who, invoked=time.monotonic(), answered=None, name=f"o:{phone}")
        self.insist("/opt-ins", {"phone": phone, "source": "test"}, key=uuid.uuid4().hex)

    def move(self) -> None:
        """The loan goes to another owner, and a phone with it."""
        moving = self.told["moving"]
        self.reached += 1
        owner, other = self.chance.sample(moving["owners"], k=2)
        lines = [
            {"type": "loan", "external_id": moving["loan"], "customer": owner, "currency": "CNY"},
            {"type": "customer", "external_id": owner, "time_zones": ["UTC"]}
            | {"phones": [{"number": moving["phone"], "role": "contact"}, {"number": moving["stray"], "role": "own"}]},
            {"type": "customer", "external_id": other, "time_zones": ["UTC"]}
            | {"phones": [{"number": moving["phone"], "role": "contact"}]},
        ]
        body = "\n".join(json.dumps(line | {"version": 100 + self.reached}) for line in lines)
        self.call("POST", "/records/import", content=body.encode())
        time.sleep(self.chance.uniform(0, 0.2))

    def read(self) -> None:
        invoked, answered, answer = self.call(
            "GET", "/suppressions/changes", params={"after": self.reached, "limit": self.chance.choice((1, 3, 20, 100))}
        )
        if answer is None or answer.status_code != 200:
            time.sleep(0.2)
            return
        page = answer.json()
        row = {"after": self.reached, "numbers": [one["number"] for one in page["results"]], "reached": page["after"]}
        log(kind="read", who=self.who, invoked=invoked, answered=answered, **row)
        self.reached = page["after"]
        if not page["more"]:
            time.sleep(0.01)

    def run(self, act: str) -> None:
        while not STOP.is_set():
            try:
                getattr(self, act)()
            except Exception as error:
                log(kind="failed", who=self.who, error=f"{type(error).__name__}: {error}"[:500])
                time.sleep(0.1)


STOP = threading.Event()
_writing = threading.Lock()
_file: Any = None


def log(**row: Any) -> None:
    with _writing:
        _file.write(json.dumps(row) + "\n")
        _file.flush()


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    _file = Path(told["log"]).open("w")  # noqa: SIM115 (open as long as the process lives)
    threads = [
        threading.Thread(target=Caller(told, number).run, args=(act,)) for number, act in enumerate(told["acts"])
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    STOP.set()
    for thread in threads:
        thread.join()
