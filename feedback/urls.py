"""The addresses of the API, below /api/v1/."""

from feedback.pages.api import routes as invitations
from feedback.results.api import routes as results
from feedback.surveys.api import routes as surveys
from feedback.waves.api import routes as waves

urlpatterns = [*surveys, *waves, *results, *invitations]
