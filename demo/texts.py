"""What the demo lender writes in its messages. The lender is made up."""

from __future__ import annotations

_BODIES = {
    ("reminder", "zh-hans"): "【北方消费金融】您的借款将于近日到期,请按时还款 {amount}。编号 {ref}。退订回 T",
    ("urge", "zh-hans"): "【北方消费金融】您的借款已逾期,请立即还款 {amount}。编号 {ref}。退订回 T",
    ("warning", "zh-hans"): "【北方消费金融】您的借款已严重逾期,请尽快还款 {amount},以免影响信用。编号 {ref}。退订回 T",
    ("service", "zh-hans"): "【北方消费金融】您可在客户端查看本期账单与还款方式。编号 {ref}。",
    (
        "reminder",
        "en",
    ): "[North Finance] An instalment of {amount} is due soon. Please pay in time. Ref {ref}. T to stop",
    ("urge", "en"): "[North Finance] Your loan is overdue. Please pay {amount} at once. Ref {ref}. T to stop",
    (
        "warning",
        "en",
    ): "[North Finance] Your loan is long overdue. Pay {amount} now. Ref {ref}. T to stop",
    ("service", "en"): "[North Finance] Your statement and the ways to pay are in the app. Ref {ref}.",
}
_DAYS = {"zh-hans": "您的借款已逾期 {days} 天", "en": "Your loan is {days} days overdue"}
_OVERDUE = {"zh-hans": "您的借款已逾期", "en": "Your loan is overdue"}


def body(*, category: str, language: str, amount: str, days: int | None, ref: str) -> str:
    """The text of a message. `language`: ``zh-hans`` or ``en``; `amount`: as shown; `days`: past due, where it says."""
    text = _BODIES[category, language].format(amount=amount, ref=ref)
    if days is not None:
        text = text.replace(_OVERDUE[language], _DAYS[language].format(days=days))
    return text
