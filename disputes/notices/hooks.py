"""What a higher room asks at the last moment before a notice leaves. Filled when the app starts."""

from __future__ import annotations

from collections.abc import Callable

from disputes.notices.models import Notice

before_sending: dict[str, Callable[[Notice], str]] = {}
"""Kind → a function that says why such a notice may not leave any more; empty: it may. Called outside of a
transaction."""
