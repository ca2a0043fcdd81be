"""Screens a campaign file from a shell, as POST /api/v1/gate/screenings does."""

from __future__ import annotations

import json
import os
import stat
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from disputes.holds.campaign_rows import BadHeader, Form
from disputes.holds.campaigns import Part, answer_header, screen_campaign
from disputes.management.showing import Stopping, shown_progress

CHUNK = 256 * 1024
HEAD = 64 * 1024
"""Bytes at a campaign's beginning by which it is known again."""
CALLER = "command:screen"
"""Nobody has permits under this name."""
REFUSED, CANNOT_GO_ON, STOPPED = 1, 2, 130


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a screening has come. `campaign`: the digest of its beginning, and its size; `header`: of a CSV;
    `read`, `lines`: of the campaign; `written`: bytes of the answer that are whole."""

    campaign: str
    header: str = ""
    read: int = 0
    lines: int = 0
    written: int = 0
    rows: int = 0
    allowed: int = 0
    malformed: int = 0


class Command(BaseCommand):
    help = (
        "Says what the gate would answer to each message of FILE (CSV or NDJSON; - for the standard input). Nothing is "
        "granted. Ctrl-C stops it after the part that it is at. Ends with 0 where every row could be read, 1 where "
        "some are malformed, 2 where it could not go on, 130 where it was stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument(
            "--format", choices=["csv", "ndjson"], help="by the file's ending where it is not named, else NDJSON"
        )
        parser.add_argument("--out", type=Path, metavar="FILE", help="where the answers go; else the standard output")
        parser.add_argument(
            "--resume", action="store_true", help="go on where an earlier run stopped, by what it left beside --out"
        )
        parser.add_argument(
            "--progress", action="store_true", help="show how far it is in plain lines where this is no terminal"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as stack:
            state = _Run(self, stack, options).go()
        self.stderr.write(
            f"{state.rows:,} rows: {state.allowed:,} allowed, {state.rows - state.allowed:,} denied, of which"
            f" {state.malformed:,} malformed."
        )
        if state.malformed:
            raise CommandError(f"{state.malformed:,} of {state.rows:,} rows could not be read.", returncode=REFUSED)


class _Run:
    """One run of the command. The steps: 1. open the campaign; 2. find the place to begin at; 3. screen, with the
    place kept after each part."""

    def __init__(self, command: Command, stack: ExitStack, options: dict[str, Any]) -> None:
        self._err = command.stderr
        self._options = options
        self._name: str = options["file"]
        self._form: Form = options["format"] or ("csv" if self._name.lower().endswith(".csv") else "ndjson")
        self._source: BinaryIO = sys.stdin.buffer if self._name == "-" else _opened(stack, self._name, "rb")
        found = os.fstat(self._source.fileno())
        self._size = found.st_size if stat.S_ISREG(found.st_mode) and self._name != "-" else None
        self._out: Path | None = options["out"]
        self._beside = None if self._out is None else self._out.with_name(self._out.name + ".screening")
        self._state = self._find_place()
        self._stack = stack

    def go(self) -> State:
        state, stopping, stopped = self._state, Stopping(), False
        answers: BinaryIO | None = None
        try:
            with (
                stopping,
                shown_progress(
                    stderr=self._err, size=self._size, end=state.read, done=state.rows, plain=self._options["progress"]
                ) as show,
            ):
                for part in self._parts():
                    if answers is None:
                        answers, state = self._begin(state)
                    answers.writelines(part.answers)
                    state = _after(state, part)
                    self._keep(state, answers)
                    show(end=state.read, counts={"screened": state.rows - state.malformed, "error": state.malformed})
                    if stopping.asked and not part.last:
                        stopped = True
                        break
        except BadHeader as error:
            raise CommandError(str(error), returncode=CANNOT_GO_ON) from error
        except KeyboardInterrupt:
            self._leave("Interrupted", returncode=STOPPED)
        except (DatabaseError, OSError) as error:
            self._leave(f"Cannot go on ({type(error).__name__}: {str(error).strip()})", returncode=CANNOT_GO_ON)
        if stopped:
            self._leave("Stopped", returncode=STOPPED)
        if answers is None:  # a campaign of no lines
            answers, state = self._begin(state)
        answers.flush()
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
        return state

    def _begin(self, state: State) -> tuple[BinaryIO, State]:
        """The answers, and their header where nothing was written yet. Not before something can be answered: a file
        that was named by mistake keeps what it has."""
        answers: BinaryIO = sys.stdout.buffer if self._out is None else self._open_answers(self._stack, self._out)
        if state.read:
            return answers, state
        answers.write(answer_header(self._form))
        return answers, replace(state, written=len(answer_header(self._form)))

    def _find_place(self) -> State:
        """Where to begin: at the beginning, or with --resume where the answers of an earlier run end."""
        resume, begun = self._options["resume"], State(campaign="")
        if resume and (self._beside is None or self._size is None):
            raise CommandError("--resume needs a FILE and an --out.", returncode=CANNOT_GO_ON)
        if self._beside is None:
            return begun
        if self._size is not None:
            begun = State(campaign=f"{sha256(self._source.read(HEAD)).hexdigest()}:{self._size}")
            self._source.seek(0)
        if self._beside.exists():
            if not resume:
                raise CommandError(
                    f"{self._out} is not complete: go on with --resume, or remove {self._beside}.",
                    returncode=CANNOT_GO_ON,
                )
            begun = _read_state(self._beside, campaign=begun.campaign)
            self._source.seek(min(begun.read, self._size or 0))
        elif resume and self._out is not None and self._out.exists() and self._out.stat().st_size:
            raise CommandError(f"Nothing to resume: there is no {self._beside}.", returncode=CANNOT_GO_ON)
        return begun

    def _open_answers(self, stack: ExitStack, out: Path) -> BinaryIO:
        """The answers, cut back to the last whole part: what was written after it is written again."""
        written = self._state.written
        if self._size is not None and out.exists() and os.path.samestat(out.stat(), os.fstat(self._source.fileno())):
            raise CommandError(f"{out} is the campaign itself: name another file.", returncode=CANNOT_GO_ON)
        answers = _opened(stack, str(out), "r+b" if written else "wb")
        if answers.seek(0, os.SEEK_END) < written:
            raise CommandError(f"{out} is shorter than {self._beside} says.", returncode=CANNOT_GO_ON)
        answers.truncate(written)
        answers.seek(written)
        return answers

    def _parts(self) -> Iterator[Part]:
        return screen_campaign(
            chunks=iter(lambda: self._source.read(CHUNK), b""),
            form=self._form,
            caller=CALLER,
            read=self._state.read,
            lines=self._state.lines,
            header=self._state.header.encode() if self._state.read else None,
        )

    def _keep(self, state: State, answers: BinaryIO) -> None:
        """The answers reach the disk before the state that counts on them."""
        if self._beside is None or self._size is None:
            return
        answers.flush()
        os.fsync(answers.fileno())
        fresh = self._beside.with_name(self._beside.name + ".new")
        with open(fresh, "w") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._beside)

    def _leave(self, why: str, *, returncode: int) -> NoReturn:
        on = "" if self._beside is None or not self._beside.exists() else " Go on with --resume."
        raise CommandError(f"{why}.{on}", returncode=returncode)


def _opened(stack: ExitStack, name: str, mode: str) -> Any:
    """The file, closed with `stack`."""
    try:
        return stack.enter_context(open(name, mode))
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}", returncode=CANNOT_GO_ON) from error


def _read_state(beside: Path, *, campaign: str) -> State:
    try:
        state = State(**json.loads(beside.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CommandError(f"{beside} cannot be read.", returncode=CANNOT_GO_ON) from error
    if state.campaign != campaign:
        raise CommandError(
            "This is not the campaign that was interrupted, or it was changed since.", returncode=CANNOT_GO_ON
        )
    return state


def _after(state: State, part: Part) -> State:
    return replace(
        state,
        header=part.header,
        read=part.read,
        lines=part.lines,
        written=state.written + sum(map(len, part.answers)),
        rows=state.rows + part.rows,
        allowed=state.allowed + part.allowed,
        malformed=state.malformed + part.malformed,
    )
