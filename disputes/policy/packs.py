"""Policy packs: dated TOML files that say what a lender promises and what a regulator asks.

A pack is a file ``<name>.toml`` with a list of dated versions. A version states only what it changes; all else goes
on from the version before it. `extends` names another pack that lies underneath: whatever the pack itself does not
state is the other's value of that instant. Every stated value names its `clause`, its `force` (``law`` ``rule``
``std`` ``code`` ``guide``, or ``own``: the lender's choice) and how far the clause was `read` (``yes``, ``part``).
"""

from __future__ import annotations

import calendar
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

HOUSE = "house"


class PackError(ValueError):
    """A pack that cannot be used: the file, the key, and why, in one line."""

    def __init__(self, file: str, key: str, why: str) -> None:
        said = f"{file}: {key}: {why}" if key else f"{file}: {why}"
        # A key may be quoted in the file, and then hold anything, even a line's end.
        super().__init__("".join(letter if letter.isprintable() else "?" for letter in said[:900]))
        self.file = file
        self.key = key
        self.why = why


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a value comes from."""

    clause: str
    force: str
    read: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalInterval:
    """Half-open local hours of a day: `first` belongs to it, `until` does not.

    It wraps midnight where `until` is not after `first`; equal ends are the whole day.
    """

    first: time
    until: time


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactHours:
    """When a person may be contacted.

    `allowed`: local hours, any of them will do (None: no window is set); `categories`: the messages that keep them;
    `agreed`: hours that the person agreed to are open beside them; `reply_free`: one answer to each message of the
    person's own is free of them; `end_free`: the words leave the second at which an interval ends free ("after 9
    p.m."), so that a message in it is no breach.
    """

    allowed: tuple[LocalInterval, ...] | None
    categories: frozenset[str]
    agreed: bool
    reply_free: bool
    end_free: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """At most `count` contacts that share all of `per`.

    `rolling_hours`: within so many elapsed hours; None: on one local date. `per`: of ``customer`` ``loan`` ``phone``,
    all of which must agree; `channel`: the only channel that it counts and stops (None: all); `categories`: the
    messages that it counts and stops; `legal`: a regulator's number (else the lender's own, and no answer may call it
    the law).
    """

    name: str
    count: int
    rolling_hours: int | None
    per: tuple[str, ...]
    channel: str | None
    categories: frozenset[str]
    legal: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Calendar days from receipt, whose own day does not count; due by the end of the last day.

    `first_answer_clock`, `decide_clock`: ``calendar``, or ``business``: then the term is so many open `…_hours` of the
    lender's calendar, which stop while the customer is asked something. `decide_complex`, `decide_extended`: the
    longer terms, the second only where it was approved and the customer told.
    """

    acknowledge_days: int
    first_answer_days: int
    decide_days: int
    decide_complex_days: int
    decide_extended_days: int
    first_answer_clock: str
    first_answer_hours: int
    decide_clock: str
    decide_hours: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordsPolicy:
    """How old records may be. `watermarks`: the lender sends them; `max_lag_hours`: how far behind the message one
    may be."""

    watermarks: bool
    max_lag_hours: int
    feeds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A length of time on the calendar: `count` of ``day`` ``month`` ``year``."""

    count: int
    unit: str

    def after(self, day: date) -> date:
        """The same day of the month so much later; the month's last day where it has none such."""
        if self.unit == "day":
            return day + timedelta(days=self.count)
        ahead = day.month - 1 + self.count * (12 if self.unit == "year" else 1)
        year, month = day.year + ahead // 12, ahead % 12 + 1
        return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way on, outside the lender, that a letter names: one line a language. `code`: what `letter_ways_required`
    calls it (empty: nothing asks for it)."""

    zh_hans: str
    en: str
    code: str = ""

    def text(self, language: str) -> str:
        """The line in ``zh-hans`` or ``en``; an unknown language reads English."""
        return self.zh_hans if language == "zh-hans" else self.en


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """What is in force at an instant. `version` names every file's version that it was put together from."""

    name: str
    version: str
    valid_from: date | None
    """The local day from whose start it is in force; None: always was."""
    contact_hours: ContactHours
    caps: tuple[Cap, ...]
    opt_out_passes: frozenset[str]
    """Categories that reach a number that opted out."""
    opt_out_words: tuple[str, ...]
    """What a person texts to opt out, in small letters."""
    opt_out_reply_free: bool
    """Whether one answer to each message of the person's own reaches a number that opted out."""
    dispute_notices_pass_opt_out: bool
    """Whether what a person is told of their own dispute by SMS reaches a number that opted out."""
    always_pass: frozenset[str]
    """Categories that no hold of a dispute, no cap and no hour stops."""
    contact_categories: frozenset[str]
    """Categories that may be written to a number that the records name as a contact's, and not as the customer's
    own."""
    same_message_hours: int
    """Within which a message that says the same again is the same message twice."""
    terms: Terms
    auto_close_customer_right: bool
    """Whether `customer_right` closes the dispute as upheld without an agent."""
    records: RecordsPolicy
    resume_after_hours: int
    """After the delivery of a rejection, until messages may go on."""
    delivery_presumed_hours: int
    """Without a failure, until an outcome counts as delivered."""
    duplicative_days: int
    """After a rejection, within which the same ground and loan with nothing new is a repetition."""
    waiting_customer_days: int
    """Of silence, after which a dispute returns from the customer to its agent."""
    letter_ways: tuple[Way, ...]
    """What a decision's letter says of the ways on outside the lender, in this order."""
    letter_ways_required: tuple[str, ...]
    """The codes of the ways that must be among them."""
    outside_body_term: Span | None
    """From the date of the letter, within which an outside body may be turned to (None: no term is set)."""
    disputed_mark: bool
    """Whether data in dispute may be passed on only where they are marked as disputed."""
    hold_note: str
    """What the agent's screen says of a dispute whose messages are held (empty: nothing)."""
    validation_days: int
    """From receipt of the validation notice, in which a written dispute stops collection (0: no such period)."""
    validation_receipt_days: int
    """Business days after sending, at which a validation notice may be taken to be received."""
    text_number_days: int
    """How long a person's own text or consent makes it safe to text their number (0: no such rule)."""
    retention: Span
    """Records are kept at least so long after the last activity."""
    recording_retention: Span
    """Recordings of calls and visits are kept at least so long."""
    sources: Mapping[str, Source] = field(compare=False, hash=False)
    """By the value's key, as in the file."""

    @property
    def digest(self) -> str:
        """16 hex digits over every value that bears on judging, whatever the order of the file and its comments.

        Where it differs from the one of the same name and version stored earlier, a version that has been in force was
        edited. Texts of letters, terms of disputes and where values come from are not in it.
        """
        return _digest(self)

    def caps_for(self, *, channel: str, category: str) -> tuple[Cap, ...]:
        """The caps that a message of this channel and category must keep."""
        return _caps_for(self.caps, channel, category)

    def look_back(self) -> timedelta:
        """How far back contacts must be known for the caps; a local date may last up to 26 hours in any zone."""
        return max((timedelta(hours=cap.rolling_hours or 26) for cap in self.caps), default=timedelta(0))


@lru_cache(maxsize=64)
def _digest(pack: Pack) -> str:
    hours = pack.contact_hours
    bearing: dict[str, object] = {
        "contact_hours": None if hours.allowed is None else sorted([str(h.first), str(h.until)] for h in hours.allowed),
        "contact_hours_categories": sorted(hours.categories),
        "agreed_hours": hours.agreed,
        "reply_free": hours.reply_free,
        "caps": [{**asdict(cap), "categories": sorted(cap.categories)} for cap in sorted(pack.caps, key=_name_of)],
        "opt_out_passes": sorted(pack.opt_out_passes),
        "always_pass": sorted(pack.always_pass),
        "contact_categories": sorted(pack.contact_categories),
        "same_message_hours": pack.same_message_hours,
        "watermarks": pack.records.watermarks,
        "watermark_feeds": sorted(pack.records.feeds),
        "max_lag_hours": pack.records.max_lag_hours,
    }
    # A value of a later release stands here only where it is stated, so that older packs keep their digest.
    if hours.end_free:
        bearing["hours_end_free"] = True
    written = json.dumps(bearing, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _name_of(cap: Cap) -> str:
    return cap.name


@lru_cache(maxsize=256)
def _caps_for(caps: tuple[Cap, ...], channel: str, category: str) -> tuple[Cap, ...]:
    return tuple(cap for cap in caps if cap.channel in (None, channel) and category in cap.categories)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packs:
    """All packs of a directory, each a row of versions, oldest first."""

    by_name: Mapping[str, tuple[Pack, ...]]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.by_name))

    def in_force(self, name: str, instant: datetime, zone: str) -> Pack:
        """The version of pack `name` in force at `instant` (aware); versions change at midnight of `zone` (IANA).

        Raises KeyError for a pack that is not there.
        """
        day = instant.astimezone(ZoneInfo(zone)).date()
        rows = self.by_name[name]
        return next((row for row in reversed(rows) if row.valid_from is None or row.valid_from <= day), rows[0])

    def version(self, name: str, version: str) -> Pack:
        """One version of a pack, as a check stored it. Raises KeyError."""
        for pack in self.by_name[name]:
            if pack.version == version:
                return pack
        raise KeyError(f"{name} {version}")


def load_packs(directory: Path) -> Packs:
    """Every ``*.toml`` of `directory` (not its folders). Raises PackError for the first that cannot be used."""
    from disputes.policy.reading import read_packs

    return Packs(by_name=read_packs(directory))


SHIPPED = Path(__file__).parent / "packs"
"""The packs that come with the service."""
