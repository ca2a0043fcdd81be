"""`make demo`: the whole road as a story, played over HTTP against the running service.

Two things are not asked over HTTP, because the embedded set-up has nobody else to do them: a customer's token, which a
lender's own identity provider would give, and the text on a customer's telephone, which a carrier would bring.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from random import Random
from typing import Any

import httpx
from django.conf import settings

from demo import handset
from demo.asking import WRITING
from demo.desk import Visitor
from demo.real_cases import expected_cases
from demo.service import CannotTell, Service, ask, once
from demo.small_lender import RULE, Borrower, SmallLender
from demo.telling import Book

SURVEY = "The story's survey"
Line = dict[str, Any]


class Story:
    """One telling. Each chapter is a method, and leaves what the next ones need."""

    def __init__(self, *, service: Service, book: Book, now: datetime) -> None:
        self.service, self.book, self.now = service, book, now
        self.lender = SmallLender(now=now)
        self.core, self.sender = service.client("core_banking"), service.client("sender")
        self.all = service.client("all")

    def tell(self) -> None:
        """Raises CannotTell where an answer is not what it must be."""
        self.the_records()
        self.a_message_that_was_wrong()
        self.what_a_person_must_judge()
        self.what_the_customers_say()
        self.where_to_look()

    # --- 1 ---

    def the_records(self) -> None:
        book = self.book
        book.chapter("A lender's records come in, on two clocks")
        cases = expected_cases(mark=self.lender.mark)
        self.send(line for case in cases for line in case.lines)
        book.call("POST", "/api/v1/records/import", f"{len(cases)} accounts of a public lending core, with its figures")
        agreed = 0
        for case in cases:
            me = self.service.customer(case.customer)
            rows = ask(me, "GET", "/messages")["results"]
            shown = ask(me, "GET", f"/messages/{rows[0]['id']}")
            agreed += shown["records"]["account"]["days_past_due"] == case.days_past_due
        book.call("GET", "/api/v1/messages/{id}", "what the records say of each account on the day of its message")
        book.verdict(
            f"{agreed} of {len(cases)} accounts are as many days past due as that core's developers expect",
            good=agreed == len(cases),
        )
        if agreed != len(cases):
            raise CannotTell("an account is not as its source expects it")
        count = self.send(self.lender.lines())
        book.call("POST", "/api/v1/records/import", f"{count} lines of a small lender, made for this telling")

    # --- 2 ---

    def a_message_that_was_wrong(self) -> None:
        book, who = self.book, self.lender.paid_in_time
        book.chapter("A message that was wrong")
        me = self.service.customer(who.customer)
        message = ask(me, "GET", "/messages")["results"][0]
        book.quote(message["body"], title=f"SMS to {message['phone']}, yesterday")
        book.says(f"{who.name} paid six days ago, before the due date. The bank's file was late; no record knows.")
        before = self.gate(who, dry_run=False)
        book.gate("before the dispute", before)
        if before["permit"] is None:
            raise CannotTell(f"the gate gives no permit: {', '.join(before['reasons'])}")
        self.send([self.lender.payment(who, posted_at=datetime.now(tz=UTC))])
        book.says("Today the payment is posted, with its own value date. The customer disputes the message.")
        opened = self.dispute(me, who, "我六天前就还款了,为什么还说我逾期?")
        book.call("POST", "/api/v1/disputes", f"201, reference {opened['reference']}")
        self.recall(opened, before)
        seen = self.service.until(
            lambda: (row := ask(self.all, "GET", f"/disputes/{opened['id']}")) and row["status"] == "closed" and row,
            what="the check closes the dispute",
        )
        check = ask(self.all, "GET", f"/disputes/{opened['id']}")["check"]
        book.verdict(
            f"checked: [bold]{check['verdict']}[/], cause [bold]{check['cause']} / {check['detail']}[/], "
            f"closed as [bold]{seen['outcome']}[/] by the policy, without a person",
            good=True,
        )
        book.findings(check["findings"])
        book.gate("closed, not yet told", self.gate(who))
        letter = ask(me, "GET", f"/disputes/{opened['id']}/letter", headers={"Accept": "text/html"})
        book.quote(words_of(letter), title="The letter, as the customer reads it")
        self.released(opened["id"])
        book.gate("after the letter", self.gate(who))
        book.says("The hold has ended with the letter; what is left is the account itself: nothing is overdue.")

    def recall(self, opened: Line, permitted: Line) -> None:
        """The permit that was out when the hold came is in the answer, and the sender gives it back."""
        out = [row["id"] for row in opened["permits_out"]]
        if permitted["permit"]["id"] not in out:
            raise CannotTell("the permit that was out is not listed for recall")
        self.book.says("Its hold was placed in the same transaction; the permit that was out is listed for recall.")
        ask(self.sender, "POST", f"/gate/permits/{permitted['permit']['id']}/unused", headers=once())
        self.book.call("POST", "/api/v1/gate/permits/{id}/unused", "the sender recalled it")

    # --- 3 ---

    def what_a_person_must_judge(self) -> None:
        book, who = self.book, self.lender.has_a_slip
        book.chapter("What a person must judge")
        me = self.service.customer(who.customer)
        book.says(f"{who.name} says the same, but no payment is posted: the records speak for the lender.")
        opened = self.dispute(me, who, "我已经转账了,有银行回单,请核实。")
        seen = self.service.until(
            lambda: (row := ask(self.all, "GET", f"/disputes/{opened['id']}")) and row["status"] == "in_review" and row,
            what="the check leaves the dispute to a person",
        )
        book.verdict(
            f"checked: [bold]{seen['check']['verdict']}[/]. A machine may say that a customer is right; "
            "only a person that they are wrong. It is routed to an agent.",
            good=False,
        )
        book.gate("while it is in review", self.gate(who))
        decided_by = self.decide(opened["id"])
        closed = ask(self.all, "GET", f"/disputes/{opened['id']}")
        book.verdict(f"the {decided_by} upheld it at the desk: the bank slip proves the payment", good=True)
        if closed["outcome"] != "upheld":
            raise CannotTell(f"the dispute is {closed['status']} {closed['outcome']} after the agent's decision")
        text = self.service.until(
            lambda: self.text_to(who, kind="outcome"), what="the outcome's text is handed to the carrier"
        )
        book.quote(text.text, title="SMS to the customer")
        now = datetime.now(tz=UTC).isoformat()
        ask(
            self.sender,
            "POST",
            "/delivery-receipts",
            json={"id": text.notice, "status": "delivered", "at": now},
            headers=once(),
        )
        book.call("POST", "/api/v1/delivery-receipts", "the carrier delivered it")
        self.service.until(
            lambda: "outcome_not_delivered" not in self.gate(who)["reasons"], what="the receipt reaches the dispute"
        )
        book.gate("delivered, not yet posted", self.gate(who))
        book.says(
            "A person upheld what the records do not show yet, so the hold waits for them. The payment is posted:"
        )
        self.send([self.lender.payment(who, posted_at=datetime.now(tz=UTC))])
        self.released(opened["id"])
        book.gate("after the posting", self.gate(who))

    def decide(self, key: str) -> str:
        """An agent decides at the desk, in the forms that a browser shows; the supervisor, where the case is somebody
        else's and cannot be handed on. Returns the role."""
        agent = Visitor(self.service, "agent")
        agent.press("/duty/", on="yes")
        deciding, role = agent, "agent"
        if agent.form(key, "decide") is None:
            supervisor = Visitor(self.service, "supervisor")
            if not self.handed_on(supervisor, agent, key):
                deciding, role = supervisor, "supervisor"
        self.book.call("POST", f"/admin/disputes/dispute/{key[:8]}…/act/decide/", f"as the {role}, in the page's form")
        deciding.send(
            key,
            "decide",
            outcome="upheld",
            reason="payment_proved",
            explanation="您提供的银行回单证明款项已于到期日前支付。我们正在更正记录,期间不会再发送相关短信。",
        )
        return role

    def handed_on(self, supervisor: Visitor, agent: Visitor, key: str) -> bool:
        form = supervisor.form(key, "hand_on")
        receivers = form.options.get("to", {}) if form else {}
        name = self.service.user("agent")["username"]
        to = next((value for value, label in receivers.items() if value.startswith("agent:") and label == name), None)
        if to is None:
            return False
        try:
            supervisor.send(key, "hand_on", to=to, why="for the story")
        except CannotTell:
            return False
        self.book.call("POST", f"/admin/disputes/dispute/{key[:8]}…/act/hand_on/", "the supervisor hands it on")
        return agent.form(key, "decide") is not None

    # --- 4 ---

    def what_the_customers_say(self) -> None:
        book, lender = self.book, self.lender
        book.chapter("What the customers say")
        survey = self.survey()
        wave = ask(
            self.all,
            "POST",
            f"/surveys/{survey}/waves",
            json={
                "audience": "messaged",
                "period_from": lender.period_from.isoformat(),
                "period_until": lender.period_until.isoformat(),
                "quiet_days": 1,
                "open_days": 2,
            },
            headers=once(),
        )
        book.call("POST", f"/api/v1/surveys/{survey[:8]}…/waves", "everybody who was messaged in a certain half minute")
        opened = self.service.until(
            lambda: (row := ask(self.all, "GET", f"/waves/{wave['id']}")) and row["state"] == "open" and row,
            what="the wave is drawn and sent",
        )
        book.says(
            f"{opened['audience_count']} were messaged, {opened['eligible_count']} may be asked; each text passed."
        )
        texts = self.invitations(opened["taken_count"])
        book.quote(texts[0].text, title="One of the invitations")
        scores = self.answers(texts)
        book.call("POST", "/api/v1/invitations/{token}", f"{scores.total()} customers answer")
        ask(self.all, "POST", f"/waves/{wave['id']}/close", headers=once())
        summary = ask(self.all, "GET", f"/waves/{wave['id']}/summary")
        figure = next(row for row in summary["questions"] if row["key"] == "recommend")
        book.call("GET", f"/api/v1/waves/{wave['id'][:8]}…/summary", "figures appear when the wave is closed")
        book.bars([(str(score), scores[score]) for score in range(11)])
        low, high = figure["interval"]
        book.verdict(
            f"NPS [bold]{figure['nps']:+.0f}[/], 95% between {low:+.0f} and {high:+.0f}, from {figure['n']} answers; "
            f"response rate {summary['response_rate']:.0%}",
            good=True,
        )

    def survey(self) -> str:
        """The survey's id; made the first time."""
        address: str | None = "/surveys"
        while address:
            page = ask(self.all, "GET", address)
            for row in page["results"]:
                if row["name"] == SURVEY:
                    return str(row["id"])
            address = page.get("next") and page["next"].partition("/api/v1")[2]
        made = ask(self.all, "POST", "/surveys", json={"name": SURVEY, **WRITING}, headers=once())
        return str(made["id"])

    def invitations(self, count: int) -> list[handset.Text]:
        phones = [borrower.phone for borrower in self.lender.surveyed]
        texts = self.service.until(
            lambda: (found := handset.texts_to(phones, kind="survey")) and len(found) >= count and found,
            what="the invitations are handed to the carrier",
        )
        now = datetime.now(tz=UTC).isoformat()
        for text in texts:
            ask(
                self.sender,
                "POST",
                "/delivery-receipts",
                json={"id": text.notice, "status": "delivered", "at": now},
                headers=once(),
            )
        return texts

    def answers(self, texts: list[handset.Text]) -> Counter[int]:
        """Most of them answer, over the private link of their text."""
        rng = Random(self.lender.mark)  # noqa: S311
        scores: Counter[int] = Counter()
        with httpx.Client(base_url=f"{self.service.base_url}/api/v1", timeout=30) as anybody:
            for text in texts[: max(1, len(texts) * 8 // 9)]:
                token = re.search(r"/s/([0-9A-Za-z]+)", text.text)
                if token is None:
                    raise CannotTell("an invitation has no link")
                score = rng.choice((3, 5, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 10))
                said = {"recommend": score, "clear": min(5, 1 + score // 2)}
                ask(anybody, "POST", f"/invitations/{token[1]}", json={"answers": said, "complete": True})
                scores[score] += 1
        return scores

    # --- 5 ---

    def where_to_look(self) -> None:
        book, base = self.book, self.service.base_url
        book.chapter("Where to look")
        rows = (
            (f"{base}/admin/", "the desk: as `agent` the queue, as `supervisor` what waits, as `admin` everything"),
            (f"{base}/api/docs/", "every call that was made here, and the others"),
            (handset.open_survey(), "a survey's page, as a customer sees it"),
        )
        for address, what in rows:
            if address:
                book.says(f"  {address}  {what}")
        if self.service.for_now:
            book.says("This service ends with the story; `make run` starts one that stays, with all that was told.")
        book.says(f"The logins and the systems' secrets are in {_near(settings.CREDENTIALS)}.")

    # --- calls that every chapter makes ---

    def send(self, lines: Iterable[Line]) -> int:
        """Imports lines. Returns how many; raises CannotTell where one is refused."""
        body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = ask(self.core, "POST", "/records/import", content=body.encode(), headers=headers)
        results = [json.loads(line) for line in answer.splitlines()] if isinstance(answer, str) else [answer]
        refused = [row for row in results if row["result"] == "error"]
        if refused:
            raise CannotTell(f"the import refused a line: {refused[0]}")
        return len(results)

    def dispute(self, me: httpx.Client, who: Borrower, statement: str) -> Line:
        said = {
            "message": {"short_ref": who.short_ref},
            "ground": "already_paid",
            "statement": statement,
            "language": "zh-hans",
            "channel": "app",
        }
        self.book.quote(statement, title=f"{who.name}, about the text with the number {who.short_ref}")
        opened: Line = ask(
            self.all, "POST", "/disputes", json={**said, "customer": who.customer}, headers=once(), expect=201
        )
        return opened

    def gate(self, who: Borrower, *, dry_run: bool = True) -> Line:
        item = {
            "request_id": once()["Idempotency-Key"],
            "phone": who.phone,
            "loan": who.loan,
            "channel": "sms",
            "category": "urge",
            "sending_rule": RULE,
        }
        address = f"/gate/decisions?dry_run={str(dry_run).lower()}"
        decision: Line = ask(self.sender, "POST", address, json={"items": [item]})["decisions"][0]
        return decision

    def released(self, key: str) -> None:
        self.service.until(
            lambda: ask(self.all, "GET", f"/disputes/{key}")["hold"]["released_at"],
            what="the dispute's hold is released",
        )

    def text_to(self, who: Borrower, *, kind: str) -> handset.Text | None:
        texts = handset.texts_to([who.phone], kind=kind)
        return texts[-1] if texts else None


def _near(path: Path) -> Path:
    """A path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def words_of(page: str) -> str:
    """The words of a page, a line a block."""
    body = re.sub(r"(?s)<(style|script|head)\b.*?</\1>", "", page)
    body = re.sub(r"</(p|h1|h2|h3|li|div|tr|dt|dd|section|header|footer)>|<br\s*/?>", "\n", body)
    lines = (" ".join(unescape(re.sub(r"<[^>]+>", " ", line)).split()) for line in body.splitlines())
    return "\n".join(line for line in lines if line)
