"""Which set-up an environment is, and where the embedded one keeps its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

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
