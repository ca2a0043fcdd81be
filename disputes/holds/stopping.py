"""Which messages a hold that covers them stops."""

from __future__ import annotations

import msgspec

from disputes.policy.opt_outs import passes_opt_out
from disputes.policy.packs import Pack

RECIPIENT_GROUNDS = frozenset({"not_my_debt", "third_party_contacted"})
"""Grounds that say that a message reached somebody who should not have had it: their holds are on the phone."""


class HoldFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a standing hold means to the gate. `why`: of a dispute's hold, the ground."""

    reason: str
    source: str
    why: str = ""


def stops(
    *,
    hold: HoldFact,
    category: str,
    loan: str | None,
    surveys_only: bool,
    pack: Pack,
    answers_own_message: bool = False,
) -> bool:
    """Whether a hold that covers a message denies it. `answers_own_message`: it is the one answer to the person's own.

    An opt-out stops all but what the pack lets through. Any other hold stops collection and surveys; what always
    passes (``statutory`` ``service``) it stops only on a phone that is held as a wrong number, where it could reveal
    a debt: that is, unless it is a service message that names no loan. `surveys_only`: the hold is about the person,
    but covers neither loan, phone, customer nor rule of this message.
    """
    if surveys_only:
        return category == "survey" and hold.reason != "opted_out"
    if hold.reason == "opted_out":
        return not passes_opt_out(pack=pack, category=category, answers_own_message=answers_own_message)
    if category not in pack.always_pass:
        return True
    return is_wrong_number(hold) and not (category == "service" and loan is None)


def is_wrong_number(hold: HoldFact) -> bool:
    """A phone whose holder says, or of whom it was found, that the debtor is not reached there.

    An open dispute on such a ground is enough: what a message reveals cannot be taken back.
    """
    return hold.reason == "wrong_number" or (hold.source == "dispute" and hold.why in RECIPIENT_GROUNDS)
