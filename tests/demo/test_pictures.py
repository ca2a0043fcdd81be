"""`make pictures` where it cannot take any."""

from __future__ import annotations

import pytest

from demo import pictures


def test_says_what_is_missing_where_there_is_no_chromium(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="needs Chromium on the PATH"):
        pictures.main()
