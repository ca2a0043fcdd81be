"""Every command of docs/integrating.md, in its order, against the running service."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from config import environment
from tests.stack import Stack

PAGE = environment.ROOT / "docs" / "integrating.md"


def commands(page: str) -> str:
    """The shell blocks of a page, one after the other."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL))


def typed(script: str, *, stack: Stack) -> subprocess.CompletedProcess[str]:
    credentials = str(Path(os.environ["RECOURSE_HOME"]) / "credentials.json")
    script = script.replace(".recourse/credentials.json", credentials)
    # Whoever reads the page looks again for half a minute; a machine of tests may need longer.
    assert script.count("in $(seq 60)") == 3
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("in $(seq 60)", "in $(seq 300)")],
        cwd=environment.ROOT,
        env=stack.environ(),
        capture_output=True,
        text=True,
        timeout=600,
    )


class TestIntegrating:
    def test_goes_from_nothing_to_a_denied_send_and_on_to_a_survey(self, stack: Stack):
        done = typed(commands(PAGE.read_text(encoding="utf-8")), stack=stack)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        said = done.stdout
        place = -1
        for word in (
            '"result":"created"',
            "L-",
            "allow",
            "whsec_",
            "created",
            "M-",
            "D-",
            "loan",
            "deny",
            "placed",
            "upheld",
            "stale_records",
            "dispute.closed",
            "delivered",
            "<title>",
            "not_overdue",
            "true",
        ):
            place = said.find(word, place + 1)
            assert place >= 0, f"{word!r} is not in its place:\n{said}"
