"""What is held, and what was."""

from typing import ClassVar

from django.contrib import admin

from config.reading_admin import ReadingAdmin
from disputes.holds.models import Hold


@admin.register(Hold)
class HoldAdmin(ReadingAdmin):
    list_display: ClassVar = ["id", "reason", "scope", "source", "why", "placed_at", "placed_by", "released_at"]
    list_filter: ClassVar = ["reason", "scope", "source", ("released_at", admin.EmptyFieldListFilter)]
    ordering: ClassVar = ["-id"]
