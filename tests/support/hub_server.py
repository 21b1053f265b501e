"""What servers on the loopback that stand for the hub have in common."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any


class HubHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD by `answer`, without a log."""

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Call `send_answer` or `send_json`."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def send_answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        """The whole answer, to HEAD without its content."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, found: Any) -> None:
        """A value as JSON."""
        self.send_answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
