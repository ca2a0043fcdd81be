"""One effect a key: work, key and answer stand in one transaction.

`idempotent` wraps a view's method. It opens the request's outermost transaction, also where no key was sent, so that a
room's function under it never has to.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import Any

import structlog
from django.db import OperationalError, transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.callers import Caller, caller_of
from config.api.errors import Conflict, Unprocessable
from config.api.locks import idempotency_lock
from config.api.models import IdempotencyKey
from config.fields import keyring, place_of
from config.statements import Statement, run
from config.values.ciphertext import digest, seal
from config.values.ids import new_id

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT_FOR = timedelta(hours=24)
TRIES = 5
"""How often one request is begun before it is answered 409."""
KEY_PATTERN = "^[!-~]([ -~]{0,253}[!-~])?$"
"""1 to 255 printable ASCII characters, without spaces around them."""
_KEPT_HEADERS = ("Content-Type", "Location")
# Deadlock and serialization failure: nothing was written, and the same again may well go through.
_WORTH_ANOTHER_TRY = {"40P01", "40001"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unwritten:
    """An answer that is known before all of its work is written. `write` is called once, last in the transaction, with
    what is to be written in the same call of the database: what keeps the answer. It raises what the method would."""

    response: HttpResponse
    write: Callable[[Sequence[Statement]], None]


Answer = HttpResponse | Unwritten
Method = Callable[..., Answer]


class BeginAgain(Exception):
    """What was read before a lock was got is no longer so: the transaction's owner rolls back and begins again."""


class _Rollback(Exception):
    """Takes an error answer out of the transaction that must not commit."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response


Ahead = Callable[[Any, Request], Sequence[Statement]]


def idempotent(*, required: bool = False, ahead: Ahead | None = None) -> Callable[[Method], Method]:
    """For a method of a ServiceView: the header Idempotency-Key is taken, or `required` (400 without it). `ahead`: what
    the method reads first, asked of the view in time to go with the reading of the key; it raises nothing.

    The same key and request within 24 hours replay the first 2xx answer to the byte, with the header
    ``Idempotent-Replayed: true``; the same key with another request is 422; one that still runs is 409; an error is not
    stored. A BeginAgain, a deadlock or a serialization failure is rolled back and run again, up to TRIES times, then
    409.
    """

    def decorate(method: Method) -> Method:
        @wraps(method)
        def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
            key = _read_key(request, required=required)
            asked = None if key is None else _request_digest(request)

            def work() -> Answer:
                answer = method(view, request, *args, **kwargs)
                if isinstance(answer, Unwritten):
                    return replace(answer, response=_rendered(view, request, answer.response))
                return _rendered(view, request, answer)

            first = () if ahead is None else ahead(view, request)
            return run_once(caller=caller_of(request), key=key, request_digest=asked, work=work, ahead=first)

        once.idempotency = "required" if required else "taken"  # type: ignore[attr-defined]
        return once

    return decorate


def run_once(
    *,
    caller: Caller,
    key: str | None,
    request_digest: bytes | None,
    work: Callable[[], Answer],
    ahead: Sequence[Statement] = (),
) -> HttpResponse:
    """Runs `work` in a transaction of its own (durable: the outermost one), and again where it must begin again.

    Without a `key` only that. With one: 1. takes the key's lock without waiting, 2. looks for the key in the next
    statement, so from a snapshot newer than the lock, 3. does the work, 4. stores the answer, 5. commits all of it. The
    lock goes with the transaction, so whoever gets it next sees the answer. `ahead`: what the work reads first, run in
    the call that looks for the key, after it.

    Raises Conflict (409) where the key is in use, or after TRIES; Unprocessable (422) for another request.
    """
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic(durable=True):
                if key is None:
                    run(*ahead)
                    return _written(work())
                return _keyed(caller=caller, key=key, request_digest=request_digest or b"", work=work, ahead=ahead)
        except _Rollback as refused:
            return refused.response
        except BeginAgain:
            log.info("begin_again", attempt=attempt)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _WORTH_ANOTHER_TRY:
                raise
            log.info("begin_again", attempt=attempt, error=type(error.__cause__).__name__)
    raise Conflict("The records are changing just now. Send the same request again.", "busy", wait=1)


def _keyed(
    *, caller: Caller, key: str, request_digest: bytes, work: Callable[[], Answer], ahead: Sequence[Statement]
) -> HttpResponse:
    claim = Statement(
        "SELECT locked, kept, is_kept FROM api_claim_key(%s, %s, %s, %s)",
        [idempotency_lock(caller=caller.key, key=key), caller.key, key, KEPT_FOR],
    )
    run(claim, *ahead)
    ((locked, kept_id, is_kept),) = claim.rows
    if not locked:
        raise Conflict("A request with this key is still running.", "idempotency_key_in_use", attr=HEADER, wait=1)
    # The lock is held: nobody else can write this key's row until this transaction ends.
    if kept_id is not None:
        kept = IdempotencyKey.objects.get(pk=kept_id)
        if not is_kept:
            kept.delete()
        elif kept.request_digest != request_digest:
            raise Unprocessable(
                "This key was used before, with another request.", "idempotency_key_reused", attr=HEADER
            )
        else:
            return _replay(kept)
    return _written(
        work(),
        keep=lambda response: _keeping(response, caller=caller, key=key, request_digest=request_digest),
    )


def _keeping(response: HttpResponse, *, caller: Caller, key: str, request_digest: bytes) -> Statement:
    """What writes an `IdempotencyKey`, in plain SQL: each answer that is kept is written so."""
    row, table = new_id(), IdempotencyKey._meta.db_table
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    body = seal(keyring(), response.content, place=place_of(table, "body", row))
    return Statement(_KEEP, [row, caller.key, key, request_digest, response.status_code, json.dumps(headers), body])


_KEEP = (
    "INSERT INTO api_idempotencykey (id, caller, key, request_digest, status, headers, body)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)


def _written(answer: Answer, *, keep: Callable[[HttpResponse], Statement] | None = None) -> HttpResponse:
    """Writes what is left to write, with what keeps the answer. One that is not 2xx leaves nothing behind."""
    response = answer.response if isinstance(answer, Unwritten) else answer
    if not 200 <= response.status_code < 300:
        raise _Rollback(response)
    keeping = () if keep is None else (keep(response),)
    if isinstance(answer, Unwritten):
        answer.write(keeping)
    else:
        run(*keeping)
    return response


def _replay(kept: IdempotencyKey) -> HttpResponse:
    response = HttpResponse(kept.body.encode(), status=kept.status, headers=kept.headers)
    response[REPLAYED] = "true"
    return response


def _rendered(view: Any, request: Request, response: HttpResponse) -> HttpResponse:
    """The answer with its bytes, which are made inside the transaction so that they can be stored in it."""
    if isinstance(response, Response):
        view.headers = view.default_response_headers
        finished: HttpResponse = view.finalize_response(request, response).render()
        return finished
    return response


def _read_key(request: Request, *, required: bool) -> str | None:
    key: str | None = request.headers.get(HEADER)
    if key is None:
        if required:
            raise ValidationError(
                {HEADER: [f"This call needs the header {HEADER}: a text of your own, another for each new request."]},
                "required",
            )
        return None
    if not re.fullmatch(KEY_PATTERN, key):
        raise ValidationError({HEADER: ["1 to 255 printable ASCII characters, without spaces around them."]}, "invalid")
    return key


def _request_digest(request: Request) -> bytes:
    """Of method, address and body. Keyed, since a body holds personal data that could be guessed from a plain hash.

    Of a multipart body its parts: a client that sends the same again chooses another boundary.
    """
    content_type = (request.content_type or "").partition(";")[0].strip().lower()
    said = hashlib.sha256()
    for part in (request.method or "", request.get_full_path()):
        said.update(part.encode() + b"\0")
    if content_type.startswith("multipart/"):
        parts: Any = request.data  # a QueryDict
        for name, values in sorted(parts.lists()):
            for value in values:
                said.update(repr((name, _content(value))).encode())
    else:
        said.update(request.body)
    return digest(keyring(), "idempotency", said.digest())


def _content(value: Any) -> str | tuple[str, str]:
    """A field's text, or a file's name and hash."""
    if not hasattr(value, "chunks"):
        return str(value)
    content = hashlib.sha256()
    for chunk in value.chunks():
        content.update(chunk)
    value.seek(0)
    return str(value.name), content.hexdigest()


def forget_old_keys(*, at_once: int = 10_000) -> int:
    """Deletes keys older than 24 hours, at most `at_once`. Returns how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=Now() - KEPT_FOR).order_by("created_at")[:at_once]
    return IdempotencyKey.objects.filter(pk__in=old.values("pk")).delete()[0]
