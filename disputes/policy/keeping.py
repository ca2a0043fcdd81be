"""How long records are kept at least."""

from __future__ import annotations

from datetime import date

from disputes.policy.packs import Pack


def keep_records_until(*, pack: Pack, last_activity: date) -> date:
    """The last local day on which records of a matter must still be there, from the day of its last activity.

    What a hold for a court or a supervisor covers is kept longer, whatever this says.
    """
    return pack.retention.after(last_activity)


def keep_recording_until(*, pack: Pack, recorded_on: date) -> date:
    """The same for the recording of a call or a visit, from its own day."""
    return pack.recording_retention.after(recorded_on)


def outside_body_until(*, pack: Pack, letter_on: date) -> date | None:
    """The last local day on which the customer may turn to the outside body; None where the pack sets no term."""
    return None if pack.outside_body_term is None else pack.outside_body_term.after(letter_on)
