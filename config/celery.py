"""The task queue."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("recourse")
# A web server's threads are not the one that imported this: else each would send to an app of Celery's own making.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["disputes", "feedback", "demo", "config.api"])
