"""PostgreSQL and Valkey of one's own: they survive what a laptop does to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded, environment
from config.embedded.ending import ASK_TO_END
from tests.races import until


@pytest.fixture
def home() -> Iterator[embedded.Home]:
    """A home that an unprivileged user can reach, with a short path for its sockets."""
    with tempfile.TemporaryDirectory(prefix="recourse-home-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o711)
        made = embedded.Home(directory=Path(directory) / "r")
        yield made
        made.postgres.stop(mode="immediate")
        made.valkey.stop()


def _pid(home: embedded.Home) -> int:
    return int((home.postgres.data / "postmaster.pid").read_text().splitlines()[0])


def _rows(home: embedded.Home) -> list[int]:
    with home.postgres.connect(database=embedded.DATABASE) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n")]


def test_what_was_kept_is_there_after_every_process_was_killed(home: embedded.Home) -> None:
    embedded.start(home)
    with home.postgres.connect(database=embedded.DATABASE) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    with redis.Redis(unix_socket_path=str(home.valkey.socket), single_connection_client=True) as client:
        client.rpush("queue", "task")
        # Once it is on the disk, which it is after a second (appendfsync everysec) where the disk is not busy.
        assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]
    os.kill(_pid(home), signal.SIGKILL)
    valkey = home.valkey.pid()
    assert valkey is not None
    os.kill(valkey, signal.SIGKILL)

    embedded.start(home)
    assert _rows(home) == [1]
    assert home.valkey.client().lrange("queue", 0, -1) == [b"task"]


def test_a_living_server_is_taken_over_rather_than_started_twice(home: embedded.Home) -> None:
    embedded.start(home)
    before = (_pid(home), home.valkey.pid())
    embedded.start(home)
    assert (_pid(home), home.valkey.pid()) == before


def test_a_stale_pid_file_that_names_a_stranger_does_not_stop_the_start(home: embedded.Home) -> None:
    embedded.start(home)
    home.postgres.stop()
    pid_file = home.postgres.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{home.postgres.data}\n0\n5432\n{home.sockets / 'pg'}\n\n")
    if (uid := home.postgres.runs_as.uid) is not None:
        os.chown(pid_file, uid, -1)
    embedded.start(home)
    assert until(home.postgres.answers)


def test_an_orphan_that_lost_its_socket_is_ended_before_another_serves_the_same_file(home: embedded.Home) -> None:
    embedded.start(home)
    orphan = home.valkey.pid()
    home.valkey.socket.unlink()
    embedded.start(home)
    assert home.valkey.pid() not in (None, orphan)


def test_the_last_to_leave_stops_the_servers(home: embedded.Home) -> None:
    with embedded.in_use(home):
        with embedded.in_use(home):
            assert until(home.postgres.answers)
        # Somebody still uses it.
        assert until(home.postgres.answers)
        assert until(home.valkey.answers)
    assert not home.postgres.answers()
    assert not home.valkey.answers()


def test_two_who_start_at_once_share_one_server(home: embedded.Home) -> None:
    program = """
import sys; from pathlib import Path; from config import embedded
home = embedded.Home(directory=Path(sys.argv[1]))
with embedded.in_use(home):
    print((home.postgres.data / "postmaster.pid").read_text().splitlines()[0], home.valkey.pid(), flush=True)
    sys.stdin.read()
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(home.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=environment.ROOT,
        )
        for _ in range(2)
    ]
    assert all(process.stdout is not None for process in started)
    said = {process.stdout.readline() for process in started if process.stdout}
    for process in started:
        process.communicate(timeout=600)
    assert len(said) == 1
    assert not home.postgres.answers()


IN_USE = """
import signal, sys, time; from pathlib import Path; from config import embedded
# A shell's background job ignores the one, whatever `nohup` runs the other, and so does all that they run.
signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGHUP, signal.SIG_DFL)
home = embedded.Home(directory=Path(sys.argv[1]))
print("begins", flush=True)
with embedded.in_use(home):
    print("runs", flush=True)
    time.sleep(3600)
"""


@contextmanager
def somebody_who_uses(home: embedded.Home, *, said: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has just said so."""
    words = [sys.executable, "-c", IN_USE, str(home.directory)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=environment.ROOT, start_new_session=True) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) and line.strip() != said:
            pass
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_whoever_is_told_to_end_stops_them(home: embedded.Home, number: signal.Signals) -> None:
    with somebody_who_uses(home, said=b"runs") as process:
        assert until(home.postgres.answers)
        process.send_signal(number)
        assert process.wait(timeout=600) == (-signal.SIGINT if number == signal.SIGINT else 128 + number)
    assert not home.postgres.answers()
    assert not home.valkey.answers()


@pytest.mark.parametrize("whom", ["it alone", "all that it runs"])
@pytest.mark.parametrize("after", [0.0, 0.3, 1.0, 2.0])
def test_also_while_they_are_being_started(home: embedded.Home, after: float, whom: str) -> None:
    with somebody_who_uses(home, said=b"begins") as process:
        time.sleep(after)
        if whom == "it alone":
            process.send_signal(signal.SIGTERM)
        else:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=600) != 0
    assert not home.postgres.answers()
    assert not home.valkey.answers()
    assert processes_left_of(home) == []


def test_and_a_second_signal_does_not_keep_it_from_that(home: embedded.Home) -> None:
    with somebody_who_uses(home, said=b"runs") as process:
        for _ in range(20):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        process.wait(timeout=600)
    assert processes_left_of(home) == []


def test_somebody_elses_end_leaves_them(home: embedded.Home) -> None:
    with embedded.in_use(home), somebody_who_uses(home, said=b"runs") as process:
        process.terminate()
        process.wait(timeout=600)
        assert until(home.postgres.answers)
        assert until(home.valkey.answers)


def test_what_somebody_set_for_a_signal_is_as_before(home: embedded.Home) -> None:
    before = [signal.getsignal(number) for number in ASK_TO_END]
    heard: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    set_here = signal.getsignal(signal.SIGHUP)
    try:
        with embedded.in_use(home):
            os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) == set_here
    finally:
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(number) for number in ASK_TO_END] == before


def processes_of(home: embedded.Home) -> list[str]:
    """The command lines that name the home's directory."""
    named = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode()
            if str(home.directory) in words:
                named.append(words)
    return named


def processes_left_of(home: embedded.Home) -> list[str]:
    """The same a while later: a server takes its pid file away, and its socket, a moment before it is gone."""
    until = time.monotonic() + 60
    while (named := processes_of(home)) and time.monotonic() < until:
        time.sleep(0.05)
    return named


def test_a_long_path_still_gets_a_socket(tmp_path: Path) -> None:
    deep = embedded.Home(directory=tmp_path / ("x" * 120) / ".recourse")
    assert len(os.fsencode(deep.sockets / "pg" / ".s.PGSQL.5432.lock")) <= 107
    other = embedded.Home(directory=tmp_path / ("y" * 120) / ".recourse")
    assert deep.sockets != other.sockets, "two checkouts run side by side"


def test_another_clusters_server_on_our_socket_is_not_taken_for_ours(home: embedded.Home, tmp_path: Path) -> None:
    embedded.start(home)
    impostor = embedded.Postgres(data=tmp_path, sockets=home.sockets / "pg")
    with pytest.raises(embedded.CannotStart, match="another PostgreSQL"):
        impostor.answers()


def test_the_service_role_can_neither_make_nor_own_anything(home: embedded.Home) -> None:
    embedded.start(home)
    with home.postgres.connect(database=embedded.DATABASE, user=embedded.SERVICE_ROLE) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE anything (n int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE DATABASE another")


def test_manage_py_starts_what_it_needs_and_leaves_nothing_running(home: embedded.Home) -> None:
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "MIGRATE_DATABASE_URL", "BROKER_URL", "CACHE_URL", "RECOURSE_ENV"}
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "from django.db import connection as c; c.ensure_connection()"],
        cwd=environment.ROOT,
        env={**environ, "RECOURSE_HOME": str(home.directory)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert not home.postgres.answers()
    assert not home.valkey.answers()
