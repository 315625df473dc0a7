"""The fields of Kubernetes objects that our files may use, as KubeRay 1.6 and Kubernetes' core/v1 define them.

Taken from KubeRay's API reference (https://ray-project.github.io/kuberay/reference/api/). Only what the files use and
its near neighbours: a field that is not here is a misspelling until somebody looks it up and adds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TEXT, NUMBER, TRUTH, MAP_OF_TEXT = "text", "whole number", "true or false", "map of text to text"
Field = Any  # one of the kinds above, a dict (an object), a list of one (a list of such) or a tuple (allowed values)

QUANTITIES = {"requests": MAP_OF_TEXT, "limits": MAP_OF_TEXT}
CONTAINER: Field = {
    "name": TEXT,
    "image": TEXT,
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "command": [TEXT],
    "args": [TEXT],
    "workingDir": TEXT,
    "env": [{"name": TEXT, "value": TEXT}],
    "resources": QUANTITIES,
    "volumeMounts": [{"name": TEXT, "mountPath": TEXT, "readOnly": TRUTH, "subPath": TEXT}],
}
POD: Field = {
    "metadata": {"labels": MAP_OF_TEXT, "annotations": MAP_OF_TEXT},
    "spec": {
        "restartPolicy": ("Always", "OnFailure", "Never"),
        "containers": [CONTAINER],
        "initContainers": [CONTAINER],
        "serviceAccountName": TEXT,
        "securityContext": {"fsGroup": NUMBER, "runAsUser": NUMBER, "runAsGroup": NUMBER, "runAsNonRoot": TRUTH},
        "nodeSelector": MAP_OF_TEXT,
        "tolerations": [{"key": TEXT, "operator": ("Exists", "Equal"), "value": TEXT, "effect": TEXT}],
        "volumes": [{"name": TEXT, "persistentVolumeClaim": {"claimName": TEXT}, "emptyDir": {"medium": TEXT}}],
    },
}
CLUSTER_SPEC: Field = {
    "rayVersion": TEXT,
    "enableInTreeAutoscaling": TRUTH,
    "suspend": TRUTH,
    "autoscalerOptions": {
        "version": ("v1", "v2"),
        "idleTimeoutSeconds": NUMBER,
        "upscalingMode": ("Default", "Aggressive", "Conservative"),
        "resources": QUANTITIES,
    },
    "authOptions": {"mode": ("disabled", "token"), "secretName": TEXT},
    "headGroupSpec": {"serviceType": TEXT, "enableIngress": TRUTH, "rayStartParams": MAP_OF_TEXT, "template": POD},
    "workerGroupSpecs": [
        {
            "groupName": TEXT,
            "replicas": NUMBER,
            "minReplicas": NUMBER,
            "maxReplicas": NUMBER,
            "numOfHosts": NUMBER,
            "rayStartParams": MAP_OF_TEXT,
            "template": POD,
        }
    ],
}
JOB_SPEC: Field = {
    "entrypoint": TEXT,
    "runtimeEnvYAML": TEXT,
    "submissionMode": ("K8sJobMode", "HTTPMode", "InteractiveMode"),
    "shutdownAfterJobFinishes": TRUTH,
    "ttlSecondsAfterFinished": NUMBER,
    "activeDeadlineSeconds": NUMBER,
    "backoffLimit": NUMBER,
    "suspend": TRUTH,
    "entrypointNumCpus": NUMBER,
    "rayClusterSpec": CLUSTER_SPEC,
}
KINDS: Mapping[str, Field] = {"RayCluster": CLUSTER_SPEC, "RayJob": JOB_SPEC}


def problems(document: Mapping[str, Any]) -> list[str]:
    """What KubeRay would refuse in ``document``, each with its path; empty where there is nothing."""
    head = {"apiVersion": ("ray.io/v1",), "kind": tuple(KINDS), "metadata": {"name": TEXT, "labels": MAP_OF_TEXT}}
    return list(_problems("", document, {**head, "spec": KINDS.get(document.get("kind", ""), {})}))


def _problems(path: str, value: Any, field: Field) -> Iterator[str]:
    if isinstance(field, tuple):
        if value not in field:
            yield f"{path}: {value!r} is none of {', '.join(field)}"
    elif isinstance(field, list):
        if not isinstance(value, list):
            yield f"{path}: must be a list"
        else:
            for number, item in enumerate(value):
                yield from _problems(f"{path}[{number}]", item, field[0])
    elif field == MAP_OF_TEXT or isinstance(field, dict):
        if not isinstance(value, dict):
            yield f"{path}: must be an object"
            return
        for key, item in value.items():
            inner = TEXT if field == MAP_OF_TEXT else field.get(key)
            if inner is None:
                yield f"{path}: no field {key!r}"
            else:
                yield from _problems(f"{path}.{key}", item, inner)
    elif not isinstance(value, {TEXT: str, NUMBER: int, TRUTH: bool}[field]) or (field == NUMBER and value is True):
        yield f"{path}: {value!r} must be {field}"
