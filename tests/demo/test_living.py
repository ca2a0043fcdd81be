"""The last weeks of the demo lender, told by the product's own functions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from demo import living, loading
from disputes.cases.models import Check, Decision, Dispute
from disputes.check.causes import CAUSES
from disputes.holds.models import Hold
from disputes.notices.models import Notice
from disputes.routing.models import Escalation, RoutedCase
from feedback.results.models import WaveSummary
from feedback.waves.models import Wave
from tests.work import work

NOW = datetime(2026, 5, 20, 6, tzinfo=UTC)


class CutShort(Exception):
    pass


def cut_short_after(acts: int):
    def tell(done: int, left: int) -> None:
        if done == acts:
            raise CutShort

    return tell


class TestTheTelling:
    def test_leaves_a_lender_that_is_worth_a_look_also_when_it_was_cut_short_once(self, transactional_db):
        loading.load(now=NOW)
        with pytest.raises(CutShort):
            living.bring_to_life(now=NOW, tell=cut_short_after(250))
        assert living.bring_to_life(now=NOW)
        assert not living.bring_to_life(now=NOW + timedelta(days=1))

        self.disputes_end_in_every_way()
        self.agents_have_work()
        self.holds_say_why_they_stand()
        self.surveys_have_figures()
        self.nothing_is_told_of_what_has_not_come()
        self.what_was_told_is_delivered()

    def disputes_end_in_every_way(self):
        counted = Counter(Dispute.objects.values_list("status", "outcome"))
        for end in ("upheld", "partly_upheld", "rejected", "withdrawn"):
            assert counted["closed", end], counted
        assert counted["in_review", None] >= 8
        assert counted["waiting_customer", None] >= 2
        causes = {cause.name for cause in CAUSES} - {"unauthorised_send"}
        assert causes <= set(Dispute.objects.values_list("last_check__cause", flat=True))
        assert Decision.objects.filter(state="waiting_second").exists()
        assert Escalation.objects.filter(clock="decide", kind="missed").exists()
        again = Counter(Dispute.objects.values_list("message", "ground"))
        assert set(again.values()) == {1}

    def agents_have_work(self):
        assert RoutedCase.objects.filter(state="waiting", unfit_since__isnull=False).exists()
        assert RoutedCase.objects.filter(owner__user__username="agent").exists()
        assert RoutedCase.objects.filter(state="assigned").values("owner").distinct().count() >= 4

    def holds_say_why_they_stand(self):
        reasons = set(Hold.objects.filter(released_at__isnull=True).values_list("reason", flat=True))
        assert reasons >= {
            "dispute_pending",
            "manual_hold",
            "opted_out",
            "outcome_not_delivered",
            "records_not_corrected",
            "wrong_number",
        }
        assert not Hold.objects.filter(dispute__isnull=False, placed_at__gt=NOW).exists()

    def surveys_have_figures(self):
        of_messages = WaveSummary.objects.filter(wave__survey__name="How we write to you").order_by("wave__opened_at")
        figures = [next(row for row in summary.questions if row["key"] == "recommend") for summary in of_messages]
        assert len(figures) >= 2
        assert all(isinstance(figure["nps"], float) for figure in figures[-2:]), figures
        assert Wave.objects.exclude(state="closed").filter(survey__name="How we write to you").count() == 1

    def nothing_is_told_of_what_has_not_come(self):
        assert not Notice.objects.filter(queued_at__gt=NOW).exists()
        assert not Dispute.objects.filter(opened_at__gt=NOW).exists()
        assert not Dispute.objects.filter(closed_at__gt=NOW).exists()

    def what_was_told_is_delivered(self):
        """What is left to the workers changes nothing that was told."""
        before = Counter(Dispute.objects.values_list("status", "outcome")), Check.objects.count()
        work()
        assert (Counter(Dispute.objects.values_list("status", "outcome")), Check.objects.count()) == before
