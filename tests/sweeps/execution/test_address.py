"""Address: a cluster is joined where one answers, and one that does not is named within seconds."""

import socket
import stat

import pytest
import ray

from cluster.diagnosis.node_survey import SurveyError, joined
from grokcore.errors import ConfigError
from sweeps.execution import address, joining


def test_a_cluster_is_found_where_ray_notes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address.found(None) == "local"
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.9:1")
    # Noted, but gone: an embedded Ray is started instead.
    assert address.found(None) == "local"
    from ray._common.utils import get_ray_address_file

    assert get_ray_address_file(None) == str(tmp_path / "ray" / "ray_current_cluster")
    with socket.create_server((ray.util.get_node_ip_address(), 0)) as there:
        where = f"{there.getsockname()[0]}:{there.getsockname()[1]}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"{where}\n")
        assert address.found(None) == where


@pytest.mark.parametrize("where", ["127.0.0.1:9", "10.0.0.1", "nowhere.invalid:6379", "h:99999999", "ray://"])
def test_a_cluster_that_is_not_there_is_named_before_ray_waits_for_it(where, monkeypatch):
    monkeypatch.setattr(address, "JOIN_SECONDS", 0.3)
    with pytest.raises(ConfigError) as caught:
        address.found(where)
    assert str(caught.value).startswith(f"no Ray answers at {where!r} (")
    assert "HOST:PORT" in str(caught.value)


@pytest.mark.parametrize("noted", ["", "127.0.0.9:1"])
def test_who_asks_hosts_of_a_cluster_that_is_gone_is_told_at_once(noted, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(noted)
    for place, said in (("auto", "here"), ("127.0.0.9:1", "at '127.0.0.9:1'")):
        with pytest.raises(SurveyError, match=rf"no Ray cluster answers {said} \(.+\)\. Launch one"), joined(place):
            pass


def test_the_token_of_an_embedded_ray_is_read_by_its_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(joining.ray, "init", lambda **_: None)
    joining.connect("local")
    token = tmp_path / ".ray" / "auth_token"
    made = token.read_text()
    assert len(made) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    token.chmod(0o644)
    joining.connect("local")
    assert token.read_text() == made, "another Ray of this user may be using it"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
