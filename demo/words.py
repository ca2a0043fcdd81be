"""What the people of the demo lender say: customers who dispute, agents who answer."""

from __future__ import annotations

STATEMENTS = {
    ("already_paid", "zh-hans"): (
        "我已经转账还款了,有银行回单,请核实后不要再发催收短信。",
        "这一期昨天晚上就还了,为什么还说我逾期?",
        "钱早就扣了,你们系统没更新吧?",
    ),
    ("not_overdue", "zh-hans"): (
        "还没到还款日,怎么就说我逾期了?",
        "和客服约定过延期的,短信内容不对。",
        "我的账单显示还在宽限期内,请查清楚。",
    ),
    ("no_longer_owed", "zh-hans"): ("这笔贷款上周已经全部结清,结清证明都拿到了。", "早就结清了,请停止催收。"),
    ("wrong_amount", "zh-hans"): ("短信里的金额比账单多出不少,请说明怎么算的。", "逾期天数不对,我没有逾期那么久。"),
    ("third_party_contacted", "zh-hans"): ("我不是借款人,请不要再给我发这类短信。", "这是我同事的贷款,跟我没有关系。"),
    ("agent_conduct", "zh-hans"): ("短信语气像在恐吓,我要求道歉。", "短信里的说法让家人非常担心,请规范用语。"),
    ("other", "zh-hans"): ("我想知道为什么会收到这条短信。", "请把所有短信记录发给我。"),
    ("already_paid", "en"): ("I paid by bank transfer and have the slip. Please check before you text again.",),
    ("not_overdue", "en"): ("It is not due yet. Why does your text say that I am overdue?",),
    ("no_longer_owed", "en"): ("This loan was paid off in full. I have the certificate.",),
    ("wrong_amount", "en"): ("The sum in your text is more than my statement says.",),
    ("third_party_contacted", "en"): ("I am not the borrower. Please take my number off your list.",),
    ("agent_conduct", "en"): ("The wording of your text is threatening.",),
    ("other", "en"): ("Please tell me why I was sent this text.",),
}
EXPLANATIONS = {
    (
        "rejected",
        "zh-hans",
    ): "我们核对了截至短信发送时的还款记录:该期款项当时尚未还清,短信内容与记录一致。如您有转账凭证,请回复本异议补充。",
    ("partly_upheld", "zh-hans"): "短信中的部分内容与账目不符,我们已更正发送规则;账目中仍有未还金额,明细见答复函。",
    ("upheld", "zh-hans"): "您反映的情况属实。我们已更正记录并停止相关短信,对由此造成的打扰深表歉意。",
    ("rejected", "en"): "We checked the account as it stood when the text was sent: the instalment was not yet paid.",
    ("partly_upheld", "en"): "Part of the text was wrong and its rule has been changed. A sum is still open.",
    ("upheld", "en"): "You are right. We have put the records in order and stopped the texts. We apologise.",
}
QUESTIONS = {
    "zh-hans": "为核实您的还款,请补充转账日期、金额和流水号后四位。",
    "en": "Please tell us the day, the amount and the last four digits of the transfer's reference.",
}
ANSWERS = {
    "zh-hans": "转账是手机银行办的,流水号后四位 4471。",
    "en": "It was by mobile banking, reference ends in 4471.",
}
NOTES = ("已电话核对银行流水,等待对方回单。", "与收单行确认入账时间。", "同一客户上月有类似问题,请一并查看。")
SECOND = {
    "zh-hans": "记录虽显示迟入账,但客户此前两次以同样理由提出异议,建议不予支持。",
    "en": "The records show a late posting, but the same was said twice before. I would not uphold it.",
}
OPINIONS = (
    "短信时间可以再晚一点,早上太早了。",
    "这次处理很快,谢谢。",
    "金额说明不够清楚。",
    "还款后第二天还收到催收,希望系统能及时更新。",
    "客服态度不错。",
    "Clear answer, took a while though.",
)
