"""Which records never were, as known now, kept as rows so that everything else can leave them out by a join."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from disputes.check import facts
from disputes.check.versions import voided

Key = tuple[str, str]
"""(type, external id)."""


def refresh_voided(*, voids: Iterable[str]) -> set[Key]:
    """Decides anew what is void, after versions of these voids were added.

    Returns every record that a void touched is about, voids left out: their accounts may read differently now, on some
    clock. Needs the import's transaction and lock.

    1. everything that hangs together with them: voids of voids, in both directions; 2. the pure rule, once; 3. the
    rows.
    """
    keys, versions = _hanging_together({("void", void) for void in voids})
    dead = voided(versions, None) & keys
    types, ids = [type_ for type_, _ in keys], [external_id for _, external_id in keys]
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM disputes_voided v USING unnest(%s::text[], %s::text[]) AS k(type, external_id) "
            "WHERE v.type = k.type AND v.external_id = k.external_id",
            [types, ids],
        )
        cursor.execute(
            "INSERT INTO disputes_voided (type, external_id) SELECT * FROM unnest(%s::text[], %s::text[])",
            [[type_ for type_, _ in dead], [external_id for _, external_id in dead]],
        )
    return {key for key in keys if key[0] != "void"}


def _hanging_together(start: set[Key]) -> tuple[set[Key], list[facts.VoidVersion]]:
    """All keys that voids tie to these, and all versions of those voids: a few rounds, as deep as voids are nested."""
    keys: set[Key] = set()
    found: dict[str, list[facts.VoidVersion]] = {}
    new = start
    while new:
        keys |= new
        versions = versions_of_voids(new, known=found)
        for version in versions:
            found.setdefault(version.external_id, []).append(version)
        reached = {("void", version.external_id) for version in versions}
        reached |= {(version.target_type, version.target) for version in versions}
        new = reached - keys
    return keys, [version for versions in found.values() for version in versions]


def versions_of_voids(keys: Iterable[Key], *, known: Iterable[str] = ()) -> list[facts.VoidVersion]:
    """Every version of each void that is among the keys, or that has ever named one of them."""
    keys = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH k AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS k(type, external_id)),
            one AS (
                SELECT external_id FROM k WHERE type = 'void'
                UNION
                SELECT v.external_id FROM disputes_voidversion v
                JOIN k ON k.type = v.target_type AND k.external_id = v.target
            )
            SELECT v.external_id, v.version, v.posted_at, v.content, v.target_type, v.target
            FROM disputes_voidversion v JOIN one USING (external_id)
            WHERE v.external_id <> ALL(%s::text[])
            """,
            [[type_ for type_, _ in keys], [external_id for _, external_id in keys], list(known)],
        )
        return [
            facts.VoidVersion(
                external_id=external_id,
                version=version,
                posted_at=posted_at,
                content=bytes(content),
                target_type=target_type,
                target=target,
            )
            for external_id, version, posted_at, content, target_type, target in cursor.fetchall()
        ]
