"""The edge on a real web server: what a client's HTTP library may send, and many calls at once."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from tests.lender import RECORDS
from tests.stack import Stack


def load(stack: Stack) -> None:
    with stack.client() as feeder:
        text = "".join(json.dumps(record) + "\n" for record in RECORDS)
        # Names of its own: the stories of the other files share this service.
        lines = re.sub(r'"([CLIM][12])"', r'"edge-\1"', text)
        answer = feeder.post("/records/import", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200
    assert "error" not in {json.loads(line)["result"] for line in answer.text.splitlines()}


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 7):
        yield body[start : start + 7]


def test_a_body_in_chunks_is_read(stack: Stack) -> None:
    with stack.client() as api:
        asked = {"phone": "+8613812340009", "source": "chunks"}
        answer = api.post(
            "/opt-outs",
            content=in_chunks(json.dumps(asked).encode()),
            headers={"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())},
        )
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["phone"] == "+8613812340009"


def test_a_body_that_is_too_large_is_refused_however_it_comes(stack: Stack) -> None:
    body = b'{"source": "' + b"a" * (9 * 1024 * 1024) + b'"}'
    headers = {"Content-Type": "application/json"}
    # A connection each: the server closes one whose body it has not read.
    with stack.client() as api:
        whole = api.post("/opt-outs", content=body, headers=headers)
    with stack.client() as api:
        chunked = api.post("/opt-outs", content=iter([body]), headers=headers)
    for answer in (whole, chunked):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "too_large")
        assert answer.headers["X-Request-Id"]


def send_cut(stack: Stack, address: str, content_type: str, body: bytes, *, without: int, chunked: bool) -> None:
    """Sends a body but for its last `without` bytes, and hangs up."""
    with stack.client() as api, socket.create_connection(("127.0.0.1", stack.port)) as line:
        head = (
            f"POST /api/v1{address} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
            f"Authorization: {api.headers['Authorization']}\r\n"
        )
        head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {len(body)}\r\n\r\n"
        sent = body[: len(body) - without]
        line.sendall(head.encode() + (b"%x\r\n%b\r\n" % (len(sent), sent) if chunked else sent))
        time.sleep(0.3)
        line.shutdown(socket.SHUT_WR)
        line.settimeout(120)
        while line.recv(65536):
            pass


@pytest.mark.parametrize("chunked", [False, True])
def test_a_line_that_was_cut_is_not_imported(stack: Stack, chunked: bool) -> None:
    load(stack)
    name = f"edge-cut-{chunked}"
    lines = f"external_id,loan,number,due_on,amount\n{name},edge-L1,9,2026-03-01,1280.50\n".encode()
    with stack.client() as api:

        def stored(*, without: int) -> httpx.Response:
            send_cut(stack, "/records/import?type=instalment", "text/csv", lines, without=without, chunked=chunked)
            return api.get(f"/records/instalment/{name}")

        assert stored(without=5).status_code == 404
        # The one place for bulk calls may be the first one's still: it hears a moment later that we have hung up.
        stack.wait_for(lambda: stored(without=0).status_code == 200)
        [version] = api.get(f"/records/instalment/{name}").json()["versions"]
    assert version["record"]["amount"] == "1280.50"


def test_csv_in_chunks_ends_with_a_line_end(stack: Stack) -> None:
    lines = b"phone,channel,category\n+8613812340009,sms,service"
    with stack.client() as api:

        def screened(ending: bytes) -> Any:
            answer = api.post("/gate/screenings", content=iter([lines + ending]), headers={"Content-Type": "text/csv"})
            return None if answer.status_code == 429 else answer

        for ending, status in ((b"", 400), (b"\n", 200)):
            # The one place for bulk calls is free a moment after the answer that was got in it.
            answer = stack.wait_for(partial(screened, ending))
            assert answer.status_code == status
            assert ("incomplete_body" in answer.text) == (status == 400)


def test_calls_are_answered_while_slow_clients_send_imports(stack: Stack) -> None:
    with ExitStack() as slow, stack.client() as api:
        head = (
            "POST /api/v1/records/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
            f"Content-Type: application/x-ndjson\r\nAuthorization: {api.headers['Authorization']}\r\n\r\n"
        )
        for _ in range(3):
            # Begun, and not ended before every other call has its answer.
            sender = slow.enter_context(socket.create_connection(("127.0.0.1", stack.port)))
            sender.sendall(head.encode() + b'{"type": ')
        time.sleep(0.5)
        for _ in range(12):
            # A connection each, so that each process gets some.
            answer = httpx.get(f"{api.base_url}records/loan/none", headers=api.headers, timeout=60)
            assert answer.status_code == 404


def test_fifty_calls_at_once_with_one_key_open_one_dispute(stack: Stack) -> None:
    load(stack)
    key = str(uuid.uuid4())
    with stack.customer("edge-C1") as api:
        before = len(api.get("/disputes?limit=100").json()["results"])

        def call(_: int) -> httpx.Response:
            asked = {"message": {"external_id": "edge-M1"}, "ground": "wrong_amount"}
            return api.post("/disputes", json=asked, headers={"Idempotency-Key": key})

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(call, range(50)))
        opened = [answer for answer in answers if answer.status_code == 201]
        assert Counter(answer.status_code for answer in answers).keys() <= {201, 409}
        assert len({answer.content for answer in opened}) == 1
        assert [answer.headers.get("Idempotent-Replayed") for answer in opened].count(None) == 1
        assert len(api.get("/disputes?limit=100").json()["results"]) == before + 1
