from django.apps import AppConfig
from django.db.models.signals import post_migrate

from config.roles import grant_after_migrate


class ApiConfig(AppConfig):
    name = "config.api"
    label = "api"
    verbose_name = "API"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(grant_after_migrate, sender=self, dispatch_uid="grant_after_migrate")
