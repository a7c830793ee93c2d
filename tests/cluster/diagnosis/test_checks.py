"""Checks before a launch: one sentence each, with what to do, and never somebody else's traceback."""

import socket

import pytest
import yaml

from cluster.diagnosis import checks
from cluster.diagnosis.checks import check_launch_file, schema_complaints, version_complaints
from cluster.launch import recipe
from cluster.launch.files import Hosts, launch_file
from grokcore.errors import ConfigError


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a folder with what a launch file names, and a key of the right kind."""
    for source in recipe.SOURCES:
        (tmp_path / source).mkdir()
    key = tmp_path / "key"
    key.write_text("not a key")
    key.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, hosts=None, **changes):
    values = yaml.safe_load(
        launch_file(hosts or Hosts(head="10.0.0.1", workers=(), user="me", key=str(folder / "key")))
    )
    values.update(changes)
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def complaints_of(path, **options):
    with pytest.raises(ConfigError) as caught:
        check_launch_file(path, **options)
    return caught.value.complaints


def test_a_right_file_is_returned(repository):
    assert check_launch_file(write(repository), reach=False)["cluster_name"] == "grokmap"


def test_the_file_as_it_is_delivered_says_what_to_fill_in(repository):
    path = write(repository, Hosts(key=str(repository / "key")))
    (complaint,) = complaints_of(path)
    assert "192.0.2.10, 192.0.2.11, 192.0.2.12 are examples: write your own hosts' addresses" in complaint


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist. Make one: grokmap cluster new"),
        ("a: [1", "is not YAML"),
        ("- 1\n- 2\n", "holds list, not a table"),
        ("1: 2\n", "not a table"),
        ("", "holds NoneType, not a table"),
        ("a: 1\n---\nb: 2\n", "holds 2 documents, not one table"),
        ("apiVersion: v1\n---\napiVersion: ray.io/v1\nkind: RayJob\n", "is for Kubernetes, not for ray up: kubectl"),
        ("a: !!python/object/apply:os.system [id]", "is not YAML"),
        ("\x00", "is not YAML"),
    ],
)
def test_what_is_no_launch_file_is_said_in_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "cluster.yaml"
    if text is not None:
        path.write_text(text)
    (complaint,) = complaints_of(path)
    assert sentence in complaint
    assert "\n" not in complaint


def test_what_was_not_filled_in_is_said_together_with_the_rest(repository):
    (repository / "key").unlink()
    examples, key = complaints_of(write(repository, Hosts(key=str(repository / "key"))))
    assert "192.0.2.10, 192.0.2.11, 192.0.2.12 are examples" in examples
    assert "ssh key" in key
    (complaint,) = complaints_of(write(repository, Hosts(kind="gcp")))
    assert "provider.project_id is empty" in complaint


def test_a_kind_of_host_that_ray_does_not_know_names_its_nearest_match(repository):
    (complaint,) = complaints_of(write(repository, provider={"type": "locl"}))
    assert "provider.type: unknown kind of host 'locl'. Did you mean 'local'?" in complaint


def test_a_wrong_key_names_its_nearest_match(repository):
    (complaint,) = complaints_of(write(repository, setup_comands=[]))
    assert "unknown key 'setup_comands'. Did you mean 'setup_commands'?" in complaint


def test_wrong_types_are_named_by_their_place():
    said = list(schema_complaints({"cluster_name": 3, "provider": {"type": "local"}, "max_workers": "two"}))
    assert any(line.startswith("cluster_name: 3 is not of type 'string'") for line in said)
    assert any(line.startswith("max_workers: 'two' is not of type 'integer'") for line in said)
    assert any(
        "ssh_usr" in line
        for line in schema_complaints({"cluster_name": "x", "provider": {"type": "local"}, "auth": {"ssh_usr": 1}})
    )


def test_missing_sources_and_keys_are_found(repository):
    (repository / "sweeps").rmdir()
    (repository / "key").unlink()
    said = complaints_of(write(repository))
    assert any("file_mounts: sweeps is not in" in line and "repository's root" in line for line in said)
    assert any("ssh key" in line and "ssh-keygen -t ed25519" in line for line in said)


def test_a_key_that_others_can_read_is_refused(repository):
    (repository / "key").chmod(0o644)
    (complaint,) = complaints_of(write(repository))
    assert complaint.endswith(f"chmod 600 {repository / 'key'}.")


def test_a_silent_address_and_a_closed_port_are_told_apart_from_a_refused_key(repository, monkeypatch):
    hosts = Hosts(head="127.0.0.9", workers=(), user="me", key=str(repository / "key"))
    # Bound and not listening: nobody else can listen there meanwhile.
    with socket.socket() as bound:
        bound.bind(("127.0.0.9", 0))
        port = bound.getsockname()[1]
        monkeypatch.setattr(checks, "SSH_PORT", port)
        (complaint,) = complaints_of(write(repository, hosts))
    assert f"head 127.0.0.9 does not answer on port {port} (Connection refused)" in complaint


def test_an_address_that_answers_but_speaks_no_ssh_is_named(repository, monkeypatch):
    words = ["sh", "-c", "echo 'Connection closed' >&2; exit 255"]
    monkeypatch.setattr(checks.Ssh, "words", lambda self, host: words)  # noqa: ARG005
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(checks, "SSH_PORT", server.getsockname()[1])
        said = checks.Ssh(user="me", key=str(repository / "key"), head="127.0.0.1").complaint("127.0.0.1")
    assert said == "head 127.0.0.1 cannot be reached by ssh (Connection closed): is it on, and is this its address?"


def test_another_version_of_ray_here_than_on_the_hosts_is_found(monkeypatch):
    assert list(version_complaints()) == []
    monkeypatch.setattr(checks.metadata, "version", lambda _: "2.1.0")
    (complaint,) = version_complaints()
    assert complaint.startswith(f"ray 2.1.0 here, {recipe.ray_version()} on the hosts")
    assert f"pip install ray=={recipe.ray_version()}" in complaint
