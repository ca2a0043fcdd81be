"""Reading what the service answers, strictly: what is not exactly as agreed is no answer."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any, TypeVar

from recourse_client.messages import Failed, Reason

T = TypeVar("T")
KINDS = ("placed", "changed", "released")
_COVERED = ("loans", "customers", "phone_digests", "sending_rules")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class _Bad(ValueError):
    """Something in an answer is not as agreed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """`seconds`: for how long it is good, from `asked_at` (steady clock, before it was asked for)."""

    text: str
    asked_at: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the gate says of one item. `permit`: its id and its end; None where the item is denied."""

    reasons: tuple[str, ...]
    next_allowed_at: datetime | None
    permit: tuple[str, datetime] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A row of the feed. `covers`: what the hold covers after it, by kind (``loans`` ``customers`` ``phone_digests``
    ``sending_rules``); `permits_out`: the ids to recall, each with its permit's end."""

    number: int
    kind: str
    hold: str
    at: datetime
    scope: str
    reason: str
    covers: Mapping[str, tuple[str, ...]]
    permits_out: Mapping[str, datetime]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """`after`: to ask with next; `more`: whether there is more now."""

    changes: tuple[Change, ...]
    after: int
    more: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What became of one line of an import: ``created`` ``updated`` ``unchanged`` ``stale`` ``error``."""

    line: int
    external_id: str | None
    result: str
    errors: tuple[Mapping[str, Any], ...]


def _strictly(read: Callable[[Any], T], body: bytes) -> T:
    """Reads JSON with `read`. Raises Failed (bad_answer)."""
    try:
        return read(json.loads(body, parse_constant=_no_number))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise Failed(Reason.BAD_ANSWER, f"{type(error).__name__}: {error}") from error


def _no_number(text: str) -> Any:
    raise _Bad(f"{text} is no JSON")


def _need(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Bad(f"{kind.__name__} expected")
    return value


def _instant(value: Any) -> datetime:
    found = datetime.fromisoformat(_need(value, str))
    if found.tzinfo is None:
        raise _Bad("an instant has an offset")
    return found.astimezone(UTC)


def _id(value: Any) -> str:
    return str(uuid.UUID(_need(value, str)))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_need(text, str) for text in _need(value, list))


def read_token(body: bytes, *, asked_at: float) -> Token:
    """The token endpoint's answer (RFC 6749, section 5.1). Raises Failed."""

    def read(told: Any) -> Token:
        text, seconds = _need(told["access_token"], str), told["expires_in"]
        if not _TOKEN.fullmatch(text) or _need(told["token_type"], str).lower() != "bearer":
            raise _Bad("no bearer token")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 10**8:
            raise _Bad("expires_in")
        return Token(text=text, asked_at=asked_at, seconds=float(seconds))

    return _strictly(read, body)


def read_decisions(body: bytes, *, asked: int) -> tuple[datetime, Sequence[Told]]:
    """The gate's answer to so many items: `decided_at`, and what it says of each, in the order asked. Raises Failed.

    One decision that is not as agreed spoils the whole: who cannot count or name its own permits is not believed in
    the rest either.
    """

    def read(told: Any) -> tuple[datetime, Sequence[Told]]:
        decisions = [_read_decision(one) for one in _need(told["decisions"], list)]
        if len(decisions) != asked:
            raise _Bad(f"{len(decisions)} decisions on {asked} items")
        permits = [one.permit[0] for one in decisions if one.permit is not None]
        if len(set(permits)) != len(permits):
            raise _Bad("one permit for two items")
        return _instant(told["decided_at"]), decisions

    return _strictly(read, body)


def _read_decision(told: Any) -> Told:
    outcome, reasons, permit = told["outcome"], _texts(told["reasons"]), told["permit"]
    then = told["next_allowed_at"]
    if outcome not in ("allow", "deny") or (outcome == "allow") is not (permit is not None):
        raise _Bad("an outcome without its permit, or the other way round")
    if (outcome == "allow") is bool(reasons):
        raise _Bad("a denial has reasons, and nothing else has")
    return Told(
        reasons=reasons,
        next_allowed_at=None if then is None else _instant(then),
        permit=None if permit is None else (_id(permit["id"]), _instant(permit["expires_at"])),
    )


def read_page(body: bytes, *, after: int) -> Page:
    """A page of the feed that was asked for after the number `after`. Raises Failed."""

    def read(told: Any) -> Page:
        changes = tuple(_read_change(one) for one in _need(told["results"], list))
        numbers = [after, *(one.number for one in changes)]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise _Bad("the numbers of a page grow")
        if _need(told["after"], int) != numbers[-1] or numbers[-1] >= 2**63:
            raise _Bad("after is the last number")
        more = _need(told["more"], bool)
        if more and not changes:
            raise _Bad("more of nothing")
        return Page(changes=changes, after=numbers[-1], more=more)

    return _strictly(read, body)


def _read_change(told: Any) -> Change:
    if told["kind"] not in KINDS:
        raise _Bad("a kind that nobody knows")
    return Change(
        number=_need(told["number"], int),
        kind=told["kind"],
        hold=_id(told["hold"]),
        at=_instant(told["at"]),
        scope=_need(told["scope"], str),
        reason=_need(told["reason"], str),
        covers={name: _texts(told["covers"][name]) for name in _COVERED},
        permits_out={_id(one["id"]): _instant(one["expires_at"]) for one in _need(told["permits_out"], list)},
    )


def read_lines(body: bytes, *, asked: int) -> list[Line]:
    """What an import answered to so many lines. Raises Failed where a line has no answer."""

    def read(told: Any) -> Line:
        return Line(
            line=_need(told["line"], int),
            external_id=told["external_id"],
            result=_need(told["result"], str),
            errors=tuple(_need(told.get("errors") or [], list)),
        )

    lines = [_strictly(read, line) for line in body.splitlines() if line.strip()]
    if [line.line for line in lines] != list(range(1, asked + 1)):
        raise Failed(Reason.BAD_ANSWER, f"{len(lines)} results on {asked} lines")
    return lines


def read_date(text: str | None) -> datetime | None:
    """The header Date. None where there is none; raises Failed where it is none."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError) as error:
        raise Failed(Reason.BAD_ANSWER, "a Date that is none") from error
    if found.tzinfo is None:
        raise Failed(Reason.BAD_ANSWER, "a Date without its zone")
    return found
