"""A pack's digest: over what bears on judging, and nothing else."""

from __future__ import annotations

import re

import pytest

from disputes.policy.packs import SHIPPED, Pack, load_packs

HOUSE_TEXT = (SHIPPED / "house.toml").read_text(encoding="utf-8")


def house_of(text: str, folder) -> Pack:
    (folder / "house.toml").write_text(text, encoding="utf-8")
    return load_packs(folder).by_name["house"][0]


def edited(old: str, new: str) -> str:
    assert old in HOUSE_TEXT
    return HOUSE_TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[["08:00", "21:00"]]', '[["08:00", "20:59"]]'),
        ('[["08:00", "21:00"]]', '"any"'),
        ('"warning", "survey"]', '"warning"]'),
        ("hours_end_free = { value = false", "hours_end_free = { value = true"),
        ("agreed_hours = { value = true", "agreed_hours = { value = false"),
        ("reply_free = { value = true", "reply_free = { value = false"),
        ('opt_out_passes = { value = ["statutory"]', "opt_out_passes = { value = []"),
        ('always_pass = { value = ["statutory", "service"]', 'always_pass = { value = ["statutory"]'),
        ("contact_categories = { value = []", 'contact_categories = { value = ["reminder"]'),
        ("same_message_hours = { value = 12", "same_message_hours = { value = 13"),
        ("watermarks = { value = true", "watermarks = { value = false"),
        ('"repayments", "schedule"]', '"repayments"]'),
        ("max_lag_hours = { value = 24", "max_lag_hours = { value = 25"),
        ("count = 1", "count = 2"),
        ("rolling_hours = 168\n", ""),
        ('per = ["loan", "phone"]', 'per = ["loan"]'),
        ('channel = "sms"', 'channel = "call"'),
        ('local day"\nforce = "own"', 'local day"\nforce = "rule"'),
        ("[version.cap.loan-a-day]", "[version.cap.one-a-day]"),
    ],
)
def test_the_digest_changes_with_whatever_bears_on_judging(old: str, new: str, tmp_path):
    assert house_of(edited(old, new), tmp_path).digest != house_of(HOUSE_TEXT, tmp_path).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("decide_days = { value = 15", "decide_days = { value = 14"),
        ("lender's choice: narrower than any statutory night", "ours"),
        ('per = ["loan", "phone"]', 'per = ["phone", "loan"]'),
        ('value = ["statutory", "service"]', 'value = ["service", "statutory", "service"]'),
        ('version = "1"', 'version = "one"'),
        ("retention = { value = ", "# a comment\nretention = { value = "),
    ],
)
def test_the_digest_stays_for_what_does_not(old: str, new: str, tmp_path):
    assert house_of(edited(old, new), tmp_path).digest == house_of(HOUSE_TEXT, tmp_path).digest


def test_the_digest_does_not_depend_on_the_order_of_the_file(tmp_path):
    head, rest = HOUSE_TEXT.split('version = "1"\n', 1)
    plain, caps = rest.split("[version.cap.", 1)
    first, second = caps.split("[version.cap.", 1)
    lines = "\n".join(reversed([line for line in plain.splitlines() if " = {" in line]))
    turned = f'{head}version = "1"\n{lines}\n[version.cap.{second}\n[version.cap.{first}'
    assert house_of(turned, tmp_path).digest == house_of(HOUSE_TEXT, tmp_path).digest


def test_versions_of_the_shipped_packs_that_were_in_force_are_never_edited():
    """A new version is added instead: a check that a version judged must come out the same for ever."""
    packs = load_packs(SHIPPED)
    found = {f"{name} {pack.version}": pack.digest for name in packs.names() for pack in packs.by_name[name]}
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in found.values())
    assert found == {
        "cn 0+house.1": "3061e73fb636e6b9",
        "cn 2020-03-01+house.1": "3061e73fb636e6b9",
        "cn 2025-02-28+house.1": "46f4fdd37ee1661e",
        "cn 2026-01-30+house.1": "496eb811b65c0043",
        "house 1": "445485c428406e52",
        "tw 0+house.1": "445485c428406e52",
        "tw 2023-08-25+house.1": "776de83879a02a3b",
        "uk 1+house.1": "445485c428406e52",
        "us 0+house.1": "445485c428406e52",
        "us 2021-11-30+house.1": "064b4a36c3fe53c2",
    }
