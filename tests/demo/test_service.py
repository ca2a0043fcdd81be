"""Which service the demo speaks to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from demo import service
from tests.races import PATIENCE


class NotReadyYet(BaseHTTPRequestHandler):
    """Hangs up on the first who asks, tells the next that it is not ready, and is ready from the third on."""

    asked = 0

    def do_GET(self) -> None:
        NotReadyYet.asked += 1
        if NotReadyYet.asked > 1:
            self.send_response(200 if NotReadyYet.asked > 2 else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_one_that_is_slow_to_be_ready_is_waited_for_and_no_second_one_started(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(service, "READY_WITHIN", PATIENCE)
    credentials, said = tmp_path / "credentials.json", []
    with ThreadingHTTPServer(("127.0.0.1", 0), NotReadyYet) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        base_url = f"http://127.0.0.1:{slow.server_port}"
        credentials.write_text(json.dumps({"base_url": base_url}))
        with service.running_service(credentials=credentials, say=said.append, patience=1) as found:
            assert (found.base_url, found.for_now, said) == (base_url, False, [])
        slow.shutdown()
    assert NotReadyYet.asked == 3
