"""What Django and its packages are told about the edge; config/settings.py takes these in."""

from __future__ import annotations

from typing import Any

from config.api.callers import SCOPES

APPLICATION_MODEL = "api.Client"
"""OAUTH2_PROVIDER_APPLICATION_MODEL."""

MAX_BODY = 8 * 1024 * 1024
"""DATA_UPLOAD_MAX_MEMORY_SIZE, in bytes: what a call may send that is read at once, such as 10,000 items for the gate;
a streamed import is not."""

REQUEST_ID_MIDDLEWARE = "config.api.middleware.RequestIdMiddleware"
"""Comes first, so that every answer has its id."""

CHUNKED_BODY_MIDDLEWARE = "config.api.middleware.ChunkedBodyMiddleware"
"""Comes before whatever may read a body."""

NULL_CHARACTER_MIDDLEWARE = "config.api.middleware.NullCharacterMiddleware"
"""Comes before whatever may ask the database."""

SECRET_HASHER = "config.api.clients.RandomSecretHasher"  # noqa: S105 - the name of a class
"""To be added at the end of PASSWORD_HASHERS: never the first, which is for what people choose."""

OAUTH2_PROVIDER: dict[str, Any] = {
    "SCOPES": SCOPES,
    "SCOPES_BACKEND_CLASS": "config.api.clients.ClientScopes",
    "OAUTH2_SERVER_CLASS": "oauthlib.oauth2.BackendApplicationServer",  # client credentials and nothing else
    "OAUTH2_VALIDATOR_CLASS": "config.api.tokens.ClientValidator",
    "ACCESS_TOKEN_GENERATOR": "config.api.client_tokens.new_access_token",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "CLIENT_SECRET_HASHER": "random_secret",
    "OIDC_ENABLED": False,
    "PKCE_REQUIRED": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    **{
        f"COMPLIANT_BCP_RFC9700_{gate}": True
        for gate in (
            "IMPLICIT_GRANT",
            "PASSWORD_GRANT",
            "PKCE_METHOD",
            "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS",
            "TOKEN_STORAGE",  # tokens stand in the database as their SHA-256 alone
            "REFRESH_TOKEN",
            "REDIRECT_URI_SCHEME",
            "REDIRECT_URI_MATCHING",
            "PKCE_REQUIRED",
        )
    },
}

DRF_STANDARDIZED_ERRORS: dict[str, Any] = {
    "EXCEPTION_HANDLER_CLASS": "config.api.errors.Handler",
    "EXCEPTION_FORMATTER_CLASS": "config.api.errors.Formatter",
    "ENABLE_IN_DEBUG_FOR_UNHANDLED_EXCEPTIONS": True,
}

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "config.api.permissions.Nobody"
    ],  # a view says whom it is for, by being a ServiceView
    "DEFAULT_RENDERER_CLASSES": ["config.api.parsing.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsing.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.api.parsing.Negotiation",
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "config.api.schema.ServiceSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "iso-8601",
    "URL_FORMAT_OVERRIDE": None,
    "FORMAT_SUFFIX_KWARG": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Recourse",
    "DESCRIPTION": (
        "Disputes about collection messages: what the lender's systems know, what a customer says against it, and a "
        "gate that every message must pass before it is sent.\n\n"
        "Times are RFC 3339 with an offset. Money is an object of a decimal string and a currency. Errors have one "
        "shape."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "DisputeStatusEnum": "disputes.cases.models.Status",
        "ReceiptStatusEnum": ["delivered", "failed"],
        "LanguageEnum": "disputes.cases.models.Language",
        "ChannelEnum": "disputes.cases.models.Channel",
        "SurveyLanguageEnum": ["zh-hans", "en"],
        "MessageChannelEnum": ["sms"],
        "OutcomeEnum": "disputes.cases.models.Outcome",
        "GateOutcomeEnum": ["allow", "deny"],
        "HoldReasonEnum": "disputes.holds.models.Reason",
        "HoldScopeEnum": "disputes.holds.models.Scope",
    },
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SORT_OPERATIONS": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.schema.add_token_endpoint",
    ],
}
