"""Criteria of when and how often somebody was written to, as findings."""

from __future__ import annotations

from typing import Any

from disputes.check.contacting import (
    Excess,
    answers_own_message,
    breaks_hours,
    contacts_tell,
    excesses,
    is_outside_hours,
    repeated,
    sent_before,
    wishes_of,
    zones_of,
)
from disputes.check.facts import SentMessage
from disputes.check.finding import CUSTOMER, LENDER, NOBODY, Finding
from disputes.check.matter import Matter
from disputes.check.recipient import owner_of
from disputes.check.rendering import render_instant
from disputes.check.standing import local_day, zone_named
from disputes.policy.contact_hours import NO_WISHES
from disputes.policy.packs import LocalInterval


def same_message_twice(matter: Matter) -> Finding | None:
    """The same message twice: this is the later one."""
    if not matter.history.sent:
        return None
    earlier = repeated(matter)
    if earlier is None:
        return None
    zone = zones_of(matter)[0]
    facts = {
        "earlier": _sent_facts(earlier, matter),
        "within_hours": matter.pack.same_message_hours,
        "by": "words" if earlier.text and matter.message.text else "rule_and_claims",
    }
    params = {"day": local_day(earlier.sent_at, zone).isoformat(), "at": clock_time(matter, zone, earlier.sent_at)}
    return Finding(
        name="same_message_twice", speaks_for=CUSTOMER, facts=facts, text="same_message_twice", params=params
    )


def above_cap(matter: Matter) -> Finding | None:
    """Above a frequency cap. The sentence names the first; a lender's own cap is never called the law."""
    if not matter.history.sent:
        return None
    found = excesses(matter)
    if not found:
        return None
    first = found[0]
    params: dict[str, Any] = {
        "sent": len(first.counted),
        "count": first.cap.count,
        "scope": {"text": "scope_loan" if "loan" in first.cap.per else "scope_all", "params": {}},
    }
    if first.cap.rolling_hours is None:
        params["day"] = local_day(matter.message.sent_at, zones_of(matter)[0]).isoformat()
    else:
        params["span"] = {"hours": first.cap.rolling_hours}
    window = "day" if first.cap.rolling_hours is None else "span"
    text = f"{'legal' if first.cap.legal else 'own'}_cap_{window}"
    return Finding(
        name="above_cap",
        speaks_for=CUSTOMER,
        facts={"caps": [_cap_facts(one, matter) for one in found]},
        text=text,
        params=params,
    )


def _cap_facts(excess: Excess, matter: Matter) -> dict[str, Any]:
    cap = excess.cap
    return {
        "cap": cap.name,
        "count": cap.count,
        "rolling_hours": cap.rolling_hours,
        "per": list(cap.per),
        "legal": cap.legal,
        "before": [_sent_facts(one, matter) for one in excess.counted],
    }


def _sent_facts(one: SentMessage, matter: Matter) -> dict[str, Any]:
    """What was sent before. Which message it was is nobody's to read where it was about another person's loan."""
    owner = owner_of(matter)
    facts: dict[str, Any] = {"sent_at": render_instant(one.sent_at)}
    if (owner is not None and one.customer == owner) or (one.loan is not None and one.loan == matter.message.loan):
        facts["external_id"] = one.external_id
    return facts


def within_caps(matter: Matter) -> Finding | None:
    """To somebody who says that there were too many: there were not, or the records cannot tell."""
    if matter.claim.ground != "too_frequent" or (
        matter.history.sent and (excesses(matter) or repeated(matter) is not None)
    ):
        return None
    facts = {
        "caps": [cap.name for cap in _caps(matter)],
        "before": [_sent_facts(one, matter) for one in sent_before(matter)],
    }
    if not contacts_tell(matter):
        return Finding(name="contacts_unknown", speaks_for=NOBODY, facts=facts, text="contacts_unknown")
    return Finding(name="within_caps", speaks_for=LENDER, facts=facts, text="within_caps")


def _caps(matter: Matter) -> tuple[Any, ...]:
    return matter.pack.caps_for(channel=matter.message.channel, category=matter.message.category)


def outside_hours(matter: Matter) -> Finding | None:
    """Sent outside contact hours, by the clock of the place (of several, the first at which it was)."""
    if not is_outside_hours(matter):
        return None
    zones, wishes = zones_of(matter), wishes_of(matter)
    broken = [zone for zone in zones if breaks_hours(matter, zones=(zone,), wishes=wishes)]
    # Without the wishes it would have been in order: it is they that it broke.
    own = not breaks_hours(matter, zones=zones, wishes=NO_WISHES)
    facts = _hours_facts(matter) | {"broken_in": broken, "against_own_wishes": own}
    zone = broken[0]
    params: dict[str, Any] = {
        "day": local_day(matter.message.sent_at, zone).isoformat(),
        "at": clock_time(matter, zone),
    }
    if own:
        return Finding(name="outside_hours", speaks_for=CUSTOMER, facts=facts, text="outside_own_hours", params=params)
    params["hours"] = [_between(hours) for hours in matter.pack.contact_hours.allowed or ()]
    return Finding(name="outside_hours", speaks_for=CUSTOMER, facts=facts, text="outside_hours", params=params)


def inside_hours(matter: Matter) -> Finding | None:
    """To somebody who says that the hour was wrong: it was not."""
    if matter.claim.ground != "outside_hours" or is_outside_hours(matter):
        return None
    facts = _hours_facts(matter)
    if matter.message.category not in matter.pack.contact_hours.categories:
        return Finding(name="inside_hours", speaks_for=LENDER, facts=facts, text="hours_not_concerned")
    if answers_own_message(matter) and matter.pack.contact_hours.reply_free:
        return Finding(name="inside_hours", speaks_for=LENDER, facts=facts, text="answer_at_any_hour")
    zone = zones_of(matter)[0]
    params = {"day": local_day(matter.message.sent_at, zone).isoformat(), "at": clock_time(matter, zone)}
    return Finding(name="inside_hours", speaks_for=LENDER, facts=facts, text="inside_hours", params=params)


def _hours_facts(matter: Matter) -> dict[str, Any]:
    at = matter.message.sent_at
    allowed = matter.pack.contact_hours.allowed
    return {
        "sent_at": render_instant(at),
        "local": [
            {"zone": zone, "time": at.astimezone(zone_named(zone)).replace(tzinfo=None).isoformat()}
            for zone in zones_of(matter)
        ],
        "allowed": None if allowed is None else [[str(one.first), str(one.until)] for one in allowed],
        "category": matter.message.category,
    }


def _between(hours: LocalInterval) -> dict[str, Any]:
    params = {"first": {"time": f"{hours.first:%H:%M}"}, "until": {"time": f"{hours.until:%H:%M}"}}
    return {"text": "hours_between", "params": params}


def clock_time(matter: Matter, zone: str, at: Any = None) -> dict[str, str]:
    """A time of day on the clock of `zone`, as a sentence's parameter."""
    local = (at or matter.message.sent_at).astimezone(zone_named(zone))
    return {"time": f"{local:%H:%M}", "zone": zone}
