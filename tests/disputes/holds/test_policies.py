"""The packs are read when the service starts."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from disputes.holds.policies import check_packs, packs
from disputes.policy.packs import SHIPPED


def test_the_shipped_packs_let_the_service_start(settings):
    for name in ("house", "cn"):
        settings.POLICY_PACK = name
        check_packs()


def test_a_pack_that_is_not_there_stops_the_start(settings):
    settings.POLICY_PACK = "atlantis"
    with pytest.raises(ImproperlyConfigured, match="no pack 'atlantis'; there are cn, house"):
        check_packs()


def test_a_broken_pack_stops_the_start_by_file_and_key(settings, tmp_path):
    text = (SHIPPED / "house.toml").read_text(encoding="utf-8")
    (tmp_path / "house.toml").write_text(text.replace("max_lag_hours", "max_lag_days"), encoding="utf-8")
    settings.POLICY_DIRECTORY = str(tmp_path)
    with pytest.raises(ImproperlyConfigured, match=r"house\.toml: version\.0\.max_lag_days: unknown key"):
        check_packs()
    assert "house" in packs_after_mending(tmp_path, text)


def packs_after_mending(folder, text):
    """A directory that failed is read anew, not remembered."""
    (folder / "house.toml").write_text(text, encoding="utf-8")
    return packs().names()
