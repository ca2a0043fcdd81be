"""Whom a view lets in that does not say whom it is for."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Nobody(BasePermission):
    """The default: a view is built on ServiceView, or it is closed."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False
