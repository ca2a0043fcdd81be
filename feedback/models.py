"""Gathers what the rooms define, for Django to find."""

from feedback.results.models import WaveSummary
from feedback.surveys.models import Survey, SurveyVersion
from feedback.waves.models import Answer, Invitation, InvitationLink, Schedule, Wave

__all__ = [
    "Answer",
    "Invitation",
    "InvitationLink",
    "Schedule",
    "Survey",
    "SurveyVersion",
    "Wave",
    "WaveSummary",
]
