"""Which of the demo lender's messages are disputed, when, and how each dispute goes on where a person must judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from demo.calendar import ZONE
from demo.lender import Tale

SHARE = {
    "urged_unpaid": 13,
    "urged_partly_paid": 9,
    "urged_week": 6,
    "warned": 5,
    "bounced": 4,
    "reminded_unpaid": 2,
    "served": 1,
    "to_contact": 6,
    "late_posting": 9,
    "stale_list": 6,
    "reversal_voided": 3,
    "backdated_change": 4,
    "within_grace": 6,
    "arrangement": 5,
    "pause": 3,
    "pre_due_rule": 5,
    "settled": 5,
    "written_off": 2,
    "risk": 6,
    "wrong_rule": 5,
    "wrong_amount": 5,
    "wrong_days": 3,
}
"""Plan → how many of its messages are disputed, the oldest first."""

ENDS = (
    "rejected",
    "asked",
    "rejected",
    "upheld",
    "rejected",
    "withdrawn",
    "rejected",
    "partly_upheld",
    "asked",
    "rejected",
)
"""What becomes of a dispute that the check leaves to a person."""

LEFT_ALONE = {"urged_week": 1, "warned": 1}
"""Plan → how many of its disputes, the oldest first, lie until their deadline has passed."""
SECOND_PERSON = {"late_posting": (4, 5)}
"""Plan → the places, from the oldest, of those that an agent would reject against the check."""
STILL_ASKED = 6
"""How many of those taken in hand lately wait for the customer."""
UNDELIVERED = ("risk", "wrong_rule")
"""Plans with one dispute each whose outcome the carrier could not deliver."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A dispute to come. `opened_at`, `judged_at`: when it is opened, and when somebody takes it in hand; `end`: of
    `ENDS`, ``left``, or ``second``; `receipt`: what the carrier says of its outcome; `answers`: whether the customer
    answers when asked."""

    tale: Tale
    opened_at: datetime
    judged_at: datetime
    end: str
    receipt: str
    channel: str
    answers: bool = True


def plots(*, tales: list[Tale], today: date) -> Iterator[Plot]:
    """The disputes, in no order of time. Of those that are taken in hand lately, some wait for the customer's
    answer."""
    lately = datetime.combine(today - timedelta(days=6), time(0), ZoneInfo(ZONE))
    waiting = 0
    for plot in _plots(tales, today):
        if plot.end in ("rejected", "upheld") and plot.judged_at > lately and waiting < STILL_ASKED:
            waiting += not plot.tale.plan.right
            yield replace(plot, end="asked", answers=False)
        else:
            yield plot


def _plots(tales: list[Tale], today: date) -> Iterator[Plot]:
    for name, share in SHARE.items():
        theirs = sorted((tale for tale in tales if tale.plan_name == name), key=lambda tale: (tale.sent_on, tale.loan))
        chosen = theirs[:share] if name in LEFT_ALONE else theirs[-share:]
        for place, tale in enumerate(chosen):
            yield _plot(tale, name=name, place=place, today=today)


def _plot(tale: Tale, *, name: str, place: int, today: date) -> Plot:
    rng = Random(f"plot {tale.loan}")  # noqa: S311
    sent = datetime.combine(tale.sent_on, time(tale.hour, tale.minute), ZoneInfo(ZONE))
    opened = sent + timedelta(minutes=rng.choice((25, 70, 190, 600, 1500)) + rng.randrange(40))
    end = ENDS[(place * 3 + len(name)) % len(ENDS)]
    if name == "to_contact":
        end = "upheld" if place % 2 == 0 else "left"
    if place < LEFT_ALONE.get(name, 0):
        end = "left"
    if place in SECOND_PERSON.get(name, ()):
        end = "second"
    receipt = "delivered" if rng.random() < 0.9 else "none"
    if name in UNDELIVERED and place == 0:
        receipt = "failed"
    return Plot(
        tale=tale,
        opened_at=opened,
        judged_at=working_time(
            opened
            + timedelta(hours=rng.randrange(30, 70) if (today - tale.sent_on).days < 4 else rng.randrange(3, 40)),
            rng=rng,
        ),
        end=end,
        receipt=receipt,
        channel=rng.choice(("app", "app", "app", "web", "sms", "phone")),
    )


def working_time(at: datetime, *, rng: Random) -> datetime:
    """A moment of a working day, on the local day of `at` or the next that is no weekend."""
    day: date = at.astimezone(ZoneInfo(ZONE)).date()
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime.combine(day, time(rng.randrange(9, 18), rng.randrange(60)), ZoneInfo(ZONE))
