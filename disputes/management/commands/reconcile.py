"""Finds sends of a carrier's delivery file that went past the gate."""

from __future__ import annotations

import csv
import io
import json
import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from config.api.fields import render_instant
from disputes.holds.deliveries import BadFile, Format, read_sends
from disputes.holds.reconciling import (
    SHARE,
    Found,
    Send,
    close_stage,
    look_at_share,
    open_stage,
    share_of,
    span_of_stage,
    stage,
)
from disputes.management.showing import Show, Stopping, shown_progress

FOUND, CANNOT_GO_ON, STOPPED = 1, 2, 130
AT_ONCE = 20_000
"""Lines that are staged by one COPY."""
NAMED = 20
"""Lines that could not be read and are named."""
COLUMNS = ("line", "why", "phone", "sent_at", "id", "vendor", "permit", "short_ref", "status")


@dataclass(kw_only=True)
class State:
    """How far it has come. `file`: the digest of its beginning, and its size; `shares`: of its numbers; `done`: of
    them; `written`: bytes of what was found that are whole; `named`:
    the first lines that could not be read."""

    file: str
    shares: int = 0
    done: int = 0
    written: int = 0
    unreadable: int = 0
    named: list[int] = field(default_factory=list)
    repeated: int = 0
    sends: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)


class Command(BaseCommand):
    help = (
        "Finds sends of a carrier's delivery FILE that neither a permit nor a message record explains, and prints them "
        "as NDJSON. Columns: phone, sent_at; where the file has them id, vendor, permit, short_ref, status. Ends with "
        "0 where every send is explained, 1 where one is not or a line could not be read, 2 where it could not go on, "
        "130 where it was stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--format", choices=["csv", "ndjson"], help="by the file's ending where it is not named")
        parser.add_argument("--out", type=Path, metavar="FILE", help="where what is found goes: CSV by the ending .csv")
        parser.add_argument(
            "--tolerance",
            type=float,
            default=120.0,
            metavar="SECONDS",
            help="how far a send may lie outside a permit's life or from a message's instant; 120 unless told",
        )
        parser.add_argument(
            "--carrier-ahead",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="how far the carrier's clock is ahead of ours; below 0: behind",
        )
        parser.add_argument("--time-zone", metavar="ZONE", help="of instants without an offset; else the lender's")
        parser.add_argument("--resume", action="store_true", help="go on where an earlier run with --out stopped")
        parser.add_argument("--progress", action="store_true", help="show how far it is in plain lines")

    def handle(self, *args: Any, **options: Any) -> None:
        state = _Run(self, options).go()
        self.stderr.write(_summary(state))
        if state.unreadable or state.found:
            found = sum(state.found.values())
            raise CommandError(
                f"{found:,} sends are not explained; {state.unreadable:,} lines could not be read.", returncode=FOUND
            )


class _Run:
    """The steps: 1. the state, of an earlier run or new; 2. stages the file; 3. looks at it a share at a time, with the
    place kept after each."""

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self._command = command
        self._file: Path = options["file"]
        self._form: Format = options["format"] or ("csv" if self._file.suffix.lower() == ".csv" else "ndjson")
        self._out: Path | None = options["out"]
        self._csv_out = self._out is not None and self._out.suffix.lower() == ".csv"
        self._beside = None if self._out is None else self._out.with_name(self._out.name + ".reconciling")
        self._tolerance = timedelta(seconds=options["tolerance"])
        self._ahead = timedelta(seconds=options["carrier_ahead"])
        self._zone: str = options["time_zone"] or settings.LENDER_TIME_ZONE
        self._plain: bool = options["progress"]
        try:
            ZoneInfo(self._zone)
            self._size = self._file.stat().st_size
            with open(self._file, "rb") as file:
                asked = (self._tolerance, self._ahead, self._zone, self._form)
                head = sha256(file.read(64 * 1024) + repr(asked).encode()).hexdigest()
            if self._out is not None and self._out.exists() and self._out.samefile(self._file):
                raise ValueError(f"{self._out} is the delivery file itself")
        except (OSError, ZoneInfoNotFoundError, ValueError) as error:
            raise CommandError(f"Cannot begin: {error}.", returncode=CANNOT_GO_ON) from error
        self.state = self._begun(State(file=f"{head}:{self._size}"), resume=options["resume"])
        self._read = 0

    def _begun(self, fresh: State, *, resume: bool) -> State:
        if self._beside is None or not self._beside.exists():
            if resume:
                raise CommandError("There is nothing to resume.", returncode=CANNOT_GO_ON)
            return fresh
        if not resume:
            raise CommandError(
                f"{self._out} is not complete: go on with --resume, or remove {self._beside}.", returncode=CANNOT_GO_ON
            )
        try:
            state = State(**json.loads(self._beside.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise CommandError(f"{self._beside} cannot be read.", returncode=CANNOT_GO_ON) from error
        if state.file != fresh.file:
            raise CommandError("This is another file, or other options, than before.", returncode=CANNOT_GO_ON)
        return state

    def go(self) -> State:
        stopping = Stopping()
        try:
            with (
                stopping,
                shown_progress(
                    stderr=self._command.stderr, size=2 * self._size, end=0, done=0, plain=self._plain
                ) as show,
            ):
                if self._stage(show, stopping):
                    self._look(show, stopping)
        except BadFile as error:
            raise CommandError(str(error), returncode=CANNOT_GO_ON) from error
        except KeyboardInterrupt:
            self._leave("Interrupted", returncode=STOPPED)
        except (DatabaseError, OSError) as error:
            self._leave(f"Cannot go on ({type(error).__name__}: {str(error).strip()})", returncode=CANNOT_GO_ON)
        if stopping.asked and (self.state.done < self.state.shares or not self.state.shares):
            self._leave("Stopped", returncode=STOPPED)
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
        return self.state

    def _lines(self) -> Iterator[bytes]:
        with open(self._file, "rb") as file:
            for line in file:
                self._read += len(line)
                yield line

    def _stage(self, show: Show, stopping: Stopping) -> bool:
        """Whether all was staged: of a resumed run only the shares that are left."""
        state = self.state
        first = share_of(share=state.done, shares=state.shares)[0] if state.shares else 0
        rows = read_sends(lines=self._lines(), form=self._form, zone=self._zone, carrier_ahead=self._ahead)
        unreadable, staged, named = 0, 0, list[int]()
        open_stage()
        while block := list(islice(rows, AT_ONCE)):
            sends = [one for one in block if isinstance(one, Send)]
            unreadable += len(block) - len(sends)
            named += [one for one in block if isinstance(one, int)][: NAMED - len(named)]
            staged += stage(one for one in sends if one.slot >= first)
            show(end=self._read, counts={"staged": staged, "error": unreadable})
            if stopping.asked:
                return False
        close_stage()
        state.unreadable, state.named = unreadable, named
        state.shares = state.shares or max(1, -(-staged // SHARE))
        return True

    def _look(self, show: Show, stopping: Stopping) -> None:
        state, span = self.state, span_of_stage()
        if self._out is not None and not state.written:
            self._write(",".join(COLUMNS) + "\n" if self._csv_out else "")
        while span is not None and state.done < state.shares and not stopping.asked:
            looked = look_at_share(share=state.done, shares=state.shares, tolerance=self._tolerance, span=span)
            self._write("".join(map(self._rendered, looked.found)))
            state.done += 1
            state.repeated += looked.repeated
            state.sends = dict(Counter(state.sends) + Counter(looked.sends))
            state.found = dict(Counter(state.found) + Counter(one.send.vendor for one in looked.found))
            self._keep()
            done = sum(state.sends.values())
            show(
                end=self._size + self._size * state.done // state.shares,
                counts={"looked": done, "error": sum(state.found.values())},
            )
        if span is None:
            state.done = state.shares

    def _rendered(self, one: Found) -> str:
        send = one.send
        values = {
            "line": send.line,
            "why": one.why,
            "phone": send.masked,
            "sent_at": render_instant(send.at),
            "id": send.id,
            "vendor": send.vendor,
            "permit": send.permit,
            "short_ref": send.short_ref,
            "status": send.status,
        }
        if not self._csv_out:
            return json.dumps(values, ensure_ascii=False) + "\n"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values.values())
        return text.getvalue()

    def _write(self, text: str) -> None:
        """Adds to what was found, after the last place that is whole."""
        if self._out is None:
            if text:
                self._command.stdout.write(text, ending="")
            return
        with open(self._out, "r+b" if self.state.written else "wb") as file:
            file.truncate(self.state.written)
            file.seek(self.state.written)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            self.state.written = file.tell()

    def _keep(self) -> None:
        if self._beside is None:
            return
        fresh = self._beside.with_name(self._beside.name + ".new")
        with open(fresh, "w") as file:
            json.dump(asdict(self.state), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._beside)

    def _leave(self, why: str, *, returncode: int) -> NoReturn:
        on = " Go on with --resume." if self._beside is not None and self._beside.exists() else ""
        raise CommandError(f"{why}.{on}", returncode=returncode)


def _summary(state: State) -> str:
    lines = [
        f"{vendor or '(no vendor)'}: {state.found.get(vendor, 0):,} of {count:,} sends are not explained"
        for vendor, count in sorted(state.sends.items())
    ]
    if state.unreadable:
        more = " …" if state.unreadable > len(state.named) else ""
        lines.append(f"Lines that could not be read: {', '.join(map(str, state.named))}{more}")
    if state.repeated:
        lines.append(f"{state.repeated:,} lines tell of a send that another line tells of")
    return "\n".join(lines or ["No sends."])
