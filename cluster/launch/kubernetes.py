"""Kubernetes: the objects of a KubeRay RayCluster or RayJob, with the tracking server in the head's pod."""

from __future__ import annotations

from typing import Any

from cluster.launch import recipe

IMAGE = "registry.example/grokmap:0.1.0"
"""Image of every pod, to be filled in; `cluster/launch/Dockerfile` makes it."""
NAME = "grokmap"
"""Name of the cluster and label of all its pods."""
HOME = "/home/ray"
"""Home of the user that Ray's images run as."""

Object = dict[str, Any]


def objects(kind: str, workers: int, gpus: int) -> list[Object]:
    """Return the Kubernetes objects of a cluster of `kind` ("raycluster" or "rayjob")."""
    cluster = _cluster(workers, gpus)
    if kind == "raycluster":
        return [_disk(), _policy(), _custom("RayCluster", cluster)]
    job = {
        "entrypoint": "python sweep.py",
        # A sweep is gone on with by applying the file again: what is finished lies on the disk.
        "backoffLimit": 2,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "submitterPodTemplate": {
            "metadata": {"labels": {"app": NAME}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "submitter", "image": IMAGE}]},
        },
        "rayClusterSpec": cluster,
    }
    return [_disk(), _policy(), _custom("RayJob", job)]


def _custom(kind: str, spec: Object) -> Object:
    return {"apiVersion": "ray.io/v1", "kind": kind, "metadata": {"name": NAME}, "spec": spec}


def _cluster(workers: int, gpus: int) -> Object:
    store = str(recipe.OBJECT_STORE_BYTES)
    worker = {
        "groupName": "workers",
        "replicas": workers,
        "minReplicas": workers,
        "maxReplicas": workers,
        "rayStartParams": {"object-store-memory": store},
        "template": _pod([_ray("ray-worker", cpus=4 if gpus else 16, memory="16Gi", gpus=gpus)]),
    }
    # The operator talks to the dashboard; the token and the network policy keep everybody else out.
    head = {
        "rayStartParams": {"dashboard-host": "0.0.0.0", "object-store-memory": store},
        "template": _pod([_ray("ray-head", cpus=4, memory="8Gi", disk=True), _server()], disk=True),
    }
    return {
        "rayVersion": recipe.ray_version(),
        "authOptions": {"mode": "token"},
        "headGroupSpec": head,
        "workerGroupSpecs": [worker],
    }


def _pod(containers: list[Object], *, disk: bool = False) -> Object:
    spec: Object = {"containers": containers}
    if disk:
        spec["volumes"] = [{"name": "results", "persistentVolumeClaim": {"claimName": f"{NAME}-results"}}]
        # The disk belongs to the user that the image runs as.
        spec["securityContext"] = {"fsGroup": 100}
    return {"metadata": {"labels": {"app": NAME}}, "spec": spec}


def _environment() -> list[Object]:
    return [{"name": name, "value": value} for name, value in recipe.pod_environment().items()]


def _ray(name: str, *, cpus: int, memory: str, gpus: int = 0, disk: bool = False) -> Object:
    amounts = {"cpu": str(cpus), "memory": memory} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    container: Object = {
        "name": name,
        "image": IMAGE,
        "env": _environment(),
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
    }
    if disk:
        container["volumeMounts"] = [{"name": "results", "mountPath": f"{HOME}/results"}]
    return container


def _server() -> Object:
    """Return the tracking server: on the pod's loopback, which it shares with the driver and with nobody else."""
    amounts = {"cpu": "1", "memory": "2Gi"}
    return {
        "name": "mlflow",
        "image": IMAGE,
        "command": ["python", "-m", "cluster.services", "supervise"],
        "env": _environment(),
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "readinessProbe": {
            "exec": {"command": ["python", "-m", "cluster.services", "status"]},
            "initialDelaySeconds": 10,
            "periodSeconds": 30,
            "timeoutSeconds": 20,
        },
        "volumeMounts": [{"name": "results", "mountPath": f"{HOME}/results"}],
    }


def _disk() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{NAME}-results"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "50Gi"}}},
    }


def _policy() -> Object:
    """Return who may talk to the cluster's pods: each other, and the operator to the dashboard."""
    operator = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "podSelector": {"matchLabels": {"app": NAME}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": NAME}}}]},
                {"from": [operator], "ports": [{"protocol": "TCP", "port": recipe.DASHBOARD_PORT}]},
            ],
        },
    }
