"""What letters say, in both languages: plain sentences, each of which stands for itself.

The silent ones say nothing of a debt, of whose it would be, or of what a message said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Texts = Mapping[str, str]

EN: Texts = {
    "title": "Our answer to your dispute",
    "dispute": "Dispute",
    "decided": "Decided on",
    "opened": "Received on",
    "facts": "What we looked at",
    "reasons": "Why",
    "words": "From the person who decided",
    "messages": "What happens to text messages now",
    "appeal": "If you disagree",
    "ways": "Other ways open to you",
    "print": "Print",
    "no_demand": "This letter is not a demand for payment.",
    # --- the decision ---
    "upheld": "Your dispute is upheld: you were right, and the message should not have been sent.",
    "partly_upheld": "Your dispute is partly upheld: you were right in part.",
    "rejected": "Your dispute is not upheld.",
    "withdrawn": "You withdrew your dispute, so nothing was decided.",
    "merged": "Your dispute was joined with another of yours, which carries on in its place.",
    "silent.upheld": "Your dispute is upheld.",
    "silent.partly_upheld": "Your dispute is partly upheld.",
    "silent.rejected": "Your dispute is not upheld.",
    "silent.withdrawn": "You withdrew your dispute, so nothing was decided.",
    "silent.merged": "Your dispute was joined with another of yours, which carries on in its place.",
    # --- facts ---
    "fact.message": "The message was sent",
    "fact.days": "Overdue on that day, by all that is known today",
    "fact.days_known": "Overdue on that day, as our records showed it then",
    "fact.overdue": "Overdue amount on that day, by all that is known today",
    "fact.overdue_known": "Overdue amount on that day, as our records showed it then",
    "fact.checked": "Records last checked on",
    "days": "{count} days",
    "one_day": "1 day",
    # --- reasons ---
    "reason.automatic": "Our records themselves show that you are right.",
    "reason.records_were_wrong": "Our records were wrong or came too late.",
    "reason.payment_proved": "You showed that you had paid.",
    "reason.agreement_proved": "You showed what had been agreed with you.",
    "reason.not_their_debt": "The message was not meant for you.",
    "reason.sent_wrongly": "The message broke our rules for such messages.",
    "reason.amount_wrong": "The amount that the message named was wrong.",
    "reason.goodwill": "We decided in your favour, although the facts could not be settled.",
    "reason.records_confirm_arrears": "The records confirm that the payment was overdue when the message was sent.",
    "reason.amount_confirmed": "The records confirm the amount that the message named.",
    "reason.payment_not_found": "The payment that you named could not be found in the records.",
    "reason.nothing_proved": "Nothing that we found or were shown supports what you disputed.",
    "reason.sent_rightly": "The message kept to the rules for such messages.",
    "reason.other": "The reason is in the words below.",
    "silent.reason.upheld": "We looked into how messages came to be sent to this number and found that you are right.",
    "silent.reason.partly_upheld": "We looked into how messages came to be sent to this number and found that you are "
    "right in part.",
    "silent.reason.rejected": "We looked into how messages came to be sent to this number. Nothing that we found or "
    "were shown lets us uphold your dispute.",
    # --- messages ---
    "messages.number": "No collection message goes to this number any more.",
    "messages.uncorrected": "The messages that you disputed stay stopped until our records show what we found.",
    "messages.upheld": "The messages that you disputed were stopped while we looked into it. That stop ends now that "
    "you have this answer; nothing is sent again on the basis that turned out to be wrong.",
    "messages.rejected": "The messages that you disputed stay stopped for {hours} hours after you have received this "
    "answer, so that you can read it and object. After that they may go on.",
    "messages.withdrawn": "The messages that you disputed may go on.",
    "messages.merged": "Messages stay stopped while the dispute that yours was joined with is open.",
    "silent.messages.upheld": "Messages to you in this matter were stopped while we looked into it. Nothing is sent "
    "again on a basis that turned out to be wrong.",
    "silent.messages.rejected": "Messages to you in this matter stay stopped for {hours} hours after you have received "
    "this answer, so that you can read it and object.",
    # --- ways on ---
    "appeal.once": "You may appeal once. Tell us, in the app or in answer to our message, that you disagree, and name "
    "the reference {reference}. Somebody other than who decided will look at it, and messages stop again meanwhile.",
    "appeal.evidence": "Whatever you can show us helps: a receipt, a statement of your account, or a picture of the "
    "message.",
    "silent.appeal.evidence": "Whatever you can show us helps, such as a picture of the message.",
}

ZH: Texts = {
    "title": "异议处理结果",
    "dispute": "异议编号",
    "decided": "处理日期",
    "opened": "受理日期",
    "facts": "我们核实的事实",
    "reasons": "处理理由",
    "words": "处理人员的说明",
    "messages": "短信将如何处理",
    "appeal": "如果您不同意",
    "ways": "您还可以通过以下途径解决",
    "print": "打印",
    "no_demand": "本函不是催款通知。",
    # --- the decision ---
    "upheld": "您的异议成立:您是对的,该短信不应发送。",
    "partly_upheld": "您的异议部分成立:您在部分问题上是对的。",
    "rejected": "您的异议未获支持。",
    "withdrawn": "您已撤回异议,因此未作出处理决定。",
    "merged": "您的异议已并入您的另一项异议,由后者继续处理。",
    "silent.upheld": "您的异议成立。",
    "silent.partly_upheld": "您的异议部分成立。",
    "silent.rejected": "您的异议未获支持。",
    "silent.withdrawn": "您已撤回异议,因此未作出处理决定。",
    "silent.merged": "您的异议已并入您的另一项异议,由后者继续处理。",
    # --- facts ---
    "fact.message": "短信发送时间",
    "fact.days": "当天的逾期天数(按现有全部记录)",
    "fact.days_known": "当天的逾期天数(按当时的记录)",
    "fact.overdue": "当天的逾期金额(按现有全部记录)",
    "fact.overdue_known": "当天的逾期金额(按当时的记录)",
    "fact.checked": "最近一次核对记录的日期",
    "days": "{count}天",
    "one_day": "1天",
    # --- reasons ---
    "reason.automatic": "我们的记录本身就表明您是对的。",
    "reason.records_were_wrong": "我们的记录有误或更新过晚。",
    "reason.payment_proved": "您证明了已经付款。",
    "reason.agreement_proved": "您证明了与您达成的约定。",
    "reason.not_their_debt": "该短信本不应发给您。",
    "reason.sent_wrongly": "该短信违反了我们的发送规则。",
    "reason.amount_wrong": "短信所写的金额有误。",
    "reason.goodwill": "事实虽无法完全查清,我们作出了有利于您的处理。",
    "reason.records_confirm_arrears": "记录证实,发送短信时该笔款项已经逾期。",
    "reason.amount_confirmed": "记录证实了短信所写的金额。",
    "reason.payment_not_found": "记录中未能找到您所说的付款。",
    "reason.nothing_proved": "我们查到的以及您提供的材料均不足以支持您的异议。",
    "reason.sent_rightly": "该短信的发送符合相关规则。",
    "reason.other": "理由见下方说明。",
    "silent.reason.upheld": "我们核查了短信为何发送到该号码,认定您是对的。",
    "silent.reason.partly_upheld": "我们核查了短信为何发送到该号码,认定您在部分问题上是对的。",
    "silent.reason.rejected": "我们核查了短信为何发送到该号码。现有材料不足以支持您的异议。",
    # --- messages ---
    "messages.number": "今后不再向该号码发送催收短信。",
    "messages.uncorrected": "在我们的记录得到更正之前,您所异议的短信继续暂停发送。",
    "messages.upheld": "核查期间已暂停发送您所异议的短信。您收到本函后暂停结束;已认定有误的依据不会再用于发送短信。",
    "messages.rejected": "自您收到本函起{hours}小时内,您所异议的短信继续暂停,以便您阅读并提出意见;此后可能恢复发送。",
    "messages.withdrawn": "您所异议的短信可能恢复发送。",
    "messages.merged": "在合并后的异议处理期间,短信继续暂停发送。",
    "silent.messages.upheld": "核查期间已暂停就此事向您发送短信;已认定有误的依据不会再用于发送短信。",
    "silent.messages.rejected": "自您收到本函起{hours}小时内,继续暂停就此事向您发送短信,以便您阅读并提出意见。",
    # --- ways on ---
    "appeal.once": "您可以申诉一次:请在应用内或回复我们的短信表明不同意,并注明异议编号{reference}。"
    "申诉由另一位工作人员处理,期间再次暂停发送短信。",
    "appeal.evidence": "请尽量提供材料,例如付款凭证、账户流水或短信截图。",
    "silent.appeal.evidence": "请尽量提供材料,例如短信截图。",
}

_WIDE = {",": "，", ";": "；", ":": "：", "?": "？", "!": "！", "(": "（", ")": "）"}
_BESIDE_CHINESE = re.compile(r"(?<=[\u4e00-\u9fff])[,;:?!()]|[,;:?!()](?=[\u4e00-\u9fff])")


def punctuated(text: str, language: str) -> str:
    """Chinese text with the marks that are printed beside Chinese: wide ones. Marks among digits and letters stay."""
    return _BESIDE_CHINESE.sub(lambda mark: _WIDE[mark.group()], text) if language == "zh-hans" else text


TEXTS: Mapping[str, Texts] = {
    "en": EN,
    "zh-hans": {key: punctuated(text, "zh-hans") for key, text in ZH.items()},
}

if EN.keys() != ZH.keys():
    raise RuntimeError(f"a letter's text is there in one language alone: {sorted(EN.keys() ^ ZH.keys())}")
