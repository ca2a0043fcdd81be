"""What a production start refuses, as an operator sees it: one line each, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from prometheus_client.values import MutexValue, ValueClass

from config import environment
from tests.servers import ADDRESSES, OF_LIBRARIES

GOOD = {
    "DATABASE_URL": "postgresql://recourse_service:a@db.example/recourse",
    "MIGRATE_DATABASE_URL": "postgresql://recourse_owner:b@db.example/recourse",
    "BROKER_URL": "rediss://broker.example/0",
    "CACHE_URL": "rediss://cache.example/0",
    "SECRET_KEY": "Xq2v9kLw8ZrT5mNc7bHj3fDs6gPy1aUe4iOoVtRyWuQzKxJn",
    "DATA_KEYS": "1:Zq2yqj0ZbqNNrxaZy0ljvA3zZkWwWg3c1C5G5cM3r8Y=",
    "ALLOWED_HOSTS": "recourse.example",
    "CUSTOMER_JWT_ISSUER": "https://id.example",
    "CUSTOMER_JWT_AUDIENCE": "recourse",
    "CUSTOMER_JWKS_URL": "https://id.example/keys",
    "SMS_PORT": "http",
    "SMS_GATEWAY_URL": "https://sms.example/send",
}
GOOD["SECRET_KEY"] += "0123456789"


def problems(**changes: str) -> list[str]:
    return environment.read({**GOOD, **changes})[1]


def test_a_complete_environment_is_taken() -> None:
    values, found = environment.read(GOOD)
    assert found == []
    assert environment.mode_of(GOOD) == "production"
    assert list(values["DATA_KEYS"]) == [1]
    assert values["REVIEW_SAMPLE"] == 0.05
    assert values["IMPORT_CHANGE_SHARE"] == {"": 0.2, "message": 1.0, "watermark": 1.0}


@pytest.mark.parametrize("name", [setting.name for setting in environment.SETTINGS if setting.needed])
def test_each_needed_setting_is_missed_by_name(name: str) -> None:
    found = problems(**{name: "", "RECOURSE_ENV": "production"})
    assert [line.split(" ")[0] for line in found] == [name]
    assert "missing" in found[0]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY is too weak"),
        ("SECRET_KEY", "a" * 60, "SECRET_KEY is too weak"),
        ("SECRET_KEY", "django-insecure-" + GOOD["SECRET_KEY"], "SECRET_KEY is too weak"),
        ("DATA_KEYS", "1:c2hvcnQ=", "DATA_KEYS needs keys of 32 random bytes"),
        ("DATA_KEYS", "1:" + "00" * 32, "DATA_KEYS has a key that is not random"),
        ("DATA_KEYS", "256:" + "0123456789abcdef" * 4, "DATA_KEYS must be ID:KEY pairs"),
        ("DATA_KEYS", "1:" + "0123456789abcdef" * 4 + ",1:" + "fedcba9876543210" * 4, "DATA_KEYS has 1 twice"),
        ("IMPORT_CHANGE_SHARE", "message:1", "IMPORT_CHANGE_SHARE needs a share for all types"),
        ("IMPORT_CHANGE_SHARE", "0.2,0.3", "IMPORT_CHANGE_SHARE has a share of all types twice"),
        ("IMPORT_CHANGE_SHARE", "0.2,mortgage:0.5", "IMPORT_CHANGE_SHARE may name customer, loan"),
        ("IMPORT_CHANGE_SHARE", "20", "IMPORT_CHANGE_SHARE must be a number from 0 to 1"),
        ("DIGEST_KEY_ID", "2", "DIGEST_KEY_ID is 2, which DATA_KEYS does not have"),
        ("ALLOWED_HOSTS", "*", "ALLOWED_HOSTS has *"),
        ("ALLOWED_HOSTS", "a.example,*", "ALLOWED_HOSTS has *"),
        ("DEBUG", "true", "DEBUG is on"),
        ("DEBUG", "maybe", "DEBUG must be true or false"),
        ("MIGRATE_DATABASE_URL", GOOD["DATABASE_URL"], "MIGRATE_DATABASE_URL has the role of DATABASE_URL"),
        (
            "MIGRATE_DATABASE_URL",
            "postgresql://recourse_owner@db.example/b",
            "MIGRATE_DATABASE_URL is another database",
        ),
        ("DATABASE_URL", "mysql://a@b/c", "DATABASE_URL must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://a@b/", "DATABASE_URL names no database"),
        ("DATABASE_URL", "postgresql://postgres@db.example/recourse", "DATABASE_URL names the superuser"),
        ("BROKER_URL", "memory://", "BROKER_URL must begin with"),
        ("CUSTOMER_JWKS_URL", "http://id.example/keys", "CUSTOMER_JWKS_URL must begin with https://"),
        ("SMS_PORT", "console", "SMS_PORT is console"),
        ("SMS_PORT", "pigeon", "SMS_PORT must be one of console, http, none"),
        ("SMS_GATEWAY_URL", "", "SMS_GATEWAY_URL is missing"),
        ("SMS_GATEWAY_URL", "http://sms.example/send", "SMS_GATEWAY_URL must begin with https://"),
        ("EMAIL_URL", "smtp://mail.example", "EMAIL_FROM is missing"),
        ("EMAIL_URL", "smtp://", "EMAIL_URL must be smtp://user:password@host:587?starttls=true"),
        ("EMAIL_URL", "smtps://mail.example?starttls=true", "EMAIL_URL is smtps:// and starttls at once"),
        ("EMAIL_URL", "smtp://mail.example?starttls=maybe", "EMAIL_URL has starttls, which must be true or false"),
        ("EMAIL_URL", "https://mail.example", "EMAIL_URL must begin with smtp:// or smtps://"),
        ("CUSTOMER_JWT_ALGORITHMS", "none", "CUSTOMER_JWT_ALGORITHMS may name"),
        ("CUSTOMER_JWT_ALGORITHMS", "HS256", "CUSTOMER_JWT_ALGORITHMS may name"),
        ("LENDER_TIME_ZONE", "../../etc/passwd", "LENDER_TIME_ZONE must be a time zone"),
        ("LENDER_TIME_ZONE", "Mars/Olympus", "LENDER_TIME_ZONE must be a time zone"),
        ("REVIEW_SAMPLE", "nan", "REVIEW_SAMPLE must be a number"),
        ("REVIEW_SAMPLE", "2", "REVIEW_SAMPLE must be a number"),
        ("PORT", "0", "PORT must be a whole number"),
        ("PERMITS_KEPT_MONTHS", "1", "PERMITS_KEPT_MONTHS must be 0, or at least 2"),
        ("PERMITS_KEPT_MONTHS", "1201", "PERMITS_KEPT_MONTHS must be a whole number from 0 to 1200"),
        ("DEFAULT_REGION", "China", "DEFAULT_REGION must be"),
        ("DEFAULT_REGION", "ZZ", "DEFAULT_REGION must be"),
        ("RECOURSE_ENV", "prod", "RECOURSE_ENV must be"),
    ],
)
def test_an_unsafe_value_is_refused_in_one_line(name: str, value: str, says: str) -> None:
    found = problems(**{name: value})
    assert len(found) == 1, found
    assert found[0].startswith(says)


def test_no_refusal_shows_a_secret() -> None:
    secrets = {"SECRET_KEY": "tiny-secret", "DATA_KEYS": "1:tiny-key", "DATABASE_URL": "mysql://role:hunter2@db/x"}
    lines = "\n".join(problems(**secrets))
    assert not any(secret in lines for secret in ("tiny-secret", "tiny-key", "hunter2"))


def test_without_customers_their_identity_provider_is_not_needed() -> None:
    nobody = {"CUSTOMER_JWT_ISSUER": "", "CUSTOMER_JWT_AUDIENCE": "", "CUSTOMER_JWKS_URL": ""}
    assert len(problems(**nobody)) == 3
    assert problems(**nobody, CUSTOMERS_LOG_IN="false") == []


@pytest.mark.parametrize("words", [["manage.py", "check"], ["-m", "celery", "-A", "config.celery", "report"]])
def test_every_process_refuses_to_start_without_a_traceback(words: list[str], tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": GOOD["DATABASE_URL"], "RECOURSE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *words], cwd=environment.ROOT, env=environ, capture_output=True, text=True, timeout=600
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "recourse will not start: SECRET_KEY is missing" in said
    assert "recourse will not start: BROKER_URL is missing" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir()), "a refused start leaves nothing behind"


def test_a_policy_pack_that_is_not_there_is_refused_without_a_traceback(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], **GOOD, "POLICY_PACK": "atlantis", "RECOURSE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=environment.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode != 0
    assert "recourse will not start: POLICY_PACK: no pack 'atlantis'" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_run_is_for_the_embedded_set_up_alone(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], **GOOD, "RECOURSE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "config.running"],
        cwd=environment.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode != 0
    assert "embedded set-up" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_for_operators_has_every_setting() -> None:
    page = (environment.ROOT / "docs" / "operating.md").read_text()
    assert environment.table() in page, "manage.py settings_table --write"


def test_a_run_of_the_tests_has_no_setting_but_its_own() -> None:
    own = {"RECOURSE_ENV", "RECOURSE_HOME", "SECRET_KEY", "DATA_KEYS", *ADDRESSES}
    assert {setting.name for setting in environment.SETTINGS if setting.name in os.environ} <= own
    assert os.environ["RECOURSE_ENV"] == "test"
    assert (settings.SETTINGS_MODULE, os.environ["DJANGO_SETTINGS_MODULE"]) == ("config.settings", "config.settings")
    assert ValueClass is MutexValue, "metrics stand in files, and in those of others"


def test_nor_where_whoever_runs_them_has_exported_all_of_them() -> None:
    """With a policy pack, or settings, that are not there no process would start."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("RECOURSE_TEST", "PYTEST"))}
    environ |= {one.name: "atlantis" for one in environment.SETTINGS if one.name not in ADDRESSES}
    environ |= dict.fromkeys(OF_LIBRARIES, "atlantis")
    named = f"{__file__}::test_a_run_of_the_tests_has_no_setting_but_its_own"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", named],
        cwd=environment.ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_secret_of_the_embedded_set_up_is_made_once_and_readable_by_us_alone(tmp_path: Path) -> None:
    made = environment.home_secret(tmp_path, "key", lambda: "one")
    assert made == environment.home_secret(tmp_path, "key", lambda: "two") == "one"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
