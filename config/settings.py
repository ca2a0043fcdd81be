"""Django's settings: read from the environment (config/environment/declared.py has the table), safe by default."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import datetime
from typing import Any

import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import environment
from config.api import settings as edge
from config.values.ciphertext import Keyring
from disputes.desk import look

MODE = environment.mode_of(os.environ)
EMBEDDED = MODE != environment.PRODUCTION
_values, _problems = environment.read(os.environ)
if _problems:
    raise SystemExit("\n".join(f"recourse will not start: {line}" for line in _problems))

BASE_DIR = environment.ROOT
HOME = environment.home(os.environ)
PORT: int = _values["PORT"]

# --- secrets ---
SECRET_KEY: str = _values["SECRET_KEY"] or environment.home_secret(
    HOME.directory, "secret_key", lambda: secrets.token_urlsafe(48)
)
_keys = _values["DATA_KEYS"] or environment.data_keys(
    environment.home_secret(HOME.directory, "data_keys", environment.new_data_keys)
)
KEYRING = Keyring(keys=_keys, current=next(iter(_keys)), digest_id=_values["DIGEST_KEY_ID"] or min(_keys))
LOCAL_ISSUER_KEY = HOME.directory / "issuer_key.pem"
CREDENTIALS = HOME.directory / "credentials.json"

# --- the lender ---
DEFAULT_REGION: str = _values["DEFAULT_REGION"]
LENDER_NAME: str = _values["LENDER_NAME"]
PUBLIC_URL: str = _values["PUBLIC_URL"] or (f"http://127.0.0.1:{PORT}" if EMBEDDED else "")
LENDER_TIME_ZONE: str = _values["LENDER_TIME_ZONE"]
POLICY_PACK: str = _values["POLICY_PACK"]
POLICY_DIRECTORY: str = _values["POLICY_DIRECTORY"] or ""
GATE_REQUIRED_FROM: datetime | None = _values["GATE_REQUIRED_FROM"]
REVIEW_SAMPLE: float = _values["REVIEW_SAMPLE"]
BULK_CALLS: int = _values["BULK_CALLS"]
PERMITS_KEPT_MONTHS: int = _values["PERMITS_KEPT_MONTHS"]
IMPORT_CHANGE_SHARE: dict[str, float] = _values["IMPORT_CHANGE_SHARE"]
IMPORT_CHANGE_FLOOR: int = _values["IMPORT_CHANGE_FLOOR"]
EVIDENCE_DIRECTORY: str = _values["EVIDENCE_DIRECTORY"] or str(HOME.directory / "evidence")
CUSTOMERS_LOG_IN: bool = _values["CUSTOMERS_LOG_IN"]
CUSTOMER_JWT_ISSUER: str = _values["CUSTOMER_JWT_ISSUER"] or ("recourse-local" if EMBEDDED else "")
CUSTOMER_JWT_AUDIENCE: str = _values["CUSTOMER_JWT_AUDIENCE"] or ("recourse" if EMBEDDED else "")
CUSTOMER_JWKS_URL: str = _values["CUSTOMER_JWKS_URL"] or ""
CUSTOMER_JWT_ALGORITHMS: list[str] = _values["CUSTOMER_JWT_ALGORITHMS"]

# --- notices and webhooks ---
NOTICE_PORTS: dict[str, str] = {
    "sms": _values["SMS_PORT"] or ("console" if EMBEDDED else "none"),
    "email": "smtp" if _values["EMAIL_URL"] else ("console" if EMBEDDED else "none"),
}
SMS_GATEWAY_URL: str = _values["SMS_GATEWAY_URL"] or ""
SMS_GATEWAY_TOKEN: str = _values["SMS_GATEWAY_TOKEN"] or ""
if _values["EMAIL_URL"]:
    globals().update(environment.mail_server(_values["EMAIL_URL"]))
DEFAULT_FROM_EMAIL: str = _values["EMAIL_FROM"] or "recourse@localhost"
WEBHOOKS_TO_LOOPBACK = EMBEDDED

# --- Django ---
DEBUG: bool = _values["DEBUG"]
ALLOWED_HOSTS: list[str] = _values["ALLOWED_HOSTS"] or ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "oauth2_provider",
    "django_celery_beat",
    "django_prometheus",
    "django_structlog",
    "config.api",
    "disputes",
    "feedback",
    "demo",
]
MIDDLEWARE = [
    edge.REQUEST_ID_MIDDLEWARE,
    edge.CHUNKED_BODY_MIDDLEWARE,
    edge.NULL_CHARACTER_MIDDLEWARE,
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
STATIC_URL = "static/"
STATIC_ROOT = HOME.directory / "static" if EMBEDDED else BASE_DIR / "staticfiles"
# Served from the packages where nothing was collected: the embedded set-up needs no collectstatic.
WHITENOISE_USE_FINDERS = EMBEDDED
if EMBEDDED:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
DATA_UPLOAD_MAX_MEMORY_SIZE = edge.MAX_BODY
PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", edge.SECRET_HASHER]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator", "NumericPasswordValidator")
] + [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    }
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- behind TLS ---
CSRF_TRUSTED_ORIGINS: list[str] = _values["CSRF_TRUSTED_ORIGINS"] or []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not EMBEDDED
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 8 * 3600
SECURE_HSTS_SECONDS = 0 if EMBEDDED else 365 * 24 * 3600
SECURE_SSL_REDIRECT: bool = _values["PROXY_SENDS_SCHEME"]
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
if _values["PROXY_SENDS_SCHEME"]:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- database ---
# Two roles: who owns the tables migrates; the service itself only works on rows (config/roles.py).
_OWNER_COMMANDS = {"migrate", "makemigrations", "sqlmigrate", "set_up_embedded", "flush", "dbshell"}
SERVICE_URL: str = _values["DATABASE_URL"] or HOME.database_url("recourse_service")
OWNER_URL: str = _values["MIGRATE_DATABASE_URL"] or (
    SERVICE_URL if _values["DATABASE_URL"] else HOME.database_url("recourse_owner")
)
SERVICE_ROLE: str = "recourse_service" if EMBEDDED else environment.database(SERVICE_URL)["USER"]
_AS_OWNER = os.path.basename(sys.argv[0] or "") == "manage.py" and not _OWNER_COMMANDS.isdisjoint(sys.argv[1:2])
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **environment.database(OWNER_URL if _AS_OWNER else SERVICE_URL),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }
}
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)

# --- cache and tasks ---
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _values["CACHE_URL"] or HOME.cache_url,
        "KEY_PREFIX": "recourse",
        # Left alone, redis-py tries for seconds; a web process has none to lose.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1, "retry": Retry(NoBackoff(), 1)},
    }
}
CELERY_BROKER_URL: str = _values["BROKER_URL"] or HOME.broker_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_DEFAULT_QUEUE = "recourse"
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
# A task is taken off the queue when it is done, so that a killed worker loses none; every task may run twice.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# A web request never waits for a broker that is away: the outbox has the topic, and the sweeper sends it again.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"confirm_publish": True, "max_retries": 0}
    if CELERY_BROKER_URL.startswith("amqp")
    else {"visibility_timeout": 180, "socket_connect_timeout": 1, "socket_timeout": 30, "max_retries": 0}
)
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 3
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep the outbox": {
        "task": "disputes.tasks.sweep_outbox",
        "schedule": 15.0,
        "options": {"expires": 15},
    },
    "seek messages that disputes wait for": {
        "task": "disputes.tasks.seek_unfound",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "deliver webhooks that are due": {
        "task": "disputes.tasks.deliver_due_webhooks",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    "tidy webhooks": {
        "task": "disputes.tasks.tidy_webhooks",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "keep the survey waves": {
        "task": "feedback.tasks.keep_waves",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "follow the cases": {
        "task": "disputes.tasks.follow_cases",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "look for sends without a permit": {
        "task": "disputes.tasks.seek_unauthorised",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "roll up the gate's tallies": {
        "task": "disputes.tasks.roll_up_tallies",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "keep the partitions": {
        "task": "disputes.tasks.keep_partitions",
        # Counted from beat's own start where its schedule is not kept: a beat that is started daily must come to it.
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "tidy the edge": {
        "task": "config.api.tasks.tidy",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
}
if EMBEDDED:
    # What a lender's nightly feeds do: else the demo lender's records would be too old for the gate after a day.
    CELERY_BEAT_SCHEDULE["keep the demo lender's feeds fresh"] = {
        "task": "demo.tasks.refresh",
        "schedule": 1800.0,
        "options": {"expires": 1800},
    }
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- the edge ---
OAUTH2_PROVIDER = edge.OAUTH2_PROVIDER
OAUTH2_PROVIDER_APPLICATION_MODEL = edge.APPLICATION_MODEL
REST_FRAMEWORK = edge.REST_FRAMEWORK
DRF_STANDARDIZED_ERRORS = edge.DRF_STANDARDIZED_ERRORS
SPECTACULAR_SETTINGS = edge.SPECTACULAR_SETTINGS
CALLS_PER_MINUTE: dict[str, int] = {
    "client": _values["CLIENT_CALLS_PER_MINUTE"],
    "customer": _values["CUSTOMER_CALLS_PER_MINUTE"],
    "phone": _values["CUSTOMER_CALLS_PER_MINUTE"],
}
CLIENT_TOKEN_CACHE_SECONDS: int = _values["TOKEN_CACHE_SECONDS"]

UNFOLD = look.UNFOLD

# --- logs: one JSON object a line, no personal data ---
_BEFORE: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _BEFORE,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        }
    },
    "handlers": {"standard_error": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["standard_error"], "level": _values["LOG_LEVEL"]},
    "loggers": {
        # Django repeats every refused request here; the access log has them already.
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "oauth2_provider": {"level": "ERROR"},
        "oauthlib": {"level": "ERROR"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_BEFORE,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

# --- tests ---
if MODE == environment.TEST and "pytest" in sys.modules:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", edge.SECRET_HASHER]
    INSTALLED_APPS += ["zeal"]
    MIDDLEWARE += ["zeal.middleware.zeal_middleware"]  # a query a row fails the request
    ZEAL_RAISE = True
    ZEAL_ALLOWLIST = [
        {"model": "api.Client", "field": "get()"},  # the OAuth library looks a client up by each method
        {"model": "auth.User", "field": "get()"},  # Django's page of a user reads who asks, and who is shown
    ]
