"""The short way of reading a line takes what the careful one takes, and says the same of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from disputes.records import reading
from disputes.records.reading import FIELDS, Line, Refused, read_line
from tests.disputes.records import importer
from tests.disputes.records.importer import NOW

SOUND: tuple[dict[str, Any], ...] = (
    importer.customer(name="王芳", phones=[{"number": "13812340001", "from": "2026-01-01"}], time_zones=["Asia/Tokyo"]),
    importer.customer(contact_preferences={"blocked": [{"days": ["MO"], "from": "09:00", "until": "12:00"}]}),
    importer.loan(pauses=[{"from": "2026-01-01"}], arrangements=[{"from": "2026-01-01", "kept_until": "2026-02-01"}]),
    importer.loan(
        principal="1000", allocation=["fees", "interest"], tolerance="0", effective_at="2026-01-01T00:00:00Z"
    ),
    importer.instalment(principal="90", interest="10.000", posted_at="2026-03-01T10:00:00.123456789+08:00"),
    importer.repayment(paid_at="2026-03-01", method='say "yes"', reference="a\\b\n"),
    importer.repayment(posted_at=None, version=None, method=""),
    importer.reversal(reason="null"),
    importer.rule(),
    importer.message(body='请还款: "now"', claimed_amount="5", permit="p"),
    importer.message(loan=None, category="survey"),
    importer.void("repayment", "P1"),
    importer.watermark(),
)
NAMES = sorted(
    {name for fields in FIELDS.values() for name in fields} | {"type", "external_id", "version", "posted_at"}
)
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(
        [
            "",
            "0",
            "5.1234",
            "1" * 16,
            "٣",
            "a b",
            "x" * 201,
            "a\0b",
            '"',
            "\\",
            "2026-03-01",
            "2026-02-30",
            "2026-W09-7T10:00:00+08:00",
            "2026-03-01 10:00:00Z",
            "2026-03-01t10:00:00z",
            "2026-03-01T10:00:00",
            "2026-03-01T10:00:00,5Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T10:00:00+0800",
            "1900-12-31T23:59:59-08:00",
            "2199-12-31T23:59:59-08:00",
            "2026-06-01T04:00:00.000001Z",
            "own",
            "CNY",
            "+8613812340001",
        ]
    ),
    st.lists(
        st.sampled_from(["fees", "Asia/Tokyo", "x", 1, {"from": "2026-01-01"}, {"number": "+8613812340001"}]),
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(["from", "blocked", "number"]), st.sampled_from(["2026-01-01", [], 1]), max_size=2),
)


def both(raw: bytes) -> tuple[Line | Refused | None, Line | Refused]:
    """What the short way says of it (None: nothing), and what the careful one says."""
    return reading._read_usual(raw, number=2, now=NOW), reading._read_carefully(raw, number=2, now=NOW)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A sound line in which some fields are something else, some come twice, and the bytes are spaced at will."""
    line = dict(draw(st.sampled_from(SOUND)))
    for name in draw(st.lists(st.sampled_from([*line, *NAMES]), max_size=3)):
        line[name] = draw(HOSTILE)
    for name in draw(st.lists(st.sampled_from(sorted(line)), max_size=1)):
        del line[name]
    colon, ascii_only = draw(st.sampled_from([":", ": ", " :", "\t:\n "])), draw(st.booleans())
    pairs = [(json.dumps(name), json.dumps(value, ensure_ascii=ascii_only)) for name, value in line.items()]
    pairs += draw(st.lists(st.sampled_from(pairs), max_size=1)) if pairs else []
    pairs = draw(st.permutations(pairs))
    text = ", ".join(f"{name}{colon}{value}" for name, value in pairs)
    if draw(st.integers(0, 9)) == 0:
        text = text.replace("type", "\\u0074ype", 1)
    return f"{{{text}}}".encode("utf-8", "surrogatepass")


@settings(max_examples=1_500, deadline=None)
@given(raw=lines())
@example(raw=b'{"type":"void","external_id":"V1","target_type":"loan","target":"L1","version":1,"version":null}')
@example(
    raw=b'{"type":"void","external_id":"\\u0022\\u0022","target_type":"loan","target":"L1","version":1,"version":2}'
)
@example(raw=b'{"type":"void","type":"void","external_id":"V1","target_type":"loan","target":"L1"}')
def test_the_short_way_never_says_other_than_the_careful_one(raw: bytes) -> None:
    short, careful = both(raw)
    assert short is None or short == careful


@pytest.mark.parametrize("line", SOUND, ids=lambda line: line["type"])
def test_a_sound_line_is_read_the_short_way_whatever_is_null_in_it(line: dict[str, Any]) -> None:
    quoted = any(isinstance(value, str) and '"' in value for value in line.values())
    for raw in (json.dumps(line).encode(), json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()):
        short, careful = both(raw)
        assert isinstance(careful, Line)
        assert short == (None if quoted else careful)
        assert read_line(raw, number=2, now=NOW) == careful


def test_a_line_of_the_future_is_left_to_the_careful_way() -> None:
    raw = json.dumps(importer.repayment()).encode()
    short = reading._read_usual(raw, number=2, now=NOW - timedelta(days=300))
    assert short is None
    assert isinstance(read_line(raw, number=2, now=NOW - timedelta(days=300)), Refused)
