"""Who borrows from the demo lender: made-up people with made-up numbers, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Line = dict[str, Any]

CUSTOMERS = 200
SECOND_LOAN = 100
"""So many of them have two loans."""
FIRST = 2001

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈"
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建文辉鑫波斌宇浩凯健俊帆雪琳颖佳倩婷雨晨欣然子涵梓轩思远"
)
_ENGLISH = ("Grace", "Kelvin", "Fiona", "Jason", "Carmen", "Vincent", "Iris", "Raymond", "Joyce", "Derek")
_HARBOUR = ("Lam", "Cheung", "Wong", "Leung", "Ng", "Yip", "Kwok", "Tsang")
_PREFIXES = ("133", "135", "136", "137", "139", "150", "152", "158", "176", "181", "186", "189")
_SEGMENTS = ("new", "returning", "long-standing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """`harbour`: lives in Hong Kong and borrows in HKD; `contact`: the number of somebody they named, if any."""

    external_id: str
    name: str
    phone: str
    language: str
    harbour: bool
    contact: str | None = None
    email: str = ""
    segment: str = ""
    zone: str = "Asia/Shanghai"
    loans: int = 1

    def line(self, *, posted_at: str) -> Line:
        phones = [{"number": self.phone, "role": "own"}]
        if self.contact is not None:
            phones.append({"number": self.contact, "role": "contact"})
        return {
            "type": "customer",
            "external_id": self.external_id,
            "posted_at": posted_at,
            "name": self.name,
            "phones": phones,
            "language": self.language,
            "time_zones": [self.zone],
            "segment": self.segment,
            **({"email": self.email} if self.email else {}),
        }


def people(*, rng: Random) -> Iterator[Person]:
    """The customers, each with a number of their own."""
    taken: set[str] = set()
    two = set(rng.sample(range(CUSTOMERS), SECOND_LOAN))
    for place in range(CUSTOMERS):
        harbour = place % 14 == 5
        english = harbour or place % 23 == 7
        name = _english_name(rng) if harbour else _name(rng)
        number = FIRST + place
        yield Person(
            external_id=f"C-{number}",
            name=name,
            phone=_phone(rng, taken=taken, harbour=harbour),
            language="en" if english else "zh-hans",
            harbour=harbour,
            contact=_phone(rng, taken=taken, harbour=harbour) if place % 3 == 1 else None,
            email=f"customer{number}@example.com" if place % 3 == 0 else "",
            segment=_SEGMENTS[rng.randrange(3)],
            zone="Asia/Hong_Kong" if harbour else "Asia/Shanghai",
            loans=2 if place in two else 1,
        )


def _name(rng: Random) -> str:
    return rng.choice(_SURNAMES) + "".join(rng.sample(_GIVEN, rng.choice((1, 2, 2))))


def _english_name(rng: Random) -> str:
    return f"{rng.choice(_ENGLISH)} {rng.choice(_HARBOUR)}"


def _phone(rng: Random, *, taken: set[str], harbour: bool) -> str:
    while True:
        if harbour:
            number = f"+852{rng.choice('569')}{rng.randrange(10**6, 10**7)}"
        else:
            number = f"+86{rng.choice(_PREFIXES)}{rng.randrange(10**8):08d}"
        if number not in taken:
            taken.add(number)
            return number
