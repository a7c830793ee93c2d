"""Launch files: rendered from one recipe, right by Ray's own schema and by Kubernetes', and closed to bad names."""

import re
import warnings
from pathlib import Path

import pytest
import yaml

from cluster.diagnosis.checks import schema_complaints
from cluster.launch import files, kubernetes, recipe
from cluster.launch.files import KINDS, KUBERNETES, Hosts, launch_file
from grokcore.errors import ConfigError

ROOT = recipe.FOLDER.parent
RAY_KINDS = [kind for kind in KINDS if kind not in KUBERNETES]


@pytest.mark.parametrize(("path", "text"), files.rendered().items(), ids=str)
def test_the_files_in_the_repository_are_those_that_the_recipe_renders(path, text):
    assert (ROOT / path).read_text(encoding="utf-8") == text, "run `python -m cluster.launch`"


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize("kind", RAY_KINDS)
def test_ray_accepts_every_file_that_it_launches(kind, gpus):
    from ray.autoscaler._private.util import prepare_config, validate_config

    values = yaml.safe_load(launch_file(Hosts(kind=kind, gpus=gpus)))
    assert list(schema_complaints(values)) == []
    validate_config(prepare_config(values))


def test_every_file_has_the_same_set_up_and_start_commands():
    files = [yaml.safe_load(launch_file(Hosts(kind=kind))) for kind in RAY_KINDS]
    keys = [key for key in files[0] if key.endswith("commands") or key in ("file_mounts", "cluster_synced_files")]
    assert len(keys) >= 6
    for key in keys:
        assert all(file[key] == files[0][key] for file in files), key


def test_versions_ports_and_tokens_stand_in_every_file():
    for kind in KINDS:
        text = launch_file(Hosts(kind=kind))
        if kind in KUBERNETES:
            assert f"rayVersion: {recipe.ray_version()}" in text
            assert "authOptions:" in text
        else:
            assert f"--port={recipe.GCS_PORT}" in text
            assert "--dashboard-host=127.0.0.1" in text
            assert recipe.TOKEN in text


def test_hosts_install_what_the_project_is_tested_with():
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    for name, version in recipe.versions().items():
        assert f"\n{name.partition('[')[0]}=={version}\n" in locked, (
            f"{name} {version} is not what requirements.lock has"
        )
    named = {re.split(r"[\[>=<]", line)[0].lower() for line in _project_dependencies()}
    assert named <= {name.partition("[")[0] for name in recipe.versions()}


def _project_dependencies():
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def test_host_names_cannot_become_shell_words_or_yaml():
    bad = ["a b", "$(id)", "h;reboot", "h\nworker_ips: []", "-oProxyCommand=x", "", "h'", "ü"]
    for name in bad:
        with pytest.raises(ConfigError, match="should be an IP address or a host name"):
            Hosts(head=name)
        with pytest.raises(ConfigError, match="user"):
            Hosts(user=name)
    for key in ["~/a b", "$(id)", "k\nx: y", "k'", ""]:
        with pytest.raises(ConfigError, match="key"):
            Hosts(key=key)


def test_all_complaints_come_at_once_and_a_host_is_named_once():
    with pytest.raises(ConfigError) as caught:
        Hosts(kind="on-premises", head="10.0.0.1", workers=("10.0.0.1",), user="Me")
    assert "Did you mean 'on-premise'?" in str(caught.value)
    assert "name each once" in str(caught.value)
    assert "user 'Me'" in str(caught.value)


def test_no_launch_file_holds_a_key_or_a_password():
    for path in files.rendered():
        text = (ROOT / path).read_text(encoding="utf-8")
        assert "PRIVATE KEY" not in text
        assert not re.search(r"(?i)password\s*[:=]\s*\S", text)


# ---- Kubernetes ------------------------------------------------------------------------------------------------------

_TEMPLATE = {
    "type": "object",
    "required": ["spec"],
    "properties": {"metadata": {}, "spec": {}},
    "additionalProperties": False,
}
_PARAMS = {"type": "object", "additionalProperties": {"type": "string"}}
RAY_CLUSTER = {
    "type": "object",
    "required": ["headGroupSpec"],
    "additionalProperties": False,
    "properties": {
        "rayVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "authOptions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"mode": {"enum": ["token", "disabled"]}},
        },
        "headGroupSpec": {
            "type": "object",
            "required": ["template"],
            "additionalProperties": False,
            "properties": {"rayStartParams": _PARAMS, "template": _TEMPLATE},
        },
        "workerGroupSpecs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["groupName", "template", "minReplicas", "maxReplicas"],
                "additionalProperties": False,
                "properties": {
                    "groupName": {"type": "string"},
                    "replicas": {"type": "integer", "minimum": 0},
                    "minReplicas": {"type": "integer", "minimum": 0},
                    "maxReplicas": {"type": "integer", "minimum": 0},
                    "rayStartParams": _PARAMS,
                    "template": _TEMPLATE,
                },
            },
        },
    },
}
RAY_JOB = {
    "type": "object",
    "required": ["entrypoint", "rayClusterSpec"],
    "additionalProperties": False,
    "properties": {
        "entrypoint": {"type": "string"},
        "backoffLimit": {"type": "integer", "minimum": 0},
        "shutdownAfterJobFinishes": {"const": True},
        "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
        "submitterPodTemplate": _TEMPLATE,
        "rayClusterSpec": RAY_CLUSTER,
    },
}
"""The fields of KubeRay's ray.io/v1 that are used here, as its API reference gives them; no others pass."""


@pytest.mark.parametrize("gpus", [0, 2])
@pytest.mark.parametrize("kind", KUBERNETES)
def test_kubernetes_objects_are_right_by_their_schemas(kind, gpus):
    import jsonschema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import kubernetes_validate

    made = list(yaml.safe_load_all(launch_file(Hosts(kind=kind, gpus=gpus))))
    assert made == kubernetes.objects(kind, 2, gpus)
    *plain, ray = made
    version = kubernetes_validate.latest_version()
    for item in plain:
        kubernetes_validate.validate(item, version, strict=True)
    jsonschema.validate(ray["spec"], {"raycluster": RAY_CLUSTER, "rayjob": RAY_JOB}[kind])
    cluster = ray["spec"] if kind == "raycluster" else ray["spec"]["rayClusterSpec"]
    templates = [cluster["headGroupSpec"]["template"], *(g["template"] for g in cluster["workerGroupSpecs"])]
    templates += [ray["spec"]["submitterPodTemplate"]] if kind == "rayjob" else []
    for template in templates:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "x", **template["metadata"]},
            "spec": template["spec"],
        }
        kubernetes_validate.validate(pod, version, strict=True)
    limits = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (str(gpus) if gpus else None)


def test_the_schema_check_can_fail():
    import jsonschema
    import kubernetes_validate

    policy = kubernetes.objects("raycluster", 1, 0)[1]
    policy["spec"]["ingres"] = policy["spec"].pop("ingress")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)
    ray = kubernetes.objects("raycluster", 1, 0)[2]["spec"]
    ray["headGroupSpec"]["rayStartParams"]["num-cpus"] = 4
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(ray, RAY_CLUSTER)


def test_pods_of_a_cluster_can_be_reached_by_each_other_and_its_operator_alone():
    policy = kubernetes.objects("rayjob", 2, 0)[1]["spec"]
    label = {"matchLabels": {"app": kubernetes.NAME}}
    assert policy["podSelector"] == label
    ours, operator = policy["ingress"]
    assert ours["from"] == [{"podSelector": label}]
    assert [port["port"] for port in operator["ports"]] == [recipe.DASHBOARD_PORT]


def test_the_image_has_the_version_of_ray_that_the_operator_is_told():
    text = (ROOT / "cluster/launch/Dockerfile").read_text(encoding="utf-8")
    assert f"FROM rayproject/ray:{recipe.ray_version()}-py3" in text
    assert all(f"COPY --chown=ray:users {source} " in text for source in recipe.SOURCES)
    assert all((ROOT / source).exists() for source in [*recipe.SOURCES, Path("sweep.py")])
