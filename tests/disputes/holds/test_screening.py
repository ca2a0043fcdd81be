"""Screening a campaign: the gate's own answers, line by line, with nothing granted."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from config.api.places import take_place
from disputes.holds import campaign_rows, classing
from disputes.holds.models import Permit
from disputes.holds.rows import Rows
from disputes.holds.screening import screen_rows
from disputes.holds.walking import GateItem
from disputes.records.models import Loan
from tests import callers
from tests.disputes.holds import scene

pytestmark = pytest.mark.django_db

SCREENINGS = "/api/v1/gate/screenings"
CALLER = "client:t"


@pytest.fixture
def vendor() -> callers.Api:
    return callers.system("gate")


def line(n: int = 1, **fields: Any) -> dict[str, Any]:
    plain = {"request_id": f"r{n}", "phone": scene.number(n), "loan": f"L{n}1", "channel": "sms", "category": "urge"}
    return {name: value for name, value in (plain | fields).items() if value is not ...}


def as_ndjson(*lines: Any) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)


def as_csv(
    *lines: dict[str, Any], columns: str = "request_id,phone,loan,channel,category,sending_rule,vendor"
) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns.split(","), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().encode()


def screened(api: callers.Api, body: bytes, content_type: str = "application/x-ndjson") -> list[dict[str, Any]]:
    answer = api.post(SCREENINGS, body, content_type=content_type)
    assert answer.status_code == 200, answer.content
    text = b"".join(answer.streaming_content).decode()
    assert int(answer["Content-Length"]) == len(text.encode())
    if content_type == "text/csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(one) for one in text.split("\n") if one]


class TestOverHttp:
    def test_each_line_has_its_answer_in_the_order_asked(
        self, vendor: callers.Api, any_hour: Callable[..., None]
    ) -> None:
        scene.lender(customers=3)
        scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
        rows = screened(vendor, as_ndjson(line(1), line(2), line(3, loan="L9"), b"{", line(1, request_id=...)))
        assert [(row["line"], row["request_id"], row["outcome"], row["reasons"]) for row in rows] == [
            (1, "r1", "allow", []),
            (2, "r2", "deny", ["dispute_pending"]),
            (3, "r3", "deny", ["unknown_loan"]),
            (4, None, "deny", ["malformed"]),
            (5, None, "allow", []),
        ]
        assert Permit.objects.count() == 0

    def test_a_csv_is_answered_as_a_csv(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        scene.lender()
        scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
        Loan.objects.filter(pk="L21").update(paid=Decimal(1000))
        rows = screened(vendor, as_csv(line(1), line(2, request_id='a,"b"')), "text/csv")
        assert [(row["line"], row["request_id"], row["outcome"], row["reasons"]) for row in rows] == [
            ("2", "r1", "allow", ""),
            ("3", 'a,"b"', "deny", "dispute_pending not_overdue"),
        ]
        assert {row["next_allowed_at"] for row in rows} == {""}

    def test_rows_take_no_slot_from_each_other(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        any_hour(customer=1)
        scene.lender()
        rows = screened(vendor, as_ndjson(line(1), line(1, request_id="again"), line(1, loan="L12")))
        assert [row["outcome"] for row in rows] == ["allow"] * 3

    def test_decided_at_is_the_databases_clock_and_no_older_than_the_call(
        self, vendor: callers.Api, any_hour: Callable[..., None]
    ) -> None:
        scene.lender()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            before = cursor.fetchone()[0]
        (row,) = screened(vendor, as_ndjson(line(1)))
        assert before <= datetime.fromisoformat(row["decided_at"]) <= datetime.now(tz=UTC) + timedelta(seconds=1)

    @pytest.mark.parametrize("form", ["text/csv", "application/x-ndjson"])
    def test_of_nothing_is_no_error(self, vendor: callers.Api, form: str) -> None:
        assert screened(vendor, as_csv() if form == "text/csv" else b"\n\r\n", form) == []

    @pytest.mark.parametrize(
        "header",
        [
            b"\n",
            b"phone;channel;category\n",
            b"phone,channel\n",
            b"phone,phone,channel,category\n",
            b'"\n',
            b"\xff\n",
        ],
    )
    def test_a_csv_whose_header_is_no_header(self, vendor: callers.Api, header: bytes) -> None:
        answer = vendor.post(SCREENINGS, header, content_type="text/csv")
        assert answer.status_code == 400, answer.content
        assert answer.json()["type"] == "validation_error"

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
    def test_another_content_type(self, vendor: callers.Api, content_type: str) -> None:
        answer = vendor.post(SCREENINGS, as_ndjson(line(1)), content_type=content_type)
        assert answer.status_code == 415
        assert answer.json()["type"] == "client_error"

    def test_a_compressed_body(self, vendor: callers.Api) -> None:
        answer = vendor.post(SCREENINGS, b"x", content_type="text/csv", Content_Encoding="gzip")
        assert answer.status_code == 415

    @pytest.mark.parametrize("form", ["text/csv", "application/x-ndjson"])
    def test_a_compressed_file(self, vendor: callers.Api, form: str) -> None:
        answer = vendor.post(SCREENINGS, gzip.compress(as_ndjson(line(1))), content_type=form)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["detail"] == "The file is compressed: unpack it first."

    def test_one_bulk_call_too_many_is_asked_to_come_again(
        self, vendor: callers.Api, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.BULK_CALLS = 1
        monkeypatch.setattr("disputes.holds.screening_api.BULK_FROM", 10)
        with take_place():
            refused = vendor.post(SCREENINGS, as_ndjson(line(1)), content_type="application/x-ndjson")
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 0
        assert len(screened(vendor, as_ndjson(line(1)))) == 1
        take_place().leave()


BAD = [
    b"{",
    b"[]",
    b"7",
    b'"x"',
    b"\xff\xfe",
    line(phone=...),
    line(phone="not a phone"),
    line(phone="+86138\u00001234"),
    line(loan=...),
    line(loan="L\u00001"),
    line(loan="x" * 201),
    line(channel="pigeon"),
    line(category="advert"),
    line(request_id="r" * 201),
    line(request_id="half a character: \ud800"),
    line(vendor="v" * 201),
    b"[" * 70_000,
]


class TestLinesThatCannotBeRead:
    @pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:60])
    def test_one_spoils_itself_alone(self, vendor: callers.Api, any_hour: Callable[..., None], bad: Any) -> None:
        scene.lender()
        rows = screened(vendor, as_ndjson(line(1), bad, line(2)))
        assert [row["reasons"] for row in rows] == [[], ["malformed"], []]
        assert [row["line"] for row in rows] == [1, 2, 3]

    @pytest.mark.parametrize(
        "bad",
        [
            b"r1",
            b"r1,+8613812340001,L11,sms",
            b"r1,+8613812340001,L11,sms,urge,,,,",
            b'r1,"+8613812340001,L11,sms,urge,,',
            b'r1,"+86"13812340001,L11,sms,urge,,',
            b"r1,+8613812340001,,sms,urge,,",
            b"r1,,L11,sms,urge,,",
            b"r1,+8613812340001,L11,pigeon,urge,,",
            b"r1,+8613812340001,L11,sms,advert,,",
            b"r1,+86138\x001234,L11,sms,urge,,",
            b"\xff,+8613812340001,L11,sms,urge,,",
            b"r1,+8613812340001," + b"x" * 201 + b",sms,urge,,",
            b"x" * 200_000,
        ],
        ids=lambda bad: repr(bad)[:60],
    )
    def test_nor_does_one_of_a_csv(self, vendor: callers.Api, any_hour: Callable[..., None], bad: bytes) -> None:
        scene.lender()
        rows = screened(vendor, as_csv(line(1)) + bad + b"\n" + as_csv(line(2)).split(b"\n", 1)[1], "text/csv")
        assert [(row["line"], row["reasons"]) for row in rows] == [("2", ""), ("3", "malformed"), ("4", "")]

    def test_a_name_that_comes_twice_spoils_its_line(self, vendor: callers.Api, any_hour: Callable[..., None]) -> None:
        """A reader of JSON keeps the last without a word: the hold may be on the first."""
        scene.lender()
        twice = json.dumps(line(1))[:-1] + f', "phone": "{scene.number(2)}"}}'
        rows = screened(vendor, as_ndjson(line(1), twice.encode(), line(2)))
        assert [row["reasons"] for row in rows] == [[], ["malformed"], []]

    def test_a_bad_line_keeps_its_request_id_where_that_can_be_read(self, vendor: callers.Api) -> None:
        (row,) = screened(vendor, as_ndjson(line(category="advert")))
        assert (row["request_id"], row["reasons"]) == ("r1", ["malformed"])
        (row,) = screened(vendor, as_csv(line(category="advert")), "text/csv")
        assert (row["request_id"], row["reasons"]) == ("r1", "malformed")

    def test_one_record_that_cannot_be_read_spoils_its_own_rows(
        self, vendor: callers.Api, any_hour: Callable[..., None]
    ) -> None:
        scene.lender()
        Loan.objects.filter(pk="L11").update(time_zone="Mars/Olympus_Mons")
        rows = screened(vendor, as_ndjson(line(1), line(2), line(1, loan="L12")))
        assert [row["reasons"] for row in rows] == [["undecidable"], [], []]

    def test_what_the_statement_cannot_take_is_walked(
        self, any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.lender()
        monkeypatch.setattr(classing, "_CLASSES", "SELECT ARRAY[1 / 0]")
        rows = rows_of(scene.item(1), scene.item(2, loan="L9"))
        assert [answer.reasons for answer in screen_rows(rows, caller=CALLER).answers] == [(), ("unknown_loan",)]

    @pytest.mark.parametrize(
        "name", ["a\tb", "a\\b", "\\", "\\N", "\\.", "\\x41", "ü\u2028", "'%s", "a\rb", "a\nb", ","]
    )
    @pytest.mark.parametrize("form", ["application/x-ndjson", "text/csv"])
    def test_a_name_with_odd_characters_is_itself(
        self, vendor: callers.Api, any_hour: Callable[..., None], name: str, form: str
    ) -> None:
        scene.lender()
        scene.loan(name, "C1")
        scene.loan(f"{name}!", "C1", paid=Decimal(1000))
        lines = [line(1, loan=name, request_id=name), line(1, loan=f"{name}!"), line(2)]
        if form == "text/csv" and set(name) & set("\r\n"):
            return  # a row of a CSV is one line
        rows = screened(vendor, as_csv(*lines) if form == "text/csv" else as_ndjson(*lines), form)
        reasons = [row["reasons"].split() if form == "text/csv" else row["reasons"] for row in rows]
        assert [row["request_id"] for row in rows] == [name, "r1", "r2"]
        assert reasons == [[], ["not_overdue"], []]


class TestFilesAsTheyCome:
    """What a spreadsheet or another system makes of a CSV says the same as the plain file."""

    @pytest.fixture(autouse=True)
    def _small(self, any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
        scene.lender(customers=3)
        scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
        monkeypatch.setattr(campaign_rows, "PIECE", 150)

    @pytest.mark.parametrize(
        "made",
        [
            lambda text: text,
            lambda text: text.replace("\n", "\r\n"),
            lambda text: text.removesuffix("\n"),
            lambda text: text.replace("\n", "\r\n").removesuffix("\n"),
            lambda text: text.replace("\n", "\r\n").removesuffix("\r\n"),
            lambda text: "\ufeff" + text,
            lambda text: "\n".join(",".join(f'"{field}"' for field in row.split(",")) for row in text.split("\n")[:-1]),
            lambda text: text.replace(",sms,", ',"sms",', 3),
            lambda text: text.replace("+86", "", 4),
            lambda text: text.replace("+86138", "+86 138-", 4),
        ],
        ids=["plain", "crlf", "no end", "crlf, half an end", "crlf, no end", "bom", "quoted", "half quoted", "national",
             "spaced"],
    )  # fmt: skip
    def test_say_the_same(self, vendor: callers.Api, made: Callable[[str], str]) -> None:
        text = as_csv(*(line(1 + n % 3, request_id=f"q{n}") for n in range(20))).decode()
        rows = screened(vendor, made(text).encode(), "text/csv")
        assert [(row["line"], row["request_id"], row["reasons"]) for row in rows] == [
            (str(n + 2), f"q{n}", "dispute_pending" if n % 3 == 1 else "") for n in range(20)
        ]

    def test_an_ndjson_may_begin_with_a_byte_order_mark(self, vendor: callers.Api) -> None:
        rows = screened(vendor, "\ufeff".encode() + as_ndjson(line(1), line(2)))
        assert [row["reasons"] for row in rows] == [[], ["dispute_pending"]]

    def test_empty_lines_are_counted_and_are_no_rows(self, vendor: callers.Api) -> None:
        head, first, second = as_csv(line(1), line(2)).split(b"\n")[:3]
        body = b"\r\n\n" + b"\n".join([head, b"", first, b"\r", b"", second, b"", b"\r\n"])
        assert [row["line"] for row in screened(vendor, body, "text/csv")] == ["5", "8"]


def rows_of(*items: GateItem | None) -> Rows:
    rows = Rows()
    for item in items:
        rows.add(item)
    return rows
