"""Pages by cursor stay whole while rows come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group

from tests.callers import Api

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.api.probe")]


@pytest.fixture
def desk(system: Callable[..., Api]) -> Api:
    return system("disputes:read")


def fill(names: str) -> None:
    Group.objects.bulk_create([Group(name=name) for name in names])


def names_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return "".join(row["name"] for row in answer.json()["results"])


def walk(api: Api, address: str, way: str = "next") -> list[str]:
    pages = []
    at: str | None = address
    while at is not None:
        answer = api.get(at)
        pages.append(names_of(answer))
        at = answer.json()[way]
    return pages


def test_every_row_comes_once_in_order(desk: Api) -> None:
    fill("abcdefg")
    assert walk(desk, "/api/v1/probes?limit=3") == ["gfe", "dcb", "a"]
    assert walk(desk, "/api/v1/probes?limit=7") == ["gfedcba"]


def test_the_way_back_shows_the_same_pages(desk: Api) -> None:
    fill("abcdefg")
    first = desk.get("/api/v1/probes?limit=3").json()
    second = desk.get(first["next"]).json()
    third = desk.get(second["next"]).json()
    assert third["next"] is None
    assert first["previous"] is None
    assert walk(desk, third["previous"], "previous") == ["dcb", "gfe"]


def test_rows_that_come_and_go_neither_repeat_nor_hide_another(desk: Api) -> None:
    fill("abdefh")
    first = desk.get("/api/v1/probes?limit=3")
    assert names_of(first) == "hfe"
    fill("gc")
    Group.objects.filter(name__in="eb").delete()
    assert names_of(desk.get(first.json()["next"])) == "dca"


def test_rows_that_are_level_in_the_first_column_are_told_apart_by_the_last(rf: Any) -> None:
    from django.contrib.auth.models import Permission
    from rest_framework.request import Request

    from config.api.pagination import CursorPages

    class ByType(CursorPages):
        ordering = ("content_type_id", "id")

    seen: list[int] = []
    address: str | None = "/list?limit=2"
    while address is not None:
        pages = ByType()
        seen += [row.pk for row in pages.paginate_queryset(Permission.objects.all(), Request(rf.get(address)))]
        address = pages.get_paginated_response([]).data["next"]
    assert seen == list(Permission.objects.order_by("content_type_id", "id").values_list("pk", flat=True))


def test_an_empty_list_is_a_page_without_neighbours(desk: Api) -> None:
    assert desk.get("/api/v1/probes").json() == {"next": None, "previous": None, "results": []}


def test_a_page_has_25_rows_unless_asked_otherwise(desk: Api) -> None:
    Group.objects.bulk_create([Group(name=f"{number:03}") for number in range(120)])
    assert len(desk.get("/api/v1/probes").json()["results"]) == 25
    assert len(desk.get("/api/v1/probes?limit=100").json()["results"]) == 100


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1.5", "", "a", "١", "9" * 400, "1e1", " 5"])
def test_another_limit_is_refused(desk: Api, limit: str) -> None:
    answer = desk.get(f"/api/v1/probes?limit={limit}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "limit"


def test_a_cursor_that_was_made_up_or_changed_is_refused(desk: Api) -> None:
    fill("abc")
    real = desk.get("/api/v1/probes?limit=1").json()["next"].partition("cursor=")[2].partition("&")[0]
    for cursor in ("", "x", "cD0yMDI2", real[:-1], "A" + real, real + "A", "a:b:c", "键", real.partition("%3A")[0]):
        answer = desk.get(f"/api/v1/probes?cursor={cursor}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == "cursor"
