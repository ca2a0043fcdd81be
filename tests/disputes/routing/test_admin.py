"""Queues, agents and calendars, as a supervisor keeps them in the admin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from config.values.ids import new_id
from disputes.outbox.models import OutboxTopic
from disputes.policy.packs import SHIPPED, load_packs
from disputes.routing import assigning, deadlines
from disputes.routing.models import Agent, Calendar, Queue, RoutedCase
from disputes.routing.staffing import save_agent
from tests.disputes.routing.scene import NOW, agent, enter, hear, hear_who_waits, owner, within

pytestmark = pytest.mark.django_db

HOUSE = load_packs(SHIPPED).by_name["house"][-1]
MODELS = ("queue", "agent", "calendar", "routedcase", "escalation")


def somebody(group: str) -> Client:
    user = User.objects.create_user(group, is_staff=True)
    user.groups.set([Group.objects.get(name=group)])
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss() -> Client:
    return somebody("supervisors")


def listed(model: str) -> str:
    return reverse(f"admin:disputes_{model}_changelist")


def page(one: Any) -> str:
    return reverse(f"admin:disputes_{one._meta.model_name}_change", args=[one.pk])


def add(model: str) -> str:
    return reverse(f"admin:disputes_{model}_add")


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200, answer.status_code
    return dict(answer.context["adminform"].form.errors)


def saved(answer: Any) -> None:
    assert answer.status_code == 302, errors(answer)


WEEK = "Monday 09:00-18:00\nTuesday 22:00-06:00"
CALENDAR = {
    "name": "Lender",
    "zone": "Asia/Shanghai",
    "hours": WEEK,
    "country": "cn",
    "subdivision": "",
    "days_off": "2026-11-03",
    "extra_days": "2026-11-07 Monday",
}


class TestACalendar:
    def test_is_entered_in_words_and_shown_as_it_was_written(self, boss):
        saved(boss.post(add("calendar"), CALENDAR))
        made = Calendar.objects.get()
        assert made.hours == {"0": [["09:00", "18:00"]], "1": [["22:00", "06:00"]]}
        assert (made.country, made.days_off, made.extra_days) == ("CN", [date(2026, 11, 3)], {"2026-11-07": 0})
        shown = boss.get(page(made)).content.decode()
        assert WEEK in shown
        assert "2026-11-07 Monday" in shown

    def test_a_new_one_proposes_weekdays_from_nine_to_six(self, boss):
        assert "Friday 09:00-18:00" in boss.get(add("calendar")).content.decode()

    @pytest.mark.parametrize(
        ("field", "text", "why"),
        [
            ("zone", "Mars/Olympus", "No zone"),
            ("zone", "../etc/passwd", "No zone"),
            ("hours", "", "required"),
            ("hours", "Monday 9-5", "no time of day"),
            ("hours", "Monday 09:00-09:00", "no length"),
            ("country", "XX", "not known"),
            ("subdivision", "ENG", "no such part"),
            ("days_off", "tomorrow", "no date"),
            ("extra_days", "2026-11-07", "which weekday"),
            ("name", "", "required"),
        ],
    )
    def test_is_refused_by_field_with_the_reason(self, boss, field, text, why):
        answer = boss.post(add("calendar"), {**CALENDAR, field: text})
        assert why in errors(answer)[field][0]
        assert not Calendar.objects.exists()

    def test_changed_moves_the_deadlines_that_run_on_it(self, boss):
        saved(boss.post(add("calendar"), {**CALENDAR, "hours": "Monday 09:00-18:00\nTuesday 09:00-18:00"}))
        made, dispute = Calendar.objects.get(), new_id()
        due = within(deadlines.start_clocks, dispute=dispute, pack=HOUSE, opened_at=NOW, now=NOW)
        saved(boss.post(page(made), {**CALENDAR, "hours": "Monday 09:00-10:00"}))
        made.refresh_from_db()
        assert made.revision == 2
        hear("calendar.changed")
        moved = deadlines.due_of(dispute=dispute)
        assert moved is not None
        assert moved.decide_by > due.decide_by
        assert OutboxTopic.objects.filter(topic="deadline.changed", key=str(dispute)).exists()


class TestAnAgent:
    def entry(self, who: User, **more: Any) -> dict[str, Any]:
        return {"user": who.pk, "capacity": 3, "on_duty": "on", "languages": ["en"], "products": ""} | more

    def test_is_entered_with_skills_and_given_what_waits(self, boss):
        dispute = enter()
        hear_who_waits()
        user = User.objects.create(username="ann", is_staff=True)
        fraud = Queue.objects.create(name="Fraud")
        said = self.entry(user, products=" card \n\ncash\ncard", grounds=["already_paid"])
        saved(boss.post(add("agent"), said))
        made = Agent.objects.get()
        assert (made.languages, made.grounds, made.products) == (["en"], ["already_paid"], ["card", "cash"])
        Agent.objects.update(products=[])
        saved(boss.post(page(made), {**said, "products": "", "queues": [fraud.pk]}))
        assert list(made.queues.all()) == [fraud]
        saved(boss.post(page(made), {**said, "products": ""}))
        hear_who_waits()
        assert owner(dispute) == "ann"

    @pytest.mark.parametrize(
        ("field", "text"),
        [("languages", "klingon"), ("grounds", "bored"), ("capacity", "-1"), ("capacity", "1001"), ("user", "")],
    )
    def test_is_refused_by_field(self, boss, field, text):
        user = User.objects.create(username="ann", is_staff=True)
        assert field in errors(boss.post(add("agent"), self.entry(user, **{field: text})))

    def test_is_a_member_of_the_staff_and_entered_once(self, boss):
        outside = User.objects.create(username="customer")
        assert "user" in errors(boss.post(add("agent"), self.entry(outside)))
        assert "user" in errors(boss.post(add("agent"), self.entry(agent("ann").user)))

    def test_a_capacity_that_is_lowered_takes_no_case_away(self, boss):
        ann = agent("ann", capacity=2)
        rows = [enter(), enter()]
        assigning.assign_waiting(now=NOW)
        saved(boss.post(page(ann), self.entry(ann.user, capacity=1)))
        ann.refresh_from_db()
        assert (ann.capacity, [owner(one) for one in rows]) == (1, ["ann", "ann"])

    def test_a_form_that_was_open_for_long_puts_nothing_back(self, boss):
        """Only what was changed in it is written: Ann went on duty, and was given a case, meanwhile."""
        ann = agent("ann", on_duty=False)
        stale = Agent.objects.get(pk=ann.pk)
        Agent.objects.filter(pk=ann.pk).update(on_duty=True, last_given_at=NOW)
        stale.capacity = 7
        save_agent(agent=stale, changed=["capacity", "queues"])
        ann.refresh_from_db()
        assert (ann.capacity, ann.on_duty, ann.last_given_at) == (7, True, NOW)

    def test_names_its_user_without_a_link_that_supervisors_may_not_follow(self, boss):
        shown = boss.get(page(agent("ann"))).content.decode()
        assert "ann" in shown
        assert "/admin/auth/user/" not in shown

    def test_is_listed_with_their_load(self, boss, django_assert_max_num_queries):
        for n in range(12):
            agent(f"agent-{n}", capacity=9)
        for _ in range(13):
            enter()
        assigning.assign_waiting(now=NOW)
        with django_assert_max_num_queries(20):
            answer = boss.get(listed("agent"))
        assert sorted(one.load for one in answer.context["cl"].result_list) == [1] * 11 + [2]


class TestAQueue:
    def test_takes_what_is_chosen_and_nothing_chosen_is_all(self, boss):
        made = {"name": "Fraud", "place": 1, "grounds": ["identity_theft"], "products": ""}
        saved(boss.post(add("queue"), made))
        theft, paid = enter(ground="identity_theft"), enter()
        rows = RoutedCase.objects.select_related("queue").in_bulk([theft, paid])
        assert (rows[theft].queue.name, rows[paid].queue.name) == ("Fraud", "All disputes")
        assert "products" in errors(boss.post(add("queue"), {**made, "name": "x", "products": "x" * 121}))


class TestWhatWaits:
    def test_cases_that_nobody_fits_are_a_list_of_their_own(self, boss, django_assert_max_num_queries):
        agent("ann", languages=["zh-hans"])
        unfit = [enter() for _ in range(3)]
        given = enter(language="zh-hans")
        assigning.assign_waiting(now=NOW)
        with django_assert_max_num_queries(20):
            shown = boss.get(listed("routedcase"), {"agent": "none"})
        assert {row.pk for row in shown.context["cl"].result_list} == set(unfit)
        everything = boss.get(listed("routedcase"))
        assert given in {row.pk for row in everything.context["cl"].result_list}
        assert reverse("admin:disputes_dispute_change", args=[given]) in everything.content.decode()

    def test_deadlines_that_were_missed_are_listed(self, boss):
        dispute = new_id()
        within(deadlines.start_clocks, dispute=dispute, pack=HOUSE, opened_at=NOW, now=NOW)
        deadlines.raise_alarms(now=datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=1))
        shown = boss.get(listed("escalation"))
        assert [row.clock for row in shown.context["cl"].result_list] == ["decide", "first_answer"]
        row = shown.context["cl"].result_list[0]
        assert boss.post(page(row), {"kind": "near"}).status_code == 403


@pytest.mark.parametrize(
    ("group", "sees", "changes"),
    [
        ("supervisors", True, True),
        ("auditors", True, False),
        ("agents", False, False),
        ("administrators", False, False),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_who_may_open_and_who_may_change_what(group, sees, changes, model):
    reads_only = model in ("routedcase", "escalation")
    who = somebody(group)
    assert who.get(listed(model)).status_code == (200 if sees else 403)
    assert who.get(add(model)).status_code == (200 if changes and not reads_only else 403)
    made = Queue.objects.create(name="Fraud")
    answer = who.post(page(made), {"name": "Stolen", "place": 1, "products": ""})
    made.refresh_from_db()
    assert (answer.status_code, made.name) == ((302, "Stolen") if changes else (403, "Fraud"))
    assert who.post(reverse("admin:disputes_queue_delete", args=[made.pk]), {"post": "yes"}).status_code == 403
