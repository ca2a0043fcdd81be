"""Bringing the demo lender to life: its customers dispute, its agents decide, its carrier delivers, its surveys ask.

Every act is one of the product's own functions, at its instant of the last weeks (`demo.past`). What was told already
is left as it is, so that a telling that was cut short goes on, and one that is told twice is told once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from random import Random

from django.db import connection, transaction
from django.test.utils import override_settings

from config.fields import phone_digest
from demo import asking, loading, staff
from demo.lender import Tale, tales
from demo.past import Agenda
from demo.plots import Plot, plots, working_time
from demo.words import ANSWERS, EXPLANATIONS, NOTES, QUESTIONS, SECOND, STATEMENTS
from disputes.cases import deciding, lifecycle, talking
from disputes.cases.checking import run_check
from disputes.cases.finding import Selector
from disputes.cases.models import Comment, Decision, Dispute, Outcome, Status
from disputes.cases.opening import AlreadyOpen, Opening, open_dispute
from disputes.cases.transactions import in_transaction
from disputes.check.facts import ClaimedPayment
from disputes.holds import by_hand
from disputes.holds.models import Hold
from disputes.holds.opting_out import opt_out
from disputes.journal.recording import Actor
from disputes.notices.models import Notice
from disputes.notices.receipts import note_receipt
from disputes.records.models import Message
from disputes.routing import queries as routing
from disputes.routing.models import Agent

REASONS = {
    "upheld": "payment_proved",
    "partly_upheld": "sent_wrongly",
    "rejected": "records_confirm_arrears",
}
BY_HAND = "in hospital, called on the telephone"
OPTED_OUT = ("reminded", 3)
"""Of which plan, and how many customers texted back to stop."""


def bring_to_life(*, now: datetime, tell: Callable[[int, int], None] = lambda done, left: None) -> bool:
    """Tells the last weeks of the demo lender up to `now` (aware). False where they are told already, or there is no
    demo lender. Opens its transactions; `tell` hears how many acts are done and how many are left."""
    today = loading.day_made()
    if today is None or not loading.is_loaded() or loading.is_alive():
        return False
    known = tales(today=today)
    agenda = Agenda(until=now)
    for plot in plots(tales=known, today=today):
        agenda.add(plot.opened_at, partial(_open, plot=plot, agenda=agenda))
    for place, tale in enumerate([tale for tale in known if tale.plan_name == OPTED_OUT[0]][: OPTED_OUT[1]]):
        agenda.add(now - timedelta(days=5 + 3 * place, hours=2), partial(_opt_out, tale=tale))
    ill = [tale for tale in known if tale.plan_name == "reminded_unpaid"][:2]
    agenda.add(now - timedelta(days=6), partial(_hold_by_hand, told=ill))
    asking.plan_waves(agenda=agenda, now=now)
    agenda.add(now - timedelta(days=4), lambda at: staff.go_home(now=at))
    with _quiet(), _lightly():
        staff.take_on(now=now - timedelta(days=40))
        agenda.run(tell=tell)
    loading.note_alive(now=now)
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """The rooms' own lines about each notice and each case would bury the progress."""
    rooms = logging.getLogger("disputes")
    before = rooms.level
    rooms.setLevel(logging.WARNING)
    try:
        yield
    finally:
        rooms.setLevel(before)


@contextmanager
def _lightly() -> Iterator[None]:
    """Commits without waiting for the disk: what a power cut takes away is told again."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")


# --- the customer ---


def _open(at: datetime, *, plot: Plot, agenda: Agenda) -> None:
    """Opens the dispute; what follows is put on the agenda, also for one that was opened by an earlier telling."""
    tale = plot.tale
    customer = _opener(tale)
    dispute = Dispute.objects.filter(message__external_id=tale.message, ground=tale.plan.ground).first()
    if dispute is None:
        asked = _opening(plot, customer)
        try:
            dispute = in_transaction(lambda: open_dispute(asked=asked, now=at)).dispute
        except AlreadyOpen:
            return
    if plot.end == "second" and dispute.status == Status.CHECKING:
        # A sample that agents see all the same, as a lender may set it: else nobody could speak against the check.
        with override_settings(REVIEW_SAMPLE=1.0):
            run_check(dispute_id=dispute.pk, now=at)
    agenda.add(at + timedelta(minutes=4), partial(_receipts, dispute=dispute.pk, status="delivered"))
    agenda.add(at + timedelta(minutes=9), partial(_receipts, dispute=dispute.pk, status=plot.receipt))
    agenda.add(plot.judged_at, partial(_judge, plot=plot, dispute=dispute.pk, agenda=agenda))


def _opener(tale: Tale) -> str | None:
    """The borrower; where a contact was texted, that is somebody else, whose number alone is known."""
    return None if tale.plan.to_contact else tale.person.external_id


def _opening(plot: Plot, customer: str | None) -> Opening:
    tale = plot.tale
    language = tale.person.language
    said = STATEMENTS[tale.plan.ground, language]
    message = Message.objects.get(external_id=tale.message)
    phone = None if customer or message.phone_digest is None else bytes(message.phone_digest)
    payments: tuple[ClaimedPayment, ...] = ()
    if tale.plan.ground == "already_paid":
        paid_on = tale.due[tale.current]
        payments = (ClaimedPayment(amount=tale.amount, currency=tale.currency, paid_on=min(paid_on, tale.sent_on)),)
    return Opening(
        actor=Actor(type="customer", id=customer) if customer else Actor(type="phone", id=(phone or b"").hex()[:16]),
        customer=customer,
        phone=phone,
        selector=Selector(external_id=tale.message),
        ground=tale.plan.ground,
        statement=said[int(tale.loan[2:]) % len(said)],
        claimed_payments=payments,
        language=language,
        channel=plot.channel,
    )


def _opt_out(at: datetime, *, tale: Tale) -> None:
    digest = phone_digest(tale.person.phone)
    actor = Actor(type="phone", id=digest.hex()[:16])
    in_transaction(lambda: opt_out(phone=digest, source="sms", actor=actor, now=at))


def _answer(at: datetime, *, dispute: uuid.UUID, tale: Tale) -> None:
    if Dispute.objects.get(pk=dispute).status != Status.WAITING_CUSTOMER:
        return
    actor = Actor(type="customer", id=tale.person.external_id)
    text = ANSWERS[tale.person.language]
    in_transaction(lambda: talking.add_comment(dispute_id=dispute, text=text, actor=actor, now=at))


# --- the agent ---


def _judge(at: datetime, *, plot: Plot, dispute: uuid.UUID, agenda: Agenda) -> None:
    """What an agent does with a dispute that the check left to them; none does anything with one that still waits for
    an agent."""
    row = Dispute.objects.get(pk=dispute)
    agent = routing.owner_of(dispute)
    asked = Comment.objects.filter(dispute=dispute, author_type="user", internal=False).exists()
    if row.status == Status.WAITING_CUSTOMER and plot.answers:
        _plan_answer(at, plot=plot, dispute=dispute, agenda=agenda)
    elif row.status != Status.IN_REVIEW or plot.end == "left":
        return
    elif plot.end == "withdrawn":
        actor = Actor(type="customer", id=plot.tale.person.external_id)
        in_transaction(lambda: lifecycle.withdraw(dispute_id=dispute, actor=actor, now=at))
    elif agent is not None and plot.end == "asked" and not asked:
        _ask(row, agent=agent, at=at)
        agenda.add(at + timedelta(minutes=4), partial(_receipts, dispute=dispute, status="delivered"))
        if plot.answers:
            _plan_answer(at, plot=plot, dispute=dispute, agenda=agenda)
    elif agent is not None:
        _decide(row, end=plot.end, agent=agent, at=at)
        agenda.add(at + timedelta(minutes=6), partial(_receipts, dispute=dispute, status=plot.receipt))


def _plan_answer(at: datetime, *, plot: Plot, dispute: uuid.UUID, agenda: Agenda) -> None:
    """The customer answers within two days, and the agent decides on a day after that."""
    rng = Random(f"answer {plot.tale.loan}")  # noqa: S311
    answered = at + timedelta(hours=rng.randrange(2, 40))
    agenda.add(answered, partial(_answer, dispute=dispute, tale=plot.tale))
    after = replace(plot, end=rng.choice(("rejected", "upheld")))
    decided = max(working_time(answered + timedelta(hours=20), rng=rng), answered + timedelta(minutes=30))
    agenda.add(decided, partial(_judge, plot=after, dispute=dispute, agenda=agenda))


def _ask(row: Dispute, *, agent: Agent, at: datetime) -> None:
    note = NOTES[row.pk.int % len(NOTES)]
    talking.write_note(dispute_id=row.pk, text=note, actor=_actor(agent), now=at - timedelta(minutes=3))
    talking.ask_customer(
        dispute_id=row.pk,
        text=QUESTIONS[row.language],
        actor=_actor(agent),
        user_id=agent.user_id,
        any_case=False,
        now=at,
    )


def _decide(row: Dispute, *, end: str, agent: Agent, at: datetime) -> Decision:
    outcome = Outcome.REJECTED if end in ("second", "rejected", "asked") else Outcome(end)
    explanation = SECOND[row.language] if end == "second" else EXPLANATIONS[outcome.value, row.language]
    reason = REASONS[outcome.value]
    if row.ground in ("third_party_contacted", "not_my_debt") and outcome == Outcome.UPHELD:
        reason = "not_their_debt"
    if row.ground not in deciding.ACCOUNT_GROUNDS and outcome == Outcome.REJECTED:
        reason = "sent_rightly"
    return deciding.decide(
        dispute_id=row.pk,
        outcome=outcome.value,
        reason=reason,
        explanation=explanation,
        check_id=row.last_check_id,
        actor=_actor(agent),
        user_id=agent.user_id,
        now=at,
    )


def _actor(agent: Agent) -> Actor:
    return Actor(type="user", id=str(agent.user_id))


def _hold_by_hand(at: datetime, *, told: list[Tale]) -> None:
    """What an agent stops on the telephone."""
    agent = Agent.objects.get(user__username="agent5")
    for tale in told:
        if not Hold.objects.filter(source="manual", covers__key=f"l:{tale.loan}").exists():
            place = partial(by_hand.place, why=BY_HAND, actor=_actor(agent), loan=tale.loan, now=at)
            in_transaction(place)


# --- the carrier ---


def _receipts(at: datetime, *, dispute: uuid.UUID, status: str) -> None:
    """What the carrier says of the notices of a dispute that it has and has not spoken of."""
    if status == "none":
        return
    for notice in Notice.objects.filter(subject=dispute, state="handed_over"):
        said = status if notice.kind == "outcome" else "delivered"
        with transaction.atomic():
            note_receipt(notice_id=notice.pk, status=said, at=at, now=at)
