"""An S3 server on the loopback, moto's, which can be made to throttle, refuse and stall."""

import threading
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Fault = Callable[[str, str, str], "tuple[str, str] | None"]
"""(method, path, query) to (status, S3's code), or None where the request is to be served."""
SLOW_DOWN = ("503 Slow Down", "SlowDown")
DENIED = ("403 Forbidden", "AccessDenied")
BROKEN = ("500 Internal Server Error", "InternalError")


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Nothing."""


class S3Server:
    """A server that runs until it is closed, with an empty bucket."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self.fault: Fault = lambda method, path, query: None
        self.requests: list[tuple[str, str, str]] = []
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _serve(self, environment: dict[str, Any], start: Any) -> Any:
        request = environment["REQUEST_METHOD"], environment["PATH_INFO"], environment.get("QUERY_STRING", "")
        self.requests.append(request)
        fault = self.fault(*request)
        if fault is None:
            return self._app(environment, start)
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        status, code = fault
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
