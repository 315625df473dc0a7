"""Waits for the cloud's notice that this spot host will be ended, and tells Ray: trials then save, and move before.

python spot_notice.py aws|gcp         ends when Ray was told; of several on a host, all but the first end at once
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

EVERY_S = {"aws": 5.0, "gcp": 1.0}
"""Pause between two questions: AWS gives two minutes and asks for 5 s, Google gives half a minute."""
GOOGLES_S = 30.0
ANSWER_S = 5.0
TOKEN_S = 21600
"""How long a token of AWS's metadata service is wanted for; one that has run out is answered with 401."""


class Aws:
    """The metadata service of EC2, version 2; its address is as the variable of AWS's own libraries says."""

    def __init__(self) -> None:
        self._server = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
        self._token = ""

    def ends_in_s(self) -> float | None:
        """Seconds until the host is ended, stopped or put to sleep; None without a notice. Raises OSError."""
        try:
            if not self._token:
                ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_S)}
                self._token = _asked(f"{self._server}/latest/api/token", ttl, "PUT")
            token = {"X-aws-ec2-metadata-token": self._token}
            notice = json.loads(_asked(f"{self._server}/latest/meta-data/spot/instance-action", token))
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token = ""
            if error.code == 404:  # no notice, or no spot host
                return None
            raise
        at = datetime.fromisoformat(notice["time"])
        return max(0.0, (at - datetime.now(UTC)).total_seconds())


class Gcp:
    """The metadata server of Compute Engine; its address is as the variable of Google's own libraries says."""

    def __init__(self) -> None:
        self._server = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")

    def ends_in_s(self) -> float | None:
        """Seconds until the host is ended; None without a notice. Raises OSError."""
        place = f"http://{self._server}/computeMetadata/v1/instance/preempted"
        return GOOGLES_S if _asked(place, {"Metadata-Flavor": "Google"}) == "TRUE" else None


def _asked(address: str, headers: dict[str, str], method: str = "GET") -> str:
    request = urllib.request.Request(address, headers=headers, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would answer for its own host
    with direct.open(request, timeout=ANSWER_S) as answer:
        text: str = answer.read().decode()
    return text.strip()


def noticed(cloud: Aws | Gcp, every_s: float) -> float:
    """Seconds until this host is ended, once that is known. A metadata service that does not answer is asked again."""
    trouble = ""
    while True:
        try:
            if (seconds := cloud.ends_in_s()) is not None:
                return seconds
            trouble = ""
        except (OSError, ValueError, KeyError) as error:
            if str(error) != trouble:
                trouble = str(error)
                print(f"the metadata service: {trouble}; asking on", file=sys.stderr, flush=True)
        time.sleep(every_s)


def tell_ray(ray: str, seconds: float, every_s: float) -> int:
    """Have Ray start nothing more on this host, and tell it when the host ends; again while Ray does not take it.

    Returns:
        The last exit status of ``ray``.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = max(0, int(deadline - time.monotonic()))
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud ends this spot host"]
        status = subprocess.run([ray, "drain-node", *reason, "--deadline-remaining-seconds", str(left)]).returncode
        if status == 0 or left == 0:
            return status
        time.sleep(every_s)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cloud", choices=sorted(EVERY_S))
    parser.add_argument("--every", type=float, help="seconds between two questions")
    parser.add_argument("--ray", default=str(Path(sys.executable).with_name("ray")), help="Ray's command")
    parser.add_argument("--lock", type=Path, default=Path.home() / ".spot_notice.lock")
    given = parser.parse_args()
    every_s = given.every or EVERY_S[given.cloud]
    with given.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another process waits for this host's notice")
            return 0
        seconds = noticed(Aws() if given.cloud == "aws" else Gcp(), every_s)
        print(f"this host ends in {seconds:.0f} s", flush=True)
        return tell_ray(given.ray, seconds, every_s)


if __name__ == "__main__":
    sys.exit(main())
