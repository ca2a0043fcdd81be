"""Whether a number is safe to text about a debt: it is still the person's own (12 CFR 1006.6(d)(3), (5))."""

from __future__ import annotations

from dataclasses import dataclass

from disputes.policy.packs import Pack


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberUse:
    """What is known of a person's number.

    `last_text_days`: days since they texted from it about the debt, or consented to texts there (None: never);
    `unassigned_since`: a complete database shows that nobody else was given it since; `reaches_other`: it is known to
    reach somebody else.
    """

    last_text_days: int | None
    opted_out: bool = False
    unassigned_since: bool = False
    reaches_other: bool = False


def is_safe_to_text(*, pack: Pack, use: NumberUse) -> bool:
    """Whether the pack's procedure makes the number safe. A pack that has none asks only that it reaches nobody else,
    and that its holder did not opt out."""
    if use.reaches_other or use.opted_out:
        return False
    if not pack.text_number_days:
        return True
    if use.last_text_days is None:
        return False
    return use.last_text_days <= pack.text_number_days or use.unassigned_since
