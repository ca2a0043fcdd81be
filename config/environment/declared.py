"""Every setting that an operator may give, declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from config.environment import reading


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
        read=reading.text,
        meaning="`production`, `embedded` (servers of one's own under `.recourse/`) or `test`.",
        default="`production` where DATABASE_URL is set, else `embedded`",
    ),
    Setting(
        name="RECOURSE_HOME",
        read=reading.text,
        meaning="Directory of the embedded set-up's data and secrets.",
        default="`.recourse` in the checkout",
    ),
    Setting(
        name="DATABASE_URL",
        read=reading.database_url,
        meaning="PostgreSQL 15 or newer, as the service's own role: `postgresql://role:password@host:5432/name`. "
        "Options of libpq may follow (`?sslmode=verify-full`).",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="MIGRATE_DATABASE_URL",
        read=reading.database_url,
        meaning="The same database as the role that owns the tables. `manage.py migrate` alone uses it.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="BROKER_URL",
        read=reading.url("redis", "rediss", "redis+socket", "amqp", "amqps"),
        meaning="Where tasks are queued: Valkey or Redis (`redis://`, `rediss://`, `redis+socket://`) or RabbitMQ "
        "(`amqp://`, `amqps://`). It must keep what it is given: append-only file on, no eviction.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="CACHE_URL",
        read=reading.url("redis", "rediss", "unix"),
        meaning="Valkey or Redis, shared by all web processes: what is counted to throttle.",
        needed=True,
        embedded="its own",
        secret=True,
    ),
    Setting(
        name="SECRET_KEY",
        read=reading.text,
        meaning="Signs sessions. At least 50 random characters: `openssl rand -base64 48`.",
        needed=True,
        embedded="made at the first start",
        secret=True,
    ),
    Setting(
        name="DATA_KEYS",
        read=reading.data_keys,
        meaning="Encrypts personal data: `ID:KEY` pairs, comma between, ids 1 to 255, 32 bytes each "
        "(`openssl rand -base64 32`). The first one encrypts, all of them open. Losing one loses what it wrote.",
        needed=True,
        embedded="made at the first start",
        secret=True,
    ),
    Setting(
        name="DIGEST_KEY_ID",
        read=reading.whole(1, 255),
        meaning="Which of DATA_KEYS makes the digests that phones are found by. It stays when the first key changes.",
        default="the lowest id",
    ),
    Setting(
        name="ALLOWED_HOSTS",
        read=reading.words,
        meaning="Host names that the service answers to, comma between. `*` is refused.",
        needed=True,
        embedded="localhost",
    ),
    Setting(
        name="CSRF_TRUSTED_ORIGINS",
        read=reading.words,
        meaning="Origins whose forms the admin takes when it stands behind a proxy: `https://desk.example`.",
        default="",
    ),
    Setting(
        name="PROXY_SENDS_SCHEME",
        read=reading.flag,
        meaning="A proxy in front ends TLS and always sets `X-Forwarded-Proto`; plain HTTP is then sent to HTTPS.",
        default="false",
    ),
    Setting(
        name="DEBUG", read=reading.flag, meaning="Shows errors to whoever asks. Refused in production.", default="false"
    ),
    Setting(
        name="CUSTOMER_JWT_ISSUER",
        read=reading.text,
        meaning="`iss` of the customers' tokens.",
        needed=True,
        embedded="a local issuer",
    ),
    Setting(
        name="CUSTOMER_JWT_AUDIENCE",
        read=reading.text,
        meaning="`aud` of the customers' tokens.",
        needed=True,
        embedded="recourse",
    ),
    Setting(
        name="CUSTOMER_JWKS_URL",
        read=reading.url("https", "http"),
        meaning="Where the identity provider publishes its keys (JWKS); `https://`, `http://` from this machine alone.",
        needed=True,
        embedded="a local key",
    ),
    Setting(
        name="CUSTOMER_JWT_ALGORITHMS",
        read=reading.algorithms,
        meaning="Signatures that are taken: `RS256`, `ES256`.",
        default="RS256,ES256",
    ),
    Setting(
        name="CUSTOMERS_LOG_IN",
        read=reading.flag,
        meaning="Whether customers call with tokens of the lender's identity provider; `false` frees from the three "
        "settings above.",
        default="true",
    ),
    Setting(
        name="DEFAULT_REGION",
        read=reading.region,
        meaning="Country whose way of writing phones is understood besides E.164.",
        default="CN",
    ),
    Setting(
        name="CUSTOMER_CALLS_PER_MINUTE",
        read=reading.whole(0, 1_000_000),
        meaning="How often one customer may call in a minute, else 429; 0 means no limit.",
        default="1200",
    ),
    Setting(
        name="CLIENT_CALLS_PER_MINUTE",
        read=reading.whole(0, 100_000_000),
        meaning="The same for one of the lender's systems.",
        default="0",
    ),
    Setting(
        name="TOKEN_CACHE_SECONDS",
        read=reading.whole(0, 10),
        meaning="How long a system's token that was revoked may still pass in a process that has just seen it.",
        default="3",
    ),
    Setting(
        name="LENDER_NAME",
        read=reading.text,
        meaning="How the lender is called in what customers read.",
        default="Recourse",
    ),
    Setting(
        name="PUBLIC_URL",
        read=lambda raw: reading.url("https", "http")(raw).rstrip("/"),
        meaning="Where customers reach this service from the internet, `https://disputes.lender.example`: links in SMS "
        "and e-mail begin with it. None: texts have no links, and survey waves send nothing.",
        default="",
        embedded="`http://127.0.0.1` and PORT",
    ),
    Setting(name="LENDER_TIME_ZONE", read=reading.zone, meaning="The lender's time zone.", default="Asia/Shanghai"),
    Setting(
        name="POLICY_PACK",
        read=reading.text,
        meaning="The policy pack in force: a name of the packs shipped, or of one's own in POLICY_DIRECTORY.",
        default="house",
    ),
    Setting(
        name="POLICY_DIRECTORY",
        read=reading.text,
        meaning="A directory of the lender's own policy packs (`NAME.toml`).",
        default="",
    ),
    Setting(
        name="GATE_REQUIRED_FROM",
        read=reading.instant,
        meaning="Since when no message goes out without a permit of the gate, such as `2026-03-01T00:00:00+08:00`. "
        "From then on the check calls one without a valid permit an unauthorised send.",
        default="",
    ),
    Setting(
        name="REVIEW_SAMPLE",
        read=reading.share,
        meaning="Share (0 to 1) of the disputes that the check alone would uphold which a person sees all the same.",
        default="0.05",
        embedded="0",
    ),
    Setting(
        name="EVIDENCE_DIRECTORY",
        read=reading.text,
        meaning="Directory that holds the files which customers send.",
        default="`evidence` in the home of the embedded set-up; needed where files are taken",
        embedded="its own",
    ),
    Setting(
        name="SMS_PORT",
        read=lambda raw: reading.one_of(raw.strip().lower(), "console", "http", "none"),
        meaning="How SMS to customers leave: `http` (a gateway, by the two settings below), `none` (none leave: each "
        "notice fails and is shown) or `console` (printed by the worker; refused in production).",
        needed=True,
        embedded="`console`",
    ),
    Setting(
        name="SMS_GATEWAY_URL",
        read=reading.url("https", "http"),
        meaning="Where the gateway takes `POST {id, to, text, language, kind}`; `https://`, `http://` to this machine "
        "alone. Needed with SMS_PORT=http.",
        default="",
    ),
    Setting(
        name="SMS_GATEWAY_TOKEN",
        read=reading.text,
        meaning="Bearer token for the gateway.",
        default="",
        secret=True,
    ),
    Setting(
        name="EMAIL_URL",
        read=reading.mail_url,
        meaning="The mail server: `smtp://user:password@host:587?starttls=true` or `smtps://user:password@host:465`. "
        "None: no e-mail, each notice fails and is shown.",
        default="",
        embedded="printed by the worker",
        secret=True,
    ),
    Setting(
        name="EMAIL_FROM",
        read=reading.text,
        meaning="Who e-mail comes from: `Lender <disputes@lender.example>`. Needed with EMAIL_URL.",
        default="",
    ),
    Setting(
        name="LOG_LEVEL",
        read=lambda raw: reading.one_of(raw.strip().upper(), "DEBUG", "INFO", "WARNING", "ERROR"),
        meaning="`DEBUG`, `INFO`, `WARNING` or `ERROR`. Lines are JSON on standard error, without personal data.",
        default="INFO",
    ),
    Setting(
        name="PORT",
        read=reading.whole(1, 65535),
        meaning="Port of the web server that `make run` starts.",
        default="8000",
    ),
    Setting(
        name="HOST",
        read=reading.text,
        meaning="Address that the web server of `make run` listens on.",
        default="127.0.0.1",
    ),
    Setting(
        name="WEB_WORKERS", read=reading.whole(1, 64), meaning="Web processes that `make run` starts.", default="2"
    ),
    Setting(
        name="BULK_CALLS",
        read=reading.whole(1, 64),
        meaning="Bulk calls (imports and screenings over 1 MiB) at once on one machine: fewer than its web processes.",
        default="1",
    ),
    Setting(
        name="PERMITS_KEPT_MONTHS",
        read=reading.months_kept,
        meaning="Months for which the gate's permits are kept, at least 2; 0 keeps them all. A message whose permit is "
        "gone is judged as one without: longer than messages are disputed.",
        default="0",
    ),
    Setting(
        name="IMPORT_CHANGE_SHARE",
        read=reading.shares,
        meaning="Share (0 to 1) of the stored records of a type that one import may change; beyond it, it stops unless "
        "told otherwise. By type where one is named; at 1 updates of the type are not counted.",
        default="0.2,message:1,watermark:1",
    ),
    Setting(
        name="IMPORT_CHANGE_FLOOR",
        read=reading.whole(0, 100_000_000),
        meaning="So many stored records of a type an import may always change.",
        default="1000",
    ),
    Setting(
        name="TASK_WORKERS",
        read=reading.whole(1, 64),
        meaning="Processes of the task worker that `make run` starts.",
        default="2",
    ),
)


IN_WORDS = {"RECOURSE_ENV", "RECOURSE_HOME", "DIGEST_KEY_ID", "EVIDENCE_DIRECTORY"}
"""Settings whose default is worked out, so that the table says it in words."""


def table() -> str:
    """The settings as a table in Markdown."""
    lines = ["| setting | meaning | default | embedded set-up |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        default = "**needed**" if setting.needed else (setting.default or "")
        if default and not setting.needed and setting.name not in IN_WORDS:
            default = f"`{default}`"
        lines.append(f"| `{setting.name}` | {setting.meaning} | {default} | {setting.embedded} |")
    return "\n".join(lines) + "\n"
