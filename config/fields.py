"""Model fields of the values in `config.values`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from config.values.ciphertext import Keyring, digest, seal, unseal
from config.values.ids import new_id


def keyring() -> Keyring:
    """The deployment's data keys (the setting DATA_KEYS)."""
    ring: Keyring = settings.KEYRING
    return ring


def phone_digest(number: str) -> bytes:
    """The digest under which a phone (E.164) is indexed and joined."""
    return digest(keyring(), "phone", number)


def place_of(table: str, column: str, row: object) -> bytes:
    """The associated data of a ciphertext: where it stands."""
    return f"{table}.{column}:{row}".encode()


class Sealed(bytes):
    """A ciphertext as it stands in a row, not opened yet."""


class _OpensOnAccess(DeferredAttribute):
    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            return self.field.open_at(instance, value)  # type: ignore[attr-defined]
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # Having a setter puts the descriptor before the instance's own dictionary, so that it is asked at each access.
        instance.__dict__[self.field.attname] = value


class SealedTextField(models.BinaryField):
    """Text that stands in the database as ciphertext, bound to its table, column and row.

    Opened on access; an unchanged value keeps its ciphertext on save. Null stays null, and "" is sealed like any text.
    Written by `save` and `bulk_create` only: a queryset's `update` does not know the row, so it raises TypeError.
    """

    if TYPE_CHECKING:
        _pyi_private_get_type: Any
        _pyi_private_set_type: Any

    descriptor_class = _OpensOnAccess

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def _place(self, instance: models.Model) -> bytes:
        if instance.pk is None:
            raise TypeError(f"{self.model.__name__} needs its id before {self.name} can be sealed")
        return place_of(self.model._meta.db_table, self.column or "", instance.pk)

    def open_at(self, instance: models.Model, value: Sealed) -> str:
        return unseal(keyring(), bytes(value), place=self._place(instance)).decode()

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Sealed | None:
        return None if value is None else Sealed(bytes(value))

    def to_python(self, value: Any) -> Any:
        return value

    def pre_save(self, model_instance: models.Model, add: bool) -> bytes | None:
        value = model_instance.__dict__.get(self.attname)
        if value is None or isinstance(value, Sealed):
            return value
        return Sealed(seal(keyring(), value.encode(), place=self._place(model_instance)))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is not None and not isinstance(value, Sealed):
            raise TypeError(f"{self.name} is sealed per row: assign it and save the object")
        return super().get_db_prep_value(None if value is None else bytes(value), connection, prepared)

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError("a sealed field is not serialised")


class IdField(models.UUIDField):
    """A UUIDv7 primary key, made in Python."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("primary_key", True)
        kwargs.setdefault("default", new_id)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)


class AmountField(models.DecimalField):
    """numeric(18,3): every amount of money, whatever its currency's decimals."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 18)
        kwargs.setdefault("decimal_places", 3)
        super().__init__(*args, **kwargs)


class DigestField(models.BinaryField):
    """A keyed digest (17 bytes), see `config.values.ciphertext.digest`."""

    if TYPE_CHECKING:
        _pyi_private_get_type: Any
        _pyi_private_set_type: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 17)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> bytes | None:
        return None if value is None else bytes(value)
