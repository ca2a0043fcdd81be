"""The table of docs/architecture.md that says which lock makes which promise true, and which test shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAD = "| promise | lock, constraint or isolation | shown by |"


def rows() -> list[tuple[str, str, str]]:
    """(promise, what keeps it, what shows it), as the page has them."""
    _, found, rest = (ROOT / "docs/architecture.md").read_text().partition(HEAD + "\n")
    assert found, "the table has another head"
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    parted = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
    assert {len(cells) for cells in parted} == {3}, parted
    return parted  # type: ignore[return-value]


def named(shown_by: str) -> list[tuple[Path, str | None]]:
    """(file, test or class in it) of each test that a row names."""
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", shown_by)
    return [(ROOT / path, name or None) for path, name in found]


ROWS = rows()


@pytest.mark.parametrize(("promise", "shown_by"), [(row[0], row[2]) for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_shows_a_promise_is_there(promise: str, shown_by: str) -> None:
    assert named(shown_by), promise
    for path, name in named(shown_by):
        assert path.is_file(), path
        if name is not None:
            assert re.search(rf"^(def|class) {name}\b", path.read_text(), re.MULTILINE), (path, name)


@pytest.mark.parametrize(("promise", "kept_by", "shown_by"), ROWS, ids=[row[0] for row in ROWS])
def test_a_race_has_a_control(promise: str, kept_by: str, shown_by: str) -> None:
    """In the same file; a trigger or a missing right is not raced."""
    if "trigger" in kept_by:
        return
    control = re.compile(r"def test_\w*(control|without|would)\w*\(|\bcontrol\b", re.IGNORECASE)
    assert any(control.search(path.read_text()) for path, _ in named(shown_by)), promise
