"""A real S3 server in a process of its own, reached over a line that a test can cut; what it holds outlives the cut.

The server is moto's, which keeps objects in memory: killed, it would lose them. So the line is cut instead: what
connects gets what it gets when the server is down, and after ``mend`` the objects are there.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

START_S = 120.0
SIGNED = re.compile(rb"^authorization: .*Credential=([^/\s]+)/", re.IGNORECASE | re.MULTILINE)
REQUEST = re.compile(rb"^(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP", re.MULTILINE)


class Server:
    """S3 on loopback. Everything asks through the line; ``client`` is the test's own way past it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
        with (folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log)
        self._own = f"http://127.0.0.1:{port}"
        self.wait()
        self.line = Line(port)
        self.client = self.signed_in("test", "test")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.line.port}"

    def signed_in(self, key: str, secret: str) -> Any:
        own = {"aws_access_key_id": key, "aws_secret_access_key": secret, "config": Config(proxies={})}
        return boto3.client("s3", endpoint_url=self._own, region_name="us-east-1", **own)

    def wait(self) -> None:
        """Until it answers. Raises TimeoutError."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self._own}/moto-api/", timeout=5):
                return
            time.sleep(0.1)
        raise TimeoutError("moto's server does not answer")

    def demand_credentials(self) -> tuple[str, str]:
        """From now on a request needs the access key that is returned."""
        own = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        iam = boto3.client("iam", endpoint_url=self._own, region_name="us-east-1", **own)
        iam.create_user(UserName="someone")
        document = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="someone", PolicyName="all", PolicyDocument=document)
        key = iam.create_access_key(UserName="someone")["AccessKey"]
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{self._own}/moto-api/reset-auth", b"0", plain)).close()
        return key["AccessKeyId"], key["SecretAccessKey"]

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """What the bucket lists below the prefix, markers of folders left out."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [o["Key"] for page in pages for o in page.get("Contents", []) if not o["Key"].endswith("/")]

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """What the bucket holds below the prefix, by name."""
        names = self.names(bucket, prefix)
        return {name: self.client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def put_folder(self, folder: Path, bucket: str, prefix: str) -> None:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = f"{prefix}/{path.relative_to(folder).as_posix()}"
            self.client.put_object(Bucket=bucket, Key=name, Body=path.read_bytes())

    def close(self) -> None:
        self.line.cut()
        self._process.kill()
        self._process.wait()

    @staticmethod
    def environment(folder: Path, url: str) -> dict[str, str]:
        """Variables with which a program asks this server; it finds no credentials of whoever runs the tests."""
        none = dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"), "")
        files = {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        return {**none, **files, **keys, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}


class Line:
    """A TCP port of loopback that leads to another, notes the requests it carries, and can be cut and mended."""

    def __init__(self, to: int) -> None:
        self._to, self._open = to, set[socket.socket]()
        self.requests: list[tuple[str, str]] = []
        """Method and path of each, in order."""
        self.keys: list[str] = []
        """The access key of each signed request."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.mend()

    def mend(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self._listening], daemon=True).start()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open |= {near, far}
                threading.Thread(target=self._carry, args=[near, far, True], daemon=True).start()
                threading.Thread(target=self._carry, args=[far, near, False], daemon=True).start()

    def _carry(self, source: socket.socket, to: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_request:
                    self.requests += [(m.decode(), p.decode()) for m, p in REQUEST.findall(data)]
                    self.keys += [key.decode() for key in SIGNED.findall(data)]
                to.sendall(data)
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._open.discard(end)
