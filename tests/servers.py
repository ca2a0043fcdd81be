"""The servers of one test run: a PostgreSQL and a Valkey of its own, or those that DATABASE_URL and BROKER_URL name.

Loaded as a plug-in (`-p tests.servers`), so that the servers are there before anything reads the settings. The first
process forgets every other setting and starts them, the workers of xdist inherit what it sets; a watcher ends them when
that process is gone, however it went.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from config.embedded import Postgres, Valkey, create_roles
from config.environment import SETTINGS, new_data_keys

ADDRESSES = ("DATABASE_URL", "MIGRATE_DATABASE_URL", "BROKER_URL", "CACHE_URL")
"""Settings that a run takes from the environment: whose servers it works on."""
OF_LIBRARIES = ("DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""What libraries read of the environment by themselves. The first would go before pyproject.toml's own; by the others
(one is the older name) every test would add to the metrics of a service of its developer's."""
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300"}
# By it a race is judged: in which order transactions committed.
_FAST["track_commit_timestamp"] = "on"
# The reader sees the end of its input when the last holder of the other end is gone.
_WATCHER = """
import shutil, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.path.insert(0, sys.argv[1])
from config.embedded import Postgres, Valkey
sys.stdin.read()
home = Path(sys.argv[2])
Postgres(data=home / "postgres", sockets=home / "s").stop(mode="immediate")
for data in home.glob("valkey*/"):
    Valkey(data=data, socket=data.with_suffix(".sock")).stop()
shutil.rmtree(home, ignore_errors=True)
"""
_ROOT = Path(__file__).resolve().parent.parent


def postgres(directory: Path) -> Postgres:
    return Postgres(data=directory / "postgres", sockets=directory / "s", options=_FAST)


def valkey(directory: Path) -> Valkey:
    return Valkey(data=directory / "valkey", socket=directory / "valkey.sock")


def _start() -> None:
    """Steps: 1. a directory; 2. the watcher; 3. the servers that no address names; 4. what the workers inherit."""
    directory = Path(tempfile.mkdtemp(prefix="recourse-"))
    directory.chmod(0o711)
    os.environ["RECOURSE_TEST_DIRECTORY"] = str(directory)
    global _watcher
    _watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCHER, str(_ROOT), str(directory)], stdin=subprocess.PIPE, start_new_session=True
    )
    if not os.environ.get("DATABASE_URL"):
        server = postgres(directory)
        server.start()
        with server.connect() as connection:
            create_roles(connection, database=None)
        address = f"postgresql://recourse_owner@/recourse?host={server.sockets}"
        os.environ["DATABASE_URL"] = os.environ["MIGRATE_DATABASE_URL"] = address
    if not os.environ.get("BROKER_URL"):
        server_ = valkey(directory)
        server_.start()
        os.environ["RECOURSE_TEST_VALKEY"] = str(server_.socket)


def _give_worker_its_own() -> None:
    """Each worker of xdist has its own queue and cache: the numbers of Valkey's databases."""
    worker = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
    if socket := os.environ.get("RECOURSE_TEST_VALKEY"):
        number = 2 * (worker % 7)
        os.environ["BROKER_URL"] = f"redis+socket://{socket}?virtual_host={number}"
        os.environ["CACHE_URL"] = f"unix://{socket}?db={number + 1}"
    elif not os.environ.get("CACHE_URL") and os.environ["BROKER_URL"].startswith(("redis://", "rediss://")):
        os.environ["CACHE_URL"] = os.environ["BROKER_URL"]


def _forget_settings() -> None:
    """Whoever has settings of a deployment of theirs in their shell runs the same tests as everybody else. Before
    anything imports Django or the metrics: both look once."""
    for name in {*OF_LIBRARIES, *(setting.name for setting in SETTINGS)}.difference(ADDRESSES):
        os.environ.pop(name, None)


_watcher: subprocess.Popen[bytes] | None = None
if "RECOURSE_TEST_DIRECTORY" not in os.environ:
    _forget_settings()
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    os.environ["DATA_KEYS"] = new_data_keys()
    _start()
    os.environ["RECOURSE_HOME"] = os.environ["RECOURSE_TEST_DIRECTORY"] + "/home"
os.environ["RECOURSE_ENV"] = "test"
_give_worker_its_own()


def pytest_unconfigure() -> None:
    """The watcher ends the servers; the run waits for it, so that nothing is left behind."""
    if _watcher is not None and _watcher.stdin is not None:
        _watcher.stdin.close()
        _watcher.wait(timeout=300)
