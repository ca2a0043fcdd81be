"""The back office in simplified Chinese: the catalogue is whole, compiled, and shown to whoever asks for it."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

import disputes
from disputes.desk import words
from disputes.records.models import SendingRule
from tests.disputes.desk.staff import Person, agent, supervisor

HOME = Path(disputes.__file__).parent
CATALOGUE = HOME / "locale" / "zh_Hans" / "LC_MESSAGES"
ENTRY = re.compile(r'^msgid "(.+)"\n(?:msgid_plural "(.+)"\n)?msgstr(?:\[0\])? "(.*)"$', re.MULTILINE)
PLACE = re.compile(r"%\(\w+\)s")


def written() -> dict[str, tuple[str, str]]:
    """English → its plural, and the Chinese, as the catalogue has them in writing."""
    text = (CATALOGUE / "django.po").read_text(encoding="utf-8")
    return {one.replace('\\"', '"'): (many, said.replace('\\"', '"')) for one, many, said in ENTRY.findall(text)}


def test_every_text_is_translated_with_its_parameters() -> None:
    entries = written()
    assert len(entries) > 500
    for english, (_, chinese) in entries.items():
        assert chinese, english
        assert sorted(PLACE.findall(chinese)) == sorted(PLACE.findall(english)), english


def test_what_is_compiled_is_what_is_written() -> None:
    with (CATALOGUE / "django.mo").open("rb") as compiled:
        known = gettext.GNUTranslations(compiled)
    for english, (many, chinese) in written().items():
        found = known.ngettext(english, many, 2) if many else known.gettext(english)
        assert found == chinese, "msgfmt was not run"


def test_the_catalogue_has_every_text_of_the_pages_and_every_code() -> None:
    known = written()
    pages = HOME / "templates" / "desk"
    said = {
        text
        for page in pages.glob("*.html")
        for text in re.findall(r'\{% trans "(.*?)" %\}|_\("(.*?)"\)', page.read_text(encoding="utf-8"))
        for text in text
        if text
    }
    spoken = [one for one in vars(words).values() if isinstance(one, words.Spoken)]
    assert len(spoken) > 15
    said |= {str(text) for one in spoken for text in one.values()}
    assert said - known.keys() == set()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """A request leaves its language to the thread, where the next test would find it."""
    yield
    translation.deactivate()


PAGES = {
    "admin:index": "工作量",
    "admin:disputes_hold_changelist": "闸口答复",
    "admin:disputes_sendingrule_changelist": "发送条件",
    "admin:desk_look_up": "现在能否给此号码发短信",
    "admin:desk_place_hold": "人工设置暂停",
    "admin:desk_opt_outs": "退订",
    "admin:desk_denials": "没有拒绝。",
    "admin:desk_unauthorised": "无许可的发送",
    "admin:desk_undelivered": "无法送达的结果",
    "admin:desk_call": "为来电客户提出异议",
    "admin:disputes_inboundmessage_changelist": "客户来信",
}


@pytest.mark.django_db
def test_each_page_speaks_chinese_to_whoever_reads_it() -> None:
    sue = supervisor()
    SendingRule.objects.create(external_id="R1", aim="overdue", min_dpd=3)
    for name, chinese in PAGES.items():
        page = said_in(sue, name, "zh-hans")
        assert chinese in page, name
        assert "暂停与闸口" in page, name
        assert "Holds and the gate" not in page, name
        assert "Holds and the gate" in said_in(sue, name, "en"), name


@pytest.mark.django_db
def test_a_refusal_is_said_in_the_language_of_whoever_asked() -> None:
    ann = agent()
    answer = ann.http.post(
        reverse("admin:desk_place_hold"),
        {"once": "00000000-0000-7000-8000-000000000001", "covers": "loan", "which": "L9", "why": "x"},
        headers={"Accept-Language": "zh-hans"},
    )
    assert "记录中没有这笔贷款。" in answer.content.decode()


def said_in(person: Person, name: str, language: str) -> str:
    http: Client = person.http
    answer: Any = http.get(reverse(name), headers={"Accept-Language": language})
    assert answer.status_code == 200, name
    return str(answer.content.decode())
