from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "feedback"
    label = "feedback"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hangs on the outbox what of its topics concerns surveys, and asks the gate before a survey's text leaves."""
        from disputes.notices.hooks import before_sending
        from disputes.tasks import hear
        from feedback.tasks import SUBSCRIBERS
        from feedback.waves.inviting import ask_once_more

        before_sending["survey"] = ask_once_more

        for topic, name, subscriber in SUBSCRIBERS:
            hear(topic=topic, name=name, subscriber=subscriber)
