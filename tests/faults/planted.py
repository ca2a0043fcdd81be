"""The service's settings with a fault planted, or with none: for processes that a test starts, and for nobody else.

``FAULTS_PLANTED``: ``lanes`` (gate and holds take no lane), ``owners`` (the gate does not compare a loan's owner again
under the lanes), ``number`` (the feed's number is drawn without its lock), else none. ``FAULTS_STOPS``: a directory in
which a test arms the places at which a process then waits (`tests.faults.stops`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.planting.Planting"]
FAULTS_PLANTED: Any = os.environ.get("FAULTS_PLANTED", "")
FAULTS_STOPS: Any = os.environ.get("FAULTS_STOPS", "")
