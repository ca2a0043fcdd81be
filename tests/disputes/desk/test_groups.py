"""Who may do what in the back office, group by group."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from config.credentials import USERS
from disputes.desk.groups import GROUPS, SUPERVISE, WORK, apply_groups, powers_of
from tests.disputes.desk.staff import Person

pytestmark = pytest.mark.django_db


def user(*groups: str, **more: bool) -> User:
    made = User.objects.create(username="-".join(groups) or "nobody", is_staff=True, **more)
    made.groups.set(Group.objects.filter(name__in=groups))
    return made


def test_the_groups_are_there_after_the_migrations_under_the_names_of_the_embedded_users() -> None:
    assert set(Group.objects.values_list("name", flat=True)) >= set(GROUPS)
    assert {role["group"] for role in USERS.values()} <= set(GROUPS)


@pytest.mark.parametrize(
    ("group", "powers"),
    [("agents", {WORK}), ("supervisors", {WORK, SUPERVISE}), ("auditors", set()), ("administrators", set())],
)
def test_each_group_has_its_powers_and_no_other(group: str, powers: set[str]) -> None:
    assert powers_of(user(group)) == powers


def test_a_superuser_decides_nothing_unless_they_are_an_agent_too() -> None:
    assert powers_of(user("administrators", is_superuser=True)) == frozenset()
    assert powers_of(user("administrators", "agents", is_superuser=True)) == {WORK}


def test_who_was_switched_off_has_no_power_left() -> None:
    gone = user("supervisors", is_active=False)
    assert powers_of(gone) == frozenset()
    outside = user("agents")
    outside.is_staff = False
    assert powers_of(outside) == frozenset()


def test_auditors_may_see_everything_and_change_nothing() -> None:
    given = user("auditors").get_group_permissions()
    assert "disputes.view_event" in given
    assert [name for name in given if not name.split(".")[1].startswith("view_")] == []


@pytest.mark.parametrize("group", GROUPS)
def test_nobody_but_administrators_reaches_users_and_clients(group: str) -> None:
    given = user(group).get_group_permissions()
    reached = {name for name in given if name.startswith(("auth.", "api.", "oauth2_provider."))}
    assert bool(reached) == (group == "administrators")
    assert "auth.change_group" not in given, "who changes groups makes themselves whatever they like"


def test_what_somebody_added_to_a_group_by_hand_is_gone_after_the_next_migration() -> None:
    group = Group.objects.get(name="agents")
    before = set(group.permissions.values_list("codename", flat=True))
    group.permissions.set([])
    apply_groups()
    apply_groups()
    assert set(group.permissions.values_list("codename", flat=True)) == before


def test_an_administrator_makes_nobody_a_superuser_and_changes_none() -> None:
    boss = Person("boss", is_superuser=True)
    admin, plain = Person("ned", "administrators"), Person("new")
    address = reverse("admin:auth_user_change", args=[plain.user.pk])
    form = admin.http.get(address).context["adminform"].form
    assert {"is_superuser", "user_permissions"}.isdisjoint(form.fields)
    assert "groups" in form.fields
    said = {"username": "new", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "10:00:00", "last_login_0": "", "last_login_1": ""}
    agents = Group.objects.get(name="agents").pk
    assert admin.http.post(address, {**said, **dates, "groups": [agents]}).status_code == 302
    plain.user.refresh_from_db()
    assert (plain.user.is_superuser, plain.user.groups.get().pk) == (False, agents)
    above = reverse("admin:auth_user_change", args=[boss.user.pk])
    assert admin.http.post(above, {**said, **dates, "username": "mine"}).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[boss.user.pk])
    given = {"password1": "a-long-new-passphrase", "password2": "a-long-new-passphrase", "usable_password": "true"}
    assert admin.http.post(password, given).status_code == 403


def test_whoever_logs_in_without_having_asked_for_a_page_lands_on_the_desk() -> None:
    Person("ann", "agents", on_duty=True, password="correct horse battery")
    answer = Client().post(reverse("admin:login"), {"username": "ann", "password": "correct horse battery"})
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))
