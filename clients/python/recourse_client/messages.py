"""What a sender asks about, what it is told, and what became of it."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from recourse_client.clock import SYSTEM, Clock

T = TypeVar("T")
LONGEST_KEY = 200


class Reason(enum.StrEnum):
    """Why a message was not, or must not be, handed over."""

    DENIED = "denied"
    """The gate said no; `Decision.reasons` says why."""
    UNREACHABLE = "unreachable"
    """No connection, no trusted certificate, or the line was cut before an answer."""
    TIMEOUT = "timeout"
    """No connection or no whole answer in time."""
    SERVER_ERROR = "server_error"
    """The service answered 5xx."""
    BAD_ANSWER = "bad_answer"
    """An answer that is cut, malformed, too long, a redirect, or not to this question."""
    CLOCK_SKEW = "clock_skew"
    """The service's time and this machine's are too far apart: one of them is wrong."""
    EXPIRED = "expired"
    """The permit's life is over, or the safety margin before its end is reached."""
    RECALLED = "recalled"
    """A hold came after the permit was granted."""
    NOT_AUTHORISED = "not_authorised"
    """The credentials, or the scopes that go with them, are refused."""
    THROTTLED = "throttled"
    """The service answered 429; `Decision.retry_after` says for how long."""
    REFUSED = "refused"
    """The service refused the call itself (another 4xx): it will not do better when it is asked again."""
    COPY_STALE = "copy_stale"
    """The local copy of the feed is too old to tell whether the permit was recalled."""
    ALREADY_HANDED_OVER = "already_handed_over"
    """A hand-over by this permit has begun before; whatever became of it, a second one would be one too many."""
    NOT_HANDED_OVER = "not_handed_over"
    """`deliver` raised NotHandedOver."""


class Failed(Exception):
    """A call that brought no answer to go by. `status`: the HTTP status, where there was one; `retry_after`: the
    seconds that the service asks for."""

    def __init__(
        self, reason: Reason, detail: str = "", *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.status = status
        self.retry_after = retry_after


class NotHandedOver(Exception):
    """Raised by `deliver` when it is certain that the carrier has not taken the message and never will: the permit is
    then handed back. Where it is not certain, after a timeout say, let the error itself pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One message that is to be sent.

    `phone`: E.164, or as the lender's region writes it; `loan`: its external id, to be left out for `survey` and
    `service` alone; `category`: ``reminder`` ``urge`` ``warning`` ``statutory`` ``service`` ``survey``; `reply_to`: the
    person's own inbound message that this one answers. `request_id`: the same for the same message, so that asking
    again brings the same permit and never a second one; keep it with a message that is asked for again later.
    """

    phone: str
    category: str
    loan: str | None = None
    channel: str = "sms"
    sending_rule: str | None = None
    vendor: str | None = None
    reply_to: str | None = None
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if not 1 <= len(self.request_id) <= LONGEST_KEY:
            raise ValueError(f"a request_id has 1 to {LONGEST_KEY} characters")

    def render(self) -> dict[str, str]:
        """As the gate reads it."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """Leave for one message.

    `expires_at`: what the service said, by its clock, for showing. What counts is `life`: the seconds for which it is
    good from the moment before the question was sent (`asked_at` on the steady clock, `asked_wall` on the other one),
    less the safety margin.
    """

    id: str
    expires_at: datetime
    asked_at: float
    asked_wall: float
    life: float
    clock: Clock = field(default=SYSTEM, repr=False, compare=False)

    @property
    def seconds_left(self) -> float:
        """For how long it may still be handed over; 0 or less: no more.

        By whichever clock has gone further: a date that jumps can shorten a permit's life, and never lengthen it.
        """
        return self.life - max(self.clock.steady() - self.asked_at, self.clock.wall() - self.asked_wall)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is known about one item, and only `may_send` is leave.

    `failure`: why the gate could not be heard, or not be believed; None: it decided. `reasons`: of a denial, the
    weightiest first. `next_allowed_at`: where time alone stands in the way, when to ask again. `permit` may stand
    beside a failure: one that was granted and is not to be used. `retry_after`: seconds. `why_not`: what the sender
    that asked knows against the permit by now: a recall, a copy that is too old, a hand-over that has begun.
    """

    item: Item
    failure: Reason | None = None
    reasons: tuple[str, ...] = ()
    next_allowed_at: datetime | None = None
    permit: Permit | None = None
    retry_after: float | None = None
    detail: str = ""
    why_not: Callable[[Permit], Reason | None] | None = field(default=None, repr=False, compare=False)

    @property
    def reason(self) -> Reason | None:
        """Why not; None: it may be sent now."""
        if self.failure is not None:
            return self.failure
        if self.permit is None:
            return Reason.DENIED
        if self.permit.seconds_left <= 0:
            return Reason.EXPIRED
        return None if self.why_not is None else self.why_not(self.permit)

    @property
    def may_send(self) -> bool:
        return self.reason is None


class State(enum.StrEnum):
    SENT = "sent"
    """`deliver` returned."""
    NOT_SENT = "not_sent"
    """It was not called, or raised NotHandedOver."""
    UNCERTAIN = "uncertain"
    """It raised something else: the carrier may have the message. The permit goes on counting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome(Generic[T]):
    """What became of one message. `value`: what `deliver` returned. `reason`: why it was not sent. `error`: what
    `deliver` raised. `handed_back`: whether the permit's slot is free again; False too where there was none."""

    decision: Decision
    state: State
    value: T | None = None
    reason: Reason | None = None
    error: Exception | None = None
    handed_back: bool = False

    @property
    def sent(self) -> bool:
        return self.state is State.SENT
