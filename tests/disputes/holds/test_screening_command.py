"""`manage.py screen FILE`."""

from __future__ import annotations

import csv
import gzip
import io
import json
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from disputes.holds.campaigns import Part, screen_campaign
from disputes.management.commands import screen
from tests.disputes.holds import scene
from tests.disputes.holds.test_screening import as_csv, as_ndjson, line

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _lender(any_hour: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lender()
    scene.dispute("not_overdue", loan="L21", n=2, customer="C2")
    monkeypatch.setattr(screen, "screen_campaign", partial(screen_campaign, rows_at_once=2))


def run(file: Path, *options: str) -> str:
    said = io.StringIO()
    call_command("screen", str(file), *options, stdout=io.StringIO(), stderr=said)
    return said.getvalue()


def ended(file: Path, *options: str) -> tuple[int, str]:
    """How a run that did not go through ended: its exit code, and what it said."""
    with pytest.raises(CommandError) as error:
        run(file, *options)
    return error.value.returncode, str(error.value)


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    file = tmp_path / "campaign.csv"
    file.write_bytes(as_csv(*(line(1 + n % 2, request_id=f"q{n}") for n in range(7))))
    return file


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "answers.csv"


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException], None]:
    """Lets the next run end so after that many chunks."""

    def after(count: int, error: BaseException) -> None:
        def broken(**named: Any) -> Iterator[Part]:
            for done, part in enumerate(screen_campaign(rows_at_once=2, **named)):
                if done == count:
                    raise error
                yield part

        monkeypatch.setattr(screen, "screen_campaign", broken)

    return after


def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "screen_campaign", partial(screen_campaign, rows_at_once=2))


def answers(out: Path) -> list[tuple[str, str, str]]:
    return [(row["line"], row["request_id"], row["reasons"]) for row in csv.DictReader(io.StringIO(out.read_text()))]


WHOLE = [(str(n + 2), f"q{n}", "dispute_pending" if n % 2 else "") for n in range(7)]


def test_the_answers_stand_in_the_order_of_the_file(campaign: Path, out: Path) -> None:
    assert "7 rows: 4 allowed, 3 denied" in run(campaign, "--out", str(out))
    assert answers(out) == WHOLE
    assert [file.name for file in out.parent.glob("answers*")] == ["answers.csv"]


def test_an_ndjson_is_known_by_its_ending_or_by_what_is_said(tmp_path: Path) -> None:
    for name, options in (("c.ndjson", ()), ("c.txt", ("--format", "ndjson"))):
        file, out = tmp_path / name, tmp_path / f"{name}.out"
        file.write_bytes(as_ndjson(line(1), line(2)))
        run(file, "--out", str(out), *options)
        assert [json.loads(row)["outcome"] for row in out.read_text().splitlines()] == ["allow", "deny"]


def test_malformed_rows_are_counted_and_end_it_with_1(campaign: Path, out: Path) -> None:
    campaign.write_bytes(campaign.read_bytes() + b"nonsense\n")
    assert ended(campaign, "--out", str(out)) == (1, "1 of 8 rows could not be read.")
    assert answers(out)[-1] == ("9", "", "malformed")


def test_what_cannot_be_screened_ends_with_2(tmp_path: Path, campaign: Path, out: Path) -> None:
    assert ended(tmp_path / "nowhere.csv")[0] == 2
    campaign.write_bytes(b"phone\n")
    assert ended(campaign, "--out", str(out))[0] == 2


@pytest.mark.parametrize(
    "campaign_is", [b"phone\n", gzip.compress(b"phone,channel,category\n", mtime=0)], ids=["no header", "compressed"]
)
def test_what_cannot_be_screened_leaves_the_answers_of_before(campaign: Path, out: Path, campaign_is: bytes) -> None:
    run(campaign, "--out", str(out))
    before = out.read_bytes()
    campaign.write_bytes(campaign_is)
    assert ended(campaign, "--out", str(out))[0] == 2
    assert out.read_bytes() == before


@pytest.mark.parametrize("error", [OperationalError("gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_interrupted_it_goes_on_where_it_stopped(
    campaign: Path, out: Path, breaks: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, chunks: int
) -> None:
    breaks(chunks, error)
    code, said = ended(campaign, "--out", str(out))
    assert code == (2 if isinstance(error, OperationalError) else 130)
    assert ("--resume" in said) == bool(chunks)
    mended(monkeypatch)
    if chunks:
        # A kill may have left the beginning of the next chunk.
        with open(out, "ab") as file:
            file.write(b"99,half a li")
        assert ended(campaign, "--out", str(out))[0] == 2, "an answer that is not complete is not begun anew unasked"
    assert "7 rows: 4 allowed, 3 denied" in run(campaign, "--out", str(out), *(["--resume"] if chunks else []))
    assert answers(out) == WHOLE
    assert not list(out.parent.glob("*.screening*"))


def test_it_goes_on_with_the_same_campaign_only(
    campaign: Path, out: Path, breaks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(1, KeyboardInterrupt())
    ended(campaign, "--out", str(out))
    mended(monkeypatch)
    campaign.write_bytes(campaign.read_bytes() + b"another,row\n")
    code, said = ended(campaign, "--out", str(out), "--resume")
    assert (code, "not the campaign" in said) == (2, True)


def test_there_must_be_something_to_go_on_with(campaign: Path, out: Path) -> None:
    assert ended(campaign, "--resume")[0] == 2
    run(campaign, "--out", str(out))
    assert ended(campaign, "--out", str(out), "--resume")[0] == 2
    assert answers(out) == WHOLE


def test_a_signal_stops_it_after_the_chunk_that_it_is_at(
    campaign: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, sent = screen._Run._keep, []

    def keeping(self: Any, state: Any, written: Any) -> None:
        keep(self, state, written)
        if not sent:
            sent.append(signal.raise_signal(signal.SIGTERM))

    # A small file is read ahead as a whole, so what is left is looked for in pieces.
    monkeypatch.setattr(screen, "CHUNK", 60)
    monkeypatch.setattr(screen._Run, "_keep", keeping)
    code, said = ended(campaign, "--out", str(out))
    assert (code, "--resume" in said) == (130, True)
    assert answers(out) == WHOLE[:2]
    run(campaign, "--out", str(out), "--resume")
    assert answers(out) == WHOLE


def test_the_campaign_is_never_written_over(campaign: Path, tmp_path: Path) -> None:
    before = campaign.read_bytes()
    link = tmp_path / "link.csv"
    link.hardlink_to(campaign)
    for out in (campaign, link):
        code, said = ended(campaign, "--out", str(out))
        assert (code, campaign.read_bytes()) == (2, before)
        assert "the campaign itself" in said
