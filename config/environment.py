"""The settings that an operator may give, as one table: read, checked and documented from here.

Pure but for `home_secret`, which makes a secret of the embedded set-up at its first use.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from phonenumbers import SUPPORTED_REGIONS

ROOT = Path(__file__).resolve().parent.parent

EMBEDDED = "embedded"
PRODUCTION = "production"
TEST = "test"


def mode_of(environ: Mapping[str, str]) -> str:
    """`embedded`, `production` or `test`: RECOURSE_ENV, else production where DATABASE_URL is set."""
    named = environ.get("RECOURSE_ENV", "").strip().lower()
    if named:
        return named
    return PRODUCTION if environ.get("DATABASE_URL") else EMBEDDED


def is_embedded(environ: Mapping[str, str]) -> bool:
    return mode_of(environ) == EMBEDDED


def home(environ: Mapping[str, str]) -> Any:
    """Where the embedded set-up keeps its data, as a `config.embedded.Home`."""
    from config.embedded import Home

    return Home(directory=Path(environ.get("RECOURSE_HOME") or ROOT / ".recourse").resolve())


class Unusable(ValueError):
    """A value that cannot be read; the message completes "NAME ..."."""


# --- how values are read ---


def _text(raw: str) -> str:
    return raw.strip()


def _flag(raw: str) -> bool:
    word = raw.strip().lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise Unusable("must be true or false")
    return word in ("1", "true", "yes", "on")


def _words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", raw.strip(), re.ASCII) or not low <= int(raw) <= high:
            raise Unusable(f"must be a whole number from {low} to {high}")
        return int(raw)

    return read


def _months_kept(raw: str) -> int:
    """Permits of the last two months are never dropped: caps, and permits that live, look back that far."""
    if (months := _whole(0, 1200)(raw)) == 1:
        raise Unusable("must be 0, or at least 2")
    return months


def _share(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        raise Unusable("must be a number from 0 to 1") from None
    if not 0 <= value <= 1:
        raise Unusable("must be a number from 0 to 1")
    return value


_RECORD_TYPES = (
    "customer", "loan", "instalment", "repayment", "reversal", "sending_rule", "message", "void", "watermark",
)  # fmt: skip


def _shares(raw: str) -> dict[str, float]:
    """Shares by type of record; under the empty name that of all others, which stands alone: `0.2,message:1`."""
    shares: dict[str, float] = {}
    for word in _words(raw):
        type_, _, share = (part.strip() for part in word.rpartition(":"))
        if type_ and type_ not in _RECORD_TYPES:
            raise Unusable(f"may name {', '.join(_RECORD_TYPES)}")
        if type_ in shares:
            raise Unusable(f"has {type_ or 'a share of all types'} twice")
        shares[type_] = _share(share)
    if "" not in shares:
        raise Unusable("needs a share for all types, such as 0.2 or 0.2,message:1")
    return shares


def _zone(raw: str) -> str:
    try:
        zoneinfo.ZoneInfo(raw.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Unusable("must be a time zone of the IANA database, such as Asia/Shanghai") from None
    return raw.strip()


def _instant(raw: str) -> datetime:
    try:
        at = datetime.fromisoformat(raw.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Unusable("must be a time with its offset, such as 2026-03-01T00:00:00+08:00")
    return at


def _region(raw: str) -> str:
    region = raw.strip().upper()
    if region not in SUPPORTED_REGIONS:  # of another, no local way of writing a phone could be read
        raise Unusable("must be a country's two letters (ISO 3166), such as CN")
    return region


def _url(*schemes: str) -> Callable[[str], str]:
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


def _database(raw: str) -> str:
    database(_url("postgresql", "postgres")(raw))
    return raw.strip()


def _mail(raw: str) -> str:
    mail_server(_url("smtp", "smtps")(raw))
    return raw.strip()


def _algorithms(raw: str) -> list[str]:
    found = _words(raw)
    if not found or set(found) - {"RS256", "ES256"}:
        raise Unusable("may name RS256 and ES256 alone")
    return found


def data_keys(raw: str) -> dict[int, bytes]:
    """`ID:KEY` pairs, comma between: id 1 to 255, key 32 bytes as base64 or 64 hexadecimal digits. Raises Unusable."""
    keys: dict[int, bytes] = {}
    for pair in _words(raw):
        name, _, text = pair.partition(":")
        if not re.fullmatch(r"[0-9]{1,3}", name, re.ASCII) or not 1 <= int(name) <= 255:
            raise Unusable("must be ID:KEY pairs with ids from 1 to 255")
        if int(name) in keys:
            raise Unusable(f"has {int(name)} twice")
        keys[int(name)] = _key(text.strip())
    if not keys:
        raise Unusable("names no key")
    return keys


def _key(text: str) -> bytes:
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    try:
        found = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(padded, validate=True)
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
        upgrades = _flag(options.pop("starttls", "false"))
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


# --- the table ---


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One row of the table. `needed`: a production start refuses without it; `default`: what stands in its place;
    `embedded`: what the embedded set-up uses, in words; `secret`: never shown."""

    name: str
    read: Callable[[str], Any]
    meaning: str
    default: str | None = None
    needed: bool = False
    embedded: str = ""
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="RECOURSE_ENV",
        read=_text,
        meaning="`production`, `embedded` (servers of one's own under `.recourse/`) or `test`.",
        default="`production` where DATABASE_URL is set, else `embedded`",
    ),
    Setting(
        name="RECOURSE_HOME",
        read=_text,
        meaning="Directory of the embedded set-up's data and secrets.",
        default="`.recourse` in the checkout",
    ),
    Setting(
        name="DATABASE_URL",
        read=_database,
        meaning="PostgreSQL 15 or newer, as the service's own role: `postgresql://role:password@host:5432/name`. "
        "Options of libpq may follow (`?sslmode=verify-full`).",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="MIGRATE_DATABASE_URL",
        read=_database,
        meaning="The same database as the role that owns the tables. `manage.py migrate` alone uses it.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="BROKER_URL",
        read=_url("redis", "rediss", "redis+socket", "amqp", "amqps"),
        meaning="Where tasks are queued: Valkey or Redis (`redis://`, `rediss://`, `redis+socket://`) or RabbitMQ "
        "(`amqp://`, `amqps://`). It must keep what it is given: append-only file on, no eviction.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="CACHE_URL",
        read=_url("redis", "rediss", "unix"),
        meaning="Valkey or Redis, shared by all web processes: what is counted to throttle.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="SECRET_KEY",
        read=_text,
        meaning="Signs sessions. At least 50 random characters: `openssl rand -base64 48`.",
        needed=True,
        embedded="made at the first start",
        secret=True,
    ),
    Setting(
        name="DATA_KEYS",
        read=data_keys,
        meaning="Encrypts personal data: `ID:KEY` pairs, comma between, ids 1 to 255, 32 bytes each "
        "(`openssl rand -base64 32`). The first one encrypts, all of them open. Losing one loses what it wrote.",
        needed=True,
        embedded="made at the first start",
        secret=True,
    ),
    Setting(
        name="DIGEST_KEY_ID",
        read=_whole(1, 255),
        meaning="Which of DATA_KEYS makes the digests that phones are found by. It stays when the first key changes.",
        default="the lowest id",
    ),
    Setting(
        name="ALLOWED_HOSTS",
        read=_words,
        meaning="Host names that the service answers to, comma between. `*` is refused.",
        needed=True,
        embedded="localhost",
    ),
    Setting(
        name="CSRF_TRUSTED_ORIGINS",
        read=_words,
        meaning="Origins whose forms the admin takes when it stands behind a proxy: `https://desk.example`.",
        default="",
    ),
    Setting(
        name="PROXY_SENDS_SCHEME",
        read=_flag,
        meaning="A proxy in front ends TLS and always sets `X-Forwarded-Proto`; plain HTTP is then sent to HTTPS.",
        default="false",
    ),
    Setting(name="DEBUG", read=_flag, meaning="Shows errors to whoever asks. Refused in production.", default="false"),
    Setting(
        name="CUSTOMER_JWT_ISSUER",
        read=_text,
        meaning="`iss` of the customers' tokens.",
        needed=True,
        embedded="a local issuer",
    ),
    Setting(
        name="CUSTOMER_JWT_AUDIENCE",
        read=_text,
        meaning="`aud` of the customers' tokens.",
        needed=True,
        embedded="recourse",
    ),
    Setting(
        name="CUSTOMER_JWKS_URL",
        read=_url("https", "http"),
        meaning="Where the identity provider publishes its keys (JWKS); `https://`, `http://` from this machine alone.",
        needed=True,
        embedded="a local key",
    ),
    Setting(
        name="CUSTOMER_JWT_ALGORITHMS",
        read=_algorithms,
        meaning="Signatures that are taken: `RS256`, `ES256`.",
        default="RS256,ES256",
    ),
    Setting(
        name="CUSTOMERS_LOG_IN",
        read=_flag,
        meaning="Whether customers call with tokens of the lender's identity provider; `false` frees from the three "
        "settings above.",
        default="true",
    ),
    Setting(
        name="DEFAULT_REGION",
        read=_region,
        meaning="Country whose way of writing phones is understood besides E.164.",
        default="CN",
    ),
    Setting(
        name="CUSTOMER_CALLS_PER_MINUTE",
        read=_whole(0, 1_000_000),
        meaning="How often one customer may call in a minute, else 429; 0 means no limit.",
        default="1200",
    ),
    Setting(
        name="CLIENT_CALLS_PER_MINUTE",
        read=_whole(0, 100_000_000),
        meaning="The same for one of the lender's systems.",
        default="0",
    ),
    Setting(
        name="TOKEN_CACHE_SECONDS",
        read=_whole(0, 10),
        meaning="How long a system's token that was revoked may still pass in a process that has just seen it.",
        default="3",
    ),
    Setting(
        name="LENDER_NAME",
        read=_text,
        meaning="How the lender is called in what customers read.",
        default="Recourse",
    ),
    Setting(
        name="PUBLIC_URL",
        read=lambda raw: _url("https", "http")(raw).rstrip("/"),
        meaning="Where customers reach this service from the internet, `https://disputes.lender.example`: links in SMS "
        "and e-mail begin with it. None: texts have no links, and survey waves send nothing.",
        default="",
        embedded="`http://127.0.0.1` and PORT",
    ),
    Setting(name="LENDER_TIME_ZONE", read=_zone, meaning="The lender's time zone.", default="Asia/Shanghai"),
    Setting(
        name="POLICY_PACK",
        read=_text,
        meaning="The policy pack in force: a name of the packs shipped, or of one's own in POLICY_DIRECTORY.",
        default="house",
    ),
    Setting(
        name="POLICY_DIRECTORY",
        read=_text,
        meaning="A directory of the lender's own policy packs (`NAME.toml`).",
        default="",
    ),
    Setting(
        name="GATE_REQUIRED_FROM",
        read=_instant,
        meaning="Since when no message goes out without a permit of the gate, such as `2026-03-01T00:00:00+08:00`. "
        "From then on the check calls one without a valid permit an unauthorised send.",
        default="",
    ),
    Setting(
        name="REVIEW_SAMPLE",
        read=_share,
        meaning="Share (0 to 1) of the disputes that the check alone would uphold which a person sees all the same.",
        default="0.05",
        embedded="0",
    ),
    Setting(
        name="EVIDENCE_DIRECTORY",
        read=_text,
        meaning="Directory that holds the files which customers send.",
        default="`evidence` in the home of the embedded set-up; needed where files are taken",
        embedded="its own",
    ),
    Setting(
        name="SMS_PORT",
        read=lambda raw: _one_of(raw.strip().lower(), "console", "http", "none"),
        meaning="How SMS to customers leave: `http` (a gateway, by the two settings below), `none` (none leave: each "
        "notice fails and is shown) or `console` (printed by the worker; refused in production).",
        needed=True,
        embedded="`console`",
    ),
    Setting(
        name="SMS_GATEWAY_URL",
        read=_url("https", "http"),
        meaning="Where the gateway takes `POST {id, to, text, language, kind}`; `https://`, `http://` to this machine "
        "alone. Needed with SMS_PORT=http.",
        default="",
    ),
    Setting(
        name="SMS_GATEWAY_TOKEN",
        read=_text,
        meaning="Bearer token for the gateway.",
        default="",
        secret=True,
    ),
    Setting(
        name="EMAIL_URL",
        read=_mail,
        meaning="The mail server: `smtp://user:password@host:587?starttls=true` or `smtps://user:password@host:465`. "
        "None: no e-mail, each notice fails and is shown.",
        default="",
        embedded="printed by the worker",
        secret=True,
    ),
    Setting(
        name="EMAIL_FROM",
        read=_text,
        meaning="Who e-mail comes from: `Lender <disputes@lender.example>`. Needed with EMAIL_URL.",
        default="",
    ),
    Setting(
        name="LOG_LEVEL",
        read=lambda raw: _one_of(raw.strip().upper(), "DEBUG", "INFO", "WARNING", "ERROR"),
        meaning="`DEBUG`, `INFO`, `WARNING` or `ERROR`. Lines are JSON on standard error, without personal data.",
        default="INFO",
    ),
    Setting(
        name="PORT", read=_whole(1, 65535), meaning="Port of the web server that `make run` starts.", default="8000"
    ),
    Setting(
        name="HOST", read=_text, meaning="Address that the web server of `make run` listens on.", default="127.0.0.1"
    ),
    Setting(name="WEB_WORKERS", read=_whole(1, 64), meaning="Web processes that `make run` starts.", default="2"),
    Setting(
        name="BULK_CALLS",
        read=_whole(1, 64),
        meaning="Bulk calls (imports and screenings over 1 MiB) at once on one machine: fewer than its web processes.",
        default="1",
    ),
    Setting(
        name="PERMITS_KEPT_MONTHS",
        read=_months_kept,
        meaning="Months for which the gate's permits are kept, at least 2; 0 keeps them all. A message whose permit is "
        "gone is judged as one without: longer than messages are disputed.",
        default="0",
    ),
    Setting(
        name="IMPORT_CHANGE_SHARE",
        read=_shares,
        meaning="Share (0 to 1) of the stored records of a type that one import may change; beyond it, it stops unless "
        "told otherwise. By type where one is named; at 1 updates of the type are not counted.",
        default="0.2,message:1,watermark:1",
    ),
    Setting(
        name="IMPORT_CHANGE_FLOOR",
        read=_whole(0, 100_000_000),
        meaning="So many stored records of a type an import may always change.",
        default="1000",
    ),
    Setting(
        name="TASK_WORKERS",
        read=_whole(1, 64),
        meaning="Processes of the task worker that `make run` starts.",
        default="2",
    ),
)


def _one_of(word: str, *words: str) -> str:
    if word not in words:
        raise Unusable(f"must be one of {', '.join(words)}")
    return word


_IN_WORDS = {"RECOURSE_ENV", "RECOURSE_HOME", "DIGEST_KEY_ID", "EVIDENCE_DIRECTORY"}
"""Settings whose default is worked out, so that the table says it in words."""


def read(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """(values by name, what is wrong with them as one line each). An empty value counts as not given."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    mode = mode_of(environ)
    if mode not in (EMBEDDED, PRODUCTION, TEST):
        problems.append("RECOURSE_ENV must be production, embedded or test")
    for setting in SETTINGS:
        raw = environ.get(setting.name, "")
        if not raw.strip():
            raw = setting.default if setting.default is not None and setting.name not in _IN_WORDS else ""
            if mode != PRODUCTION and setting.name == "REVIEW_SAMPLE":
                raw = setting.embedded
        values[setting.name] = None
        if not raw.strip():
            continue
        try:
            values[setting.name] = setting.read(raw)
        except Unusable as error:
            problems.append(f"{setting.name} {error}")
    if mode == PRODUCTION:
        problems += _refusals(environ, values, {line.split(" ")[0] for line in problems})
    return values, problems


_CUSTOMERS = ("CUSTOMER_JWT_ISSUER", "CUSTOMER_JWT_AUDIENCE", "CUSTOMER_JWKS_URL")


def _refusals(environ: Mapping[str, str], values: Mapping[str, Any], unreadable: set[str]) -> list[str]:
    """What a production start refuses, one line each: what is missing, then what is unsafe."""
    lines = []
    for setting in SETTINGS:
        if setting.name in _CUSTOMERS and values["CUSTOMERS_LOG_IN"] is False:
            continue
        if setting.needed and setting.name not in unreadable and not values[setting.name]:
            lines.append(f"{setting.name} is missing: {setting.meaning.split('. ')[0].rstrip('.')}")
    if values["DEBUG"]:
        lines.append("DEBUG is on: it shows errors and settings to whoever asks")
    key = values["SECRET_KEY"] or ""
    if key and (len(key) < 50 or len(set(key)) < 10 or key.startswith("django-insecure")):
        lines.append("SECRET_KEY is too weak: at least 50 random characters (openssl rand -base64 48)")
    if any(host.strip(".") in ("*", "") for host in values["ALLOWED_HOSTS"] or []):
        lines.append("ALLOWED_HOSTS has *: name the hosts")
    lines += _database_refusals(values)
    keys, digest_id = values["DATA_KEYS"], values["DIGEST_KEY_ID"]
    if keys and digest_id and digest_id not in keys:
        lines.append(f"DIGEST_KEY_ID is {digest_id}, which DATA_KEYS does not have")
    jwks = urlsplit(values["CUSTOMER_JWKS_URL"] or "")
    if jwks.scheme == "http" and jwks.hostname not in ("localhost", "127.0.0.1", "::1"):
        lines.append("CUSTOMER_JWKS_URL must begin with https://: whoever can change the keys can be every customer")
    return lines + _carrier_refusals(values, unreadable)


def _carrier_refusals(values: Mapping[str, Any], unreadable: set[str]) -> list[str]:
    lines = []
    if values["SMS_PORT"] == "console":
        lines.append("SMS_PORT is console: no customer would get an SMS; name http or none")
    gateway = urlsplit(values["SMS_GATEWAY_URL"] or "")
    if values["SMS_PORT"] == "http" and not gateway.hostname and "SMS_GATEWAY_URL" not in unreadable:
        lines.append("SMS_GATEWAY_URL is missing: SMS_PORT=http needs the gateway's address")
    if gateway.scheme == "http" and gateway.hostname not in ("localhost", "127.0.0.1", "::1"):
        lines.append("SMS_GATEWAY_URL must begin with https://: customers' numbers and its token would travel in clear")
    if values["EMAIL_URL"] and "@" not in (values["EMAIL_FROM"] or ""):
        lines.append("EMAIL_FROM is missing: EMAIL_URL needs an address that e-mail comes from")
    return lines


def _database_refusals(values: Mapping[str, Any]) -> list[str]:
    if not values["DATABASE_URL"] or not values["MIGRATE_DATABASE_URL"]:
        return []
    service, owner = database(values["DATABASE_URL"]), database(values["MIGRATE_DATABASE_URL"])
    lines = []
    if service["USER"] == owner["USER"]:
        lines.append("MIGRATE_DATABASE_URL has the role of DATABASE_URL: the service must not own its tables")
    if service["USER"] in ("postgres", ""):
        lines.append("DATABASE_URL names the superuser or nobody: the service has a role of its own")
    if service["NAME"] != owner["NAME"]:
        lines.append("MIGRATE_DATABASE_URL is another database than DATABASE_URL")
    return lines


def home_secret(directory: Path, name: str, make: Callable[[], str]) -> str:
    """A secret of the embedded set-up, made at its first use (mode 600). Two processes at once agree on one."""
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        draft = directory / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, fails where another process was quicker
        draft.unlink()
    return path.read_text().strip()


def write_private(path: Path, value: Any) -> None:
    """Writes a value as JSON, readable by us alone; whoever reads meanwhile sees the old file or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    draft.replace(path)


def new_data_keys() -> str:
    return "1:" + base64.b64encode(secrets.token_bytes(32)).decode()


def table() -> str:
    """The settings as a table in Markdown."""
    lines = ["| setting | meaning | default | embedded set-up |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        default = "**needed**" if setting.needed else (setting.default or "")
        if default and not setting.needed and setting.name not in _IN_WORDS:
            default = f"`{default}`"
        lines.append(f"| `{setting.name}` | {setting.meaning} | {default} | {setting.embedded} |")
    return "\n".join(lines) + "\n"
