"""Versions: differences between hosts in one sentence each, and Ray's own refusal in one too."""

import pytest

from grokcore.errors import ConfigError
from sweeps.execution import joining, versions
from sweeps.execution.versions import differences


def test_hosts_that_agree_give_no_sentence():
    assert list(differences({"a": versions.versions(), "b": versions.versions()})) == []


def test_each_difference_is_one_sentence_with_its_hosts_and_the_remedy():
    same = {"Python": "3.11", "torch": "2.13.0"}
    hosts = {"head": same, **{f"h{i}": same | {"torch": "2.12.0"} for i in range(6)}, "old": {"Python": "3.11"}}
    (sentence,) = differences(hosts)
    start = "torch is 2.13.0 on head, but 2.12.0 on h0, h1, h2 and 3 more, but none on old. "
    assert sentence == f"{start}{versions.REMEDY}"


def test_builds_of_one_version_are_the_same(monkeypatch):
    monkeypatch.setattr(versions.metadata, "version", lambda _: "2.13.0+cpu")
    assert versions.versions()["torch"] == "2.13.0"


def test_another_ray_or_python_at_that_address_is_said_in_one_sentence(monkeypatch):
    from ray._private.utils import check_version_info

    def refuse(**_):
        check_version_info({"ray_version": "2.9.0", "python_version": "3.8.1"}, "10.0.0.1:6379")

    monkeypatch.setattr(joining.ray, "init", refuse)
    with pytest.raises(ConfigError) as caught:
        joining.connect("10.0.0.1:6379")
    (complaint,) = caught.value.complaints
    assert complaint.startswith("Ray at '10.0.0.1:6379' cannot be joined: ")
    assert "Ray: 2.9.0 Python: 3.8.1" in complaint
    assert "ray up -y cluster.yaml" in complaint
    assert "\n" not in complaint
