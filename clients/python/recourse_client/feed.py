"""Following the suppression feed into a local copy: nothing skipped, from where it was left."""

from __future__ import annotations

import ssl
import threading
from types import TracebackType

from recourse_client.clock import SYSTEM, Clock
from recourse_client.local_copy import LocalCopy
from recourse_client.messages import Failed, Reason
from recourse_client.reading import read_page
from recourse_client.service import ANSWER_SECONDS, CONNECT_SECONDS, Service

POLL_SECONDS = 1.0


class Feed:
    """Reads ``GET /suppressions/changes`` (scope `suppressions:read`) into `copy`, once or in a thread of its own.

    One follower a copy is enough; two do no harm. `last_failure`: why the last round brought nothing, None where it
    did; meanwhile the copy grows old, and whoever sends by it stops by themselves.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        copy: LocalCopy,
        poll_seconds: float = POLL_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        tls: ssl.SSLContext | None = None,
        plain_http: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        self.service = Service(
            base_url,
            client_id,
            client_secret,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
            tls=tls,
            plain_http=plain_http,
            clock=clock,
        )
        self.copy = copy
        self.copy.begin(self.service.base_url)
        self.last_failure: Failed | None = None
        self._poll_seconds = poll_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self) -> int:
        """Reads to the feed's present end, and returns how many changes came. Raises Failed; what was read until then
        stays, and the next call goes on from there."""
        found = 0
        while True:
            after = self.copy.begin(self.service.base_url)
            answer = self.service.call("GET", f"/suppressions/changes?after={after}")
            page = read_page(answer.body, after=after)
            self.copy.apply(page, since=after, asked_at=answer.asked_at)
            found += len(page.changes)
            if not page.more:
                return found

    def start(self) -> None:
        """Follows from now on, in a thread that ends with the process. After a fork: start again in the child."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._follow, name="recourse-feed", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.is_set():
            wait = self._poll_seconds
            try:
                self.read()
                self.last_failure = None
            except Failed as failed:
                self.last_failure = failed
                wait = max(wait, failed.retry_after or 0.0)
            except Exception as error:
                # Whatever it is (a full disk, a locked file): a follower that dies silently would never come back.
                self.last_failure = Failed(Reason.COPY_STALE, f"{type(error).__name__}: {error}")
            self._stop.wait(wait)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)
            self._thread = None
        self.service.close()

    def __enter__(self) -> Feed:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
