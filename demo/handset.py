"""The customers' telephones: what the embedded set-up's carrier, which sends nothing, would have brought them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from config.fields import phone_digest
from disputes.notices.models import Notice
from feedback.waves.models import Invitation, InvitationState, WaveState


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """`notice`: the id by which the carrier's receipt speaks."""

    phone: str
    notice: str
    kind: str
    text: str


def texts_to(phones: Iterable[str], *, kind: str | None = None) -> list[Text]:
    """The texts to these numbers (E.164) that a carrier has, oldest first. One query."""
    numbers = {phone_digest(number): number for number in phones}
    rows = Notice.objects.filter(address_digest__in=list(numbers), handed_over_at__isnull=False).order_by("pk")
    if kind is not None:
        rows = rows.filter(kind=kind)
    return [
        Text(phone=numbers[bytes(row.address_digest)], notice=str(row.pk), kind=row.kind, text=row.text) for row in rows
    ]


def open_survey() -> str:
    """The link of somebody who has not answered a survey that is open; empty where there is none. Two queries."""
    unanswered = Invitation.objects.filter(state=InvitationState.SENT, wave__state=WaveState.OPEN).order_by("-pk")
    one = unanswered.values_list("pk", flat=True).first()
    notice = Notice.objects.filter(kind="survey", subject=one).first() if one else None
    link = re.search(r"https?://\S+/s/[0-9A-Za-z]+", notice.text) if notice else None
    return link[0] if link else ""
