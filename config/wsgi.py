"""What the web server calls."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
from disputes.outbox import queue  # noqa: E402  # its table is known once the applications are set up

queue.gather()
# What stands now stands until the end: the collector need not walk through it again in the middle of a request.
gc.collect()
gc.freeze()
# Nor need it look as often as it does by default: a batch of the gate makes a hundred thousand values in one go, all of
# them still in use.
gc.set_threshold(20_000, 20, 20)
