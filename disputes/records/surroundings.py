"""What bears on the sending of messages beside the account: whom they reached, and what else was sent to them."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db import connection

from config.fields import keyring
from config.values.ciphertext import digest
from disputes.check import facts
from disputes.records.histories import find_voids
from disputes.records.models import Message, MessagePersonal
from disputes.records.queries import personal_of

MOST = 500
"""Messages sent before one that are looked at, the newest first; no cap counts so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """`customers`: every version of every customer whose loan it ever was; `voids`: of those; `sent`: what was sent
    before to the same phone, about the loan, or about another loan of theirs; `text`: the digest of the message's own
    words, empty where they are not known."""

    customers: tuple[facts.CustomerVersion, ...] = ()
    voids: tuple[facts.VoidVersion, ...] = ()
    sent: tuple[facts.SentMessage, ...] = ()
    text: str = ""


def read_surroundings(
    *,
    messages: Sequence[Message],
    histories: Mapping[str, facts.History],
    look_back: Mapping[uuid.UUID, timedelta],
    same_within: Mapping[uuid.UUID, timedelta],
) -> dict[uuid.UUID, Surroundings]:
    """The surroundings of each message, by its id, in a fixed number of queries.

    `histories`: by loan; `look_back`: how far back what was sent counts; `same_within`: how far back the words of a
    message are compared with others'. Messages that say nothing of a loan have no owner, and no customers.
    """
    owners = {one.pk: _owners(histories.get(one.loan or "")) for one in messages}
    everyone = sorted(set().union(*owners.values()))
    versions = _customer_versions(everyone)
    voids = find_voids(customer=[(customer,) for customer in everyone]) if everyone else {}
    sent = _sent_before(messages, owners, look_back)
    texts = _texts(messages, sent, same_within)
    found = {}
    for one in messages:
        theirs = sorted(owners[one.pk])
        found[one.pk] = Surroundings(
            customers=tuple(version for customer in theirs for version in versions.get(customer, ())),
            voids=tuple(void for customer in theirs for void in _voids_of(("customer", customer), voids)),
            sent=tuple(replace(other, text=texts.get(row, "")) for row, other in sent.get(one.pk, ())),
            text=texts.get(one.version_id, ""),
        )
    return found


def _owners(history: facts.History | None) -> frozenset[str]:
    return frozenset(version.customer for version in history.loans) if history else frozenset()


def _voids_of(
    key: tuple[str, str], voids: Mapping[tuple[str, str], list[facts.VoidVersion]]
) -> list[facts.VoidVersion]:
    """The voids that ever named a record, and the voids of those."""
    found: dict[tuple[str, int, datetime, bytes], facts.VoidVersion] = {}
    left, done = [key], set()
    while left:
        one = left.pop()
        if one in done:
            continue
        done.add(one)
        for version in voids.get(one, ()):
            found[version.external_id, version.version, version.posted_at, version.content] = version
            left.append(("void", version.external_id))
    return [found[rank] for rank in sorted(found)]


def _customer_versions(customers: Sequence[str]) -> dict[str, list[facts.CustomerVersion]]:
    if not customers:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT v.external_id, v.version, v.posted_at, v.effective_at, v.content, v.time_zones,
                   v.contact_preferences, p.phones
            FROM disputes_customerversion v
            LEFT JOIN LATERAL (
                SELECT json_agg(json_build_array(encode(p.digest, 'hex'), p.role, p.first, p.until)
                                ORDER BY p.digest, p.role, p.first, p.until) AS phones
                FROM disputes_customerphoneversion p WHERE p.version_id = v.id
            ) p ON true
            WHERE v.external_id = ANY(%s)
            ORDER BY v.external_id, v.version, v.posted_at, v.content
            """,
            [list(customers)],
        )
        found: dict[str, list[facts.CustomerVersion]] = defaultdict(list)
        for external_id, version, posted_at, effective_at, content, zones, wishes, phones in cursor.fetchall():
            found[external_id].append(
                facts.CustomerVersion(
                    external_id=external_id,
                    version=version,
                    posted_at=posted_at,
                    effective_at=effective_at,
                    content=bytes(content),
                    time_zones=tuple(zones),
                    preferences=_wishes(wishes),
                    phones=tuple(map(_phone, phones if isinstance(phones, list) else json.loads(phones or "[]"))),
                )
            )
    return found


def _wishes(stored: str | Mapping[str, object] | None) -> str:
    """Preferences as one text, whoever stored them; empty where there are none."""
    wishes = json.loads(stored) if isinstance(stored, str) else stored
    return json.dumps(wishes, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if wishes else ""


def _phone(row: Sequence[str | None]) -> facts.CustomerPhone:
    digest_, role, first, until = row
    return facts.CustomerPhone(digest=digest_ or "", role=role or "", first=_day(first), until=_day(until))


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


_SENT = """
    SELECT one.id, o.version_id, o.external_id, o.sent_at, o.loan, l.customer, encode(o.phone_digest, 'hex'),
           o.channel, o.category, o.sending_rule, o.campaign, o.claimed_amount, o.claimed_days_past_due
    FROM unnest(%(ids)s::uuid[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(phones)s::bytea[])
         AS one(id, since, until, phone)
    CROSS JOIN LATERAL (
        SELECT * FROM (
            (SELECT m.* FROM disputes_message m
             WHERE m.phone_digest = one.phone AND m.sent_at BETWEEN one.since AND one.until
             ORDER BY m.sent_at DESC LIMIT %(most)s)
            UNION
            (SELECT m.* FROM unnest(%(of)s::uuid[], %(loans)s::text[]) AS theirs(id, loan)
             JOIN disputes_message m ON m.loan = theirs.loan AND m.sent_at BETWEEN one.since AND one.until
             WHERE theirs.id = one.id
             ORDER BY m.sent_at DESC LIMIT %(most)s)
        ) AS every ORDER BY every.sent_at DESC, every.external_id DESC LIMIT %(most)s
    ) AS o
    LEFT JOIN disputes_loan l ON l.external_id = o.loan
    WHERE o.id <> one.id AND NOT o.voided
    ORDER BY one.id, o.sent_at, o.external_id
"""


def _sent_before(
    messages: Sequence[Message],
    owners: Mapping[uuid.UUID, frozenset[str]],
    look_back: Mapping[uuid.UUID, timedelta],
) -> dict[uuid.UUID, list[tuple[uuid.UUID, facts.SentMessage]]]:
    """By message: (version id, what was sent by its own instant), oldest first, without the words."""
    dated = [(one, one.sent_at) for one in messages if one.sent_at is not None]
    loans = _loans_of(messages, owners)
    with connection.cursor() as cursor:
        cursor.execute(
            _SENT,
            {
                "ids": [one.pk for one, _ in dated],
                "since": [at - look_back[one.pk] for one, at in dated],
                "until": [at for _, at in dated],
                "phones": [None if one.phone_digest is None else bytes(one.phone_digest) for one, _ in dated],
                "of": [pk for pk, _ in loans],
                "loans": [loan for _, loan in loans],
                "most": MOST,
            },
        )
        found: dict[uuid.UUID, list[tuple[uuid.UUID, facts.SentMessage]]] = defaultdict(list)
        for row in cursor.fetchall():
            found[row[0]].append((row[1], _sent(row[2:])))
    return found


def _sent(row: Sequence[object]) -> facts.SentMessage:
    names = ("external_id", "sent_at", "loan", "customer", "phone", "channel", "category", "sending_rule", "campaign")
    values = dict(zip((*names, "claimed_amount", "claimed_days_past_due"), row, strict=True))
    values["phone"] = values["phone"] or ""
    return facts.SentMessage(**values)  # type: ignore[arg-type]


def _loans_of(messages: Sequence[Message], owners: Mapping[uuid.UUID, frozenset[str]]) -> list[tuple[uuid.UUID, str]]:
    """(message, loan): its own, and as known now every other of whoever its loan ever was."""
    pairs = {(one.pk, one.loan) for one in messages if one.loan is not None}
    whose = sorted((pk, customer) for pk, customers in owners.items() for customer in customers)
    if whose:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT one.id, l.external_id FROM unnest(%s::uuid[], %s::text[]) AS one(id, customer) "
                "JOIN disputes_loan l ON l.customer = one.customer",
                [[pk for pk, _ in whose], [customer for _, customer in whose]],
            )
            pairs.update(cursor.fetchall())
    return sorted(pairs)


def _texts(
    messages: Sequence[Message],
    sent: Mapping[uuid.UUID, Iterable[tuple[uuid.UUID, facts.SentMessage]]],
    same_within: Mapping[uuid.UUID, timedelta],
) -> dict[uuid.UUID, str]:
    """By version id: the digest of the words, of those messages alone that could be the same one twice."""
    wanted: set[uuid.UUID] = set()
    for one in messages:
        if one.sent_at is None or one.phone_digest is None:
            continue
        phone = bytes(one.phone_digest).hex()
        alike = {
            row
            for row, other in sent.get(one.pk, ())
            if (other.phone, other.loan, other.channel, other.category) == (phone, one.loan, one.channel, one.category)
            and one.sent_at - other.sent_at < same_within[one.pk]
        }
        if alike:
            wanted |= alike | {one.version_id}
    if not wanted:
        return {}
    shown = dict(Message.objects.filter(version_id__in=wanted).values_list("version_id", "short_ref"))
    return {
        version: text_digest(str(personal.get("body") or ""), short_ref=shown.get(version, ""))
        for version, personal in personal_of(model=MessagePersonal, versions=wanted).items()
    }


def text_digest(body: str, *, short_ref: str) -> str:
    """A keyed digest of a message's words without the reference that they show, in hex; empty for no words."""
    words = " ".join((body.replace(short_ref, " ") if short_ref else body).split())
    return digest(keyring(), "message_text", words).hex() if words else ""
