"""Whatever a file holds, it is read as a pack or refused as one: by its name and in one line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from disputes.policy.packs import SHIPPED, PackError, load_packs
from disputes.policy.values import CATEGORIES, KEYS

HOUSE_TEXT = (SHIPPED / "house.toml").read_text(encoding="utf-8")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ATOMS = st.one_of(
    st.booleans().map(lambda one: str(one).lower()),
    st.integers().map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "0x" + "f" * 6000, "-0", "9" * 5000]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    TEXTS.map(json.dumps),
    st.sampled_from([*CATEGORIES, "any", "none", "5 years", "08:00", "business", "court"]).map(json.dumps),
    st.sampled_from(["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "07:30:00", "2026-02-30"]),
)
ITEMS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda rows: f"[{', '.join(rows)}]"),
        st.dictionaries(
            st.sampled_from(["value", "clause", "force", "read", "zh-hans", "en", "x"]), inner, max_size=5
        ).map(lambda rows: "{" + ", ".join(f"{key} = {value}" for key, value in rows.items()) + "}"),
    ),
    max_leaves=8,
)
SOURCED = ITEMS.map(lambda value: f'{{ value = {value}, clause = "a test", force = "own", read = "yes" }}')
NAMES = st.sampled_from([*KEYS, "name", "extends", "version", "valid_from", "note", "cap", "cap.a", "cap.a.count"])


def loads_or_refuses(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "house.toml"
        path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        try:
            packs, refused = load_packs(Path(folder)), None
        except PackError as error:
            packs, refused = None, error
    if packs is not None:
        assert all(len(pack.digest) == 16 for pack in packs.by_name["house"])
    if refused is not None:
        assert refused.file == "house.toml"
        assert "\n" not in str(refused)
        assert len(str(refused)) < 1000


ANYTHING = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ANYTHING
@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes):
    loads_or_refuses(raw)


@ANYTHING
@given(key=st.sampled_from(sorted(KEYS)), value=st.one_of(ITEMS, SOURCED))
def test_any_value_in_place_of_a_right_one(key: str, value: str):
    lines = [line for line in HOUSE_TEXT.splitlines() if not line.startswith(f"{key} = ")]
    place = lines.index('version = "1"') + 1
    loads_or_refuses("\n".join([*lines[:place], f"{key} = {value}", *lines[place:]]))


@ANYTHING
@given(rows=st.lists(st.tuples(NAMES, st.one_of(ITEMS, SOURCED)), max_size=5))
def test_any_keys_in_a_later_version(rows: list[tuple[str, str]]):
    stated = "\n".join(f"{key} = {value}" for key, value in rows)
    loads_or_refuses(f'{HOUSE_TEXT}\n[[version]]\nversion = "2"\nvalid_from = 2026-01-01\n{stated}\n')
    loads_or_refuses(f"{HOUSE_TEXT}\n[[version]]\n{stated}\n")


@ANYTHING
@given(rows=st.dictionaries(st.sampled_from(["count", "rolling_hours", "per", "channel", "categories", "none"]), ITEMS))
def test_any_cap(rows: dict[str, str]):
    stated = "\n".join(f"{key} = {value}" for key, value in rows.items())
    loads_or_refuses(f'{HOUSE_TEXT}\n[version.cap.a]\nclause = "a test"\nforce = "own"\nread = "yes"\n{stated}\n')


@ANYTHING
@given(key=TEXTS, value=ITEMS)
def test_any_key_at_all(key: str, value: str):
    for text in (f"{json.dumps(key)} = {value}\n{HOUSE_TEXT}", f"{HOUSE_TEXT}\n{json.dumps(key)} = {value}\n"):
        loads_or_refuses(text)
    loads_or_refuses(f"{HOUSE_TEXT}\n[version.cap.{json.dumps(key)}]\nnone = true\n")


@ANYTHING
@given(at=st.integers(0, len(HOUSE_TEXT)), cut=st.integers(0, 40), text=TEXTS)
def test_any_slip_of_the_pen(at: int, cut: int, text: str):
    loads_or_refuses(HOUSE_TEXT[:at] + text + HOUSE_TEXT[at + cut :])
