#!/usr/bin/env bash
# Starts the cluster's MLflow server on the loopback of this host, or keeps the one that runs.
#   mlflow_head.sh        start          mlflow_head.sh stop        end it; `ray down` does not
# Settings: MLFLOW_PORT, MLFLOW_BACKEND (e.g. postgresql://user@host/mlflow), MLFLOW_ARTIFACTS (s3://, gs://).
set -euo pipefail
umask 077
folder=$HOME/mlflow
port=${MLFLOW_PORT:-5000}
backend=${MLFLOW_BACKEND:-sqlite:///$folder/mlflow.db}
artifacts=${MLFLOW_ARTIFACTS:-$folder/artifacts}
mkdir -p "$folder"

healthy() { # bash's own TCP: a host need not have curl
    (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 && grep -q OK <&3) 2>/dev/null
}
ours() { [ -f "$folder/server.pid" ] && kill -0 -- "-$(cat "$folder/server.pid")" 2>/dev/null; }

if [ "${1:-start}" = stop ]; then
    if ours; then
        kill -- "-$(cat "$folder/server.pid")"
        echo "MLflow stopped"
    fi
    rm -f "$folder/server.pid"
    exit 0
fi
if ours && healthy; then
    echo "MLflow already runs on http://127.0.0.1:$port"
    exit 0
fi
if healthy; then
    echo "something else answers on port $port of this host; set MLFLOW_PORT, here and in MLFLOW_TRACKING_URI" >&2
    exit 1
fi
# The job executor would take 2 GiB and nothing here uses it. Host checks stay on: localhost passes them.
MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false setsid nohup mlflow server --host 127.0.0.1 --port "$port" --workers 1 \
    --backend-store-uri "$backend" --artifacts-destination "$artifacts" >"$folder/server.log" 2>&1 </dev/null &
echo $! >"$folder/server.pid"
for _ in $(seq 240); do
    sleep 0.5
    if healthy; then
        echo "MLflow runs on http://127.0.0.1:$port"
        exit 0
    fi
    ours || break
done
echo "MLflow did not start; the end of $folder/server.log:" >&2
tail -5 "$folder/server.log" >&2
exit 1
