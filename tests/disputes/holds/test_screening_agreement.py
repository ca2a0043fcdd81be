"""A screening says what a dry run of the gate says: of lenders made at random, and of files cut anywhere."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from config.values.phone import are_plain, is_plain, parse_phone
from disputes.holds import campaign_rows, campaigns, classing, screening
from disputes.holds import rows as rows_module
from disputes.holds.asking import WITHOUT_LOAN
from disputes.holds.campaign_rows import COLUMNS, Form
from disputes.holds.campaigns import ANSWER_COLUMNS, screen_campaign
from disputes.holds.gate import MALFORMED, Answer, decide
from disputes.holds.models import Permit
from disputes.holds.rows import Rows
from disputes.holds.scopes import Covers
from disputes.holds.screening import Screened, screen_rows
from disputes.holds.walking import GateItem
from disputes.inbound.keeping import keep
from disputes.records.models import Customer, CustomerPhone, Loan, Message
from tests.disputes.holds import scene
from tests.disputes.holds.test_screening import CALLER, as_csv, as_ndjson, rows_of

T = TypeVar("T")
TODAY = datetime.now(tz=UTC).date()
CATEGORIES = ("reminder", "urge", "warning", "statutory", "service", "survey")


def random_lender(rng: random.Random, *, customers: int = 12) -> None:
    """Accounts that are overdue, paid, near a bound, paused or void; phones of several people; holds; contacts."""
    scene.lender(customers=customers)
    for loan in Loan.objects.order_by("pk"):
        days = rng.choice([0, 1, 2, 5, 6, 7, 8, 30, 300])
        loan.due_on = [TODAY - timedelta(days=days), TODAY - timedelta(days=days - 30)]
        loan.amount = [Decimal(500), Decimal(500)]
        if rng.random() < 0.3:
            # Uneven lines, on the days round a bound.
            loan.due_on = sorted(TODAY - timedelta(days=rng.choice([0, 1, 5, 6, 7, 8, 9, 40])) for _ in range(4))
            loan.amount = [Decimal(rng.choice(["0", "0.01", "100", "333.34", "900"])) for _ in range(4)]
        if rng.random() < 0.03:
            loan.amount[rng.randrange(len(loan.amount))] = Decimal(-100)
        if rng.random() < 0.03:
            loan.due_on, loan.amount = [], []
        loan.paid = Decimal(rng.choice(["0", "0", "0.01", "100", "499", "500", "501", "1000", "2000"]))
        loan.tolerance = Decimal(rng.choice([0, 0, 1]))
        loan.grace_days = rng.choice([0, 0, 0, 5, 400])
        loan.time_zone = rng.choice(["Asia/Shanghai", "Pacific/Kiritimati", "Pacific/Pago_Pago", "", "Mars/Base"])
        if rng.random() < 0.1:
            loan.settled_on = TODAY + timedelta(days=rng.choice([-3, 0, 3]))
        if rng.random() < 0.1:
            loan.pauses = [{"from": str(TODAY - timedelta(days=3)), "until": rng.choice([None, str(TODAY)])}]
        if rng.random() < 0.1:
            loan.arrangements = [{"from": str(TODAY - timedelta(days=3)), "until": None, "kept_until": None}]
        if rng.random() < 0.05:
            loan.customer = None
        loan.save()
    for customer in Customer.objects.order_by("pk"):
        customer.time_zones = rng.choice([[], ["Asia/Shanghai"], ["America/New_York", "Europe/Paris"], ["Nowhere"]])
        if rng.random() < 0.2:
            customer.contact_preferences = {"blocked": [{"from": "00:00", "until": rng.choice(["12:00", "24:00"])}]}
        customer.save()
    # Of some nothing was ever said but that a loan is theirs.
    Customer.objects.filter(pk__in=[f"C{n}" for n in range(1, customers + 1) if rng.random() < 0.15]).delete()
    for _ in range(customers):
        day = TODAY + timedelta(days=rng.choice([-30, -2, -1, 0, 1, 2, 30]))
        first, until = rng.choice([(None, None), (day, None), (None, day)])
        CustomerPhone.objects.create(
            customer=f"C{rng.randint(1, customers)}",
            digest=scene.digest(rng.randint(1, customers + 4)),
            role=rng.choice(["own", "contact"]),
            first=first,
            until=until,
        )


def random_history(rng: random.Random, *, customers: int = 12) -> list[GateItem]:
    """Holds of every scope, messages and permits of the last days. Returns what permits were asked for."""
    for _ in range(6):
        n = rng.randint(1, customers)
        covers = rng.choice(
            [
                Covers(loans=frozenset({f"L{n}1"})),
                Covers(customers=frozenset({f"C{n}"})),
                Covers(phones=frozenset({scene.digest(n)})),
                Covers(persons=frozenset({f"C{n}"}), phones=frozenset({scene.digest(customers + 9)})),
            ]
        )
        reason, source = rng.choice(
            [("dispute_pending", "dispute"), ("opted_out", "opt_out"), ("manual_hold", "manual")]
        )
        scene.hold(covers, reason=reason, source=source, why=rng.choice(["", "not_my_debt"]))
    if rng.random() < 0.5:
        scene.hold(Covers(rules=frozenset({"RR"})), scope="sending_rule", reason="rule_paused", source="breaker")
    for number in range(10):
        n = rng.randint(1, customers)
        at = datetime.now(tz=UTC) - timedelta(hours=rng.choice([1, 5, 23, 30, 100, 200]))
        Message.objects.create(
            external_id=f"M{number}",
            loan=rng.choice([f"L{n}1", f"L{n}2", None, "L-nobody-knows"]),
            phone_digest=scene.digest(rng.randint(1, customers)),
            channel="sms",
            category=rng.choice(CATEGORIES),
            sent_at=at,
            voided=rng.random() < 0.2,
            version_id="01900000-0000-7000-8000-000000000000",
        )
        kept(f"in{number}", n, at)
    asked = [random_item(rng, customers=customers, name=f"live{number}") for number in range(10)]
    decide(items=asked, caller=CALLER, permit_seconds=600, dry_run=False)
    for permit in Permit.objects.order_by("request_id"):
        if rng.random() < 0.3:
            Permit.objects.filter(pk=permit.pk).update(unused_at=datetime.now(tz=UTC))
        if rng.random() < 0.3:
            Permit.objects.filter(pk=permit.pk).update(message=f"M-{permit.pk}", used_at=datetime.now(tz=UTC))
    return asked


def kept(reply: str, n: int, at: datetime) -> None:
    """The person behind phone n wrote to us."""
    with transaction.atomic():
        keep(caller="c", external_id=reply, phone=scene.number(n), text="?", received_at=at, now=datetime.now(tz=UTC))


def random_item(rng: random.Random, *, customers: int = 12, name: str = "") -> GateItem:
    n = rng.randint(1, customers)
    return scene.item(
        n if rng.random() < 0.85 else rng.randint(1, customers + 4),
        loan=rng.choice([f"L{n}1", f"L{n}1", f"L{n}2", "L-nobody-knows", None]),
        category=rng.choice(CATEGORIES),
        request_id=name or rng.choice(["", "fresh", f"live{rng.randint(0, 9)}"]),
        sending_rule=rng.choice([None, None, "R7", "RP", "RR", "R-nobody-knows"]),
        reply_to=rng.choice([*[None] * 8, f"in{rng.randint(0, 9)}", "in-nobody-sent"]),
    )


def asked_one_by_one(items: list[GateItem]) -> list[Answer]:
    """By a dry run of the gate. In a batch the second message by one request id is a slip, which a screening does not
    look for."""
    found: list[Answer] = []
    for item in items:
        found += decide(items=[item], caller=CALLER, permit_seconds=60, dry_run=True).answers
    return found


def within_one_hour(asked: Callable[[], T]) -> T:
    """What is asked without the clock's striking meanwhile: days, contact hours and wishes begin and end somewhere with
    every hour."""
    while True:
        began = datetime.now(tz=UTC)
        found = asked()
        if datetime.now(tz=UTC).replace(minute=0, second=0, microsecond=0) <= began:
            return found


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(12))
def test_of_lenders_made_at_random(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    rng = random.Random(seed)
    random_lender(rng)
    again = random_history(rng)
    made = [random_item(rng) for _ in range(250)] + again
    items = [item for item in made if item.loan or item.category in ("survey", "service")]
    found, one_by_one = within_one_hour(
        lambda: (screen_rows(rows_of(*items), caller=CALLER).answers, asked_one_by_one(items))
    )
    differing = [
        (item, asked, answer)
        for item, asked, answer in zip(items, one_by_one, found)
        if (asked.reasons, asked.next_allowed_at) != (answer.reasons, answer.next_allowed_at)
    ]
    assert differing == []
    assert len({answer.reasons for answer in found}) > 5, "a lender at random has more to say than that"


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("many", [True, False], ids=["many holds", "few holds"])
@pytest.mark.parametrize("temporary", [True, False], ids=["staged", "sent along"])
def test_whatever_way_the_rows_come(form: Form, temporary: bool, many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file in parts, read by the fast way and the slow one; staged, or sent along; the holds looked up, where
    many stand, or joined."""
    monkeypatch.setattr("disputes.outbox.queue.send", lambda ids: 0)
    monkeypatch.setattr(campaign_rows, "PIECE", 500)
    monkeypatch.setattr(rows_module, "BLOCK", 40)
    if many:
        monkeypatch.setattr(classing, "MANY_COVERS", 1)
    if not temporary:
        # Refused, as to a role that may make no temporary table.
        monkeypatch.setattr(classing, "_TABLE", "SET LOCAL ROLE pg_monitor; SELECT FROM disputes_loan")
    rng = random.Random(form)
    random_lender(rng)
    random_history(rng)
    items = [item for item in (random_item(rng) for _ in range(200)) if item.loan or item.category in WITHOUT_LOAN]
    numbers = {scene.digest(n): scene.number(n) for n in range(1, 20)}
    lines = [
        {
            **{name: getattr(item, name) or "" for name in COLUMNS},
            "phone": numbers[item.phone],
            "vendor": rng.choice(["", "v", 'v,"w"']),
        }
        for item in items
    ]
    body = as_csv(*lines, columns=",".join(COLUMNS)) if form == "csv" else as_ndjson(*map(_without_blanks, lines))

    def screened() -> str:
        parts = screen_campaign(chunks=[body], form=form, caller=CALLER, rows_at_once=70)
        return b"".join(some for part in parts for some in part.answers).decode()

    answered, one_by_one = within_one_hour(lambda: (screened(), asked_one_by_one(items)))
    said = (
        [row["reasons"].split() for row in csv.DictReader(io.StringIO(",".join(ANSWER_COLUMNS) + "\n" + answered))]
        if form == "csv"
        else [json.loads(line)["reasons"] for line in answered.splitlines()]
    )
    assert said == [list(answer.reasons) for answer in one_by_one]


def _without_blanks(line: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in line.items() if value}


@pytest.mark.django_db
def test_rows_of_a_plain_campaign_share_a_few_answers() -> None:
    """Held ones too, and those that fall due, or come out of grace, on this very day."""
    scene.lender(customers=40)
    for n in range(1, 11):
        scene.hold(Covers(loans=frozenset({f"L{n}1"})))
    at = datetime.now(tz=UTC)
    today = at.astimezone(ZoneInfo("Asia/Shanghai")).date()
    Loan.objects.filter(pk__in=[f"L{n}1" for n in range(11, 21)]).update(due_on=[today - timedelta(days=7)])
    Loan.objects.filter(pk__in=[f"L{n}1" for n in range(21, 31)]).update(due_on=[today - timedelta(days=6)])
    rows = rows_of(*(scene.item(n, sending_rule="R7") for n in range(1, 41)))
    classes = classing.sort_rows(rows, at=at, caller=CALLER)
    assert sorted(map(sorted, classes)) == [
        list(range(10)),
        [*range(10, 20), *range(30, 40)],
        list(range(20, 30)),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_part_is_answered_from_one_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that comes while a part is being answered is in none of its answers; one that was there, in all."""
    scene.lender()
    before = screening._walk

    def held_meanwhile(*args: Any, **named: Any) -> Iterator[tuple[int, Answer]]:
        def place() -> None:
            scene.hold(Covers(loans=frozenset({"L11"})))
            connections.close_all()

        placing = threading.Thread(target=place)
        placing.start()
        placing.join()
        return before(*args, **named)

    monkeypatch.setattr(screening, "_walk", held_meanwhile)
    first = screen_rows(rows_of(scene.item(1)), caller=CALLER)
    assert "dispute_pending" not in first.answers[0].reasons
    monkeypatch.setattr(screening, "_walk", before)
    again = screen_rows(rows_of(scene.item(1)), caller=CALLER)
    assert "dispute_pending" in again.answers[0].reasons
    with connection.cursor() as cursor:
        cursor.execute("SELECT placed_at FROM disputes_hold")
        assert first.at < cursor.fetchone()[0] < again.at


@given(st.integers(2, 9), st.integers(0, 10**13))
def test_a_plain_phone_is_what_parsing_makes_of_it(head: int, rest: int) -> None:
    text = f"+{head}{rest}"
    if is_plain(text):
        assert parse_phone(text, region="CN") == text


@given(
    st.lists(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), max_size=5),
    st.lists(st.text(alphabet="+123\n\r٣ ", max_size=17), max_size=2),
    st.randoms(),
)
def test_phones_are_plain_together_as_each_is_by_itself(plain: list[str], any_: list[str], rng: random.Random) -> None:
    texts = plain + any_
    rng.shuffle(texts)
    assert are_plain(texts) == all(map(is_plain, texts))


_PLAIN = {
    "request_id": "q",
    "phone": "+8613800000001",
    "loan": "L11",
    "channel": "sms",
    "category": "urge",
    "sending_rule": "R7",
    "vendor": "v",
}
_ODD = {
    "request_id": ["", "é\u2028", '"q"', '"q', "q,q", "q\t", "\\N", "\0"],
    "phone": ["13800000003", "+86 138", "", "+861380000000٣", "+86138", "+86138000000010000"],
    "loan": ["L21", "L" * 200, "L" * 201, "L\\", ""],
    "channel": ["fax", ""],
    "category": ["reminder", "survey", "service", "nothing", ""],
    "sending_rule": ["", "R8"],
    "vendor": ["", '"v', '"v,w"', "v\r", "v,v", "v" * 210],
    # Instead of the line: of fewer fields, of more, or two that have as many as two rows.
    "line": [
        "",
        "\r",
        "a",
        "a,b,c,d,e,f,g,h",
        "q,+8613800000001,L11,sms,urge,R7\na,q,+8613800000001,L11,sms,urge,R7,v",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in _ODD.items() for value in values])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_read_together_are_what_each_is_by_itself(name: str, value: str, end: str) -> None:
    """Rows, their kinds and how their answers begin, wherever the columns stand and an odd line is."""
    rng = random.Random(name + value)
    for place in (0, 1, 9, 19):
        header = rng.sample(list(_PLAIN), len(_PLAIN)) if place else list(_PLAIN)
        lines = []
        for number in range(20):
            cells = _PLAIN | {"request_id": f"q{number}"} | ({name: value} if number == place else {})
            lines.append(cells.get("line", ",".join(cells[column] for column in header)))
        raw = end.join(lines).encode()
        reader = campaign_rows.reader_of("csv", ",".join(header).encode())
        together = reader(raw, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(campaign_rows._CsvReader, "_read_columns", lambda *_: False)
            alone = reader(raw, 2)
        assert _read(together) == _read(alone)
        assert any(heads.first is not None for heads in together.heads), "plain lines are read together"
        assert all(heads.first is None for heads in alone.heads)


def _read(asked: campaign_rows.Asked) -> tuple[list[GateItem | None], str]:
    places = [place for place in range(asked.rows.count) if place not in asked.rows.malformed]
    items = dict(asked.rows.items(places))
    tails = iter(["answer\n"] * asked.rows.count)
    return [items.get(place) for place in range(asked.rows.count)], "".join(
        heads.answered(tails) for heads in asked.heads
    )


@given(
    lines=st.lists(st.sampled_from([b"", b"\r", b'{"request_id":"a"}', b"x" * 70_000, b"[]\r", b"\xff"]), max_size=12),
    cuts=st.lists(st.integers(1, 80_000), max_size=8),
    at_once=st.integers(1, 5),
    last=st.booleans(),
)
def test_a_file_may_be_cut_anywhere(lines: list[bytes], cuts: list[int], at_once: int, last: bool) -> None:
    body = b"\n".join(lines) + (b"\n" if last else b"")
    chunks, rest = [], body
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    chunks.append(rest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaigns, "screen_rows", _all_malformed)
        parts = list(
            screen_campaign(chunks=[one for one in chunks if one], form="ndjson", caller="c", rows_at_once=at_once)
        )
    numbers = [json.loads(answer)["line"] for part in parts for answer in b"".join(part.answers).splitlines()]
    assert numbers == [place for place, one in enumerate(body.split(b"\n"), 1) if one.strip(b"\r")]
    for part in parts:
        # Where the next run would begin is the beginning of a line.
        begun = body[: part.read]
        assert begun.endswith(b"\n") or part.read == len(body)
        assert part.lines == begun.count(b"\n") + (not begun.endswith(b"\n"))
        assert part.last == (part is parts[-1])
    assert not parts or parts[-1].read == len(body)


def _all_malformed(rows: Rows, *, caller: str) -> Screened:
    return Screened(at=datetime(2026, 1, 1, tzinfo=UTC), given=[MALFORMED], chosen=[0] * rows.count)
