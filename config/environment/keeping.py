"""Files that we alone may read: the secrets of the embedded set-up, made at their first use."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
