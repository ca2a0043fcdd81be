"""Arrays as PostgreSQL reads them from text: made in one go, where the driver's own, value by value, cost a batch more
than the statement that they are for."""

from __future__ import annotations

import uuid
from collections.abc import Iterable


def array_of_texts(values: Iterable[object]) -> str:
    """The literal of an array of what PostgreSQL reads from ``str``. None: NULL."""
    texts = [None if value is None else str(value) for value in values]
    if None not in texts:
        joined = '","'.join(texts)  # type: ignore[arg-type]  # none is None
        if "\\" not in joined and joined.count('"') == 2 * len(texts) - 2:
            return f'{{"{joined}"}}'
    quoted = ["NULL" if text is None else f'"{text.translate(_ESCAPED)}"' for text in texts]
    return f"{{{','.join(quoted)}}}"


_ESCAPED = str.maketrans({'"': '\\"', "\\": "\\\\"})


def array_of_digests(digests: Iterable[bytes]) -> str:
    """The literal of a ``bytea[]``."""
    return f"{{{','.join([_HEX + digest.hex() for digest in digests])}}}"


def array_of_ids(ids: Iterable[uuid.UUID]) -> str:
    """The literal of a ``uuid[]``."""
    return f"{{{','.join([one.hex for one in ids])}}}"


def array_of_numbers(numbers: Iterable[int]) -> str:
    """The literal of an ``int[]``."""
    return f"{{{','.join(map(str, numbers))}}}"


_HEX = "\\\\x"
