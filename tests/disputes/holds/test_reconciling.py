"""Sends of a carrier's delivery file that went past the gate are found; those that a permit explains are not."""

from __future__ import annotations

import gzip
import io
import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.fields import phone_digest
from config.values.ids import floor_of
from disputes.holds.models import Permit
from disputes.management.commands import reconcile
from tests.lines import RULE, customer_line, loan_lines, message_line, send_records

pytestmark = pytest.mark.django_db

SENT = datetime.now(tz=UTC).replace(microsecond=0) - timedelta(hours=2)
OWN = "+8613812340001"


def number(n: int) -> str:
    return f"+86138{n:08d}"


def grant(phone: str = OWN, *, at: float = 0, seconds: float = 60, **more: Any) -> str:
    """A permit for the number, granted `at` seconds after SENT."""
    granted_at = SENT + timedelta(seconds=at)
    return str(permit(phone, granted_at, granted_at + timedelta(seconds=seconds), **more).pk)


def permit(phone: str, granted_at: datetime, expires_at: datetime, **more: Any) -> Permit:
    fields = {
        "id": uuid.UUID(int=floor_of(granted_at).int + random.getrandbits(62)),
        "caller": "t",
        "request_id": "",
        "granted_at": granted_at,
        "expires_at": expires_at,
        "phone_digest": phone_digest(phone),
        "channel": "sms",
        "category": "urge",
    }
    return Permit.objects.create(**fields, **more)


def line(phone: str = OWN, *, at: float = 5, **more: Any) -> dict[str, Any]:
    return {"phone": phone, "sent_at": (SENT + timedelta(seconds=at)).isoformat(), **more}


class Reconciled:
    def __init__(self, found: list[dict[str, Any]], code: int, said: str) -> None:
        self.found, self.code, self.said = found, code, said

    @property
    def whys(self) -> list[tuple[int, str]]:
        return sorted((one["line"], one["why"]) for one in self.found)


def run(
    tmp_path: Path, *lines: dict[str, Any], text: str | None = None, name: str = "f.ndjson", **more: Any
) -> Reconciled:
    file = tmp_path / name
    file.write_text("\n".join(json.dumps(one) for one in lines) if text is None else text)
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("reconcile", str(file), stdout=out, stderr=err, **more)
    except CommandError as error:
        code = error.returncode
        err.write(str(error))
    found = [json.loads(row) for row in out.getvalue().splitlines()]
    return Reconciled(found, code, err.getvalue())


class TestWhatExplainsASend:
    def test_a_permit_for_the_number_that_lived_then(self, tmp_path: Path) -> None:
        grant()
        done = run(tmp_path, line())
        assert (done.found, done.code) == ([], 0)

    def test_nothing_does_without_one(self, tmp_path: Path) -> None:
        grant(number(7))
        done = run(tmp_path, line(id="c-1", vendor="V1"))
        assert done.code == 1
        (found,) = done.found
        assert (found["why"], found["id"], found["vendor"], found["line"]) == ("nothing", "c-1", "V1", 1)
        assert found["phone"] == "+86138****0001"
        assert "V1: 1 of 1 sends are not explained" in done.said

    @pytest.mark.parametrize(("at", "explained"), [(-120, True), (-121, False), (180, True), (181, False)])
    def test_a_permit_within_the_tolerance_of_its_life(self, tmp_path: Path, at: float, explained: bool) -> None:
        grant()
        assert (run(tmp_path, line(at=at)).code == 0) is explained

    def test_clocks_that_differ_are_set_right(self, tmp_path: Path) -> None:
        grant()
        assert run(tmp_path, line(at=3605)).code == 1
        assert run(tmp_path, line(at=3605), carrier_ahead=3600).code == 0

    def test_one_permit_explains_one_send_in_any_order_of_the_file(self, tmp_path: Path) -> None:
        grant()
        lines = [line(at=5, id="a"), line(at=7, id="b")]
        for order in (lines, lines[::-1]):
            (found,) = run(tmp_path, *order).found
            assert (found["id"], found["why"]) == ("b", "taken")

    def test_as_many_as_can_be_are_explained(self, tmp_path: Path) -> None:
        grant(at=0, seconds=60)
        grant(at=-30, seconds=40)
        assert run(tmp_path, line(at=5), line(at=50), tolerance=0).code == 0

    def test_a_message_record_does_and_with_its_permit_it_is_one(self, tmp_path: Path) -> None:
        named = grant()
        send_records(RULE, customer_line(phone=OWN), *loan_lines())
        send_records(message_line("M1", phone=OWN, sent_at=(SENT + timedelta(seconds=5)).isoformat(), permit=named))
        assert run(tmp_path, line(at=5)).code == 0
        assert run(tmp_path, line(at=5, id="a"), line(at=6, id="b")).whys == [(2, "taken")]

    def test_a_record_without_a_permit_does_too(self, tmp_path: Path) -> None:
        send_records(RULE, customer_line(phone=OWN), *loan_lines())
        send_records(message_line("M1", phone=OWN, sent_at=(SENT + timedelta(seconds=5)).isoformat()))
        assert run(tmp_path, line(at=5)).code == 0

    @pytest.mark.parametrize(
        ("granted", "why"),
        [
            ({"at": 4000}, "not_live"),
            ({"unused_at": SENT}, "returned"),
            ({"phone": number(9)}, "other_number"),
        ],
    )
    def test_what_is_wrong_with_a_permit_that_is_named(self, tmp_path: Path, granted: dict[str, Any], why: str) -> None:
        grant()
        assert run(tmp_path, line(permit=grant(**granted))).whys == [(1, why)]
        assert run(tmp_path, line(permit="nonsense")).whys == [(1, "unknown_permit")]

    def test_lines_about_one_send_are_one_send(self, tmp_path: Path) -> None:
        grant()
        done = run(tmp_path, line(id="a", status="accepted"), line(id="a", at=9, status="delivered"))
        assert done.code == 0
        assert "1 lines tell of a send that another line tells of" in done.said


class TestTheFile:
    def test_may_be_a_csv_with_instants_of_a_zone(self, tmp_path: Path) -> None:
        grant()
        at = (SENT + timedelta(hours=8, seconds=5)).replace(tzinfo=None)
        text = f"sent_at,phone,delivery_status\n{at},138 1234 0001,ok\n{at},,ok\n"
        done = run(tmp_path, text=text, name="f.csv", time_zone="Asia/Shanghai")
        assert (done.found, done.code) == ([], 1)
        assert "1 lines could not be read" in done.said

    @pytest.mark.parametrize("text", ["phone\n1\n", ""])
    def test_without_its_columns_is_refused(self, tmp_path: Path, text: str) -> None:
        assert run(tmp_path, text=text, name="f.csv").code == 2

    def test_lines_that_cannot_be_read_are_named_and_spoil_no_others(self, tmp_path: Path) -> None:
        at = (SENT + timedelta(seconds=5)).isoformat()
        sent = [
            f"{OWN},{at},ok",
            "x" * 200_000,
            f'"{OWN},{at},open',
            f"{OWN},0001-01-01T00:00:00+23:59,early",
            f"{OWN},9999-12-31T23:59:59Z,late",
            f"{OWN},yesterday,",
            f"{OWN},{at}",
            f'{OWN},{at},"two\nlines"',
        ]
        done = run(tmp_path, text="\n".join(("phone,sent_at,text", *sent)), name="f.csv")
        assert (done.whys, done.code) == ([(2, "nothing"), (9, "nothing")], 1)
        assert "Lines that could not be read: 3, 4, 5, 6, 7, 8\n" in done.said

    def test_an_instant_may_have_any_offset(self, tmp_path: Path) -> None:
        grant()
        at = (SENT + timedelta(hours=23, minutes=59, seconds=5)).replace(tzinfo=None)
        assert run(tmp_path, text=f"phone,sent_at\n{OWN},{at}+23:59\n", name="f.csv").code == 0

    def test_that_is_compressed_is_refused_as_such(self, tmp_path: Path) -> None:
        file = tmp_path / "f.csv.gz"
        file.write_bytes(gzip.compress(f"phone,sent_at\n{OWN},{SENT.isoformat()}\n".encode()))
        with pytest.raises(CommandError, match="compressed") as raised:
            call_command("reconcile", str(file), stdout=io.StringIO(), stderr=io.StringIO())
        assert raised.value.returncode == 2

    def test_is_never_written_over(self, tmp_path: Path) -> None:
        text = json.dumps(line())
        done = run(tmp_path, text=text, out=tmp_path / "f.ndjson")
        assert (done.code, (tmp_path / "f.ndjson").read_text()) == (2, text)

    def test_of_another_encoding_is_read_but_for_the_cells_that_matter(self, tmp_path: Path) -> None:
        file, at = tmp_path / "f.csv", (SENT + timedelta(seconds=5)).isoformat()
        text = f"phone,sent_at,vendor,text\n{OWN},{at},V1,您好\n{OWN},{at},供应商,x\n"
        file.write_bytes(text.encode("gbk"))
        out, err = io.StringIO(), io.StringIO()
        with pytest.raises(CommandError):
            call_command("reconcile", str(file), stdout=out, stderr=err)
        assert [json.loads(row)["line"] for row in out.getvalue().splitlines()] == [2]
        assert "could not be read: 3" in err.getvalue()

    def test_with_one_planted_among_many_is_told_of_that_one(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(reconcile, "SHARE", 100)
        monkeypatch.setattr(reconcile, "AT_ONCE", 300)
        for n in range(2000):
            grant(number(n), at=n % 50)
        lines = [line(number(n), at=n % 50 + 10, id=f"c{n}") for n in range(2000)]
        planted = line(number(77), at=40, id="planted")
        random.Random(1).shuffle(lines)
        lines.insert(1234, planted)
        (found,) = run(tmp_path, *lines).found
        assert (found["id"], found["line"]) == ("planted", 1235)


class TestGoingOn:
    def test_ends_as_if_it_had_not_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile, "SHARE", 50)
        lines = [line(number(n), id=f"c{n}", vendor=f"V{n % 2}") for n in range(500)]
        for n in range(0, 500, 3):
            grant(number(n))
        whole = tmp_path / "whole.ndjson"
        straight = run(tmp_path, *lines, out=whole)
        look, looks = reconcile.look_at_share, []

        def stop(**asked: Any) -> Any:
            looks.append(asked["share"])
            if len(looks) == 4:
                raise KeyboardInterrupt
            return look(**asked)

        monkeypatch.setattr(reconcile, "look_at_share", stop)
        out = tmp_path / "found.ndjson"
        assert run(tmp_path, *lines, out=out).code == 130
        assert run(tmp_path, *lines, out=out).code == 2
        again = run(tmp_path, *lines, out=out, resume=True)
        assert looks == [0, 1, 2, 3, *range(3, 10)]
        assert out.read_text() == whole.read_text()
        assert again.said == straight.said
        assert len(whole.read_text().splitlines()) == 500 - 167

    def test_only_with_the_same_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = tmp_path / "found.csv"

        def interrupt(**asked: Any) -> Any:
            raise KeyboardInterrupt

        assert run(tmp_path, line(), out=out, resume=True).code == 2
        (tmp_path / "found.csv.reconciling").write_text(json.dumps({"file": "another"}))
        assert run(tmp_path, line(), out=out, resume=True).code == 2

    def test_writes_csv_where_the_out_is_one(self, tmp_path: Path) -> None:
        out = tmp_path / "found.csv"
        assert run(tmp_path, line(id='a,"b"'), out=out).code == 1
        header, row = out.read_text().splitlines()
        assert header.startswith("line,why,phone,sent_at")
        assert '"a,""b"""' in row
