"""How a setting's text is read: into a value, or refused with words that an operator understands."""

from __future__ import annotations

import base64
import re
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from phonenumbers import SUPPORTED_REGIONS


class Unusable(ValueError):
    """A value that cannot be read; the message completes "NAME ..."."""


def text(raw: str) -> str:
    return raw.strip()


def flag(raw: str) -> bool:
    word = raw.strip().lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise Unusable("must be true or false")
    return word in ("1", "true", "yes", "on")


def words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def whole(low: int, high: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw.strip(), re.ASCII) or not low <= int(raw) <= high:
            raise Unusable(f"must be a whole number from {low} to {high}")
        return int(raw)

    return read


def months_kept(raw: str) -> int:
    """Permits of the last two months are never dropped: caps, and permits that live, look back that far."""
    if (months := whole(0, 1200)(raw)) == 1:
        raise Unusable("must be 0, or at least 2")
    return months


def share(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        raise Unusable("must be a number from 0 to 1") from None
    if not 0 <= value <= 1:
        raise Unusable("must be a number from 0 to 1")
    return value


RECORD_TYPES = (
    "customer", "loan", "instalment", "repayment", "reversal", "sending_rule", "message", "void", "watermark",
)  # fmt: skip


def shares(raw: str) -> dict[str, float]:
    """Shares by type of record; under the empty name that of all others, which stands alone: `0.2,message:1`."""
    found: dict[str, float] = {}
    for word in words(raw):
        type_, _, said = (part.strip() for part in word.rpartition(":"))
        if type_ and type_ not in RECORD_TYPES:
            raise Unusable(f"may name {', '.join(RECORD_TYPES)}")
        if type_ in found:
            raise Unusable(f"has {type_ or 'a share of all types'} twice")
        found[type_] = share(said)
    if "" not in found:
        raise Unusable("needs a share for all types, such as 0.2 or 0.2,message:1")
    return found


def zone(raw: str) -> str:
    try:
        zoneinfo.ZoneInfo(raw.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Unusable("must be a time zone of the IANA database, such as Asia/Shanghai") from None
    return raw.strip()


def instant(raw: str) -> datetime:
    try:
        at = datetime.fromisoformat(raw.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Unusable("must be a time with its offset, such as 2026-03-01T00:00:00+08:00")
    return at


def region(raw: str) -> str:
    region = raw.strip().upper()
    if region not in SUPPORTED_REGIONS:  # of another, no local way of writing a phone could be read
        raise Unusable("must be a country's two letters (ISO 3166), such as CN")
    return region


def url(*schemes: str) -> Callable[[str], str]:
    def read(raw: str) -> str:
        try:
            parts = urlsplit(raw.strip())
            _ = parts.port
        except ValueError:
            raise Unusable("is not an address") from None
        if parts.scheme not in schemes:
            raise Unusable(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return raw.strip()

    return read


def database_url(raw: str) -> str:
    database(url("postgresql", "postgres")(raw))
    return raw.strip()


def mail_url(raw: str) -> str:
    mail_server(url("smtp", "smtps")(raw))
    return raw.strip()


def algorithms(raw: str) -> list[str]:
    found = words(raw)
    if not found or set(found) - {"RS256", "ES256"}:
        raise Unusable("may name RS256 and ES256 alone")
    return found


def data_keys(raw: str) -> dict[int, bytes]:
    """`ID:KEY` pairs, comma between: id 1 to 255, key 32 bytes as base64 or 64 hexadecimal digits. Raises Unusable."""
    keys: dict[int, bytes] = {}
    for pair in words(raw):
        name, _, said = pair.partition(":")
        if not re.fullmatch(r"[0-9]{1,3}", name, re.ASCII) or not 1 <= int(name) <= 255:
            raise Unusable("must be ID:KEY pairs with ids from 1 to 255")
        if int(name) in keys:
            raise Unusable(f"has {int(name)} twice")
        keys[int(name)] = _key(said.strip())
    if not keys:
        raise Unusable("names no key")
    return keys


def _key(said: str) -> bytes:
    padded = said.replace("-", "+").replace("_", "/") + "=" * (-len(said) % 4)
    try:
        found = bytes.fromhex(said) if len(said) == 64 else base64.b64decode(padded, validate=True)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise Unusable("needs keys of 32 random bytes each: openssl rand -base64 32")
    if len(set(found)) < 8:
        raise Unusable("has a key that is not random")
    return found


def database(url: str) -> dict[str, Any]:
    """Django's description of a database from its address. Raises Unusable."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or (parts.hostname or "")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise Unusable("names no database")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": options,
    }


def mail_server(url: str) -> dict[str, Any]:
    """Django's settings of a mail server from its address. Raises Unusable."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    over_tls = parts.scheme == "smtps"
    try:
        upgrades = flag(options.pop("starttls", "false"))
    except Unusable:
        raise Unusable("has starttls, which must be true or false") from None
    if not parts.hostname or options or parts.path not in ("", "/"):
        raise Unusable("must be smtp://user:password@host:587?starttls=true or smtps://user:password@host:465")
    if upgrades and over_tls:
        raise Unusable("is smtps:// and starttls at once: one of the two")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if over_tls else 587 if upgrades else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": over_tls,
        "EMAIL_USE_TLS": upgrades,
    }


def one_of(word: str, *known: str) -> str:
    if word not in known:
        raise Unusable(f"must be one of {', '.join(known)}")
    return word
