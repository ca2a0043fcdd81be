"""The schema says of each operation what the edge does for it."""

from __future__ import annotations

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from config.api.callers import SCOPES


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator(urlconf="tests.config.api.probe").get_schema(request=None, public=True)
    return made


def operation(schema: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["paths"][path][method]
    return found


def test_it_names_both_ways_to_prove_who_calls(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    assert schemes["system"]["flows"]["clientCredentials"] == {"tokenUrl": "/oauth/token", "scopes": SCOPES}
    assert (schemes["customer"]["scheme"], schemes["customer"]["bearerFormat"]) == ("bearer", "JWT")


@pytest.mark.parametrize(
    ("method", "path", "security"),
    [
        ("get", "/api/v1/probes", [{"system": ["disputes:read"]}]),
        ("post", "/api/v1/probes", [{"system": ["disputes:write"]}, {"customer": []}]),
        ("post", "/api/v1/probes/{name}", [{"system": []}]),
        ("post", "/api/v1/plain", [{"system": ["gate"]}]),
        ("post", "/oauth/token", [{}]),
    ],
)
def test_an_operation_names_its_callers_and_their_scope(
    schema: dict[str, Any], method: str, path: str, security: Any
) -> None:
    assert operation(schema, method, path)["security"] == security


@pytest.mark.parametrize(("path", "required"), [("/api/v1/probes", True), ("/api/v1/probes/{name}", False)])
def test_an_operation_says_whether_it_takes_or_needs_an_idempotency_key(
    schema: dict[str, Any], path: str, required: bool
) -> None:
    parameters = {row["name"]: row for row in operation(schema, "post", path)["parameters"]}
    assert parameters["Idempotency-Key"].get("required", False) is required
    assert parameters["Idempotency-Key"]["in"] == "header"


def test_an_operation_without_a_key_does_not_name_one(schema: dict[str, Any]) -> None:
    assert "parameters" not in operation(schema, "post", "/api/v1/plain")


def test_errors_have_one_shape(schema: dict[str, Any]) -> None:
    shape = {"$ref": "#/components/schemas/ErrorAnswer"}
    expected = {
        ("get", "/api/v1/probes"): {"400", "401", "403", "429", "503"},
        ("post", "/api/v1/probes"): {"400", "401", "403", "409", "413", "415", "422", "429", "503"},
        ("post", "/api/v1/probes/{name}"): {"400", "401", "403", "404", "409", "413", "415", "422", "429", "503"},
        ("post", "/api/v1/plain"): {"400", "401", "403", "413", "415", "429", "503"},
    }
    for (method, path), codes in expected.items():
        answers = operation(schema, method, path)["responses"]
        errors = {code: answer for code, answer in answers.items() if code >= "400"}
        assert set(errors) == codes
        assert [answer["content"]["application/json"]["schema"] for answer in errors.values()] == [shape] * len(codes)
        assert all("Retry-After" in errors[code]["headers"] for code in ("429", "503"))


def test_a_list_is_described_in_pages(schema: dict[str, Any]) -> None:
    listed = operation(schema, "get", "/api/v1/probes")
    assert {row["name"] for row in listed["parameters"]} == {"cursor", "limit"}
    name = listed["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(schema["components"]["schemas"][name]["properties"]) == {"next", "previous", "results"}


def test_our_values_are_described_as_they_are_read(schema: dict[str, Any]) -> None:
    properties = schema["components"]["schemas"]["ProbeInRequest"]["properties"]
    assert schema["components"]["schemas"]["Money"]["required"] == ["amount", "currency"]
    assert properties["at"]["format"] == "date-time"
    assert properties["on"]["format"] == "date"
    assert properties["name"]["maxLength"] == 150
