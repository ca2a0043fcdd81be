"""The service as one client of it sees it: its token, and calls that either bring an answer or say why not."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import quote

from recourse_client.clock import SYSTEM, Clock
from recourse_client.messages import Failed, Reason
from recourse_client.reading import Token, read_token
from recourse_client.transport import Answer, Connections

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""A little more than the two seconds after which the gate says `busy` by itself."""
MOST_BYTES = 8 * 1024 * 1024
_RENEW_AT = 0.8
"""Of a token's life: from then on a new one is asked for, while the old one still serves."""
_SPARE = 5.0
"""Seconds before its end from which a token is not used any more."""


class Service:
    """Calls Recourse as one of the lender's systems. Safe for threads.

    `base_url`: without ``/api/v1``. `connect_seconds`, `answer_seconds`: for each attempt to connect, and for one
    answer; a call may have to fetch a token first, so it ends after twice their sum at most. The name's look-up is the
    system's own, and not counted: give an address where that matters.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        tls: ssl.SSLContext | None = None,
        plain_http: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        self.clock = clock
        self.answer_seconds = answer_seconds
        self.base_url = base_url.rstrip("/")
        self._connections = Connections(
            base_url=base_url, connect_seconds=connect_seconds, tls=tls, plain_http=plain_http, clock=clock
        )
        # RFC 6749, section 2.3.1: both are encoded as in a form before they are joined.
        named = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        self._credentials = base64.b64encode(named.encode()).decode()
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._failed: tuple[float, Failed] | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        answer_seconds: float | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """One call below ``/api/v1``; only a 2xx is returned. Raises Failed.

        A 401 is taken for a token that has ended: the call is made once more, with a new one.
        """
        refused: Token | None = None
        while True:
            token = self._bearer(refused)
            answer = self._connections.ask(
                method,
                f"/api/v1{path}",
                body=body,
                headers={"Authorization": f"Bearer {token.text}", "Content-Type": content_type, **(headers or {})},
                answer_seconds=self.answer_seconds if answer_seconds is None else answer_seconds,
                most_bytes=most_bytes,
            )
            if answer.status == 401 and refused is None:
                refused = token
                continue
            _refuse(answer)
            return answer

    def _bearer(self, refused: Token | None) -> Token:
        """A token that lives, and is not the one that was refused. Raises Failed."""
        began = self.clock.steady()
        token = self._living(refused)
        if token is not None and self._age(token) < _RENEW_AT * token.seconds:
            return token
        # While the old one serves, one thread alone fetches the new one and nobody waits.
        if not self._lock.acquire(blocking=token is None):
            return token if token is not None else self._bearer(refused)
        try:
            now_living = self._living(refused)
            if now_living is not None and now_living is not token:
                return now_living
            if self._failed is not None and self._failed[0] >= began:
                # Somebody asked in vain while this thread waited: nobody waits for the same again.
                raise self._failed[1]
            return self._fetch()
        except Failed:
            if token is not None:
                return token
            raise
        finally:
            self._lock.release()

    def _age(self, token: Token) -> float:
        return self.clock.steady() - token.asked_at

    def _living(self, refused: Token | None) -> Token | None:
        token = self._token
        if token is None or token is refused or self._age(token) >= token.seconds - _SPARE:
            return None
        return token

    def _fetch(self) -> Token:
        """Needs the lock."""
        try:
            answer = self._connections.ask(
                "POST",
                "/oauth/token",
                body=b"grant_type=client_credentials",
                headers={
                    "Authorization": f"Basic {self._credentials}",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
                answer_seconds=self.answer_seconds,
                most_bytes=64 * 1024,
            )
            if answer.status in (400, 401):
                raise Failed(Reason.NOT_AUTHORISED, "the client's credentials are refused", status=answer.status)
            _refuse(answer)
            token = read_token(answer.body, asked_at=answer.asked_at)
        except Failed as failed:
            self._failed = (self.clock.steady(), failed)
            raise
        self._token = token
        return token

    def close(self) -> None:
        """Hangs up the connections that are kept."""
        self._connections.close()


def _refuse(answer: Answer) -> None:
    """Raises Failed for all but a 2xx."""
    status = answer.status
    if 200 <= status < 300:
        return
    if status in (401, 403):
        reason = Reason.NOT_AUTHORISED
    elif status == 429:
        reason = Reason.THROTTLED
    elif status >= 500:
        reason = Reason.SERVER_ERROR
    else:
        reason = Reason.REFUSED if status >= 400 else Reason.BAD_ANSWER
    wait = answer.headers.get("retry-after", "")
    raise Failed(
        reason,
        f"{status} {answer.body[:300].decode(errors='replace')}",
        status=status,
        retry_after=float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 8 else None,
    )
