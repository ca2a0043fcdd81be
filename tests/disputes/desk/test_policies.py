"""The policy packs in the back office."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from disputes.desk.policies import may_read_packs, pack_page
from tests.disputes.desk.staff import Person, agent, supervisor

pytestmark = pytest.mark.django_db


def asked(person: Person, **query: str) -> Any:
    return person.http.get(reverse("admin:desk_packs"), query)


def test_it_shows_the_lenders_pack_in_force_and_every_value_of_it(settings: Any) -> None:
    settings.POLICY_PACK = "cn"
    page = asked(supervisor()).content.decode()
    for said in ("Policy pack cn", "The version in force", "contact_hours", "08:00 to 22:00", "a trade body"):
        assert said in page, said
    assert "What changed from 2025-02-28+house.1" in page


def test_a_value_whose_text_was_read_in_part_says_so_in_words() -> None:
    found = pack_page(name="tw", version=None, now=timezone.now())
    values = {value.key: value for _, section in found.sections for value in section}
    assert {key for key, value in values.items() if value.in_part} == {"contact_hours_categories", "letter_ways"}
    assert found.in_part == 2
    page = asked(supervisor(), pack="tw").content.decode()
    assert page.count(">read in part<") == 2
    assert f"Of {found.total} values, 2 rest on a text that was read in part only" in page
    assert "was read in full" in asked(supervisor("sam"), pack="house").content.decode()


def test_another_version_can_be_looked_at_and_is_said_not_to_be_in_force() -> None:
    page = asked(supervisor(), pack="us", version="0+house.1").content.decode()
    assert "Not the version in force" in page
    assert "12 CFR" not in page
    assert "this lender works under house" in page


@pytest.mark.parametrize("query", [{"pack": "atlantis"}, {"pack": "us", "version": "9"}])
def test_what_is_not_there_is_a_404(query: dict[str, str]) -> None:
    assert asked(supervisor(), **query).status_code == 404


def test_it_stands_at_the_left_for_those_who_may_read_it_and_for_nobody_else() -> None:
    at = f'href="{reverse("admin:desk_packs")}"'
    for person in (supervisor(), Person("aud", "auditors"), Person("adm", "administrators")):
        assert may_read_packs(person.user)
        assert at in person.home().content.decode(), person.user.username
    ann = agent()
    assert not may_read_packs(ann.user)
    assert at not in ann.home().content.decode()
    assert asked(ann).status_code == 403


def test_it_is_read_and_never_posted_to() -> None:
    assert supervisor().http.post(reverse("admin:desk_packs")).status_code == 405
