"""Ten told stories: a loan for each way in which a message goes wrong, and some where the lender is right.

Plain import lines, dated around the day they are made, so that they pass through the same door as a lender's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from demo.calendar import ZONE, Days

Line = dict[str, Any]

INSTALMENT = "1280.50"


class Story:
    """One customer with one loan of six instalments and one message, sent yesterday at 10:00 in the lender's zone.

    `due_in`: days from the message's day to the due date of the third instalment (negative: before it); the two before
    it were paid on their due dates. `third`: how the third was paid, as (days from the message's day, days until it was
    posted, and the hour of that).
    """

    def __init__(
        self,
        *,
        number: int,
        name: str,
        due_in: int,
        rule: str,
        category: str,
        body: str,
        third: tuple[int, int, int] | None = None,
        loan: Line | None = None,
        message: Line | None = None,
    ) -> None:
        self.number = number
        self.name = name
        self.due_in = due_in
        self.rule = rule
        self.category = category
        self.body = body
        self.third = third
        self.loan = loan or {}
        self.message = message or {}

    @property
    def customer(self) -> str:
        return f"C-{self.number}"

    def lines(self, *, today: date) -> Iterator[Line]:
        at = Days(today).at
        sent = today - timedelta(days=1)
        due = [sent + timedelta(days=self.due_in + 30 * (place - 2)) for place in range(6)]
        opened = due[0] - timedelta(days=30)
        loan = f"L-{self.number}"
        phone = f"+861380013{self.number}"
        yield {
            "type": "customer",
            "external_id": self.customer,
            "posted_at": at(opened, 9),
            "name": self.name,
            "phones": [{"number": phone, "role": "own"}],
            "language": "zh-hans",
            "time_zones": [ZONE],
        }
        yield {
            "type": "loan",
            "external_id": loan,
            "posted_at": at(opened, 9),
            "customer": self.customer,
            "product": "cash-loan",
            "currency": "CNY",
            "principal": str(Decimal(INSTALMENT) * 6),
            "opened_on": opened.isoformat(),
            "time_zone": ZONE,
            **{key: value(sent) if callable(value) else value for key, value in self.loan.items()},
        }
        for place, day in enumerate(due, start=1):
            yield {
                "type": "instalment",
                "external_id": f"{loan}-{place}",
                "posted_at": at(opened, 9),
                "loan": loan,
                "number": place,
                "due_on": day.isoformat(),
                "amount": INSTALMENT,
            }
        for place in (0, 1):
            yield _repayment(loan, place + 1, paid=at(due[place], 15), posted=at(due[place], 16))
        if self.third is not None:
            paid = sent + timedelta(days=self.third[0])
            yield _repayment(loan, 3, paid=at(paid, 9), posted=at(paid + timedelta(days=self.third[1]), self.third[2]))
        yield {
            "type": "message",
            "external_id": f"M-{self.number}",
            "posted_at": at(sent, 10),
            "loan": loan,
            "phone": phone,
            "channel": "sms",
            "category": self.category,
            "sent_at": at(sent, 10),
            "list_built_at": at(sent, 6),
            "sending_rule": self.rule,
            "campaign": f"{self.rule}-{sent:%m%d}",
            "vendor": "sms-north",
            "body": self.body,
            "short_ref": f"R{self.number}",
            **self.message,
        }


def _repayment(loan: str, number: int, *, paid: str, posted: str) -> Line:
    return {
        "type": "repayment",
        "external_id": f"{loan}-P{number}",
        "loan": loan,
        "amount": INSTALMENT,
        "paid_at": paid,
        "posted_at": posted,
        "method": "bank transfer",
        "reference": f"{loan}-P{number}",
    }


URGE = "【北方消费金融】您的借款已逾期,请立即还款 1280.50 元。编号 {ref}。退订回 T"
REMIND = "【北方消费金融】您的借款将于近日到期,请按时还款 1280.50 元。编号 {ref}。退订回 T"


def stories() -> list[Story]:
    """The cast. Causes: late posting, stale list, grace, arrangement, settled, risk, wrong rule; then three in
    order."""

    def urge(number: int, name: str, due_in: int, rule: str = "overdue-1", **more: Any) -> Story:
        body = URGE.format(ref=f"R{number}")
        return Story(number=number, name=name, due_in=due_in, rule=rule, category="urge", body=body, **more)

    return [
        urge(1001, "王芳", -2, third=(-3, 4, 0)),
        urge(1002, "李伟", -1, third=(-1, 1, 8)),
        urge(1003, "张敏", -2, loan={"grace_days": 5}),
        urge(
            1004,
            "刘洋",
            -9,
            loan={
                "arrangements": lambda sent: [
                    {"from": (sent - timedelta(days=8)).isoformat(), "until": (sent + timedelta(days=20)).isoformat()}
                ]
            },
        ),
        urge(1005, "陈静", -4, loan={"settled_on": lambda sent: (sent - timedelta(days=6)).isoformat()}),
        urge(1006, "杨磊", 12, rule="early-risk"),
        urge(1007, "赵丽", -3, rule="overdue-7"),
        urge(1008, "黄强", -12),
        urge(1009, "周涛", -25, message={"claimed_days_past_due": 25, "claimed_amount": INSTALMENT}),
        Story(
            number=1010,
            name="吴倩",
            due_in=3,
            rule="due-soon",
            category="reminder",
            body=REMIND.format(ref="R1010"),
        ),
    ]


def story_lines(*, today: date) -> Iterator[Line]:
    """Every line of the ten. `today`: the local date in the lender's zone."""
    for story in stories():
        yield from story.lines(today=today)
