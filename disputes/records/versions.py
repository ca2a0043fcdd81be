"""What is stored of one record: its versions, with their personal fields opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from disputes.records.models import (
    VERSIONS,
    CustomerPersonal,
    CustomerPhoneVersion,
    CustomerVersion,
    MessageVersion,
    Voided,
)
from disputes.records.queries import personal_of
from disputes.records.writing import PERSONAL

AT_MOST = 100
"""How many versions are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """`personal`: its personal fields; None where it has none, or they were erased. `in_force`: the highest one."""

    row: Any
    in_force: bool
    has_personal: bool
    personal: dict[str, Any] | None

    def value(self, name: str) -> Any:
        """A field of its line, by the line's name of it."""
        if self.personal is not None and name in self.personal:
            return self.personal[name]
        if name == "paid_at" and self.row.paid_at is None:
            return self.row.paid_on
        return getattr(self.row, name, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRecord:
    """`versions`: highest first, at most AT_MOST; `left_out`: how many more there are; `void`: as known now."""

    type: str
    external_id: str
    void: bool
    versions: tuple[StoredVersion, ...]
    left_out: int


def stored_record(*, type: str, external_id: str) -> StoredRecord | None:
    """What is stored of a record; None where no line of it ever came."""
    model = VERSIONS.get(type)
    if model is None:
        return None
    stored = model._default_manager.filter(external_id=external_id)
    rows = list(stored.order_by("-version", "-posted_at", "-content")[:AT_MOST])
    if not rows:
        return None
    personal = _personal(type, rows)
    versions = [
        StoredVersion(
            row=row,
            in_force=place == 0,
            has_personal=type in PERSONAL,
            personal=personal.get(getattr(row, "id", None)),
        )
        for place, row in enumerate(rows)
    ]
    return StoredRecord(
        type=type,
        external_id=external_id,
        void=Voided.objects.filter(type=type, external_id=external_id).exists(),
        versions=tuple(versions),
        left_out=stored.count() - len(rows) if len(rows) == AT_MOST else 0,
    )


def _personal(type_: str, rows: list[Any]) -> dict[Any, dict[str, Any]]:
    if type_ not in PERSONAL:
        return {}
    assert all(isinstance(row, CustomerVersion | MessageVersion) for row in rows)
    model: Any = PERSONAL[type_][0]
    found = personal_of(model=model, versions=[row.id for row in rows])
    if model is CustomerPersonal:
        for phone in CustomerPhoneVersion.objects.filter(version_id__in=found).order_by("place"):
            numbers = found[phone.version_id]["phones"]
            numbers[phone.place] = {
                "number": numbers[phone.place],
                "role": phone.role,
                "from": None if phone.first is None else phone.first.isoformat(),
                "until": None if phone.until is None else phone.until.isoformat(),
            }
    return found
