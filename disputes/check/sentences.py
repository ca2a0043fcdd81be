"""Findings in plain words, for the person who disputes.

One sentence a key, in English and simplified Chinese. A parameter that is an amount or a date is written as the
reader writes it. Templates name their parameters in braces; ``{days:day}`` counts days.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

LANGUAGES = ("en", "zh-hans")

SENTENCES: Mapping[str, Mapping[str, str]] = {
    "records_missing": {
        "en": (
            "The lender's records that we have do not show this loan and its payment plan, so a person "
            "will look into it."
        ),
        "zh-hans": "我们掌握的记录中没有这笔贷款及其还款计划,将由工作人员核实。",
    },
    "settled": {
        "en": "The loan had been over since {settled_on}, so nothing was owed on {day}, the day of the message.",
        "zh-hans": "这笔贷款已于{settled_on}了结,短信发出当天({day})您不欠任何款项。",
    },
    "paid_off": {
        "en": "On {day}, the day of the message, everything on this loan had been paid.",
        "zh-hans": "短信发出当天({day}),这笔贷款已全部还清。",
    },
    "nothing_overdue": {
        "en": "On {day}, the day of the message, nothing on this loan was overdue.",
        "zh-hans": "短信发出当天({day}),这笔贷款没有任何逾期款项。",
    },
    "fewer_days": {
        "en": "On {day} the loan was {days:day} overdue; this kind of message may go out only from day {needed}.",
        "zh-hans": "{day}这笔贷款逾期{days}天;此类短信须逾期满{needed}天才可发送。",
    },
    "was_overdue": {
        "en": "On {day} the loan was {days:day} overdue: {amount}, due since {due_on}.",
        "zh-hans": "{day}这笔贷款已逾期{days}天:应于{due_on}归还,逾期金额{amount}。",
    },
    "instalment_paid": {
        "en": "Nothing was left to pay of the instalment due on {due_on} that the message reminded you of.",
        "zh-hans": "短信提醒的{due_on}到期的一期款项,当时已无须再付。",
    },
    "instalment_open": {
        "en": "On {day}, {amount} was still to be paid of the instalment due on {due_on}.",
        "zh-hans": "{day},{due_on}到期的一期款项尚有{amount}未付。",
    },
    "late_posting": {
        "en": (
            "You had paid {amount} (latest on {paid_on}), but the records showed it in full only on "
            "{posted_on}, after the message."
        ),
        "zh-hans": "您已支付{amount}(最近一笔为{paid_on}),但记录在短信发出之后的{posted_on}才全部显示。",
    },
    "stale_list": {
        "en": "You had paid {amount} and the records showed it, but the message was sent from a list made before that.",
        "zh-hans": "您已支付{amount}且记录已显示,但发送短信所用的名单是在此之前生成的。",
    },
    "late_but_changed_nothing": {
        "en": (
            "What you paid, {amount} (latest on {paid_on}), was recorded in full only on {posted_on}; that did not "
            "change whether the message could be sent."
        ),
        "zh-hans": "您支付的{amount}(最近一笔为{paid_on})于{posted_on}才全部入账;这不影响当时是否可以发送短信。",
    },
    "reversal_taken_back": {
        "en": "A payment of {amount} had been taken off the account by mistake and was put back later.",
        "zh-hans": "一笔{amount}的付款曾被错误冲销,后来已恢复。",
    },
    "changed_afterwards": {
        "en": "The records were corrected after the message; by the corrected records it should not have been sent.",
        "zh-hans": "短信发出后记录得到更正;按更正后的记录,该短信不应发送。",
    },
    "inside_grace": {
        "en": "The loan was {days:day} overdue, within the {grace_days:day} of grace.",
        "zh-hans": "这笔贷款逾期{days}天,仍在{grace_days}天的宽限期内。",
    },
    "arrangement": {
        "en": "On {day} an agreed payment arrangement was running, and you had kept it.",
        "zh-hans": "{day}您与贷款机构约定的还款安排仍在执行,且您一直履约。",
    },
    "pause": {
        "en": "On {day} collection on this loan was paused.",
        "zh-hans": "{day}这笔贷款处于暂停催收期间。",
    },
    "pre_due_rule": {
        "en": "The message pressed for payment, although it came from a rule meant for reminders before the due date.",
        "zh-hans": "该短信带有催促内容,但它来自到期日前提醒的发送规则。",
    },
    "risk_rule": {
        "en": "The message was chosen by a risk estimate, not because something was overdue.",
        "zh-hans": "该短信是根据风险评估发送的,并非因为存在逾期。",
    },
    "claimed_payment_found": {
        "en": "The payment of {amount} that you made around {paid_on} is in the records and was counted.",
        "zh-hans": "您在{paid_on}前后支付的{amount}已在记录中并已计入。",
    },
    "claimed_payment_found_late": {
        "en": (
            "The payment of {amount} that you made around {paid_on} is in the records, but they showed "
            "it only on {posted_on}."
        ),
        "zh-hans": "您在{paid_on}前后支付的{amount}已在记录中,但于{posted_on}才显示。",
    },
    "claimed_payment_made_later": {
        "en": "The payment of {amount} around {paid_on} is in the records; it came in after the message was sent.",
        "zh-hans": "{paid_on}前后的{amount}付款已在记录中,但在短信发出之后才到账。",
    },
    "claimed_payment_reversed": {
        "en": "The payment of {amount} around {paid_on} is in the records, but it was undone before the message.",
        "zh-hans": "{paid_on}前后的{amount}付款已在记录中,但在短信发出前已被撤销。",
    },
    "claimed_payment_not_found": {
        "en": (
            "We could not find the payment of {amount} around {paid_on} in the records; a receipt helps us look for it."
        ),
        "zh-hans": "记录中暂未找到{paid_on}前后的{amount}付款;如有付款凭证,请提供以便我们查找。",
    },
    "claimed_payments_found": {
        "en": "{count:payment} that you named are in the records and were counted.",
        "zh-hans": "您所列的{count}笔付款已在记录中并已计入。",
    },
    "claimed_payments_found_late": {
        "en": (
            "{count:payment} that you named are in the records, but they showed the last of them only on {posted_on}."
        ),
        "zh-hans": "您所列的{count}笔付款已在记录中,但其中最晚一笔于{posted_on}才显示。",
    },
    "claimed_payments_made_later": {
        "en": "{count:payment} that you named are in the records; they came in after the message was sent.",
        "zh-hans": "您所列的{count}笔付款已在记录中,但在短信发出之后才到账。",
    },
    "claimed_payments_reversed": {
        "en": "{count:payment} that you named are in the records, but they were undone before the message.",
        "zh-hans": "您所列的{count}笔付款已在记录中,但在短信发出前已被撤销。",
    },
    "claimed_payments_not_found": {
        "en": "We could not find {count:payment} that you named in the records; receipts help us look for them.",
        "zh-hans": "记录中暂未找到您所列的{count}笔付款;如有付款凭证,请提供以便我们查找。",
    },
    "amount_differs": {
        "en": "The message named {claimed}; by the records it was {amount}.",
        "zh-hans": "短信所写金额为{claimed};按记录应为{amount}。",
    },
    "amount_agrees": {
        "en": "The amount that the message named, {claimed}, agrees with the records.",
        "zh-hans": "短信所写金额{claimed}与记录一致。",
    },
    "days_differ": {
        "en": "The message said that you were {claimed:day} overdue; by the records it was {days:day}.",
        "zh-hans": "短信所写逾期天数为{claimed}天;按记录为{days}天。",
    },
    "days_agree": {
        "en": "The message said that you were {claimed:day} overdue, which agrees with the records.",
        "zh-hans": "短信所写逾期天数{claimed}天与记录一致。",
    },
    "records_stale": {
        "en": "The records that we have do not reach up to {day}, so a person will look into it.",
        "zh-hans": "我们掌握的记录尚未更新到{day},将由工作人员核实。",
    },
}

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def sentence_of(finding: Mapping[str, Any], *, language: str) -> str:
    """The sentence of a rendered finding (``{"text", "params", …}``) in `language`; an unknown language reads English.

    Raises KeyError for a text that is none of SENTENCES.
    """
    known = language if language in LANGUAGES else "en"
    params = {name: _written(value, known) for name, value in finding["params"].items()}
    return SENTENCES[finding["text"]][known].format(**params)


def _written(value: Any, language: str) -> str | _Count:
    if isinstance(value, Mapping):
        return written_money(value, language)
    if isinstance(value, str):
        return written_day(date.fromisoformat(value), language)
    return _Count(value) if isinstance(value, int) else str(value)


class _Count(int):
    """A number of things: ``{days:day}`` reads "1 day", "2 days"."""

    def __format__(self, thing: str) -> str:
        if not thing:
            return str(int(self))
        return f"{int(self)} {thing}" if self == 1 else f"{int(self)} {thing}s"


def written_money(value: Mapping[str, str], language: str) -> str:
    """An amount, ``{"amount", "currency"}``, as the reader writes it."""
    whole, point, rest = value["amount"].partition(".")
    amount = f"{int(whole):,}{point}{rest}"
    if language == "zh-hans":
        return f"{amount}元" if value["currency"] == "CNY" else f"{value['currency']} {amount}"
    return f"{value['currency']} {amount}".strip()


def written_day(day: date, language: str) -> str:
    """A day as the reader writes it: ``3 February 2026``, ``2026年2月3日``."""
    if language == "zh-hans":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
