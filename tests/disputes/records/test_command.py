"""`manage.py import_records FILE`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from disputes.management.commands import import_records
from disputes.management.showing import Stopping
from disputes.records import importing
from disputes.records.models import Loan, LoanVersion
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded

pytestmark = pytest.mark.django_db


def run(file: Path, *options: str, err: StringIO | None = None) -> str:
    said = StringIO()
    call_command("import_records", str(file), *options, stdout=said, stderr=err or StringIO())
    return said.getvalue()


def ended(file: Path, *options: str) -> tuple[int, str]:
    """How a run that did not go through ended: its exit code, and what it said."""
    with pytest.raises(CommandError) as error:
        run(file, *options)
    return error.value.returncode, str(error.value)


def file_of(directory: Path, *lines: dict[str, Any] | bytes) -> Path:
    file = directory / "records.ndjson"
    file.write_bytes(b"\n".join(line if isinstance(line, bytes) else encoded(line)[0] for line in lines))
    return file


def loans(count: int, **more: Any) -> list[dict[str, Any]]:
    return [importer.loan(f"L{n}", **more) for n in range(count)]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_LINES", 2)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch, small_batches: None) -> Callable[..., None]:
    """Sends this process a signal, once, when so many results have been noted."""

    def sending(count: int, *, signals: int = 1, number: signal.Signals = signal.SIGINT) -> None:
        note = import_records._Run._note
        left = [number] * signals

        def noted(self: Any, told: Any) -> None:
            note(self, told)
            while self._counts.total() == count and left:
                os.kill(os.getpid(), left.pop())

        monkeypatch.setattr(import_records._Run, "_note", noted)

    return sending


def test_a_file_is_imported_and_summed_up(tmp_path: Path) -> None:
    file = file_of(tmp_path, importer.loan(), importer.instalment())
    assert run(file, "--dry-run") == "2 created (nothing was written).\n"
    assert not Loan.objects.exists()
    assert run(file) == "2 created.\n"
    assert run(file) == "2 unchanged.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["records.ndjson"]


def test_a_refused_line_is_shown_and_the_command_fails_after_the_rest(tmp_path: Path) -> None:
    file = file_of(tmp_path, b"{", importer.loan())
    assert ended(file) == (1, "1 of 2 lines were refused.")
    assert Loan.objects.count() == 1


def test_refused_lines_go_to_a_file_where_one_is_named(tmp_path: Path) -> None:
    file, errors = file_of(tmp_path, b"{", importer.loan(), importer.loan(currency="XXX")), tmp_path / "errors"
    assert ended(file, "--errors", str(errors))[0] == 1
    rows = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [(row["line"], row["errors"][0]["code"]) for row in rows] == [(1, "not_json"), (3, "unknown_currency")]


def test_the_file_is_never_written_over_by_its_refused_lines(tmp_path: Path) -> None:
    file = file_of(tmp_path, b"{", importer.loan())
    before = file.read_bytes()
    assert ended(file, "--errors", str(file))[0] == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["none", ""])
def test_a_file_that_is_not_there_is_said_so(tmp_path: Path, name: str) -> None:
    code, said = ended(tmp_path / name)
    assert code == 2
    assert "No such file" in said or "Is a directory" in said


def test_csv_is_known_by_its_ending_or_named(tmp_path: Path) -> None:
    file = tmp_path / "loans.CSV"
    file.write_text("external_id,customer,currency\nL1,C1,CNY\n")
    assert run(file, "--type", "loan") == "1 created.\n"
    other = file.rename(tmp_path / "loans.txt")
    assert run(other, "--format", "csv", "--type", "loan") == "1 unchanged.\n"
    assert ended(other)[0] == 1
    assert ended(other, "--type", "loan") == (2, "--type goes with CSV: a line of NDJSON names its type itself.")


def test_a_header_that_cannot_be_ends_it_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "loans.csv"
    file.write_text("external_id,customer,currency,colour\nL1,C1,CNY,red\n")
    code, said = ended(file, "--type", "loan")
    assert code == 2
    assert "colour: A loan has no such field." in said
    assert not Loan.objects.exists()


def test_ctrl_c_stops_after_the_batch_and_says_how_to_go_on(tmp_path: Path, stop_after: Callable[..., None]) -> None:
    file = file_of(tmp_path, *loans(3), b"{", *loans(9)[4:])
    stop_after(3)
    code, said = ended(file)
    assert code == 130
    assert said == (f"Stopped after line 4. 3 created, 1 error. Go on with: manage.py import_records {file} --resume")
    assert LoanVersion.objects.count() == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_stopped_is_resumed_to_the_same_end(
    tmp_path: Path, stop_after: Callable[..., None], number: signal.Signals
) -> None:
    file = file_of(tmp_path, *loans(9))
    stop_after(3, number=number)
    assert ended(file)[0] == 130
    err = StringIO()
    assert run(file, "--resume", err=err) == "9 created.\n"
    assert "Goes on after line 4." in err.getvalue()
    assert Loan.objects.count() == LoanVersion.objects.count() == 9
    assert not (tmp_path / "records.ndjson.progress").exists()


def test_a_second_ctrl_c_interrupts_at_once(tmp_path: Path, stop_after: Callable[..., None]) -> None:
    stop_after(3, signals=2)
    code, said = ended(file_of(tmp_path, *loans(9)))
    assert code == 130
    assert said.startswith("Interrupted after line")


def test_signals_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stopping() as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.asked
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def stopped(tmp_path: Path, stop_after: Callable[..., None]) -> Path:
    """A file of which a run did four lines."""
    file = file_of(tmp_path, *loans(9))
    stop_after(3)
    ended(file)
    return file


def test_another_file_is_not_resumed(stopped: Path) -> None:
    text = stopped.read_bytes()
    for other in (text + b"\n", text[:-1], text.replace(b"L1", b"X1"), text.replace(b"L3", b"X3")):
        stopped.write_bytes(other)
        code, said = ended(stopped, "--resume")
        assert (code, "not the one" in said) == (2, True), other
    stopped.write_bytes(text)
    assert ended(stopped, "--resume", "--format", "csv")[0] == 2
    assert run(stopped, "--resume") == "9 created.\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 1}', '{"form": 2}'])
def test_what_an_earlier_run_left_must_be_readable(stopped: Path, text: str) -> None:
    Path(f"{stopped}.progress").write_text(text)
    assert ended(stopped, "--resume")[0] == 2
    assert run(stopped) == "5 created, 4 unchanged.\n"


def test_a_run_that_begins_anew_says_that_an_earlier_one_did_not_end(stopped: Path) -> None:
    err = StringIO()
    assert run(stopped, err=err) == "5 created, 4 unchanged.\n"
    assert "An earlier run over this file did not end." in err.getvalue()


def test_with_nothing_to_resume_it_begins_at_the_beginning(tmp_path: Path) -> None:
    assert run(file_of(tmp_path, *loans(2)), "--resume") == "2 created.\n"


def test_csv_is_resumed_below_rows_of_several_lines(tmp_path: Path, stop_after: Callable[..., None]) -> None:
    file = tmp_path / "loans.csv"
    rows = "".join(f'L{n},C1,CNY,"a\nb\n{n}"\n' for n in range(6))
    file.write_text("external_id,customer,currency,product\n" + rows.replace("L5,C1,CNY", "L5,C1,XXX"))
    stop_after(3)
    assert ended(file, "--type", "loan")[0] == 130
    code, _ = ended(file, "--type", "loan", "--resume", "--errors", str(tmp_path / "errors"))
    assert code == 1
    assert json.loads((tmp_path / "errors").read_text())["line"] == 17
    assert Loan.objects.filter(product__startswith="a\nb\n").count() == 5


def test_the_place_of_what_is_done_may_be_kept_elsewhere(tmp_path: Path) -> None:
    file, place = file_of(tmp_path, *loans(2)), tmp_path / "none" / "here"
    code, said = ended(file, "--progress-file", str(place))
    assert (code, "--progress-file" in said) == (2, True)
    assert not Loan.objects.exists()
    place.parent.mkdir()
    assert run(file, "--progress-file", str(place)) == "2 created.\n"


@pytest.mark.parametrize("options", [("--dry-run", "--resume")])
def test_a_dry_run_leaves_nothing_to_resume(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert ended(file_of(tmp_path, *loans(2)), *options) == (2, "A dry run leaves nothing to resume.")


def test_a_file_that_changes_too_much_ends_it_and_both_ways_on_are_told(
    tmp_path: Path, small_batches: None, settings: Any
) -> None:
    settings.IMPORT_CHANGE_FLOOR = 3
    settings.IMPORT_CHANGE_SHARE = {"": 0.2}
    run(file_of(tmp_path, *loans(10)))
    file = file_of(tmp_path, *loans(10, grace_days=9))
    assert "It would change 10 of 10 stored records of type loan (100.0%); it would stop at 3." in run(
        file, "--dry-run"
    )
    code, said = ended(file)
    assert code == 2
    assert "Stopped before line 3: The import would change 4 of 10 stored records of type loan (40.0%)" in said
    assert f"import_records {file} --resume --allow-changes" in said
    assert Loan.objects.filter(grace_days=9).count() == 2
    assert ended(file, "--resume")[0] == 2
    assert run(file, "--resume", "--allow-changes") == "10 updated.\n"


def test_the_standard_input_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(reading) as pipe, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", pipe)
        os.write(writing, b"\n".join(encoded(*loans(2))))
        os.close(writing)
        assert run(Path("-")) == "2 created.\n"
    assert ended(Path("-"), "--resume") == (2, "Only a file can be resumed.")


def test_plain_lines_of_progress_are_shown_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.management.showing.LINE_EVERY", 0.0)
    file, err = file_of(tmp_path, *loans(2)), StringIO()
    run(file, err=err)
    assert err.getvalue() == ""
    run(file, "--progress", err=err)
    assert err.getvalue().endswith("0 refused, 100% of the file\n")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.management.showing.LOOK_EVERY", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    err = Terminal()
    run(file_of(tmp_path, *loans(2)), err=err)
    assert "2 lines" in err.getvalue()
