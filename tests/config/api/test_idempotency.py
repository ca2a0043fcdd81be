"""One key makes one effect and one answer."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse

from config.api import idempotency
from config.api.callers import Caller
from config.api.idempotency import TRIES, forget_old_keys, run_once
from config.api.models import IdempotencyKey
from tests.callers import Api
from tests.config.api import probe
from tests.config.api.probe import Probes, made
from tests.races import PATIENCE, at_once

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.api.probe")]


@pytest.fixture
def desk(system: Callable[..., Api]) -> Api:
    return system("disputes:write")


def open_probe(api: Api, key: str | None = "k1", **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency_Key": key}
    return api.post("/api/v1/probes", {"name": "one", **body}, **headers)


def test_the_same_key_replays_the_first_answer_to_the_byte(desk: Api) -> None:
    first = open_probe(desk, amount={"amount": "1.50", "currency": "CNY"})
    second = open_probe(desk, amount={"amount": "1.50", "currency": "CNY"})
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second["Location"] == first["Location"]
    assert second["Content-Type"] == first["Content-Type"]
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert made() == 1


def test_another_key_is_another_effect(desk: Api) -> None:
    open_probe(desk, "k1")
    assert "Idempotent-Replayed" not in open_probe(desk, "k2")
    assert made() == 2


def test_two_callers_may_use_the_same_key(desk: Api, system: Callable[..., Api], customer: Callable[..., Api]) -> None:
    for caller in (desk, system("disputes:write"), customer("C1"), customer("C2")):
        assert open_probe(caller).status_code == 201
    assert made() == 4


def test_the_same_key_with_another_body_is_422(desk: Api) -> None:
    open_probe(desk)
    answer = open_probe(desk, phone="+8613812345678")
    assert answer.status_code == 422
    assert answer.json() == {
        "type": "client_error",
        "errors": [
            {
                "code": "idempotency_key_reused",
                "detail": "This key was used before, with another request.",
                "attr": "Idempotency-Key",
            }
        ],
    }


def test_the_same_key_at_another_address_is_422(system: Callable[..., Api]) -> None:
    api = system()
    assert api.post("/api/v1/probes/a", {}, Idempotency_Key="k").status_code == 200
    assert api.post("/api/v1/probes/b", {}, Idempotency_Key="k").status_code == 422


def test_a_call_that_needs_a_key_says_so(desk: Api) -> None:
    answer = open_probe(desk, key=None)
    assert answer.status_code == 400
    assert [error["attr"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert made() == 0


@pytest.mark.parametrize("key", ["", " ", " k", "k ", "k" * 256, "schlüssel", "a\tb", "键"])
def test_a_key_is_plain_text_of_bounded_length(desk: Api, key: str) -> None:
    answer = open_probe(desk, key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b", '!"#~'])
def test_a_key_may_be_any_printable_text(desk: Api, key: str) -> None:
    assert open_probe(desk, key).status_code == 201


def test_an_error_is_not_stored_so_that_the_key_can_be_used_again(desk: Api) -> None:
    assert open_probe(desk, name="conflict").status_code == 409
    assert open_probe(desk, name="").status_code == 400
    assert IdempotencyKey.objects.count() == 0
    assert open_probe(desk).status_code == 201


@pytest.mark.parametrize("name", ["refused", "conflict"])
def test_a_refusal_leaves_nothing_behind_whether_raised_or_returned(desk: Api, name: str) -> None:
    assert open_probe(desk, name=name).status_code == 409
    assert made() == 0


def test_a_key_is_forgotten_after_24_hours(desk: Api) -> None:
    first = open_probe(desk)
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=24, seconds=1))
    again = open_probe(desk, phone="+8613812345678")
    assert again.status_code == 201
    assert again.content != first.content
    assert IdempotencyKey.objects.count() == 1


def test_a_key_is_kept_for_24_hours(desk: Api) -> None:
    first = open_probe(desk)
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=23, minutes=59))
    assert forget_old_keys() == 0
    assert open_probe(desk).content == first.content


def test_old_keys_are_deleted_in_portions(desk: Api) -> None:
    for key in ("a", "b", "c"):
        open_probe(desk, key)
    IdempotencyKey.objects.filter(key__in=["a", "b"]).update(created_at=Now() - timedelta(hours=25))
    assert [forget_old_keys(at_once=1) for _ in range(3)] == [1, 1, 0]
    assert IdempotencyKey.objects.get().key == "c"


def test_the_stored_answer_is_ciphertext(desk: Api) -> None:
    open_probe(desk, phone="+8613812345678")
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM api_idempotencykey")
        assert b"13812345678" not in bytes(cursor.fetchone()[0])


def test_work_that_must_begin_again_is_rolled_back_and_run_again(desk: Api) -> None:
    Probes.begin_again = TRIES - 1
    assert open_probe(desk).status_code == 201
    assert made() == 1


def test_work_that_never_settles_is_409_and_may_be_sent_again(desk: Api) -> None:
    Probes.begin_again = TRIES
    answer = open_probe(desk)
    assert answer.status_code == 409
    assert answer["Retry-After"] == "1"
    assert made() == 0
    assert open_probe(desk).status_code == 201


def test_without_a_key_a_call_that_takes_one_works_and_is_one_transaction(system: Callable[..., Api]) -> None:
    api = system()
    assert api.post("/api/v1/probes/a", {}).status_code == 200
    assert api.post("/api/v1/probes/a", {}).status_code == 200
    assert made() == 2
    assert IdempotencyKey.objects.count() == 0


def send_file(api: Api, content: bytes, *, boundary: str, name: str = "proof.pdf", note: str = "n") -> Any:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{note}\r\n',
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n',
    ]
    body = "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    content_type = f"multipart/form-data; boundary={boundary}"
    return api.post("/api/v1/files", body, content_type=content_type, Idempotency_Key="k")


def test_of_a_file_its_content_counts_and_not_the_boundary_around_it(system: Callable[..., Api]) -> None:
    api = system()
    first = send_file(api, b"proof", boundary="aaa")
    assert (first.status_code, first.json()["size"]) == (201, 5)
    assert send_file(api, b"proof", boundary="bbb").content == first.content
    assert send_file(api, b"prooF", boundary="aaa").status_code == 422
    assert send_file(api, b"proof", boundary="aaa", name="other.pdf").status_code == 422
    assert send_file(api, b"proof", boundary="aaa", note="m").status_code == 422
    assert made() == 1


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_run_again_and_both_are_answered() -> None:
    first, second = (Group.objects.create(name=name) for name in ("first", "second"))
    both_hold_one = threading.Barrier(2)
    one_is_answered = threading.Event()
    tries: Counter[str] = Counter()
    answers: list[int] = []

    def lock(name: str, *order: Group) -> HttpResponse:
        tries[name] += 1
        if tries[name] > 1:
            # Else it may be quicker at its first row than the other, which waits for it, and they would meet again.
            one_is_answered.wait(PATIENCE)
        Group.objects.select_for_update().get(pk=order[0].pk)
        if tries[name] == 1:
            both_hold_one.wait(PATIENCE)
        Group.objects.select_for_update().get(pk=order[1].pk)
        return HttpResponse(status=200)

    def call(name: str, *order: Group) -> None:
        caller = Caller(kind="client", id=name)
        try:
            answer = run_once(caller=caller, key="k", request_digest=b"d", work=lambda: lock(name, *order))
            answers.append(answer.status_code)
            one_is_answered.set()
        finally:
            connection.close()

    threads = [
        threading.Thread(target=call, args=("one", first, second)),
        threading.Thread(target=call, args=("other", second, first)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200, 200]
    assert tries.total() == 3  # the one that the database chose to end did its work twice


def all_at_once(api: Api, times: int) -> list[Any]:
    """So many equal calls, each on a thread and a connection of its own."""

    def call() -> Any:
        mine = Api(None)
        mine.headers = api.headers
        return open_probe(mine, nap="0.05")

    return at_once([call] * times)


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_calls_with_one_key_make_one_effect_and_one_answer(desk: Api) -> None:
    answers = all_at_once(desk, 50)
    assert len(answers) == 50
    assert made() == 1
    created = [answer for answer in answers if answer.status_code == 201]
    others = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.content for answer in created}) == 1
    assert [("Idempotent-Replayed" in answer) for answer in created].count(False) == 1
    assert Counter(answer.status_code for answer in others) == Counter({409: len(others)})
    assert {answer.json()["errors"][0]["code"] for answer in others} <= {"idempotency_key_in_use"}
    assert open_probe(desk, nap="0.05").content == created[0].content


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_parallel_calls_run_into_each_other(desk: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: with the lock left out, calls do the work at the same time and break."""
    monkeypatch.setattr(idempotency, "idempotency_lock", lambda **_: random.getrandbits(62))
    all_work = threading.Barrier(10)

    def made_before() -> int:
        # Each has found no answer under the key by now, and none has committed its own.
        all_work.wait(PATIENCE)
        return made()

    monkeypatch.setattr(probe, "made", made_before)
    assert Counter(answer.status_code for answer in all_at_once(desk, 10)) == {201: 1, 500: 9}
