"""What still waits to be done, and what failed."""

from typing import ClassVar

from django.contrib import admin

from config.reading_admin import ReadingAdmin
from disputes.outbox.models import OutboxTopic


@admin.register(OutboxTopic)
class OutboxTopicAdmin(ReadingAdmin):
    list_display: ClassVar = ["topic", "key", "created_at", "attempts", "due_at", "done_at", "last_error"]
    list_filter: ClassVar = ["topic", ("done_at", admin.EmptyFieldListFilter)]
    ordering: ClassVar = ["-id"]
