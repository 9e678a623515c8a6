"""An OpenAI-compatible endpoint on this machine: chat completions, scripted answers and faults.

Without a script it answers every request with a JSON object that fits the schema of the request.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Asked", "ChatServer", "Reply", "completion", "error", "fill", "run_chat_server"]


@dataclass
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict

    @property
    def schema(self) -> dict:
        return self.body["response_format"]["json_schema"]["schema"]

    @property
    def text(self) -> str:
        """What the last turn says."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)

    @property
    def pictures(self) -> list[str]:
        """Data URLs, in order."""
        parts = [
            part for turn in self.body["messages"] if isinstance(turn["content"], list) for part in turn["content"]
        ]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@dataclass
class Reply:
    """An answer, or a fault."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drops: bool = False
    """Close the connection without a word."""
    waits_for: threading.Event | None = None
    """Answer when this is set."""
    piece_delay_s: float = 0.0
    """Send byte by byte, with this pause."""


Answer = Reply | str | dict | Callable[[Asked], "Answer"]


@dataclass
class ChatServer:
    """The state, and what a test can change."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: deque[Answer] = field(default_factory=deque)
    """Answered first, one each; a text or an object is what the model says."""
    otherwise: Answer | None = None
    """Answered when the script is over; None for what fits the schema."""
    most_at_once: int = 0

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"


def completion(
    content: object,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    usage: object = "usual",
    **further: object,
) -> Reply:
    """A chat completion that says something."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "fake-1",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
            }
        ],
        "usage": {"prompt_tokens": 80, "completion_tokens": 20, "total_tokens": 100} if usage == "usual" else usage,
    }
    return Reply(json.dumps({**body, **further}).encode())


def error(status: int, message: str = "no", *, code: str = "", headers: dict[str, str] | None = None) -> Reply:
    """A refusal by status."""
    return Reply(json.dumps({"error": {"message": message, "code": code}}).encode(), status, headers or {})


def fill(schema: dict, sentence: str = "a person walks with short steps") -> dict:
    """An object that fits a schema: the first choice everywhere, and a sentence that names its field."""
    return {
        name: field["enum"][0] if "enum" in field else f"{sentence}, {name}"
        for name, field in schema["properties"].items()
    }


@contextmanager
def run_chat_server() -> Iterator[ChatServer]:
    """Serve until the end of the block."""
    chat = ChatServer()
    server = _Server(("127.0.0.1", 0), _handler(chat))
    chat.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone: that is what some tests are about."""


def _handler(chat: ChatServer) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()
    at_once = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            return

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(data))
            with lock:
                chat.asked.append(asked)
                at_once[0] += 1
                chat.most_at_once = max(chat.most_at_once, at_once[0])
                answer = chat.script.popleft() if chat.script else chat.otherwise
            try:
                self.reply(_reply(answer, asked))
            finally:
                with lock:
                    at_once[0] -= 1

        def reply(self, reply: Reply) -> None:
            if reply.waits_for is not None:
                reply.waits_for.wait(20)
            if reply.drops:
                self.close_connection = True
                self.connection.close()
                return
            try:
                self.send_response(reply.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                size = 1 if reply.piece_delay_s else max(1, len(reply.body))
                for start in range(0, len(reply.body), size):
                    self.wfile.write(reply.body[start : start + size])
                    self.wfile.flush()
                    time.sleep(reply.piece_delay_s)
            except OSError:
                self.close_connection = True  # who asked has gone

    return Handler


def _reply(answer: Answer | None, asked: Asked) -> Reply:
    if answer is None:
        answer = fill(asked.schema)
    if callable(answer):
        return _reply(answer(asked), asked)
    if isinstance(answer, dict):
        answer = json.dumps(answer)
    return completion(answer) if isinstance(answer, str) else answer
