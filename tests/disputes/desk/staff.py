"""People of the back office in tests, as the admin knows them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from disputes.cases.models import Dispute
from disputes.routing.models import Agent, RoutedCase
from tests.callers import customer
from tests.lines import send_records
from tests.work import work


class Person:
    """A user of these groups, logged in. `on_duty`: entered as an agent who is."""

    def __init__(self, name: str, *groups: str, on_duty: bool | None = None, **more: Any) -> None:
        self.user = User.objects.create_user(username=name, is_staff=True, **more)
        self.user.groups.set(Group.objects.filter(name__in=groups))
        self.agent = None
        if on_duty is not None:
            self.agent = Agent.objects.create(user=self.user, on_duty=on_duty)
        self.http = Client()
        self.http.force_login(self.user)

    def home(self) -> Any:
        return self.http.get(reverse("admin:index"))

    def page(self, dispute: Dispute) -> Any:
        return self.http.get(reverse("admin:disputes_dispute_change", args=[dispute.pk]))

    def form(self, dispute: Dispute, act: str) -> Any:
        """The act's form as the page shows it; KeyError where it does not."""
        return self.page(dispute).context["forms"][act]

    def act(self, dispute: Dispute, act: str, *, once: str | None = None, **said: Any) -> Any:
        """Posts an act, with the hidden fields of the page where it shows the form."""
        hidden = {"once": once or "00000000-0000-7000-8000-000000000000"}
        shown = self.page(dispute).context["forms"].get(act)
        if shown is not None:
            hidden = {field.name: field.value() or "" for field in shown.hidden_fields()} | (
                {"once": once} if once else {}
            )
        return self.http.post(reverse("admin:desk_act", args=[dispute.pk, act]), {**hidden, **said})


def agent(name: str = "ann", *, on_duty: bool = True) -> Person:
    return Person(name, "agents", on_duty=on_duty)


def supervisor(name: str = "sue") -> Person:
    return Person(name, "supervisors")


def dispute_in_review(*lines: dict[str, Any], ground: str = "already_paid", who: str = "C1", **more: Any) -> Dispute:
    """A dispute about M1 that the machine left to a person."""
    send_records(*lines)
    answer = customer(who).post(
        "/api/v1/disputes",
        {"message": {"external_id": "M1"}, "ground": ground, "language": "en", **more},
        Idempotency_Key=f"{who}-{ground}",
    )
    assert answer.status_code == 201, answer.content
    work()
    dispute = Dispute.objects.get(pk=answer.json()["id"])
    assert dispute.status == "in_review", dispute.status
    return dispute


def case_of(dispute: Dispute) -> RoutedCase:
    return RoutedCase.objects.get(pk=dispute.pk)
