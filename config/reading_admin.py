"""An admin page that shows and changes nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline


class _ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadingAdmin(_ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Lists and shows; whatever changes a row goes through the functions of its room."""

    list_per_page = 50
    show_full_result_count = False
    actions: ClassVar[Any] = None


class ReadingInline(_ReadOnly, TabularInline):  # type: ignore[misc]
    extra = 0
    can_delete = False
