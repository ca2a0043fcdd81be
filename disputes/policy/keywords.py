"""What a text that somebody sent back asks for: no more texts, texts again, a dispute, or nothing that a word says.

Words are compared whole, in any case and width, with marks, blanks and pictures around or between them, and Chinese in
either script. The words here are those that carriers and lenders print in their texts; no rule prescribes them, and a
pack adds its own (`opt_out_words`). What each decision rests on stands beside it: a text that is wrongly taken for an
opt-out costs one text to undo, one that is wrongly taken for an opt-in takes a person's protection away.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from disputes.policy.packs import Pack

OPT_OUT = frozenset(
    {"stop", "stopall", "unsubscribe", "optout", "end", "quit", "cancel", "revoke", "td", "t", "r", "退订", "拒收"}
)
"""Opt-outs where they are the whole text: those of 47 CFR 64.1200(a)(10), and those that Chinese platforms have senders
print (``回TD退订``, ``拒收请回复R``; ``N``, printed too, answers any question and is a pack's to add). ``取消``
alone is none: it answers appointments and plans as well, and no text prints it; with what is to be cancelled
(``取消订阅``) it is one."""
OPT_OUT_FIRST = frozenset({"stop", "stopall", "unsubscribe"})
"""Opt-outs as the first word of a sentence too, and ``退订`` with them: hardly anything else begins so. Of the others
``end`` ``quit`` ``cancel`` begin "end of the month" and "cancel my plan", and ``t`` and ``td`` are too short."""
OPT_IN = frozenset({"start", "unstop", "optin", "恢复", "恢复短信", "恢复接收", "重新订阅"})
"""Only as the whole text: it takes a protection away. ``yes`` is none, since it answers any question."""
OTHER_MEDIA = re.compile(r"stop\s+(?:the\s+|your\s+|any\s+)?(?:call|phon|ring|visit|e-?mail|mail|letter)", re.ASCII)
"""A wish about calls, visits or letters leaves text messages open (12 CFR 1006, comment 14(h)(1)-3.i): "stop calling
my mother" goes to a person, with whatever else it says."""

_BEFORE = re.compile(r"^(?:请|麻烦|我要|我想|帮我|给我|回复|回)+|^(?:please|pls|plz|reply)\W+")
_AFTER = re.compile(
    r"(?:短信|信息|消息|通知|服务|谢谢|吧|了|啊|呀)+$"
    r"|\W+(?:(?:please|pls|plz|now|all|thanks|thank you|sending|texting|texts?|messag(?:es?|ing)|sms|me|these|this)"
    r"\W*)+$"
)
"""Politeness, and what it is that should stop: "stop these texts please" is the word and no more."""
_LONGEST = 80
"""Letters of a text that may be nothing but a wish: a longer one says something."""
_WISHES = re.compile(r"(?:不要|别|勿)再?(?:给我)?(?:发|发送)(?:短信|信息|消息)?|取消订阅|取消短信|停止发送|td?退订")
"""Wishes that use none of the words, as the whole text."""
_SIMPLIFIED = str.maketrans(
    "訂閱異議還過認識錢額復發訊證結錯誤頻繁賬帳請謝煩給沒數對",
    "订阅异议还过认识钱额复发讯证结错误频繁账账请谢烦给没数对",
)
_DISPUTE = re.compile(
    r"\W*(?:(?:i|we)\W+(?:(?:want|wish|need|would\W+like|d\W+like)\W+to\W+)?|please\W+)?dispute(?![a-z])"
    r"|\W*(?:我|们|要|想|请|现|对此|有|提出|提起|提|申请)*异议"
)
"""The word at the head of a text, with no more before it than who wants it. "No dispute" and ``没有异议`` are none."""

Kind = Literal["opt_out", "opt_in", "dispute", "words"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a text asks for.

    `words`: of an opt-out, whether it says more than that; `statement`: of a dispute, what follows its word, as it was
    written; `ground`: of a dispute, what its words name, else ``other``.
    """

    kind: Kind
    words: bool = True
    statement: str = ""
    ground: str = "other"


def read_text(*, pack: Pack, text: str) -> Asked:
    """What somebody who texted this back wants; an opt-out weighs more than all else."""
    plain = fold(text)
    opt_outs = OPT_OUT.union(_letters(fold(word)) for word in pack.opt_out_words)
    if _as_one_word(plain) & opt_outs or _WISHES.fullmatch(_letters(_bare(plain))):
        return Asked(kind="opt_out", words=False)
    if _begins_with_opt_out(plain):
        return Asked(kind="opt_out")
    if _as_one_word(plain) & OPT_IN:
        return Asked(kind="opt_in", words=False)
    found = _DISPUTE.match(plain)
    if found is not None:
        return Asked(kind="dispute", statement=_rest(text, found.end()), ground=ground_of(plain[found.end() :]))
    return Asked(kind="words")


def fold(text: str) -> str:
    """The text as it is compared: one width (NFKC), lower case, simplified Chinese."""
    return "".join(map(_fold_sign, text))


def _fold_sign(sign: str) -> str:
    return unicodedata.normalize("NFKC", sign).lower().translate(_SIMPLIFIED)


def _letters(plain: str) -> str:
    """Letters and digits alone."""
    return "".join(sign for sign in plain if sign.isalnum())


def _trimmed(plain: str) -> str:
    """Without the marks, blanks and pictures around it."""
    return plain.strip("".join({sign for sign in plain if not sign.isalnum()}))


def _bare(plain: str) -> str:
    """Without what is said around the wish itself."""
    core = _trimmed(plain)
    return core if len(core) > _LONGEST else _AFTER.sub("", _BEFORE.sub("", core))


def _as_one_word(plain: str) -> set[str]:
    """The whole text as one word: as it is, and without politeness."""
    return {_letters(plain), _letters(_bare(plain))}


def _begins_with_opt_out(plain: str) -> bool:
    core = _trimmed(plain)
    if _BEFORE.sub("", core).startswith("退订"):
        return True  # Chinese sets no blanks between words
    first = re.match(r"\w+", core)
    return first is not None and first[0] in OPT_OUT_FIRST and OTHER_MEDIA.match(core) is None


def _rest(text: str, end: int) -> str:
    """What follows the first `end` signs of the folded text, in the words that were written."""
    begin = folded = 0
    while folded < end and begin < len(text):
        folded += len(_fold_sign(text[begin]))
        begin += 1
    return text[begin:].strip(" \t\r\n,.:;!-—，。：；！、")


_NAMED: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "identity_theft",
        re.compile(r"identity theft|stolen identity|stole my identity|冒用|盗用|冒名|被骗贷"),
    ),
    (
        "not_my_debt",
        re.compile(
            r"\bnot (?:me|mine|my (?:debt|loan|account))\b|\bwrong (?:number|person)\b|\bnever borrowed\b"
            r"|不是我|不是本人|不认识|打错|发错|没借过|没有借过|没贷过|未借过|找错人"
        ),
    ),
    (
        "no_longer_owed",
        re.compile(r"\bsettled\b|\bwritten off\b|结清|核销"),
    ),
    (
        "already_paid",
        re.compile(
            r"(?<!not )(?<!n't )(?<!never )(?<!not yet )\bpaid\b|\bpayment (?:was |is )?(?:made|sent)\b"
            r"|(?<![没未])已经?还|已经?付|已经?缴|已经?支付|还过了|还了|付过了|付了|还款了|缴了"
        ),
    ),
    (
        "wrong_amount",
        re.compile(
            r"\bwrong (?:amount|sum)\b|\bamount (?:is |was )?(?:wrong|incorrect)\b|金额(?:不对|错|有误|不符)|数额不对"
        ),
    ),
    (
        "not_overdue",
        re.compile(r"\bnot (?:overdue|late|due)\b|没逾期|没有逾期|未逾期|还没到期|没到期|未到期"),
    ),
    (
        "too_frequent",
        re.compile(r"\btoo (?:many|often|frequent)\b|太频繁|太多短信|频繁"),
    ),
    (
        "outside_hours",
        re.compile(r"\bat night\b|\bmiddle of the night\b|半夜|深夜|凌晨"),
    ),
)
"""Which words name which ground, in both languages; the first that is found is taken. First who the debtor is, which
decides what a message may reveal at all; then the account; then how it was sent. Not every ground has words here: the
rest is ``other``, whose hold is the widest, for a person to read."""


def ground_of(plain: str) -> str:
    """The ground that the words of a folded text name; ``other`` where they name none."""
    return next((ground for ground, words in _NAMED if words.search(plain)), "other")
