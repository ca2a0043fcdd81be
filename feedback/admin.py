"""Gathers what the rooms show in the admin, for Django to find."""

from feedback.results.admin import WaveAdmin
from feedback.surveys.admin import SurveyAdmin, SurveyVersionAdmin
from feedback.waves.admin import ScheduleAdmin

__all__ = ["ScheduleAdmin", "SurveyAdmin", "SurveyVersionAdmin", "WaveAdmin"]
