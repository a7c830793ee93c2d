"""A Ray that is there is joined as Ray itself would join it; one that is merely noted is no obstacle."""

import os
import socket

import pytest
import ray

from grokcore.errors import ConfigError
from sweeps.execution import address, embedded_ray, joining


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """Note a Ray on this host that answers, and return its address."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    with socket.create_server((ray.util.get_node_ip_address(), 0)) as there:
        where = f"{there.getsockname()[0]}:{there.getsockname()[1]}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(where)
        yield where


def test_an_empty_address_is_none(noted, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert address.found(None) == noted
    assert address.asked_for(None) == ""


@pytest.mark.parametrize(
    ("given", "variable", "name"), [("h.invalid:1", None, "--address"), (None, "h.invalid:1", "RAY_ADDRESS")]
)
def test_who_named_a_refused_address_is_said(monkeypatch, given, variable, name):
    monkeypatch.setattr(address, "JOIN_SECONDS", 0.3)
    monkeypatch.setenv("RAY_ADDRESS", variable or "")
    with pytest.raises(ConfigError, match=rf"what {name} says.*--address local"):
        address.found(given)


def test_the_one_noted_is_joined_as_ray_itself_would(noted, monkeypatch):
    asked = []
    monkeypatch.setattr(joining.ray, "init", lambda **words: asked.append(words["address"]))
    assert joining.connect(noted) is False
    assert joining.connect("10.0.0.7:6379") is False
    assert asked == ["auto", "10.0.0.7:6379"]


def test_one_that_is_noted_and_cannot_be_joined_is_told_and_left(noted, monkeypatch):
    def refuse(**_):
        os.write(2, b"gcs_client.cc: Unauthenticated: InvalidAuthToken: missing\n")
        raise ConnectionError("Failed to connect")

    said, started = [], []
    monkeypatch.setattr(joining.ray, "init", refuse)
    monkeypatch.setattr(embedded_ray, "start", started.append)
    assert joining.connect(noted, 3, said.append) is True
    assert started == [3]
    assert len(said) == 1
    assert f"{noted} cannot be joined (it asks for a token that this host does not give)" in said[0]
    assert "--address local" in said[0]
    with pytest.raises(ConfigError, match=r"asks for a token.*RAY_AUTH_MODE=token"):
        joining.connect(noted)


def test_what_ray_writes_while_it_fails_is_not_shown(monkeypatch, capfd):
    def fail(**_):
        os.write(2, b"gcs_client.cc:210: Failed to get cluster ID\n" * 10)
        raise ConnectionError("Failed to connect")

    monkeypatch.setattr(joining.ray, "init", fail)
    with pytest.raises(ConfigError):
        joining.connect("10.0.0.7:6379")
    assert capfd.readouterr().err == ""


def test_a_cluster_without_a_free_slot_says_what_it_has(monkeypatch):
    nodes = {"node:__internal_head__": 1.0, "node:10.0.0.1": 1.0, "node:10.0.0.2": 1.0}
    monkeypatch.setattr(joining.ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0, **nodes})
    monkeypatch.setattr(joining.ray, "available_resources", lambda: {"CPU": 3.0, "GPU": 0.25})
    assert joining.full({"CPU": 1}) == ""
    assert joining.full({"CPU": 1, "GPU": 0.25}) == ""
    said = joining.full({"CPU": 1, "GPU": 0.5})
    assert "no slot is free on this Ray of 2 nodes: 3 of its 8 cores and 0.25 of its 2 GPUs are." in said
