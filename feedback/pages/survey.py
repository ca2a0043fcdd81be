"""The survey as a page: for a phone, without script, in Chinese and English.

A question that hangs on an answer comes on the next showing of the page: what was filled in is kept, and the form says
that there is one more. It is exempt from CSRF: the token in the address is all the proof there is, and no cookie adds
to it, so that a forged form would need the link itself; many in-app browsers keep no cookie for us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from feedback.pages.misses import opened_invitation, seconds_to_wait
from feedback.pages.words import WORDS
from feedback.surveys.answers import BadAnswers, Value, missing, only_shown, read_answers, shown
from feedback.surveys.publishing import questions_of
from feedback.surveys.questions import LANGUAGES, Question
from feedback.waves.answering import AlreadyAnswered, WaveEnded, has_ended, stored_answers, take_answers
from feedback.waves.inviting import DEFAULT_LANGUAGE
from feedback.waves.models import Invitation, InvitationState


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def survey_page(request: HttpRequest, token: str) -> HttpResponse:
    """Shows the questions, keeps what is filled in, and takes the answers once all that must be is answered."""
    invitation = opened_invitation(token, reading=request.method == "GET")
    if invitation is None:
        return _unknown(request)
    language = _language(request, invitation)
    if invitation.state == InvitationState.ANSWERED:
        return _plain("used", language, title=invitation.wave.version.title)
    if has_ended(invitation.wave, now=timezone.now()):
        return _plain("ended", language, title=invitation.wave.version.title)
    if request.method == "POST":
        return _posted(request, invitation, language)
    return _form(invitation, language, answers=stored_answers(invitation=invitation))


def _posted(request: HttpRequest, invitation: Invitation, language: str) -> HttpResponse:
    """Final where every shown question was on the page and none is lacking; else kept, and shown again."""
    questions = questions_of(invitation.wave.version)
    given, faults = _read(request, questions)
    given = only_shown(questions=questions, answers=given)
    lacking = missing(questions=questions, answers=given)
    seen = set(request.POST.getlist("seen"))
    new = [one.key for one in shown(questions=questions, answers=given) if one.key not in seen]
    complete = not (faults or lacking or new)
    version = invitation.wave.version
    try:
        take_answers(invitation=invitation, raw=given, language=language, complete=complete, now=timezone.now())
    except AlreadyAnswered:
        return _plain("used", language, title=version.title)
    except WaveEnded:
        return _plain("ended", language, title=version.title)
    if complete:
        return _plain("thanks", language, title=version.title, text=version.thanks.get(language, ""))
    marked = {**dict.fromkeys((key for key in lacking if key in seen), "needed"), **faults}
    return _form(invitation, language, answers=given, marked=marked, more=bool(new) and not marked)


def _read(request: HttpRequest, questions: Sequence[Question]) -> tuple[dict[str, Value], dict[str, str]]:
    """(the answers that can be read, key → which word for those that cannot)."""
    given: dict[str, Value] = {}
    faults: dict[str, str] = {}
    for question in questions:
        name = f"q_{question.key}"
        raw: Any = request.POST.getlist(name) if question.kind == "choices" else request.POST.get(name, "")
        if question.scale is not None and isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 2:
            raw = int(raw)
        if isinstance(raw, str):
            raw = raw.replace("\r\n", "\n")
        try:
            given.update(read_answers(questions=[question], raw={question.key: raw}))
        except BadAnswers:
            faults[question.key] = "wrong"
    return given, faults


def _form(
    invitation: Invitation,
    language: str,
    *,
    answers: Mapping[str, Value],
    marked: Mapping[str, str] | None = None,
    more: bool = False,
) -> HttpResponse:
    version, words, marked = invitation.wave.version, WORDS[language], marked or {}
    visible = shown(questions=questions_of(version), answers=answers)
    rows = [_row(one, language, answers.get(one.key), words.get(marked.get(one.key, ""), "")) for one in visible]
    context = {
        "title": version.title[language],
        "intro": version.intro.get(language, ""),
        "questions": rows,
        "notice": words["check"] if marked else words["more"] if more else "",
        "button": words["send"],
    }
    return _page("feedback/survey.html", language, context)


def _row(question: Question, language: str, value: Value | None, fault: str) -> dict[str, Any]:
    chosen = value if isinstance(value, list) else [value]
    options: list[dict[str, Any]]
    if question.scale is not None:
        options = [{"value": one, "text": one, "chosen": one == value} for one in question.scale]
    else:
        options = [
            {"value": one.key, "text": one.text[language], "chosen": one.key in chosen} for one in question.options
        ]
    return {
        "key": question.key,
        "kind": question.kind,
        "scale": question.scale is not None,
        "text": question.text[language],
        "required": question.required,
        "options": options,
        "low": (question.low or {}).get(language, ""),
        "high": (question.high or {}).get(language, ""),
        "value": value if isinstance(value, str) else "",
        "fault": fault,
    }


def _language(request: HttpRequest, invitation: Invitation) -> str:
    asked = request.GET.get("language")
    if asked in LANGUAGES:
        return str(asked)
    return invitation.answer_language or invitation.language or DEFAULT_LANGUAGE


def _plain(what: str, language: str, *, title: Mapping[str, str], text: str = "", status: int = 200) -> HttpResponse:
    words = WORDS[language]
    context = {"title": title[language], "heading": words[f"{what}_title"], "text": text or words[what], "what": what}
    return _page("feedback/plain.html", language, context, status=status)


def _unknown(request: HttpRequest) -> HttpResponse:
    """One plain answer, in both languages; throttled by address, whoever asks too often."""
    wait = seconds_to_wait(request)
    both = [WORDS[language] for language in LANGUAGES]
    said = [(one["unknown_title"], one["unknown"] if wait is None else one["wait"]) for one in both]
    answer = _page("feedback/unknown.html", "zh-hans", {"said": said}, status=404 if wait is None else 429)
    if wait is not None:
        answer["Retry-After"] = str(wait)
    return answer


def _page(template: str, language: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    other = LANGUAGES[1 - LANGUAGES.index(language)]
    words = {"words": WORDS[language], "language": language, "other": other, "lender": settings.LENDER_NAME}
    answer = HttpResponse(render_to_string(template, {**words, **context}), status=status)
    answer["Content-Language"] = language
    answer["Cache-Control"] = "no-store"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return answer


pages = [path("s/<str:token>", survey_page, name="survey-page")]
