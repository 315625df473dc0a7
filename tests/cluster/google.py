"""A server that answers Ray's launcher as Google Cloud does, and refuses what the schema of its API does not know."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import googleapiclient.discovery_cache
import pytest
from googleapiclient import discovery

DOCUMENTS = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
DONE = {"name": "operation", "status": "DONE"}
ACCOUNT = "ray-autoscaler-sa-v1@{}.iam.gserviceaccount.com"
PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def problems(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Where ``value`` is not as the ``schemas`` of a discovery document say, each with its path."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind == "any":
        return
    if not isinstance(value, PYTHON[kind]) and not (schema.get("format") == "int64" and isinstance(value, int)):
        yield f"{path}: {value!r} is no {kind}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {', '.join(schema['enum'])}"
    elif kind == "array":
        for number, item in enumerate(value):
            yield from problems(item, schema["items"], schemas, f"{path}[{number}]")
    elif kind == "object":
        for key, item in value.items():
            field = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if field is None:
                yield f"{path}: no field {key!r}"
            else:
                yield from problems(item, field, schemas, f"{path}.{key}")


def instance_problems(body: Mapping[str, Any]) -> list[str]:
    """What Compute Engine's published schema says against a request for an instance."""
    schemas = json.loads((DOCUMENTS / "compute.v1.json").read_text())["schemas"]
    return list(problems(body, {"$ref": "Instance"}, schemas))


class Google:
    """One project with the default network of us-west1; what Ray makes in it."""

    def __init__(self) -> None:
        self.instances: dict[str, dict[str, Any]] = {}
        self.accounts: set[str] = set()
        self.roles: set[str] = set()
        self.metadata: dict[str, Any] = {"items": []}

    def answer(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:
        """Status and content of the answer to one request."""
        place = re.fullmatch(r"/(\w+)/(?:v1/)?projects/([\w-]+)(?::(\w+))?/?(.*)", path)
        assert place is not None, path
        service, project, verb, rest = place.groups()
        if service == "cloudresourcemanager":
            if verb == "setIamPolicy":
                self.roles |= {binding["role"] for binding in body["policy"]["bindings"]}
            return 200, {"projectId": project, "lifecycleState": "ACTIVE", "bindings": []}
        if service == "iam":
            account = ACCOUNT.format(project)
            if method == "GET" and account not in self.accounts:
                return 404, {}
            self.accounts.add(account)
            return 200, {"email": account, "projectId": project}
        if rest.split("/")[-2:-1] == ["operations"] or not rest or rest == "setCommonInstanceMetadata":
            self.metadata = body or self.metadata
            return 200, {**DONE, "name": project if not rest else "operation", "commonInstanceMetadata": self.metadata}
        if rest.endswith("/subnetworks"):
            return 200, {"items": [{"selfLink": f"projects/{project}/{rest}/default"}]}
        return self._instance(method, rest.partition("/instances")[2].strip("/"), query, body)

    def _instance(self, method: str, rest: str, query: str, body: Any) -> tuple[int, Any]:
        name, _, verb = rest.partition("/")
        if method == "DELETE":
            self.instances[name]["status"] = "TERMINATED"
        elif verb == "setLabels":
            self.instances[name]["labels"] = body["labels"]
        elif method == "POST":
            if found := instance_problems(body):
                return 400, {"error": {"message": "; ".join(found)}}
            self.instances[body["name"]] = {**body, "status": "RUNNING", "labelFingerprint": "x"}
        else:
            labels = dict(re.findall(r"labels\.([\w-]+) = ([\w-]+)", query))
            states = re.findall(r"status = (\w+)", query)
            every = [i for i in self.instances.values() if i["status"] in states]
            return 200, {"items": [i for i in every if labels.items() <= i["labels"].items()]}
        return 200, DONE


@contextmanager
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """The server, which Google's client asks from now on in place of Google."""
    made = Google()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = parse_qs(parts.query).get("filter", [""])[0]
            status, content = made.answer(self.command, parts.path, query, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *words: object) -> None:
            pass

    build = discovery.build
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()

        def build_here(service: str, version: str, **options: Any) -> Any:
            here = {"api_endpoint": f"http://127.0.0.1:{server.server_port}/{service}/"}
            return build(service, version, client_options=here, **options)

        monkeypatch.setattr(discovery, "build", build_here)
        yield made
        server.shutdown()
