"""What the web server calls."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
# What stands now stands until the end: the collector need not walk through it again in the middle of a request.
gc.collect()
gc.freeze()
