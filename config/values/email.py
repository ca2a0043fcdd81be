"""E-mail addresses: whether one can be written to."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+", re.ASCII)


def is_email(text: str) -> bool:
    """Whether this is one address and nothing beside it: no name, no second address, nothing that would begin another
    header."""
    return _ADDRESS.fullmatch(text) is not None
