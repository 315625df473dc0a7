"""Which commit of the code a study or a training ran."""

from __future__ import annotations

import subprocess


def commit() -> str:
    """Of the working folder's repository; empty outside of one."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
