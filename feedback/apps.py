from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "feedback"
    label = "feedback"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hangs on the outbox what of its topics concerns surveys."""
        from disputes.tasks import hear
        from feedback.tasks import SUBSCRIBERS

        for topic, name, subscriber in SUBSCRIBERS:
            hear(topic=topic, name=name, subscriber=subscriber)
