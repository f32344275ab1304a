"""The real huggingface_hub client against a small server that speaks the hub's paths: no hub is reached."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40
ROOT = Path(__file__).parents[1]
README = "---\nlicense: apache-2.0\n---\n"
CODE = """
import sys
from pathlib import Path
from pinnace.errors import WeightsError
from pinnace.models.weights import resolve_weights
try:
    print(resolve_weights([sys.argv[1]], cache=Path(sys.argv[2])).folder)
except WeightsError as error:
    print(error)
"""


class FakeHub(BaseHTTPRequestHandler):
    """Serves the repository `org/name` at one commit from `files`."""

    files: dict[str, str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        body = self._body(path)
        self.send_response(404 if body is None else 200)
        body = body or b""
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hash(path) & 0xFFFFFFFF:040x}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _body(self, path: str) -> bytes | None:
        if path.startswith(f"/api/models/org/name/tree/{COMMIT}"):
            entries = [
                {"type": "file", "path": name, "size": len(text), "oid": "0" * 40}
                for name, text in self.files.items()
            ]
            return json.dumps(entries).encode()
        text = self.files.get(path.removeprefix(f"/org/name/resolve/{COMMIT}/"))
        return None if text is None else text.encode()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _hub(files: dict[str, str]) -> Iterator[str]:
    handler = type("Hub", (FakeHub,), {"files": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _resolve(tmp_path: Path, endpoint: str, offline: str = "0") -> str:
    """What a fresh process says: the hub's client reads its environment when it is imported."""
    switches = {"HF_HUB_OFFLINE": offline, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", CODE, f"hf:org/name@{COMMIT}", str(tmp_path / "cache")]
    environment = {**os.environ, **switches, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_revision_comes_without_pickles_and_code_and_is_had_offline_afterwards(tmp_path: Path) -> None:
    text = {"config.json": "{}", "model.safetensors": "weights", "README.md": README, "LICENSE": "Apache"}
    refused = {"pytorch_model.bin": "pickle", "modeling.py": "code", "onnx/config.json": "{}"}
    with _hub(text | refused) as endpoint:
        folder = Path(_resolve(tmp_path, endpoint))
    assert folder == tmp_path / "cache" / "hub" / f"org--name-{COMMIT[:12]}" / "model"
    assert {path.name for path in folder.iterdir()} == {*text, "pinnace.json"}
    manifest = json.loads((folder / "pinnace.json").read_text())
    assert manifest["source"] == f"hf:org/name@{COMMIT}"
    assert (manifest["license"], manifest["license_files"]) == ("apache-2.0", ["LICENSE"])
    assert _resolve(tmp_path, "http://127.0.0.1:1", offline="1") == str(folder)


def test_a_repository_of_pickles_is_refused(tmp_path: Path) -> None:
    with _hub({"config.json": "{}", "pytorch_model.bin": "pickle"}) as endpoint:
        said = _resolve(tmp_path, endpoint)
    assert "expected config.json and *.safetensors, got ['config.json']" in said


def test_a_hub_that_cannot_be_reached_is_told_in_its_clients_words(tmp_path: Path) -> None:
    assert "the hub does not give it: [Errno" in _resolve(tmp_path, "http://127.0.0.1:1")
