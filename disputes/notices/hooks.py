"""What a higher room asks at the last moment before a notice leaves. Filled when the app starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from disputes.notices.models import Notice

before_sending: dict[str, Callable[[Notice, datetime], str]] = {}
"""Kind → a function of the notice and of now that says why it may not leave any more; empty: it may. Called outside of
a transaction."""
WITHHELD = "withheld: "
"""How the failure of a notice begins that was not let out."""
