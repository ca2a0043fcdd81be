"""Who did it, in words: a user by name, a system by what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from disputes.desk import words


def names_of(ids: Iterable[str]) -> dict[str, str]:
    """User's id, as events carry it → name. One query."""
    rows = User.objects.filter(pk__in=[one for one in ids if one.isdigit()])
    return {str(user.pk): user.get_full_name() or user.username for user in rows}


def said_by(kind: str, id: str, names: Mapping[str, str]) -> str:
    """An actor in words. `names`: of `names_of`."""
    return names.get(id) or _("a colleague") if kind == "user" else words.ACTORS.get(kind, kind)


def actor_names(written: Iterable[str]) -> dict[str, str]:
    """``user:7``, ``client:sender``, ``service``, as holds keep who placed them → in words. One query."""
    parts = {one: one.partition(":") for one in written if one}
    names = names_of({id for kind, _point, id in parts.values() if kind == "user"})
    return {one: _with_client(kind, id, names) for one, (kind, _point, id) in parts.items()}


def _with_client(kind: str, id: str, names: Mapping[str, str]) -> str:
    """Systems and customers are known by their ids; of a phone's verification the id tells a person nothing."""
    said = said_by(kind, id, names)
    return f"{said} {id}" if kind in ("client", "customer") and id else said
