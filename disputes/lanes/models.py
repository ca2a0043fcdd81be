"""Lanes: fixed rows that writers lock so that they see each other."""

from __future__ import annotations

from django.db import models

LANES = 2**18
"""How many there are. It and the digest behind a lane's number may only change while every gate is stopped."""


class Lane(models.Model):
    """One of LANES rows, filled by a migration and never inserted, updated or deleted: locking one writes no new
    row."""

    n = models.IntegerField(primary_key=True)

    def __str__(self) -> str:
        return f"lane {self.n}"
