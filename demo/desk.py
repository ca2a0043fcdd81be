"""Somebody at the desk, as a browser: logs in, reads pages, sends their forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

from demo.service import CannotTell, Service


@dataclass(slots=True)
class Form:
    """`fields`: what is in it already; `options`: of each choice, value → label; `buttons`: (name, value) → label."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    options: dict[str, dict[str, str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._option: str | None = None
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(action=said.get("action", ""))
            self.found.append(self._form)
        if self._form is None:
            return
        name = said.get("name", "")
        if tag == "input" and name and said.get("type") not in ("submit", "checkbox", "radio"):
            self._form.fields[name] = said.get("value", "")
        elif tag == "textarea" and name:
            self._form.fields[name], self._area = "", name
        elif tag == "select" and name:
            self._select = name
            self._form.options[name] = {}
        elif tag == "option" and self._select:
            self._option = said.get("value", "")
            self._form.options[self._select][self._option] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "option" and self._form is not None and self._select and self._option is not None:
            said = self._form.options[self._select]
            said[self._option], self._option = " ".join(said[self._option].split()), None
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._form is None:
            return
        if self._option is not None and self._select:
            self._form.options[self._select][self._option] += data
        elif self._area:
            self._form.fields[self._area] += data


def forms_of(page: str) -> list[Form]:
    reader = _Forms()
    reader.feed(page)
    return reader.found


class Visitor:
    """One user's session in the back office."""

    def __init__(self, service: Service, role: str) -> None:
        self.http = httpx.Client(base_url=service.base_url, follow_redirects=True, timeout=30)
        user = service.user(role)
        page = self.http.get("/admin/login/")
        form = next((one for one in forms_of(page.text) if "username" in one.fields), None)
        if form is None:
            raise CannotTell(f"/admin/login/ answered {page.status_code} without a form")
        said = {**form.fields, "username": user["username"], "password": user["password"], "next": "/admin/"}
        answer = self._post(str(page.url), said)
        if "/login/" in str(answer.url):
            raise CannotTell(f"the {role} of credentials.json cannot log in")

    def dispute(self, key: str) -> list[Form]:
        """The forms of a dispute's page."""
        answer = self.http.get(f"/admin/disputes/dispute/{key}/change/")
        if answer.status_code != 200:
            raise CannotTell(f"the page of dispute {key} answered {answer.status_code}")
        return forms_of(answer.text)

    def form(self, key: str, act: str) -> Form | None:
        """The form of an act on a dispute's page; None where the page does not offer it."""
        return next((form for form in self.dispute(key) if form.action.rstrip("/").endswith(f"/act/{act}")), None)

    def send(self, key: str, act: str, **said: str) -> None:
        """Fills in the form of an act and sends it. Raises CannotTell where it is not offered, or refused."""
        form = self.form(key, act)
        if form is None:
            raise CannotTell(f"the desk does not offer the act {act!r} on dispute {key}")
        answer = self._post(urljoin(str(self.http.base_url), form.action), {**form.fields, **said})
        if answer.status_code != 200:
            raise CannotTell(f"the desk refused {act!r} on dispute {key} ({answer.status_code})")

    def press(self, address: str, **said: str) -> None:
        """Sends the form of the desk's first page that goes to `address`, where it is there."""
        form = next((one for one in forms_of(self.http.get("/admin/").text) if address in one.action), None)
        if form is not None:
            self._post(urljoin(str(self.http.base_url), form.action), {**form.fields, **said})

    def _post(self, address: str, said: dict[str, str]) -> httpx.Response:
        return self.http.post(address, data=said, headers={"Referer": address})
