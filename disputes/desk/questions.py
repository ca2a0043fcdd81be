"""Questions that agents put to customers again and again, in the customer's language. They name nothing of the debt:
the answer may be read on a locked screen."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop as _

from disputes.desk.words import Spoken

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "receipt": {
        "en": "Please send us a receipt or a statement of your account that shows the payment: the day, the amount and "
        "who received it.",
        "zh-hans": "请提供能显示该笔付款的凭证或账户流水:付款日期、金额和收款方。",
    },
    "which_payment": {
        "en": "Please tell us when you paid, how much, and by which way (bank, app, shop), so that we can look for it.",
        "zh-hans": "请告知您的付款日期、金额和付款方式(银行、应用或门店),以便我们查找。",
    },
    "the_message": {
        "en": "Please send us a picture of the message, with the day and the sender's number in it.",
        "zh-hans": "请提供短信截图,需显示接收日期和发送号码。",
    },
    "agreement": {
        "en": "Please tell us with whom you made the agreement that you mention, when, and what was agreed.",
        "zh-hans": "请告知您所说的约定是何时、与谁达成的,内容是什么。",
    },
}
"""Code → language → text."""

TITLES = Spoken(
    {
        "receipt": _("A receipt for the payment"),
        "which_payment": _("Which payment was it?"),
        "the_message": _("A picture of the message"),
        "agreement": _("What was agreed, and with whom?"),
    }
)


def question(code: str, *, language: str) -> str:
    """The text of a question in ``zh-hans`` or ``en``; an unknown language reads English. Raises KeyError."""
    texts = QUESTIONS[code]
    return texts.get(language) or texts["en"]
