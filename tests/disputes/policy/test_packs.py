"""Packs: what they state, when it changes, and what makes one unusable."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from disputes.policy.packs import SHIPPED, LocalInterval, PackError, Span, load_packs
from disputes.policy.values import ADDED, KEYS

HOUSE_TEXT = (SHIPPED / "house.toml").read_text(encoding="utf-8")
SOURCE = 'clause = "a test", force = "own", read = "yes"'
PACKS = load_packs(SHIPPED)


def folder_with(tmp_path, **files: str):
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_shipped_packs_name_the_source_of_every_value():
    for name in PACKS.names():
        for pack in PACKS.by_name[name]:
            assert pack.sources.keys() == KEYS.keys() | {f"cap.{cap.name}" for cap in pack.caps}
            for source in pack.sources.values():
                assert source.clause
                assert source.read in ("yes", "part")


def test_the_house_pack_claims_no_law_for_its_own_choices():
    [house] = PACKS.by_name["house"]
    assert {source.force for source in house.sources.values()} == {"own"}
    assert not any(cap.legal for cap in house.caps)


def test_a_rule_worded_for_calls_is_never_applied_to_sms():
    for name in PACKS.names():
        for pack in PACKS.by_name[name]:
            for cap in pack.caps_for(channel="sms", category="urge"):
                assert not cap.legal


@pytest.mark.parametrize(
    ("day", "version", "hours", "days"),
    [
        ("2019-06-01", "0+house.1", None, 15),
        ("2020-02-29", "0+house.1", None, 15),
        ("2020-03-01", "2020-03-01+house.1", None, 15),
        ("2025-02-27", "2020-03-01+house.1", None, 15),
        ("2025-02-28", "2025-02-28+house.1", ("08:00", "22:00"), 15),
        ("2026-01-30", "2026-01-30+house.1", ("08:00", "22:00"), 15),
    ],
)
def test_the_cn_pack_changes_on_the_days_of_its_texts(day, version, hours, days):
    pack = PACKS.in_force("cn", datetime.fromisoformat(f"{day}T12:00:00+08:00"), "Asia/Shanghai")
    expected = (
        None
        if hours is None
        else (LocalInterval(first=time.fromisoformat(hours[0]), until=time.fromisoformat(hours[1])),)
    )
    assert (pack.version, pack.contact_hours.allowed, pack.terms.decide_days) == (version, expected, days)
    assert PACKS.version("cn", version) == pack


def test_the_lenders_terms_run_on_business_time_and_the_regulators_on_the_calendar():
    """CBIRC order 2020 no. 3, art. 18 counts days from receipt, from the day that it is in force."""
    [house] = PACKS.by_name["house"]
    assert (house.terms.first_answer_clock, house.terms.first_answer_hours) == ("business", 16)
    assert (house.terms.decide_clock, house.terms.decide_hours) == ("business", 80)
    for pack in PACKS.by_name["cn"]:
        in_force = pack.valid_from is not None and pack.valid_from >= date(2020, 3, 1)
        assert pack.terms.decide_clock == ("calendar" if in_force else "business"), pack.version
        assert pack.sources["decide_clock"].force == ("rule" if in_force else "own")
        assert pack.terms.first_answer_clock == "business"


def test_versions_change_at_midnight_of_the_lenders_zone():
    midnight = datetime(2025, 2, 28, tzinfo=ZoneInfo("Asia/Shanghai"))
    before = PACKS.in_force("cn", midnight - timedelta(microseconds=1), "Asia/Shanghai")
    assert before.valid_from == date(2020, 3, 1)
    assert PACKS.in_force("cn", midnight, "Asia/Shanghai").valid_from == date(2025, 2, 28)
    assert PACKS.in_force("cn", midnight, "UTC").valid_from == date(2020, 3, 1)
    assert PACKS.in_force("cn", datetime(1990, 1, 1, tzinfo=UTC), "UTC").valid_from is None


def test_what_a_version_does_not_state_goes_on_from_the_one_before_and_from_the_pack_underneath(tmp_path):
    house = (
        HOUSE_TEXT
        + f"""
[[version]]
version = "2"
valid_from = 2026-06-01
max_lag_hours = {{ value = 48, {SOURCE} }}
[version.cap.loan-a-day]
none = true
clause = "a test"
force = "own"
read = "yes"
"""
    )
    own = f"""
name = "own"
extends = "house"
[[version]]
version = "a"
[[version]]
version = "b"
valid_from = 2026-07-01
decide_days = {{ value = 7, {SOURCE} }}
"""
    packs = load_packs(folder_with(tmp_path, house=house, own=own))
    rows = packs.by_name["own"]
    assert [(row.version, row.valid_from) for row in rows] == [
        ("a+house.1", None),
        ("a+house.2", date(2026, 6, 1)),
        ("b+house.2", date(2026, 7, 1)),
    ]
    assert [row.records.max_lag_hours for row in rows] == [24, 48, 48]
    assert [row.terms.decide_days for row in rows] == [15, 15, 7]
    assert [[cap.name for cap in row.caps] for row in rows] == [
        ["customer-a-week", "loan-a-day"],
        ["customer-a-week"],
        ["customer-a-week"],
    ]


def without_added_keys(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.split(" = ")[0] not in ADDED)


def test_a_pack_of_an_earlier_release_needs_no_key_of_this_one_and_judges_as_before(tmp_path):
    text = without_added_keys(HOUSE_TEXT)
    assert len(text.splitlines()) == len(HOUSE_TEXT.splitlines()) - len(ADDED)
    [older] = load_packs(folder_with(tmp_path, house=text)).by_name["house"]
    [shipped] = PACKS.by_name["house"]
    assert {key: older.sources[key].clause[:10] for key in ADDED} == dict.fromkeys(ADDED, "not stated")
    assert (older.contact_hours, older.caps, older.terms) == (shipped.contact_hours, shipped.caps, shipped.terms)
    assert older.digest == shipped.digest
    assert older.dispute_notices_pass_opt_out


@pytest.mark.parametrize("key", sorted(KEYS.keys() - ADDED.keys()))
def test_every_key_of_the_first_release_must_be_stated(key: str, tmp_path):
    text, cut = "", False
    for line in HOUSE_TEXT.splitlines():
        cut = line.startswith(f"{key} = ") or line.startswith(f"[version.{key}]")
        text += "" if cut else f"{line}\n"
    with pytest.raises(PackError, match="is stated neither here"):
        load_packs(folder_with(tmp_path, house=text))


def test_the_letter_of_a_pack_names_every_way_that_it_requires(tmp_path):
    required = {name: PACKS.by_name[name][-1].letter_ways_required for name in PACKS.names()}
    assert required["cn"] == ("re-examination", "mediation", "arbitration", "court")
    assert (required["uk"], required["house"]) == (("ombudsman",), ())
    cn = (SHIPPED / "cn.toml").read_text(encoding="utf-8")
    lacking = "\n".join(line for line in cn.splitlines() if "诉讼" not in line)
    with pytest.raises(PackError) as refused:
        load_packs(folder_with(tmp_path, house=HOUSE_TEXT, cn=lacking))
    assert (refused.value.file, refused.value.key) == ("cn.toml", "letter_ways")
    assert "court" in refused.value.why


@pytest.mark.parametrize(
    ("span", "day", "after"),
    [
        ("60 days", "2026-11-02", "2027-01-01"),
        ("6 months", "2026-08-31", "2027-02-28"),
        ("1 month", "2026-12-31", "2027-01-31"),
        ("3 years", "2024-02-29", "2027-02-28"),
        ("4 years", "2024-02-29", "2028-02-29"),
    ],
)
def test_a_span_ends_on_the_same_day_of_the_month_or_on_its_last(span, day, after):
    read = KEYS["retention"](span)
    assert (str(read), read.after(date.fromisoformat(day)).isoformat()) == (span, after)
    assert isinstance(read, Span)


def changed(old: str, new: str) -> str:
    assert old in HOUSE_TEXT
    return HOUSE_TEXT.replace(old, new, 1)


BROKEN = {
    "not TOML": ("name = ", "", "not TOML"),
    "another name": (HOUSE_TEXT.replace('name = "house"', 'name = "huose"'), "name", "must be the file's own name"),
    "an unknown key at the top": ("owner = 1\n" + HOUSE_TEXT, "owner", "unknown key"),
    "an unknown value": (changed("max_lag_hours", "max_lag_days"), "version.0.max_lag_days", "unknown key"),
    "a value that is missing": (
        "\n".join(line for line in HOUSE_TEXT.splitlines() if not line.startswith("max_lag_hours")),
        "max_lag_hours",
        "is stated neither here",
    ),
    "no version": ('name = "house"\n', "version", "at least one"),
    "a first version with a date": (
        changed('version = "1"', 'version = "1"\nvalid_from = 2020-01-01'),
        "version.0.valid_from",
        "always was",
    ),
    "the same version twice": (
        HOUSE_TEXT + '\n[[version]]\nversion = "1"\nvalid_from = 2026-01-01\n',
        "version.1.version",
        "comes twice",
    ),
    "versions out of order": (
        HOUSE_TEXT + "".join(f'\n[[version]]\nversion = "{n}"\nvalid_from = 2026-01-0{n}\n' for n in (3, 2)),
        "version.2.valid_from",
        "in order",
    ),
    "a date that is an instant": (
        HOUSE_TEXT + '\n[[version]]\nversion = "2"\nvalid_from = 2026-01-01T00:00:00Z\n',
        "version.1.valid_from",
        "not a local date",
    ),
    "a value without its source": (
        changed('{ value = 24, clause = "lender\'s choice: a nightly feed that is on time", ', "{ value = 24, "),
        "version.0.max_lag_hours.clause",
        "names its source",
    ),
    "an unknown force": (changed('force = "own"', 'force = "strong"'), "version.0.contact_hours.force", "one of law"),
    "a clause that nobody read": (
        changed('read = "yes"', 'read = "no"'),
        "version.0.contact_hours.read",
        "yes or part",
    ),
    "hours that are none": (
        changed('[["08:00", "21:00"]]', '[["8", "21:00"]]'),
        "version.0.contact_hours.value",
        "HH:MM",
    ),
    "hours without length": (
        changed('[["08:00", "21:00"]]', '[["08:00", "08:00"]]'),
        "version.0.contact_hours.value",
        "without length",
    ),
    "a number that is text": (changed("value = 24,", 'value = "24",'), "version.0.max_lag_hours.value", "whole number"),
    "a flag that is a number": (
        changed("watermarks = { value = true", "watermarks = { value = 1"),
        "version.0.watermarks.value",
        "true nor false",
    ),
    "a clock that is none": (
        changed('decide_clock = { value = "business"', 'decide_clock = { value = "working days"'),
        "version.0.decide_clock.value",
        '"business" or "calendar"',
    ),
    "a clock that is a list": (
        changed('decide_clock = { value = "business"', 'decide_clock = { value = ["business"]'),
        "version.0.decide_clock.value",
        '"business" or "calendar"',
    ),
    "a business term of no length": (
        changed("decide_hours = { value = 80", "decide_hours = { value = 0"),
        "version.0.decide_hours.value",
        "whole number",
    ),
    "an unknown category": (
        changed('"survey"]', '"surveys"]'),
        "version.0.contact_hours_categories.value",
        "not a list of",
    ),
    "a cap of nothing": (changed("count = 1", "count = 0"), "version.0.cap.loan-a-day", "whole number"),
    "a cap on nobody": (changed('per = ["loan", "phone"]', "per = []"), "version.0.cap.loan-a-day", "not a list of"),
    "an unknown field of a cap": (
        changed("count = 1", "count = 1\nper_day = true"),
        "version.0.cap.loan-a-day.per_day",
        "unknown key",
    ),
    "a longer term that is shorter": (
        changed("decide_complex_days = { value = 30", "decide_complex_days = { value = 3"),
        "decide_days",
        "shorter",
    ),
    "a length of time that is none": (
        changed('retention = { value = "5 years"', 'retention = { value = "5 centuries"'),
        "version.0.retention.value",
        "neither days, months nor years",
    ),
    "a length of time of nothing": (
        changed('retention = { value = "5 years"', 'retention = { value = "0 days"'),
        "version.0.retention.value",
        "neither days, months nor years",
    ),
    "a note of two lines": (
        changed('hold_note = { value = ""', 'hold_note = { value = "one\\ntwo"'),
        "version.0.hold_note.value",
        "not one line",
    ),
    "a code with a blank": (
        changed("letter_ways_required = { value = []", 'letter_ways_required = { value = ["the court"]'),
        "version.0.letter_ways_required.value",
        "a code is made of",
    ),
    "a number that is no number": (
        changed("value = 24,", "value = nan,"),
        "version.0.max_lag_hours.value",
        "whole number",
    ),
    "a number that is a fraction": (
        changed("value = 24,", "value = 24.0,"),
        "version.0.max_lag_hours.value",
        "whole number",
    ),
    "a number that is a truth": (changed("value = 24,", "value = true,"), "version.0.max_lag_hours.value", "whole"),
    "a number that is endless": (changed("value = 24,", f"value = {'9' * 4000},"), "version.0.max_lag_hours.value", ""),
    "a number with too many digits to read": (changed("value = 24,", f"value = {'9' * 5000},"), "", "not TOML"),
    "a value twice": (HOUSE_TEXT.replace("max_lag_hours = {", "max_lag_hours = 1\nmax_lag_hours = {"), "", "not TOML"),
    "a cap twice": (
        HOUSE_TEXT + "\n[version.cap.loan-a-day]\ncount = 2\n",
        "",
        "not TOML",
    ),
    "a cap without a name": (
        changed("[version.cap.loan-a-day]", '[version.cap."a day"]'),
        "version.0.cap.a day",
        "name",
    ),
    "a cap that is taken away and stated": (
        changed("count = 1", "count = 1\nnone = true"),
        "version.0.cap.loan-a-day.none",
        "stands alone",
    ),
    "a version with a blank": (changed('version = "1"', 'version = "1 b"'), "version.0.version", "a name of"),
    "a title that is a number": ("title = 7\n" + HOUSE_TEXT.replace("title", "note", 1), "title", "not a text"),
    "brackets without end": ("name = " + "[" * 100_000, "", "not TOML"),
    "a pack underneath that is not there": ('extends = "nobody"\n' + HOUSE_TEXT, "extends", "there is no pack"),
    "a pack underneath itself": ('extends = "house"\n' + HOUSE_TEXT, "extends", "circle"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_pack_is_refused_by_file_key_and_reason_for(fault: str, tmp_path):
    text, key, why = BROKEN[fault]
    with pytest.raises(PackError) as refused:
        load_packs(folder_with(tmp_path, house=text))
    assert (refused.value.file, refused.value.key) == ("house.toml", key)
    assert why in refused.value.why
    assert "house.toml" in str(refused.value)


def test_a_directory_without_a_pack_is_refused(tmp_path):
    with pytest.raises(PackError, match="holds no pack"):
        load_packs(tmp_path)
    with pytest.raises(PackError, match="no such directory"):
        load_packs(tmp_path / "nowhere")


def test_a_pack_that_cannot_be_read_is_refused_by_its_name(tmp_path):
    folder_with(tmp_path, house=HOUSE_TEXT)
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(PackError, match=r"mine\.toml: cannot be read"):
        load_packs(tmp_path)
    (tmp_path / "mine.toml").rmdir()
    (tmp_path / "mine.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(PackError, match=r"mine\.toml: not TOML"):
        load_packs(tmp_path)
    (tmp_path / "mine.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(PackError, match=r"mine\.toml: larger than"):
        load_packs(tmp_path)


def test_packs_that_lie_under_each_other_go_in_a_circle(tmp_path):
    rest = '[[version]]\nversion = "1"\n'
    files = {
        name: f'name = "{name}"\nextends = "{below}"\n{rest}' for name, below in (("a", "b"), ("b", "c"), ("c", "b"))
    }
    with pytest.raises(PackError, match="goes in a circle"):
        load_packs(folder_with(tmp_path, **files))


def test_a_pack_that_nobody_has_is_a_key_error():
    with pytest.raises(KeyError):
        PACKS.in_force("atlantis", datetime(2026, 1, 1, tzinfo=UTC), "UTC")
    with pytest.raises(KeyError):
        PACKS.version("house", "99")


def test_the_handbook_names_every_value_and_its_example_can_be_loaded(tmp_path):
    handbook = (Path(__file__).parents[3] / "docs" / "policy-packs.md").read_text(encoding="utf-8")
    for key in KEYS:
        assert f"`{key}`" in handbook, key
    example = handbook.split("```toml\n")[1].split("```")[0]
    mine = load_packs(folder_with(tmp_path, house=HOUSE_TEXT, mine=example)).by_name["mine"][-1]
    assert (mine.version, mine.records.max_lag_hours) == ("2026-07+house.1", 36)
    assert [cap.count for cap in mine.caps if cap.name == "loan-a-day"] == [2]
