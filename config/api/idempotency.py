"""One effect a key: work, key and answer stand in one transaction.

`idempotent` wraps a view's method. It opens the request's outermost transaction, also where no key was sent, so that a
room's function under it never has to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
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
from config.fields import keyring
from config.statements import Statement, insert, run
from config.values.ciphertext import digest

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

Method = Callable[..., HttpResponse]


class BeginAgain(Exception):
    """What was read before a lock was got is no longer so: the transaction's owner rolls back and begins again."""


class _Rollback(Exception):
    """Takes an error answer out of the transaction that must not commit."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response


def idempotent(*, required: bool = False) -> Callable[[Method], Method]:
    """For a method of a ServiceView: the header Idempotency-Key is taken, or `required` (400 without it).

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

            def work() -> HttpResponse:
                return _rendered(view, request, method(view, request, *args, **kwargs))

            return run_once(caller=caller_of(request), key=key, request_digest=asked, work=work)

        once.idempotency = "required" if required else "taken"  # type: ignore[attr-defined]
        return once

    return decorate


def run_once(
    *, caller: Caller, key: str | None, request_digest: bytes | None, work: Callable[[], HttpResponse]
) -> HttpResponse:
    """Runs `work` in a transaction of its own (durable: the outermost one), and again where it must begin again.

    Without a `key` only that. With one: 1. takes the key's lock without waiting, 2. looks for the key in the next
    statement, so from a snapshot newer than the lock, 3. does the work, 4. stores the answer, 5. commits all of it. The
    lock goes with the transaction, so whoever gets it next sees the answer.

    Raises Conflict (409) where the key is in use, or after TRIES; Unprocessable (422) for another request.
    """
    for attempt in range(1, TRIES + 1):
        try:
            with transaction.atomic(durable=True):
                if key is None:
                    return _or_roll_back(work())
                return _keyed(caller=caller, key=key, request_digest=request_digest or b"", work=work)
        except _Rollback as refused:
            return refused.response
        except BeginAgain:
            log.info("begin_again", attempt=attempt)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _WORTH_ANOTHER_TRY:
                raise
            log.info("begin_again", attempt=attempt, error=type(error.__cause__).__name__)
    raise Conflict("The records are changing just now. Send the same request again.", "busy", wait=1)


def _keyed(*, caller: Caller, key: str, request_digest: bytes, work: Callable[[], HttpResponse]) -> HttpResponse:
    lock = Statement("SELECT pg_try_advisory_xact_lock(%s)", [idempotency_lock(caller=caller.key, key=key)])
    stored = Statement(
        "SELECT id, created_at > statement_timestamp() - %s FROM api_idempotencykey WHERE caller = %s AND key = %s",
        [KEPT_FOR, caller.key, key],
    )
    run(lock, stored)
    if not lock.rows[0][0]:
        raise Conflict("A request with this key is still running.", "idempotency_key_in_use", attr=HEADER, wait=1)
    # The lock is held: nobody else can write this key's row until this transaction ends.
    for kept_id, is_kept in stored.rows:
        kept = IdempotencyKey.objects.get(pk=kept_id)
        if not is_kept:
            kept.delete()
        elif kept.request_digest != request_digest:
            raise Unprocessable(
                "This key was used before, with another request.", "idempotency_key_reused", attr=HEADER
            )
        else:
            return _replay(kept)
    response = _or_roll_back(work())
    run(
        insert(
            IdempotencyKey(
                caller=caller.key,
                key=key,
                request_digest=request_digest,
                status=response.status_code,
                headers={name: response[name] for name in _KEPT_HEADERS if name in response},
                body=response.content.decode(),
            )
        )
    )
    return response


def _or_roll_back(response: HttpResponse) -> HttpResponse:
    """An answer that is not 2xx leaves nothing behind."""
    if not 200 <= response.status_code < 300:
        raise _Rollback(response)
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
