"""What a text that somebody sent back asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disputes.policy.keywords import OPT_IN, OPT_OUT, read_text
from disputes.policy.packs import SHIPPED, load_packs

PACKS = load_packs(SHIPPED)
HOUSE = PACKS.by_name["house"][-1]

AN_OPT_OUT_AND_NO_MORE = """
STOP          stop.         Stop!!        “stop”        ＳＴＯＰ      S T O P     STOP 🛑      STOPALL      opt-out
UNSUBSCRIBE   Unsubscribe;  END           Quit          cancel       opt out     please stop  Stop please.  Stop, thanks
REVOKE        revoke.       R             Ｒ          回复R        please revoke
TD            td            ＴＤ          TD!           【TD】       T           t。          回T          回复TD
退订          退訂          请退订        請退訂        【退订】     退 订        退订!!!      我要退订      退订谢谢
退订短信      拒收          取消订阅      取消訂閱      不要再发了   别发了       T退订        不要再给我发短信了
"""
AN_OPT_OUT_WITH_WORDS = [
    "STOP, I paid last week",
    "Stop. This is not me.",
    "stop! call me instead",
    "Unsubscribe me from all of this, I have a lawyer",
    "退订,不要再打扰我",
    "退订不了怎么办",
    "请退订,这不是我的贷款",
]
NO_OPT_OUT = [
    "don't stop",
    "I will not stop paying",
    "no stop",
    "stop calling",
    "STOP calling my mother, this is not me",
    "stop the letters",
    "end of the month I will pay",
    "cancel my plan",
    "quitting my job",
    "weekend",
    "endless",
    "T-shirt",
    "R 3",
    "revoked",
    "I revoke my offer",
    "T 3",
    "tomorrow",
    "stopwatch",
    "unsubscribed",
    "取消",
    "取消分期",
    "不要退订",
    "怎么退订",
    "我没有退订",
    "",
    " ",
    "🛑",
]


def kind(text: str) -> str:
    return read_text(pack=HOUSE, text=text).kind


def texts(table: str) -> list[str]:
    return [cell.strip() for line in table.strip().splitlines() for cell in line.split("  ") if cell.strip()]


@pytest.mark.parametrize("text", texts(AN_OPT_OUT_AND_NO_MORE))
def test_an_opt_out_whatever_its_case_width_script_and_marks(text: str) -> None:
    asked = read_text(pack=HOUSE, text=text)
    assert (asked.kind, asked.words) == ("opt_out", False)


@pytest.mark.parametrize("text", AN_OPT_OUT_WITH_WORDS)
def test_a_sentence_that_begins_with_the_word_is_one_too_and_is_read(text: str) -> None:
    asked = read_text(pack=HOUSE, text=text)
    assert (asked.kind, asked.words) == ("opt_out", True)


@pytest.mark.parametrize("text", NO_OPT_OUT)
def test_the_word_inside_another_or_about_something_else_is_none(text: str) -> None:
    assert kind(text) == "words"


@pytest.mark.parametrize(
    "text", ["START", "start.", "ＳＴＡＲＴ", "UNSTOP", "恢复", "恢復", "恢复短信", "请恢复短信", "opt in"]
)
def test_an_opt_in_is_the_whole_text(text: str) -> None:
    assert kind(text) == "opt_in"


@pytest.mark.parametrize("text", ["start of March I paid", "yes", "restart", "恢复正常还款", "是"])
def test_what_could_mean_something_else_is_no_opt_in(text: str) -> None:
    assert kind(text) == "words"


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("DISPUTE", ""),
        ("dispute!", ""),
        ("Dispute: I PAID on 3 March.", "I PAID on 3 March"),
        ("ＤＩＳＰＵＴＥ Not me", "Not me"),
        ("I dispute this", "this"),
        ("I'd like to dispute this debt", "this debt"),
        ("“Dispute” the amount", "” the amount"),
        ("异议", ""),
        ("異議", ""),
        ("【异议】", "】"),
        ("异议 已还款", "已还款"),
        ("异议,我三号已经還款。", "我三号已经還款"),
        ("我有异议:金额不对", "金额不对"),
        ("我要提异议", ""),
    ],
)
def test_a_dispute_keeps_the_words_that_follow_as_they_were_written(text: str, statement: str) -> None:
    asked = read_text(pack=HOUSE, text=text)
    assert (asked.kind, asked.statement.strip("”】 ")) == ("dispute", statement.strip("”】 "))


@pytest.mark.parametrize(
    "text", ["no dispute", "disputed", "disputes", "没有异议", "我没有异议", "无异议", "indisputable"]
)
def test_a_denial_or_another_word_is_no_dispute(text: str) -> None:
    assert kind(text) == "words"


@pytest.mark.parametrize(
    ("words", "ground"),
    [
        ("", "other"),
        ("this is wrong", "other"),
        ("I already paid", "already_paid"),
        ("paid", "already_paid"),
        ("I have not paid because I lost my job", "other"),
        ("I haven't paid yet", "other"),
        ("已还", "already_paid"),
        ("已還款", "already_paid"),
        ("上周已经付了", "already_paid"),
        ("已还清", "already_paid"),
        ("我没已还", "other"),
        ("not me", "not_my_debt"),
        ("wrong number", "not_my_debt"),
        ("不是我", "not_my_debt"),
        ("我不認識這個人", "not_my_debt"),
        ("不是我的,我自己的已还", "not_my_debt"),
        ("身份被冒用", "identity_theft"),
        ("贷款已结清", "no_longer_owed"),
        ("wrong amount", "wrong_amount"),
        ("金额不对", "wrong_amount"),
        ("还没到期", "not_overdue"),
        ("not overdue", "not_overdue"),
        ("太频繁了", "too_frequent"),
        ("半夜发短信", "outside_hours"),
    ],
)
def test_the_ground_is_what_the_words_name(words: str, ground: str) -> None:
    for text in (f"DISPUTE {words}", f"异议 {words}", f"异议,{words}"):
        asked = read_text(pack=HOUSE, text=text)
        assert (asked.kind, asked.ground) == ("dispute", ground), text


AROUND = st.text(st.sampled_from(" \t\n.,!?;:\"'。，！？；：()（）【】🙏🛑…-*"), max_size=6)


@given(word=st.sampled_from(sorted(OPT_OUT)), before=AROUND, after=AROUND, wide=st.booleans(), upper=st.booleans())
def test_no_marks_around_hide_an_opt_out(word: str, before: str, after: str, wide: bool, upper: bool) -> None:
    said = word.upper() if upper else word
    if wide:
        said = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in said)
    assert kind(f"{before}{said}{after}") == "opt_out"


@given(st.text(max_size=5000))
def test_anything_can_be_read_and_only_a_word_takes_a_protection_away(text: str) -> None:
    asked = read_text(pack=HOUSE, text=text)
    if asked.kind == "opt_in":
        assert any(word in "".join(filter(str.isalnum, text)).lower() for word in OPT_IN) or not text.isascii()
    assert asked.statement in text
