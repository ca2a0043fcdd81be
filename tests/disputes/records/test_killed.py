"""An import that is killed in the middle, by a real process, and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, transaction

from disputes.records.importing import BATCH_LINES
from disputes.records.models import Loan, RepaymentVersion, ReversalVersion, Voided
from tests.disputes.records import importer
from tests.disputes.records.importer import encoded
from tests.races import PATIENCE, until

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
LOANS, ROUNDS = 40, 120
KNOWN = {"posted_at": "2026-03-02T00:00:00Z"}


def lines(name: str) -> Iterator[dict[str, Any]]:
    """Payments of some loans, dated; some come again changed, some are reversed or voided before or after they come."""
    at = KNOWN
    for n in range(LOANS):
        yield importer.loan(f"{name}L{n}", **at)
    yield importer.loan(f"{name}-late", **at)
    for turn in range(ROUNDS):
        if turn == ROUNDS // 2:
            yield importer.repayment(f"{name}P-late", loan=f"{name}-late", **at)
        for n in range(LOANS):
            payment = f"{name}P{turn}-{n}"
            yield importer.repayment(payment, loan=f"{name}L{n}", amount=f"{turn + 1}.00", **at)
            if n % 4 == 0:
                yield importer.reversal(f"{name}R{turn}-{n}", repayment=payment, **at)
            elif n % 4 == 1:
                yield importer.repayment(payment, loan=f"{name}L{n}", amount="1.00", version=2, **at)
            elif n % 4 == 2:
                target = f"{name}P{(turn + 60) % ROUNDS}-{n}"
                yield importer.void("repayment", target, f"{name}V{turn}-{n}", **at)


def file_of(directory: Path, name: str) -> tuple[Path, int]:
    file = directory / f"{name}.ndjson"
    rows = encoded(*lines(name))
    rows.insert(len(rows) // 2, b"no record")
    file.write_bytes(b"\n".join(rows))
    return file, len(rows)


def command(file: Path, *options: str) -> subprocess.Popen[str]:
    """The command as an operator runs it, on the database of the test."""
    made = connection.settings_dict
    address = f"postgresql://{made['USER']}@/{made['NAME']}?host={quote(made['HOST'], safe='/')}"
    if made["PORT"]:
        address += f"&port={made['PORT']}"
    return subprocess.Popen(
        [sys.executable, "manage.py", "import_records", str(file), *options],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": address, "MIGRATE_DATABASE_URL": address, "PGPASSWORD": made["PASSWORD"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def noted(file: Path) -> int:
    try:
        found: int = json.loads(Path(f"{file}.progress").read_text())["line"]
    except FileNotFoundError:
        return 0
    return found


def state_of(name: str) -> dict[str, Any]:
    """What is stored under a name, without it."""
    mine = {"external_id__startswith": name}
    return {
        "loans": {loan.pk.removeprefix(name): loan.paid for loan in Loan.objects.filter(**mine)},
        "repayments": sorted(
            (row.external_id.removeprefix(name), row.version, row.amount, row.posted_at)
            for row in RepaymentVersion.objects.filter(**mine)
        ),
        "reversals": ReversalVersion.objects.filter(**mine).count(),
        "voided": sorted(
            one.removeprefix(name) for one in Voided.objects.filter(**mine).values_list("external_id", flat=True)
        ),
    }


def test_killed_and_resumed_it_ends_as_in_one_go(tmp_path: Path) -> None:
    file, total = file_of(tmp_path, "A")
    # The row of a loan that is paid in the middle of the file is locked, so that nothing is quicker than the kill.
    importer.load(importer.loan("A-late", **KNOWN))
    with transaction.atomic():
        Loan.objects.select_for_update().get(pk="A-late")
        process = command(file)
        try:
            until(lambda: noted(file) or process.poll() is not None, what="a first batch", seconds=5 * PATIENCE)
            assert process.poll() is None, f"it ended before it was killed: {process.communicate()}"
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            before, _ = process.communicate()
    place = noted(file)
    assert 0 < place < total

    resumed = command(file, "--resume")
    said, beside = resumed.communicate(timeout=10 * PATIENCE)
    assert resumed.returncode == 1
    assert f"Goes on after line {place:,}." in beside
    *refused, summary = said.splitlines()
    assert {json.loads(row)["line"] for row in [*before.splitlines(), *refused]} == {total // 2 + 1}
    counted = {word: int(count) for count, word in (part.split(" ") for part in summary.rstrip(".").split(", "))}
    assert sum(counted.values()) == total
    # What may come again: the batch that was stored and not wholly noted. And one loan was there before.
    assert counted.get("unchanged", 0) <= BATCH_LINES + 1

    whole, _ = file_of(tmp_path, "B")
    at_once = command(whole)
    at_once.communicate(timeout=10 * PATIENCE)
    assert at_once.returncode == 1
    assert state_of("A") == state_of("B")
    assert len(state_of("A")["repayments"]) > 4_000
