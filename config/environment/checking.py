"""The settings of an environment, and what a production start refuses about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from config.environment.declared import IN_WORDS, SETTINGS
from config.environment.modes import EMBEDDED, PRODUCTION, TEST, mode_of
from config.environment.reading import Unusable, database


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
            raw = setting.default if setting.default is not None and setting.name not in IN_WORDS else ""
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
