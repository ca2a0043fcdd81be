"""CSV with a header: the same records as NDJSON says, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disputes.records.csv_reading import JSON_CELLS, HeaderRefused, columns_of, csv_pieces, read_header
from disputes.records.feeding import Feed, Piece, ndjson_pieces, split_lines
from disputes.records.models import RECORD_TYPES
from disputes.records.reading import MAX_LINE, Line, read_line
from tests.disputes.records import importer
from tests.disputes.records.importer import NOW, encoded, shown, undone
from tests.disputes.records.test_any_order import lines as random_lines

pytestmark = pytest.mark.django_db

LOAN = "external_id,customer,currency\n"


def pieces(body: str | bytes, *, type_: str | None = None, chunk: int = 7) -> list[Piece]:
    """The rows of a body that comes in small chunks."""
    raw = body.encode() if isinstance(body, str) else body
    lines = split_lines(raw[at : at + chunk] for at in range(0, len(raw), chunk))
    return list(csv_pieces(lines, header=read_header(lines, type_=type_)))


def results(body: str | bytes, *, type_: str | None = None, now: datetime = NOW) -> list[str]:
    """``line result, then field code of each error``."""
    feed = Feed(iter(pieces(body, type_=type_)))
    return [f"{told.result.line} {shown(told.result)}" for told in feed.import_all(now=now)]


def errors_of_header(body: str | bytes, *, type_: str | None = None) -> list[str]:
    with pytest.raises(HeaderRefused) as refused:
        pieces(body, type_=type_)
    return [f"{error['attr']} {error['code']}" for error in refused.value.errors]


def as_csv(lines: Iterable[dict[str, Any]], *, without_type: bool = False) -> str:
    """The lines as a spreadsheet would write them: all the columns that any of them has."""
    columns = list(dict.fromkeys(name for line in lines for name in line if not (without_type and name == "type")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\r\n", restval="", extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        writer.writerow({
            name: json.dumps(value, ensure_ascii=False) if name in JSON_CELLS else "" if value is None else value
            for name, value in line.items()
        })  # fmt: skip
    return out.getvalue()


def test_a_file_of_one_type_needs_no_column_for_it() -> None:
    assert results(LOAN + "L1,C1,CNY\nL2,C1,CNY\n", type_="loan") == ["2 created", "3 created"]
    assert results(LOAN + "L1,C1,CNY", type_="loan") == ["2 unchanged"]


def test_a_file_of_several_types_names_each_in_a_column() -> None:
    body = as_csv([importer.customer("C1"), importer.loan("L1"), importer.instalment("I1"), importer.rule("S1")])
    assert results(body) == ["2 created", "3 created", "4 created", "5 created"]


def test_lists_and_objects_are_json_in_their_cells() -> None:
    line = importer.customer(
        name='王芳, "小王"',
        phones=[{"number": "+8613812340001", "role": "own", "from": "2026-01-01", "until": None}],
        time_zones=["Asia/Shanghai"],
        contact_preferences={"blocked": [{"days": ["MO"], "from": "12:00", "until": "14:00"}]},
    )
    assert results(as_csv([line])) == ["2 created"]
    assert importer.load(line) == ["unchanged"]


def test_text_may_have_commas_quotes_and_line_ends_in_its_cell_and_the_row_is_named_by_its_first_line() -> None:
    body = importer.message(body='first,\r\nsecond "quoted"\n\n最后')
    file = as_csv([body, importer.message("M2", phone="12")])
    assert results(file) == ["2 created", "6 error phone not_a_phone"]
    assert importer.load(body) == ["unchanged"]


@pytest.mark.parametrize("start", ["", "\ufeff", "\n\r\n", "\ufeff\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_mark_blank_lines_and_either_line_end_are_taken(start: str, end: str) -> None:
    file = start + end.join(["external_id,customer,currency", "L1,C1,CNY", "", "L2,C1,CNY", ""])
    above = start.count("\n")
    assert results(file, type_="loan") == [f"{above + 2} created", f"{above + 4} created"]


@pytest.mark.parametrize(
    ("body", "type_", "errors"),
    [
        ("", "loan", ["None no_header"]),
        ("\n\n", "loan", ["None no_header"]),
        (b"\xff,a\n", "loan", ["None no_header"]),
        ('"external_id,customer\n', "loan", ["None no_header"]),
        (LOAN, None, ["type required"]),
        (LOAN, "mortgage", ["type unknown_type"]),
        ("type," + LOAN, "loan", ["type doubled_field"]),
        ("external_id,customer,currency,colour,due_on\n", "loan", ["colour unknown_field", "due_on unknown_field"]),
        ("type,external_id,colour\n", None, ["colour unknown_field"]),
        ("external_id,customer,currency,customer\n", "loan", ["customer doubled_field"]),
        ("External_id,customer,currency\n", "loan", ["External_id unknown_field", "external_id required"]),
        ("external_id,,customer,currency\n", "loan", [" unknown_field"]),
        ("customer\n", "loan", ["external_id required", "currency required"]),
        ("type,customer\n", None, ["external_id required"]),
        ("external_id,effective_at,loan,amount,paid_at\n", "repayment", ["effective_at unknown_field"]),
    ],
)
def test_a_header_that_cannot_be_is_refused_before_anything_is_read(
    body: str | bytes, type_: str | None, errors: list[str]
) -> None:
    assert errors_of_header(body, type_=type_) == errors


def test_another_separator_is_not_guessed_but_the_reason_is_told() -> None:
    with pytest.raises(HeaderRefused, match="Cells are parted by commas"):
        pieces("external_id;customer;currency\nL1;C1;CNY\n", type_="loan")


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("L1,C1,CNY,", "None wrong_cell_count"),
        ("L1,C1", "None wrong_cell_count"),
        ("L1,C1,XXX", "currency unknown_currency"),
        ("L1,,CNY", "customer required"),
        (",,", "external_id required customer required currency required"),
        ("L1, C1,CNY", "customer invalid_id"),
        ('L1,"C1"x,CNY', "None not_csv"),
        ('L1,"C1,CNY', "None unclosed_quote"),
        ("L1,C1\rC2,CNY", "None not_csv"),
        ("L1,C\0,CNY", "customer invalid_id"),
        ("L1,C1," + "x" * MAX_LINE, "None line_too_long"),
    ],
)
def test_a_row_at_fault_is_named_and_spoils_no_other(row: str, error: str) -> None:
    found = results(f"{LOAN}L0,C1,CNY\n{row}\nL9,C1,CNY\n", type_="loan")
    assert found == ["2 created", f"3 error {error}", "4 created"]


def test_a_row_that_is_not_utf8_is_refused_alone() -> None:
    found = results(LOAN.encode() + b"L0,C\xff,CNY\nL9,C1,CNY\n", type_="loan")
    assert found == ["2 error None not_utf8", "3 created"]


@pytest.mark.parametrize(
    ("columns", "cells", "error"),
    [
        ("grace_days", "3.5", "grace_days wrong_type"),
        ("grace_days", "１", "grace_days wrong_type"),
        ("grace_days", "-1", "grace_days out_of_range"),
        ("version", "1e3", "version wrong_type"),
        ("version", "9" * 18, "version out_of_range"),
        ("version", "-" + "9" * 40, "version wrong_type"),
        ("principal", '"1,000"', "principal not_an_amount"),
        ("pauses", "2026-01-01", "pauses not_json"),
        ("pauses", '"[]},""x"":{}"', "pauses not_json"),
        ("pauses", '"[{""from"": ""2026-01-02"", ""until"": ""2026-01-01""}]"', "pauses.0.until until_before_from"),
        ("pauses,allocation", "x,y", "pauses not_json allocation not_json"),
    ],
)
def test_a_cell_at_fault_is_named(columns: str, cells: str, error: str) -> None:
    found = results(f"external_id,customer,currency,{columns}\nL1,C1,CNY,{cells}\n", type_="loan")
    assert found == [f"2 error {error}"]


def test_a_row_that_is_refused_still_says_what_it_was() -> None:
    (piece,) = pieces("type,external_id,loan\nrepayment,P1,L1,L2\n")
    assert piece.refused is not None
    assert (piece.refused.type, piece.refused.external_id) == ("repayment", "P1")


def test_quotes_that_do_not_close_take_no_rows_with_them() -> None:
    rows = [f"L{n},C1,CNY\n" for n in range(8000)]
    rows[1] = 'L1,"C1,CNY\n'
    rows[7999] = '"L7999,C1,CNY\n'
    found = pieces(LOAN + "".join(rows), type_="loan", chunk=4096)
    assert len(found) == 8000
    assert [piece.number - 2 for piece in found if piece.refused is not None] == [1, 7999]


def test_each_row_says_where_it_ends() -> None:
    body = LOAN + 'L1,C1,CNY\r\n\n"L\n2",C1,CNY\nL3,C1,"\nL4,C1,CNY'
    ends = [body.encode()[: piece.end].decode() for piece in pieces(body, type_="loan")]
    assert [text.rpartition("\n")[0].count("\n") + 1 for text in ends[:-1]] == [2, 5, 6]
    assert ends[-1] == body


def test_a_giant_cell_does_not_fill_the_memory() -> None:
    def peak(count: int) -> int:
        def body() -> Iterable[bytes]:
            yield LOAN.encode() + b'L1,"'
            for _ in range(count):
                yield bytes(bytearray(b"x" * 40_000)) + b"\n"

        tracemalloc.start()
        try:
            lines = split_lines(body())
            refused = sum(one.refused is not None for one in csv_pieces(lines, header=read_header(lines, type_="loan")))
            assert refused == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    assert peak(1_000) < 1.5 * peak(100)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """A random line, with texts of all sorts where its type has any."""
    line = draw(random_lines())
    free = {"customer": ["name", "segment", "email"], "loan": ["product"], "repayment": ["method", "reference"]}
    free |= {"reversal": ["reason"], "message": ["body", "campaign", "vendor"], "sending_rule": ["name", "owner"]}
    texts = {name: draw(TEXTS) for name in free.get(line["type"], ()) if draw(st.booleans())}
    if line["type"] == "customer" and draw(st.booleans()):
        texts["contact_preferences"] = {"blocked": [{"days": ["MO"], "from": "12:00", "until": "14:00"}]}
    return line | texts


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(records(), min_size=1, max_size=6), one_type=st.booleans(), chunk=st.integers(1, 300))
def test_a_record_written_both_ways_is_one_record(lines: list[dict[str, Any]], one_type: bool, chunk: int) -> None:
    type_ = lines[0]["type"] if one_type else None
    lines = [line for line in lines if type_ in (None, line["type"])]
    body = as_csv(lines, without_type=one_type)
    found = pieces(body, type_=type_, chunk=chunk)
    for line, piece in zip(lines, found, strict=True):
        one, other = (read_line(raw, number=1, now=NOW) for raw in (*encoded(line), piece.raw))
        assert isinstance(one, Line)
        assert one == other
    with undone():
        importer.load(*lines)
        now = datetime(2026, 6, 2, tzinfo=UTC)
        told = Feed(iter(found)).import_all(now=now)
        assert {one.result.result for one in told} == {"unchanged"}


@settings(max_examples=300, deadline=None)
@given(
    body=st.lists(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"\r", b"\xff", b"\0", b"L1", b"[]", b"{", b" "])).map(
        b"".join
    ),
    chunk=st.integers(1, 9),
)
def test_nothing_that_is_sent_breaks_the_reader(body: bytes, chunk: int) -> None:
    header = b"external_id,customer,currency,pauses\n"
    found = pieces(header + body, type_="loan", chunk=chunk)
    places = [(piece.number, piece.last, piece.end) for piece in found]
    assert places == sorted(set(places))
    assert all(number <= last for number, last, _ in places)
    rows = [line for line in body.split(b"\n") if line.strip()]
    assert len(found) <= len(rows)
    assert bool(found) == bool(rows)
    for piece in found:
        assert piece.refused is not None or isinstance(json.loads(piece.raw), dict)
        assert (header + body)[: piece.end].count(b"\n") in (piece.last, piece.last - 1)


@pytest.mark.parametrize("type_", RECORD_TYPES)
def test_every_type_has_its_columns_in_csv(type_: str) -> None:
    header = read_header(iter([Piece(1, 1, 0, ",".join(sorted(columns_of(type_))).encode())]), type_=type_)
    assert set(header.columns) == columns_of(type_)


def test_lines_of_ndjson_are_told_with_their_place() -> None:
    body = b"\xef\xbb\xbf\n\n" + b"\r\n \n".join(encoded(importer.loan("L1"), importer.loan("L2"))) + b"\n{"
    feed = Feed(ndjson_pieces(split_lines(body[at : at + 5] for at in range(0, len(body), 5))))
    told = list(feed.import_all(now=NOW))
    assert [(one.result.line, one.result.result, one.settled) for one in told] == [
        (3, "created", False),
        (5, "created", False),
        (6, "error", True),
    ]
    assert [body[: one.end].count(b"\n") for one in told] == [3, 5, 5]
    assert told[-1].end == len(body)
