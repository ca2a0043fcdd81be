"""Imports a file of records from a shell, as POST /api/v1/records/import does."""

from __future__ import annotations

import json
import os
import stat
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.utils import timezone

from disputes.management.showing import Stopping, shown_progress
from disputes.records.csv_reading import HeaderRefused, csv_pieces, read_header
from disputes.records.feeding import Feed, Piece, Told, ndjson_pieces, split_lines
from disputes.records.guarding import Guard, TooManyChanges
from disputes.records.models import RECORD_TYPES
from disputes.records.resuming import CannotResume, Progress, ProgressFile, chunks_from

CHUNK = 256 * 1024
TELL_EVERY = 1_000
"""After so many results at the latest it is noted how far the import has come."""
REFUSED, CANNOT_GO_ON, STOPPED = 1, 2, 130


class Command(BaseCommand):
    help = (
        "Imports records from FILE (- for the standard input); prints the refused lines as NDJSON and a summary. "
        "Ctrl-C stops it after the batch that it is at. Ends with 0 where every line was taken, 1 where some were "
        "refused, 2 where it could not go on, 130 where it was stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument(
            "--format", choices=["csv", "ndjson"], help="by the file's ending where it is not named, else NDJSON"
        )
        parser.add_argument("--type", choices=RECORD_TYPES, help="of CSV: what every row is, where no column says it")
        parser.add_argument("--dry-run", action="store_true", help="write nothing, and say what an import would do")
        parser.add_argument(
            "--resume", action="store_true", help="go on where an earlier run stopped, by what it left in FILE.progress"
        )
        parser.add_argument("--progress-file", type=Path, help="instead of FILE.progress")
        parser.add_argument(
            "--allow-changes",
            action="store_true",
            help="do not stop, however many stored records the import changes",
        )
        parser.add_argument("--errors", type=Path, metavar="FILE", help="where the refused lines go")
        parser.add_argument(
            "--progress", action="store_true", help="show how far it is in plain lines where this is no terminal"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as stack:
            run = _Run(self, stack, options)
            run.go()


class _Run:
    """One run of the command. The steps: 1. open what is read and written; 2. find the place to begin at; 3. the
    import, with its place noted after each batch; 4. what came of it."""

    def __init__(self, command: Command, stack: ExitStack, options: dict[str, Any]) -> None:
        self._out = command.stdout
        self._err = command.stderr
        self._options = options
        self._dry_run: bool = options["dry_run"]
        self._name: str = options["file"]
        self._source, self._size = self._open(stack)
        self._csv = (options["format"] or ("csv" if self._name.lower().endswith(".csv") else "ndjson")) == "csv"
        if options["type"] and not self._csv:
            raise CommandError("--type goes with CSV: a line of NDJSON names its type itself.", returncode=CANNOT_GO_ON)
        self._journal = self._open_journal()
        self._begun = self._find_place()
        self._counts: Counter[str] = Counter(self._begun.counts if self._begun else {})
        self._now = timezone.now()
        self._began_at: datetime = self._begun.began_at if self._begun else self._now
        self._guard = Guard(
            began_at=self._began_at, began_with=self._begun.changed if self._begun else None, dry_run=self._dry_run
        )
        stack.callback(self._guard.close)
        self._errors = self._open_errors(stack)
        # A refused line that is shown where the bar stands takes its place.
        self._clear = "\r\x1b[2K" if self._err.isatty() and self._out.isatty() else ""
        self._last: Told | None = None

    def go(self) -> None:
        feed = Feed(self._pieces())
        self._begin_journal()
        watch = None if self._options["allow_changes"] and not self._dry_run else self._guard
        stopping = Stopping()
        try:
            with (
                stopping,
                shown_progress(
                    stderr=self._err,
                    size=self._size,
                    end=self._begun.end if self._begun else 0,
                    done=self._counts.total(),
                    plain=self._options["progress"],
                ) as show,
            ):
                for told in feed.import_all(dry_run=self._dry_run, watch=watch, now=self._now):
                    self._note(told)
                    show(end=told.end, counts=self._counts)
                    if stopping.asked and told.settled:
                        break
        except TooManyChanges as stopped:
            self._say_too_many(stopped, line=next(feed.rest()).number)
        except KeyboardInterrupt:
            self._leave("Interrupted", returncode=STOPPED)
        except (DatabaseError, OSError) as error:
            self._leave(f"Cannot go on ({type(error).__name__}: {str(error).strip()})", returncode=CANNOT_GO_ON)
        if stopping.asked and next(feed.rest(), None) is not None:
            self._leave("Stopped", returncode=STOPPED)
        self._finish()

    def _open(self, stack: ExitStack) -> tuple[BufferedReader, int | None]:
        """What is read, and its size where that is known."""
        if self._name == "-":
            return cast(BufferedReader, sys.stdin.buffer), None
        try:
            source = stack.enter_context(open(self._name, "rb"))  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise CommandError(f"{self._name}: {error.strerror}", returncode=CANNOT_GO_ON) from error
        found = os.fstat(source.fileno())
        return source, found.st_size if stat.S_ISREG(found.st_mode) else None

    def _open_journal(self) -> ProgressFile | None:
        if self._dry_run or self._size is None:
            if self._options["resume"]:
                why = "A dry run leaves nothing to resume" if self._dry_run else "Only a file can be resumed"
                raise CommandError(f"{why}.", returncode=CANNOT_GO_ON)
            return None
        path = self._options["progress_file"] or Path(f"{self._name}.progress")
        read_as = ["csv" if self._csv else "ndjson", self._options["type"]]
        return ProgressFile(path=path, source=self._source, read_as=read_as)

    def _find_place(self) -> Progress | None:
        if self._journal is None:
            return None
        if not self._options["resume"]:
            if self._journal.path.exists():
                self._say("An earlier run over this file did not end. This one begins anew; --resume goes on.")
            return None
        try:
            begun = self._journal.read()
        except CannotResume as error:
            raise CommandError(str(error), returncode=CANNOT_GO_ON) from error
        where = f"after line {begun.line:,}" if begun else "at the beginning: no earlier run left anything"
        self._say(f"Goes on {where}.")
        return begun

    def _say(self, text: str) -> None:
        """A note beside the results; not in the colour of errors."""
        self._err.write(text, str)

    def _open_errors(self, stack: ExitStack) -> TextIO | None:
        path = self._options["errors"]
        if path is None:
            return None
        if self._name != "-" and path.exists() and path.samefile(self._name):
            raise CommandError(f"{path} is the file itself: name another.", returncode=CANNOT_GO_ON)
        try:
            return stack.enter_context(path.open("a" if self._begun else "w", encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}", returncode=CANNOT_GO_ON) from error

    def _pieces(self) -> Iterator[Piece]:
        end, line = (self._begun.end, self._begun.line) if self._begun else (0, 0)
        if not self._csv:
            return ndjson_pieces(split_lines(self._chunks(end), number=line, end=end))
        lines = split_lines(self._chunks(0))
        try:
            header = read_header(lines, type_=self._options["type"])
        except HeaderRefused as refused:
            raise CommandError(f"{self._name}: {refused}", returncode=CANNOT_GO_ON) from refused
        if self._begun:
            lines = split_lines(self._chunks(end), number=line, end=end)
        return csv_pieces(lines, header=header)

    def _chunks(self, end: int) -> Iterator[bytes]:
        if self._size is not None:
            return chunks_from(self._source, end=end, size=CHUNK)
        # What a pipe has is taken as it comes, without waiting for a whole chunk.
        return iter(lambda: self._source.read1(CHUNK), b"")

    def _note(self, told: Told) -> None:
        """What was told is committed; a refused line is shown before its place is noted, so that none is lost."""
        self._last = told
        self._counts[told.result.result] += 1
        if told.result.result == "error":
            text = json.dumps(told.result.render(), ensure_ascii=False)
            if self._errors is not None:
                self._errors.write(text + "\n")
            else:
                self._out.write(f"{self._clear}{text}")
        if self._journal is not None and (told.settled or self._counts.total() % TELL_EVERY == 0):
            (self._errors or self._out).flush()
            self._write_journal(self._journal, end=told.end, line=told.last)

    def _begin_journal(self) -> None:
        if self._journal is None:
            return
        end, line = (self._begun.end, self._begun.line) if self._begun else (0, 0)
        try:
            self._write_journal(self._journal, end=end, line=line)
        except OSError as error:
            how = "Name another place with --progress-file."
            raise CommandError(f"{self._journal.path}: {error.strerror}. {how}", returncode=CANNOT_GO_ON) from error

    def _write_journal(self, journal: ProgressFile, *, end: int, line: int) -> None:
        journal.write(
            end=end,
            line=line,
            began_at=self._began_at,
            counts=dict(self._counts),
            changed=self._guard.counts(),
        )

    def _say_too_many(self, stopped: TooManyChanges, *, line: int) -> NoReturn:
        said = [
            f"Stopped before line {line:,}: {stopped}",
            f"{self._summary()} Nothing from line {line:,} on was written.",
            f"If the file is right: {self._command('--allow-changes', resume=True)}",
            "If it is wrong: import the right one from its beginning; its lines need a later posted_at or a higher "
            "version than those of the wrong one, to stand above what was written.",
        ]
        raise CommandError("\n".join(said), returncode=CANNOT_GO_ON)

    def _leave(self, why: str, *, returncode: int) -> NoReturn:
        done = f" after line {self._last.last:,}" if self._last else ""
        how = f" Go on with: {self._command(resume=True)}" if self._journal is not None else ""
        raise CommandError(f"{why}{done}. {self._summary()}{how}", returncode=returncode)

    def _command(self, *more: str, resume: bool) -> str:
        options = self._options
        words = ["manage.py import_records", self._name]
        words += ["--format", options["format"]] if options["format"] else []
        words += ["--type", options["type"]] if options["type"] else []
        words += ["--progress-file", str(options["progress_file"])] if options["progress_file"] else []
        words += ["--errors", str(options["errors"])] if options["errors"] else []
        return " ".join([*words, *(["--resume"] if resume and self._journal is not None else []), *more])

    def _summary(self) -> str:
        said = ", ".join(f"{count} {result}" for result, count in sorted(self._counts.items())) or "nothing"
        return f"{said}{' (nothing was written)' if self._dry_run else ''}."

    def _finish(self) -> None:
        if self._journal is not None:
            self._journal.remove()
        self._out.write(self._summary())
        if self._dry_run:
            for changes in self._guard.told():
                stops = f"; it would stop at {changes.at_most:,}" if changes.too_many else ""
                self._out.write(f"It would change {changes}{stops}.")
        if self._counts["error"]:
            refused = f"{self._counts['error']} of {self._counts.total()} lines were refused."
            raise CommandError(refused, returncode=REFUSED)
