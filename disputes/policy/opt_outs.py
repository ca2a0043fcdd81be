"""Opt-outs: which texts are one, and what still reaches a number that opted out."""

from __future__ import annotations

from disputes.policy.keywords import read_text
from disputes.policy.packs import Pack


def is_opt_out(*, pack: Pack, text: str) -> bool:
    """Whether a text that somebody sent back is an opt-out by one of the words of `disputes.policy.keywords` or of the
    pack's. Any other clear wish is for a person to see."""
    return read_text(pack=pack, text=text).kind == "opt_out"


def passes_opt_out(*, pack: Pack, category: str, answers_own_message: bool = False) -> bool:
    """Whether a message reaches a number that opted out, whatever its loan.

    `answers_own_message`: it is the first answer to a message of the person's own, in the same medium.
    """
    return category in pack.opt_out_passes or (answers_own_message and pack.opt_out_reply_free)
