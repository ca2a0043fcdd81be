"""The addresses of the API, below /api/v1/."""

from disputes.cases.api import routes as cases
from disputes.cases.inbound_api import routes as inbound
from disputes.holds.api import routes as holds
from disputes.notices.api import routes as notices
from disputes.pages.api import routes as pages
from disputes.records.api import routes as records

# Tried in this order: the gate is asked before each message, disputes are opened by people who wait.
urlpatterns = [*holds, *cases, *records, *inbound, *notices, *pages]
