"""Asking the gate, and handing over what it allowed, at most once and never late."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from recourse_client.clock import SYSTEM, Clock
from recourse_client.local_copy import LocalCopy
from recourse_client.messages import Decision, Failed, Item, NotHandedOver, Outcome, Permit, Reason, State
from recourse_client.reading import Line, Told, read_date, read_decisions
from recourse_client.recalls import Recalls
from recourse_client.records import report
from recourse_client.service import ANSWER_SECONDS, CONNECT_SECONDS, Service
from recourse_client.transport import Answer

T = TypeVar("T")
PERMIT_SECONDS = 60
LONGEST_PERMIT = 600
MARGIN_SECONDS = 2.0
SKEW_SECONDS = 30.0
ITEMS_A_CALL = 200
SECONDS_AN_ITEM = 0.005
OK = 200


class Sender:
    """A sender of messages, as one of the lender's systems (scope `gate`). Safe for threads; share one.

    It fails closed: whatever goes wrong on the way to the gate or back is a decision that may not be sent, with its
    reason, and never an exception.

    `margin_seconds`: how long before a permit's end a hand-over no longer begins; at least as long as the carrier
    takes to accept one. `skew_seconds`: how far the service's time and this machine's may be apart. `copy`: a local
    copy that a `Feed` keeps; then nothing is handed over that it knows as recalled, or is too old to know of.
    `answer_seconds`: for one item; a call of many has five milliseconds more for each. `items_a_call`: of a longer
    list, how many are asked for at once (at most 10,000).
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        copy: LocalCopy | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        margin_seconds: float = MARGIN_SECONDS,
        skew_seconds: float = SKEW_SECONDS,
        items_a_call: int = ITEMS_A_CALL,
        tls: ssl.SSLContext | None = None,
        plain_http: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        if not 1 <= items_a_call <= 10_000:
            raise ValueError("items_a_call is 1 to 10,000")
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
        self.recalls = Recalls(clock)
        self._clock = clock
        self._margin = margin_seconds
        self._skew = timedelta(seconds=skew_seconds)
        self._items_a_call = items_a_call

    # --- asking ---

    def ask(self, items: Sequence[Item], *, permit_seconds: int = PERMIT_SECONDS) -> list[Decision]:
        """What the gate says of each item, in the order asked. Never raises for what the service does.

        Each `may_send` is true only until its permit ends or is recalled: ask it in the moment before the hand-over, or
        let `send` do all that. After a failure the same items may be asked for again: those that were granted meanwhile
        have the same permits. Raises ValueError for a `permit_seconds` that is not 1 to 600.
        """
        if not 1 <= permit_seconds <= LONGEST_PERMIT:
            raise ValueError(f"permit_seconds is 1 to {LONGEST_PERMIT}")
        decisions: list[Decision] = []
        for first in range(0, len(items), self._items_a_call):
            decisions += self._ask(items[first : first + self._items_a_call], permit_seconds)
        return decisions

    def _ask(self, items: Sequence[Item], permit_seconds: int) -> list[Decision]:
        body = {"items": [item.render() for item in items], "permit_seconds": permit_seconds}
        try:
            answer = self.service.call(
                "POST",
                "/gate/decisions",
                body=json.dumps(body).encode(),
                answer_seconds=self.service.answer_seconds + SECONDS_AN_ITEM * (len(items) - 1),
                most_bytes=64 * 1024 + 2048 * len(items),
            )
            if answer.status != OK:
                raise Failed(Reason.BAD_ANSWER, f"{answer.status} is no answer of the gate's", status=answer.status)
            decided_at, told = read_decisions(answer.body, asked=len(items))
            skewed = self._is_skewed(answer, decided_at)
            return [
                self._decision(item, one, answer, decided_at, skewed) for item, one in zip(items, told, strict=True)
            ]
        except Failed as failed:
            return [
                Decision(item=item, failure=failed.reason, detail=failed.detail, retry_after=failed.retry_after)
                for item in items
            ]

    def _is_skewed(self, answer: Answer, decided_at: datetime) -> bool:
        """Whether the service's two clocks (its database's and its web server's) or this machine's date do not fit
        together: then nobody knows which is right, nor what else was decided by a wrong one."""
        zone = decided_at.tzinfo
        asked = datetime.fromtimestamp(answer.asked_wall, tz=zone)
        answered = datetime.fromtimestamp(answer.answered_wall, tz=zone)
        seen = [decided_at]
        date = read_date(answer.headers.get("date"))
        if date is not None:
            seen.append(date)
        # The header has no fractions of a second.
        return any(not asked - self._skew - timedelta(seconds=1) <= at <= answered + self._skew for at in seen)

    def _decision(self, item: Item, told: Told, answer: Answer, decided_at: datetime, skewed: bool) -> Decision:
        if told.permit is None:
            return Decision(item=item, reasons=told.reasons, next_allowed_at=told.next_allowed_at)
        name, expires_at = told.permit
        # By the service's clock alone; it was decided after it was asked, so the life that counts from the asking ends
        # early, never late.
        life = (expires_at - decided_at).total_seconds()
        if life > LONGEST_PERMIT:
            raise Failed(Reason.BAD_ANSWER, f"a permit of {life} seconds")
        permit = Permit(
            id=name,
            expires_at=expires_at,
            asked_at=answer.asked_at,
            asked_wall=answer.asked_wall,
            life=life - self._margin,
            clock=self._clock,
        )
        return Decision(item=item, permit=permit, failure=Reason.CLOCK_SKEW if skewed else None, why_not=self._why_not)

    def _why_not(self, permit: Permit) -> Reason | None:
        """What is known here against a permit that lives."""
        known = None if self.copy is None else self.copy.why_not(permit.id, asked_at=permit.asked_at)
        return known or self.recalls.why_not(permit)

    # --- handing over ---

    def send(self, item: Item, deliver: Callable[[Permit], T], *, permit_seconds: int = PERMIT_SECONDS) -> Outcome[T]:
        """Asks, and where it may be, calls `deliver` with the permit, once. Never raises for what the service does.

        `deliver` hands the message to the carrier, within the margin, and returns when the carrier has it. It raises
        NotHandedOver where the carrier certainly has not: then the permit is handed back. Any other exception leaves
        the outcome uncertain: it stands in `error`, and the permit goes on counting as a contact.
        """
        (decision,) = self.ask([item], permit_seconds=permit_seconds)
        return self.hand_over(decision, deliver)

    def send_many(
        self, items: Sequence[Item], deliver: Callable[[Item, Permit], T], *, permit_seconds: int = PERMIT_SECONDS
    ) -> list[Outcome[T]]:
        """The same for many, one after the other, in the order asked; permits are asked for `items_a_call` at a time.

        Each permit is looked at again in the moment before its own message: where those before it took too long, it is
        `expired` and not sent.
        """
        outcomes: list[Outcome[T]] = []
        for first in range(0, len(items), self._items_a_call):
            asked = items[first : first + self._items_a_call]
            may_call = True
            for item, decision in zip(asked, self.ask(asked, permit_seconds=permit_seconds), strict=True):
                outcome = self._hand_over(decision, partial(deliver, item), may_call=may_call)
                # After one that could not be handed back, the others of this call would only wait for the same.
                may_call = may_call and not _is_owed(outcome)
                outcomes.append(outcome)
        return outcomes

    def hand_over(self, decision: Decision, deliver: Callable[[Permit], T]) -> Outcome[T]:
        """What `send` does after it has asked: for a decision that was asked for before."""
        return self._hand_over(decision, deliver, may_call=True)

    def _hand_over(self, decision: Decision, deliver: Callable[[Permit], T], *, may_call: bool) -> Outcome[T]:
        """1. the decision, and what the copy says; 2. under the lock that recalls take, whether it was recalled, begun
        before or has expired; 3. `deliver`. A permit that was not used is handed back (`may_call`: the service may be
        called).

        Begun once, a permit is never begun again here, not even where it could not be handed back: that call may have
        been heard all the same. The message then waits for a new permit, which the gate grants when this one has ended.
        """
        permit = decision.permit
        reason = decision.reason
        if reason is None and permit is not None and decision.why_not != self._why_not:
            reason = self._why_not(permit)  # it was asked for by another sender
        if reason is None and permit is not None:
            reason = self.recalls.begin(permit)
        if reason is not None or permit is None:
            back = (
                may_call
                and permit is not None
                and reason is not Reason.ALREADY_HANDED_OVER
                and self._hand_back_quietly(permit)
            )
            return Outcome(decision=decision, state=State.NOT_SENT, reason=reason, handed_back=back)
        try:
            value = deliver(permit)
        except NotHandedOver as error:
            back = may_call and self._hand_back_quietly(permit)
            return Outcome(
                decision=decision,
                state=State.NOT_SENT,
                reason=Reason.NOT_HANDED_OVER,
                error=error,
                handed_back=back,
            )
        except Exception as error:
            return Outcome(decision=decision, state=State.UNCERTAIN, error=error)
        return Outcome(decision=decision, state=State.SENT, value=value)

    def recall(self, permits: Iterable[str]) -> frozenset[str]:
        """Ids of `permits_out`: none of them is handed over from the return on, but those that are returned, whose
        hand-over had begun before. For this process; `copy.recall` tells the others of the machine."""
        return self.recalls.recall(permits)

    def hand_back(self, permit: Permit | str) -> None:
        """Frees the slot of a permit whose message was not sent and will not be. Again: the same. Raises Failed
        (`refused` where a message was recorded on it, or nobody knows it)."""
        name = permit.id if isinstance(permit, Permit) else permit
        if "/" in name or "?" in name or "#" in name:
            raise ValueError("no permit's id")
        self.service.call("POST", f"/gate/permits/{name}/unused", headers={"Idempotency-Key": f"unused-{name}"})

    def _hand_back_quietly(self, permit: Permit) -> bool:
        try:
            self.hand_back(permit)
        except Failed:
            # It then counts as a contact for 24 hours: too many, never too few.
            return False
        return True

    # --- afterwards ---

    def report(self, messages: Iterable[str], *, tries: int = 5) -> list[Line]:
        """Imports the lines that `message_record` made (scope `records:write`). Raises Failed: see `records.report`."""
        return report(self.service, messages, tries=tries)

    def close(self) -> None:
        self.service.close()


def _is_owed(outcome: Outcome[T]) -> bool:
    """Whether a permit that was not used still counts."""
    unused = outcome.state is State.NOT_SENT and outcome.reason is not Reason.ALREADY_HANDED_OVER
    return unused and outcome.decision.permit is not None and not outcome.handed_back
