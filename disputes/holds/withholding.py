"""Notices of a dispute that an opted-out number must not carry (United States: 12 CFR 1006.14(h))."""

from __future__ import annotations

from datetime import datetime

from disputes.holds.opting_out import is_opted_out
from disputes.holds.policies import pack_in_force
from disputes.notices.models import Notice, NoticeChannel

KINDS = ("acknowledgement", "question", "outcome")
"""What people are told of a dispute that they opened. Surveys ask the gate, which knows opt-outs itself."""

OPTED_OUT = "opted_out"


def withhold_opted_out(notice: Notice, now: datetime) -> str:
    """Why a notice may not leave: its number opted out, and the pack lets no notice of a dispute through; empty where
    it may. Two queries at most.

    One that is withheld has failed, so that whoever has the case sees that it must be told by another way.
    """
    if notice.channel != NoticeChannel.SMS or pack_in_force(at=now).dispute_notices_pass_opt_out:
        return ""
    return OPTED_OUT if is_opted_out(phone=bytes(notice.address_digest)) else ""
