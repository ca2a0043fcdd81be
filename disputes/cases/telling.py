"""What customers are told of their dispute by SMS or e-mail: short, and neutral, since somebody else may read it.

Only the reference, a date and how the dispute went: never the loan, an amount, or whose debt it is. The letter says the
rest, to whoever may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from config.fields import phone_digest
from config.statements import run
from disputes.cases.models import Comment, Dispute
from disputes.cases.reading import read_selector
from disputes.notices.models import Notice
from disputes.notices.sending import NewNotice, new_notice, queue_notice
from disputes.records import queries as records
from disputes.records.reaching import Reaching

TEXTS: Mapping[str, Mapping[str, str]] = {
    "zh-hans": {
        "acknowledgement": "【{lender}】已收到您的异议{reference},正在核查,期间暂停相关催收短信。最迟{by}答复。",
        "question": "【{lender}】关于您的异议{reference}:{text}",
        "upheld": "【{lender}】您的异议{reference}已有结果:异议成立。{where}",
        "partly_upheld": "【{lender}】您的异议{reference}已有结果:部分成立。{where}",
        "rejected": "【{lender}】您的异议{reference}已有结果:未获支持。{where}",
        "link": "详情:{link}",
        "no_link": "请在应用内查看答复函。",
        "subject": "您的异议{reference}",
        "day": "%Y年%m月%d日",
    },
    "en": {
        "acknowledgement": "{lender}: we have your dispute {reference} and are checking it. Related collection texts"
        " are on hold. You will hear from us by {by}.",
        "question": "{lender}, about your dispute {reference}: {text}",
        "upheld": "{lender}: your dispute {reference} is decided: upheld. {where}",
        "partly_upheld": "{lender}: your dispute {reference} is decided: partly upheld. {where}",
        "rejected": "{lender}: your dispute {reference} is decided: not upheld. {where}",
        "link": "Details: {link}",
        "no_link": "The letter is in your app.",
        "subject": "Your dispute {reference}",
        "day": "%d %b %Y",
    },
}


def acknowledgement(*, dispute: Dispute, address: tuple[str, str], now: datetime) -> Notice | None:
    """What says that the dispute is here and what happens now, to be written, with its topic, in the transaction that
    opens it. `address`: the opener's, by channel (`address_of_opener`); None where they cannot be reached."""
    if not address[1]:
        return None
    texts = TEXTS[dispute.language]
    by = dispute.first_answer_by.astimezone(ZoneInfo(settings.LENDER_TIME_ZONE)).strftime(texts["day"])
    text = _fill(dispute, "acknowledgement", by=by)
    return new_notice(_notice(dispute, kind="acknowledgement", key="1", address=address, text=text), now=now)


def tell_question(*, dispute: Dispute, comment: Comment, now: datetime) -> None:
    """Passes an agent's question on. Needs the transaction that asks it."""
    text = _fill(dispute, "question", text=comment.text)
    _tell(dispute=dispute, kind="question", key=str(comment.pk), text=text, now=now)


def tell_outcome(*, dispute: Dispute, link: str, now: datetime) -> None:
    """Says how the dispute was closed, with the way to its letter. Needs the transaction that closes it.

    `link`: the letter's address; empty: the app shows it.
    """
    texts = TEXTS[dispute.language]
    where = texts["link"].format(link=link) if link else texts["no_link"]
    text = _fill(dispute, str(dispute.outcome), where=where)
    key = f"{dispute.closed_at:%Y%m%dT%H%M%S%f}"
    _tell(dispute=dispute, kind="outcome", key=key, text=text, now=now)


def _fill(dispute: Dispute, name: str, **fields: str) -> str:
    lender = settings.LENDER_NAME
    return TEXTS[dispute.language][name].format(lender=lender, reference=dispute.reference, **fields)


def _tell(*, dispute: Dispute, kind: str, key: str, text: str, now: datetime) -> None:
    address = address_of_opener(dispute, at=now)
    if address[1]:
        queue_notice(_notice(dispute, kind=kind, key=key, address=address, text=text), now=now)


def _notice(dispute: Dispute, *, kind: str, key: str, address: tuple[str, str], text: str) -> NewNotice:
    channel, to = address
    return NewNotice(
        kind=kind,
        subject=dispute.pk,
        key=key,
        channel=channel,
        address=to,
        language=dispute.language,
        text=text,
        subject_line=TEXTS[dispute.language]["subject"].format(reference=dispute.reference),
    )


def address_of_opener(
    dispute: Dispute, *, at: datetime, reaching: Reaching | None = None, number: str | None = None
) -> tuple[str, str]:
    """Where whoever opened the dispute is reached: (``sms`` or ``email``, address); the address is empty where nothing
    is known.

    A customer: their own number (the one that was texted, where it is theirs), else their e-mail. A person who has only
    the phone: that phone, where its number is known from the message or from how they described it. Never a number that
    the records do not give to whom the dispute is for.

    `reaching`, `number`: of the dispute's customer and of its message, where they were read already.
    """
    if dispute.customer is not None:
        texted = dispute.message.phone_digest if dispute.message else dispute.phone_digest
        rather = {dispute.customer: bytes(texted)} if texted is not None else None
        if reaching is None:
            reaching = Reaching([dispute.customer])
            run(*reaching.asked)
        reached = reaching.found(at=at, rather=rather)[dispute.customer]
        if reached.number:
            return "sms", reached.number
        return "email", reached.email or ""
    if number is None and dispute.message is not None:
        number = records.number_of_message(dispute.message)
    number = number or read_selector(dispute.selector).get("phone")
    if number and dispute.phone_digest is not None and phone_digest(number) == bytes(dispute.phone_digest):
        return "sms", number
    return "sms", ""
