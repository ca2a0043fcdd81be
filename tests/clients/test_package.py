"""The client comes alone: whoever installs it brings nothing of ours with it."""

from __future__ import annotations

import subprocess
import sys

from config import environment

CLIENT = environment.ROOT / "clients/python"


def test_needs_nothing_but_the_standard_library():
    """In a Python that sees no installed package."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(CLIENT)!r}); import recourse_client"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
