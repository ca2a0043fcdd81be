"""Wiring. The task queue's app is made with the package, so that whatever sends a task finds it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
