"""An agent's morning in a real browser, against the running service: take the next case, ask, decide."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.chromium import NARROW, WIDE, browser, problems_of, too_wide
from tests.lines import RULE, customer_line, loan_lines, message_line, repayment_line
from tests.stack import Stack

LONG_ID = "BP1-" + "0123456789abcdef" * 5


@pytest.fixture
def lender(stack: Stack) -> Stack:
    """A customer in arrears who was urged, and an agent off duty."""
    lines = [
        RULE | {"external_id": "BR1"},
        customer_line("BC1", phone="+8613812349001"),
        *loan_lines("BL1", customer="BC1"),
        repayment_line(LONG_ID, loan="BL1", amount="1.00", paid="2026-01-30", posted="2026-01-31T06:00:00+08:00"),
        message_line("BM1", loan="BL1", phone="+8613812349001", sending_rule="BR1"),
    ]
    answer = stack.client("core_banking").post(
        "/records/import",
        content="\n".join(json.dumps(line) for line in lines),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert "error" not in {json.loads(line)["result"] for line in answer.text.splitlines()}, answer.text
    with stack.database() as database:
        database.execute(
            "INSERT INTO disputes_agent (user_id, capacity, on_duty, languages, grounds, products)"
            " SELECT id, 10, false, '{}', '{}', '{}' FROM auth_user WHERE username = 'agent' ON CONFLICT DO NOTHING"
        )
        database.execute("UPDATE disputes_agent SET on_duty = false")
    return stack


def opened(stack: Stack, *, ground: str = "already_paid") -> dict[str, Any]:
    answer = stack.customer("BC1").post(
        "/disputes",
        json={
            "message": {"external_id": "BM1"},
            "ground": ground,
            "statement": "我已经还款了。\n附上凭证。",
            "language": "zh-hans",
        },
        headers={"Idempotency-Key": f"desk-{ground}"},
    )
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    stack.wait_for(lambda: dispute(stack, body["id"])["status"] == "in_review")
    return body


def dispute(stack: Stack, id: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.client().get(f"/disputes/{id}").json()
    return found


def log_in(page: Any, stack: Stack, role: str) -> None:
    user = next(one for one in stack.credentials["users"] if one["role"] == role)
    page.goto(f"{stack.base_url}/admin/")
    page.fill("[name=username]", user["username"])
    page.fill("[name=password]", user["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_selector(".desk")


def test_an_agent_takes_the_next_case_asks_and_decides(lender: Stack) -> None:
    case = opened(lender)
    with browser() as chromium:
        page = chromium.new_page(viewport=WIDE)
        problems = problems_of(page)
        log_in(page, lender, "agent")
        page.click("button:has-text('Go on duty')")
        page.wait_for_selector("text=On duty")
        lender.wait_for(lambda: takes(page, case["reference"], lender))
        said = page.inner_text(".desk")
        for words in ("我已经还款了。", "您的借款已逾期", "As it was", "As the lender's records knew it", "Stands"):
            assert words in said
        assert "13812349001" not in page.content()

        page.click("summary:has-text('Ask the customer')")
        page.select_option("#ask-template", "receipt")
        assert "凭证" in page.input_value("#ask-text"), "the script fills the question in"
        page.click("button:has-text('Send the question')")
        page.wait_for_selector("text=Waiting for the customer")
        assert dispute(lender, case["id"])["status"] == "waiting_customer"

        answer = lender.customer("BC1").post(f"/disputes/{case['id']}/comments", json={"text": "在此。"})
        assert answer.status_code == 201, answer.text
        lender.wait_for(lambda: dispute(lender, case["id"])["status"] == "in_review")
        lender.wait_for(lambda: takes(page, case["reference"], lender))
        page.wait_for_selector("text=在此。")
        page.select_option("#decide-reason", "payment_proved")
        page.fill("#decide-explanation", "您提供了有效凭证。")
        page.click("button:has-text('Uphold'):not(:has-text('part'))")
        page.wait_for_selector("text=Decided. The customer is told")
        assert dispute(lender, case["id"])["outcome"] == "upheld"
        letter = lender.customer("BC1").get(f"/disputes/{case['id']}/letter")
        assert "您提供了有效凭证。" in letter.text
        assert problems == []


def takes(page: Any, reference: str, stack: Stack) -> bool:
    """Takes the next case and opens the one that is asked for: the worker may have given it already."""
    page.goto(f"{stack.base_url}/admin/")
    with page.expect_navigation():  # a page that is asked for meanwhile would come between
        page.click("button:has-text('Take next')")
    return opens(page, reference, stack)


def opens(page: Any, reference: str, stack: Stack) -> bool:
    """Opens a case from the agent's queue; False where it is not there."""
    page.goto(f"{stack.base_url}/admin/")
    if not page.locator(f".queue a:has-text('{reference}')").count():
        return False
    page.click(f".queue a:has-text('{reference}')")
    page.wait_for_selector(f".desk h1:has-text('{reference}')")
    return True


def test_the_pages_of_the_desk_and_the_letter_fit_a_telephone(lender: Stack) -> None:
    case = opened(lender, ground="not_overdue")
    with browser() as chromium:
        page = chromium.new_page(viewport=NARROW)
        problems = problems_of(page)
        log_in(page, lender, "supervisor")
        assert not too_wide(page)
        page.goto(f"{lender.base_url}/admin/disputes/dispute/{case['id']}/change/")
        page.wait_for_selector(f".desk h1:has-text('{case['reference']}')")
        page.click(".findings summary >> nth=0")
        assert page.is_visible(".findings dt:has-text('Oldest unpaid due on')")
        assert not too_wide(page)
        page.set_viewport_size(WIDE)
        cut_off = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.innerText)"
        assert page.eval_on_selector_all(".desk .scroll", cut_off) == []
        page.set_viewport_size(NARROW)
        page.select_option("#decide-reason", "nothing_proved")
        page.fill("#decide-explanation", "记录显示当天已逾期。")
        page.click("button:has-text('Reject')")
        page.wait_for_selector("text=Decided. The customer is told")
        page.goto(f"{lender.base_url}/admin/disputes/dispute/{case['id']}/letter/")
        assert "您的异议未获支持" in page.inner_text("main")
        assert not too_wide(page)
        assert problems == []
