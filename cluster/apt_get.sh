#!/usr/bin/env bash
# Installs packages of Ubuntu:  apt_get.sh PACKAGE...
# A host that has just started updates itself and holds apt's locks for minutes. apt-get waits for the lock of packages
# if told to, and never for the one of package lists: that is asked again, for up to ten minutes.
set -euo pipefail
for attempt in $(seq 60); do
    if sudo apt-get -qq update; then
        exec sudo DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y "$@"
    fi
    echo "apt-get update failed ($attempt of 60)" >&2
    sleep "${APT_PAUSE_S:-10}"
done
exit 1
