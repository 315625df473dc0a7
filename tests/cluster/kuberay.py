"""What KubeRay 1.6 and Kubernetes accept of our files, as a JSON schema, and what KubeRay checks beyond its schema.

Taken from KubeRay's API reference (https://ray-project.github.io/kuberay/reference/api/) and the types of its operator.
Only the fields that the files use and their near neighbours: a field that is not here is a misspelling until somebody
looks it up and adds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
MAP_OF_TEXT: Schema = {"type": "object", "additionalProperties": TEXT}
QUANTITY: Schema = {"type": ["integer", "string"], "pattern": r"^\d+(\.\d+)?([KMGTPE]i|[numkMGTPE])?$"}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def object_of(required: str = "", /, **fields: Schema) -> Schema:
    """An object of these fields and no others; ``required``: the names of those that must be there."""
    return {"type": "object", "properties": fields, "additionalProperties": False, "required": required.split()}


QUANTITIES: Schema = {"type": "object", "additionalProperties": QUANTITY}
RESOURCES = object_of(requests=QUANTITIES, limits=QUANTITIES)
CONTAINER = object_of(
    "name",
    name=TEXT,
    image=TEXT,
    imagePullPolicy=one_of("Always", "IfNotPresent", "Never"),
    command=many(TEXT),
    args=many(TEXT),
    workingDir=TEXT,
    env=many(object_of("name", name=TEXT, value=TEXT)),
    resources=RESOURCES,
    volumeMounts=many(object_of("name mountPath", name=TEXT, mountPath=TEXT, readOnly=TRUTH, subPath=TEXT)),
)
VOLUME = object_of(
    "name",
    name=TEXT,
    persistentVolumeClaim=object_of("claimName", claimName=TEXT, readOnly=TRUTH),
    emptyDir=object_of(medium=TEXT, sizeLimit=QUANTITY),
)
TOLERATION = object_of(
    key=TEXT,
    operator=one_of("Exists", "Equal"),
    value=TEXT,
    effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
)
POD = object_of(
    metadata=object_of(labels=MAP_OF_TEXT, annotations=MAP_OF_TEXT),
    spec=object_of(
        "containers",
        restartPolicy=one_of("Always", "OnFailure", "Never"),
        containers=many(CONTAINER),
        initContainers=many(CONTAINER),
        serviceAccountName=TEXT,
        securityContext=object_of(fsGroup=COUNT, runAsUser=COUNT, runAsGroup=COUNT, runAsNonRoot=TRUTH),
        nodeSelector=MAP_OF_TEXT,
        tolerations=many(TOLERATION),
        volumes=many(VOLUME),
    ),
)
CLUSTER_SPEC = object_of(
    "headGroupSpec",
    rayVersion=TEXT,
    enableInTreeAutoscaling=TRUTH,
    suspend=TRUTH,
    autoscalerOptions=object_of(
        version=one_of("v1", "v2"),
        idleTimeoutSeconds=COUNT,
        upscalingMode=one_of("Default", "Aggressive", "Conservative"),
        resources=RESOURCES,
    ),
    authOptions=object_of(mode=one_of("disabled", "token"), secretName=TEXT),
    headGroupSpec=object_of(
        "template", serviceType=TEXT, enableIngress=TRUTH, rayStartParams=MAP_OF_TEXT, template=POD
    ),
    workerGroupSpecs=many(
        object_of(
            "groupName minReplicas maxReplicas template",
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            numOfHosts=COUNT,
            rayStartParams=MAP_OF_TEXT,
            template=POD,
        )
    ),
)
JOB_SPEC = object_of(
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    shutdownAfterJobFinishes=TRUTH,
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    suspend=TRUTH,
    entrypointNumCpus=NUMBER,
    rayClusterSpec=CLUSTER_SPEC,
)
KINDS: Mapping[str, Schema] = {"RayCluster": CLUSTER_SPEC, "RayJob": JOB_SPEC}


def problems(document: Mapping[str, Any]) -> list[str]:
    """What KubeRay would refuse in ``document``, each with its path; empty where there is nothing."""
    schema = object_of(
        "apiVersion kind metadata spec",
        apiVersion=one_of("ray.io/v1"),
        kind=one_of(*KINDS),
        metadata=object_of("name", name=TEXT, labels=MAP_OF_TEXT),
        spec=KINDS.get(str(document.get("kind")), {}),
    )
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found] or list(_beyond_the_schema(document["spec"]))


def _beyond_the_schema(spec: Mapping[str, Any]) -> Iterator[str]:
    """What the operator itself refuses."""
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    groups = spec.get("rayClusterSpec", spec).get("workerGroupSpecs", [])
    if len({group["groupName"] for group in groups}) < len(groups):
        yield "two worker groups have one name"
    for group in groups:
        if not group["minReplicas"] <= group.get("replicas", 0) <= group["maxReplicas"]:
            yield f"{group['groupName']}: replicas must lie between minReplicas and maxReplicas"
