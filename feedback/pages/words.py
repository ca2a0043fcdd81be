"""What the survey page itself says, in both languages; the survey's own words are its version's."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "zh-hans": {
        "other_language": "English",
        "required": "必答",
        "optional": "选填",
        "many": "可多选",
        "send": "提交",
        "more": "还有一个与您的回答相关的问题,请填写后提交。",
        "needed": "请回答此题。",
        "wrong": "此回答无法识别,请重新填写。",
        "check": "还有题目需要回答,见下方标记。您已填写的内容已保存。",
        "thanks_title": "谢谢您!",
        "thanks": "您的回答已收到。",
        "used_title": "您已回答过",
        "used": "此链接已使用,您的回答已收到。谢谢!",
        "ended_title": "调查已结束",
        "ended": "此次调查不再接受回答。感谢您的关注。",
        "unknown_title": "链接无效",
        "unknown": "此链接不存在或不完整,请从短信中重新打开。",
        "wait": "请稍后再试。",
        "privacy": "您的回答只用于统计。少于五人的分组不会单独显示。",
    },
    "en": {
        "other_language": "中文",
        "required": "required",
        "optional": "optional",
        "many": "choose any",
        "send": "Send",
        "more": "One more question follows from your answers. Please fill it in and send.",
        "needed": "Please answer this question.",
        "wrong": "We could not read this answer. Please give it again.",
        "check": "Some questions still need an answer: they are marked below. What you have filled in is kept.",
        "thanks_title": "Thank you!",
        "thanks": "Your answers have arrived.",
        "used_title": "Already answered",
        "used": "This link has been used, and your answers have arrived. Thank you!",
        "ended_title": "This survey has ended",
        "ended": "It takes no more answers. Thank you for your interest.",
        "unknown_title": "This link leads nowhere",
        "unknown": "It does not exist, or a part of it is missing. Please open it again from the text message.",
        "wait": "Too many tries: please come back in a minute.",
        "privacy": "Your answers are only counted. Groups of fewer than five people are never shown by themselves.",
    },
}
