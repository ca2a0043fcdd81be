"""``manage.py packs``: what is there, what it says, and what changed."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from disputes.policy.describing import SECTIONS, title_of
from disputes.policy.packs import SHIPPED, load_packs
from disputes.policy.values import KEYS

PACKS = load_packs(SHIPPED)


def said(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command("packs", *words, stdout=out, **options)
    return out.getvalue()


def told(*words: str, **options: Any) -> Any:
    return json.loads(said(*words, json=True, **options))


def test_every_value_has_its_heading_and_its_name():
    named = [key for keys in SECTIONS.values() for key in keys]
    assert sorted(named) == sorted(KEYS)
    assert len({title_of(key) for key in named}) == len(named)


def test_it_lists_every_version_and_which_is_in_force(settings):
    settings.POLICY_PACK = "cn"
    rows = told(at="2025-02-28")
    assert [(row["pack"], row["version"]) for row in rows] == [
        (name, pack.version) for name in PACKS.names() for pack in PACKS.by_name[name]
    ]
    assert [row["version"] for row in rows if row["pack"] == "cn" and row["in_force"]] == ["2025-02-28+house.1"]
    assert {row["pack"] for row in rows if row["lenders"]} == {"cn"}
    assert {row["digest"] for row in rows} >= {PACKS.by_name["cn"][-1].digest}


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2025-02-27", "2020-03-01+house.1"),
        ("2025-02-28T00:00:00", "2025-02-28+house.1"),
        ("2025-02-27T23:59:59", "2020-03-01+house.1"),
        ("2025-02-27T16:00:00+00:00", "2025-02-28+house.1"),
    ],
)
def test_a_day_is_the_lenders_and_an_instant_may_name_its_zone(at: str, version: str, settings):
    settings.LENDER_TIME_ZONE = "Asia/Shanghai"
    assert told("cn", at=at)["version"] == version


def test_it_shows_every_value_with_its_clause_its_force_and_whether_it_was_read():
    shown = told("us", at="2026-11-10")
    pack = PACKS.by_name["us"][-1]
    assert shown["values"].keys() == pack.sources.keys()
    assert shown["values"]["contact_hours"] == {
        "value": [["08:00", "21:00"]],
        "clause": "12 CFR 1006.6(b)(1)(i); several zones: comments 6(b)(1)(i)-1, -2",
        "force": "rule",
        "read": "yes",
    }
    assert shown["values"]["retention"]["value"] == "3 years"
    assert shown["values"]["cap.loan-a-day"]["force"] == "own"
    table = said("us", at="2026-11-10")
    for key in pack.sources:
        assert key in table
    assert "in part" in table


def test_it_shows_what_changed_between_two_versions_and_nothing_else():
    found = told("diff", "cn", "2025-02-28", "2026-01-30")
    assert (found["from"], found["to"]) == ("2025-02-28+house.1", "2026-01-30+house.1")
    assert found["changes"].keys() == {"contact_hours", "agreed_hours", "cap.voice-tries"}
    assert found["changes"]["cap.voice-tries"]["from"] is None
    assert found["changes"]["contact_hours"]["to"]["force"] == "code"
    assert "not there" in said("diff", "cn", "2025-02-28", "2026-01-30")
    assert "nothing differs" in said("diff", "cn", "2026-01-30", "2026-01-30+house.1")


def test_it_shows_version_by_version_what_a_pack_changed():
    steps = told("diff", "cn")
    assert [step["to"].split("+")[0] for step in steps] == ["2020-03-01", "2025-02-28", "2026-01-30"]
    assert "decide_days" not in steps[1]["changes"]
    assert steps[0]["changes"]["decide_clock"]["from"]["value"] == "business"
    assert told("diff", "house") == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("atlantis",), r"no pack 'atlantis'; there are cn, house, tw, uk, us"),
        (("diff", "cn", "1", "2026-01-30"), r"cn has no version '1'; there are 0\+house\.1, "),
        (("diff",), "give nothing"),
        (("diff", "cn", "0"), "give nothing"),
        (("cn", "us"), "give nothing"),
    ],
)
def test_what_it_does_not_know_is_said_in_one_line(words: tuple[str, ...], why: str):
    with pytest.raises(CommandError, match=why) as refused:
        said(*words)
    assert "\n" not in str(refused.value)


def test_a_folder_of_ones_own_can_be_tried_before_it_is_used(tmp_path):
    with pytest.raises(CommandError, match="no such directory"):
        said(directory=str(tmp_path / "nowhere"))
    with pytest.raises(CommandError, match="holds no pack"):
        said(directory=str(tmp_path))
    (tmp_path / "house.toml").write_text('name = "house"\n[[version]]\nversion = "1"\nhours = 1\n', encoding="utf-8")
    with pytest.raises(CommandError, match=r"house\.toml: version\.0\.hours: unknown key"):
        said(directory=str(tmp_path))
    with pytest.raises(CommandError, match="not a day or an instant"):
        said(at="yesterday")
