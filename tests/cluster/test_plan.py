"""The resource plan: cohorts per device, fractions, mixed nodes; never two cohorts on one share."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import plan
from cluster.plan import Footprint, Node, make_plan, parse_nodes, slots
from grokcore.config.folders import folders_kept
from grokcore.errors import ConfigError
from sweeps import Range, RegimeRule, SweepSpec
from sweeps.execution.ray_session import gpu_slots
from sweeps.stopping.base import STOPPING

COMPONENTS = Path(__file__).parents[1] / "contracts" / "components"


def spec(**changes):
    values = {
        "name": "planned",
        "run": {
            "task": {"name": "modular_addition", "modulus": 7},
            "model": {"name": "mlp", "width": 8},
            "optimizer": {"name": "adamw"},
            "steps": 50,
        },
        "space": {"fraction": Range(low=0.3, high=0.9)},
        "rule": RegimeRule(budget=50, ratio=5.0),
        "runs": 40,
        "width": 4,
    }
    return SweepSpec(**(values | changes))


def test_hosts_are_written_as_they_are_spoken_of():
    two, eight, none = parse_nodes("2x16cpu, 32cpu8gpu@80G")
    assert (two.cpus, two.gpus, eight.cpus, eight.gpus) == (16, 0, 16, 0)
    assert (none.cpus, none.gpus, none.gpu_memory) == (32, 8, 80e9)
    assert len({two.name, eight.name, none.name}) == 3
    for wrong in ["", "16", "cpu", "0x4cpu", "4cpu2gpu@", "4cpu;ls", "-1cpu"]:
        with pytest.raises(ConfigError, match="write them as 2x16cpu"):
            parse_nodes(wrong)


def test_mixed_nodes_each_give_what_they_have():
    nodes = parse_nodes("4cpu2gpu,16cpu8gpu,32cpu")
    found = slots(nodes, "cuda")
    assert [place.device for place in found if place.node == "host-1"] == ["cuda:0", "cuda:1"]
    assert len(found) == 10
    assert not [place for place in found if place.node == "host-3"], "a node without GPUs takes no cohort of theirs"
    assert len(slots(nodes, "cpu")) == 52


def test_whole_devices_are_filled_in_turn_before_their_second_shares():
    (node,) = parse_nodes("16cpu4gpu")
    devices = [place.device for place in slots([node], "cuda", 0.25)]
    assert devices[:4] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]
    assert len(devices) == 16


@given(
    nodes=st.lists(st.builds(Node, name=st.just("n"), cpus=st.integers(0, 20), gpus=st.integers(0, 9)), max_size=4),
    share=st.floats(0.05, 1),
)
def test_no_two_cohorts_lie_on_one_share_and_the_session_counts_the_same(nodes, share):
    named = [Node(name=f"n{i}", cpus=node.cpus, gpus=node.gpus) for i, node in enumerate(nodes)]
    load = defaultdict(float)
    cores = defaultdict(int)
    found = slots(named, "cuda", share)
    for place in found:
        load[place.node, place.device] += place.share
        cores[place.node] += 1
    assert all(total <= 1 + 1e-6 for total in load.values())
    assert all(cores[node.name] <= node.cpus for node in named)
    as_ray_says = [{"Alive": True, "Resources": {"CPU": node.cpus, "GPU": node.gpus}} for node in named]
    assert gpu_slots(as_ray_says, share) == len(found)


def test_a_share_never_straddles_two_devices():
    assert gpu_slots([{"Alive": True, "Resources": {"CPU": 9, "GPU": 3}}], 0.4) == 6
    assert gpu_slots([{"Alive": False, "Resources": {"CPU": 9, "GPU": 3}}], 0.4) == 0
    assert gpu_slots([{"Alive": True, "Resources": {"GPU": 3}}], 1.0) == 0


def test_asking_for_a_gpu_where_there_is_none_is_said_before_anything_starts():
    with pytest.raises(ConfigError, match=r'device = "cuda": no host has a GPU .*host-1 8 cores 0 GPUs'):
        make_plan(spec(device="cuda"), parse_nodes("8cpu"))


def test_a_device_too_small_for_the_wish_narrows_the_cohort_or_says_so():
    small = Footprint(base=1e8, per_run=1e9)
    assert small.width(24e9) == 19
    assert small.width(0.5e9) == 0


def test_a_plan_is_measured_and_adds_up_for_a_task_of_ones_own_too():
    own = {"name": "modular_maximum", "modulus": 7}
    with folders_kept():
        run = spec().run | {"task": own}
        made = make_plan(spec(run=run, components=str(COMPONENTS)), parse_nodes("2x2cpu"))
    assert (made.width, made.runs, made.steps, len(made.slots)) == (4, 40, 2000, 4)
    assert made.speed > 0
    spent = plan.SPENT * 2000 / plan.TRAINING_SHARE
    assert made.train_seconds == pytest.approx(spent / (made.speed * 4))
    assert made.seconds == made.startup_seconds + made.train_seconds + made.map_seconds
    assert 3e7 < made.footprint.base < 5e9
    assert made.footprint.per_run > 0
    assert made.memory == made.footprint.base + 4 * made.footprint.per_run


def test_a_plan_for_cards_takes_their_own_widths_and_memory():
    from grokcore.engine.devices.cuda import Cuda

    wanted = spec(device="cuda", width=None, runs=20_000)
    roomy = make_plan(wanted, parse_nodes("4cpu1gpu@80G"))
    assert roomy.width == max(Cuda.widths), "a core's width would leave a card idle"
    tight = make_plan(wanted, parse_nodes("4cpu1gpu@0.01G"))
    assert 1 < tight.width < roomy.width
    shared = make_plan(spec(device="cuda", width=None, runs=20_000, device_share=0.5), parse_nodes("4cpu1gpu@0.01G"))
    assert shared.width == pytest.approx(tight.width / 2, abs=1), "two cohorts share the card's memory"
    with pytest.raises(ConfigError, match="one run needs"):
        make_plan(wanted, parse_nodes("4cpu1gpu@0.00001G"))


def test_a_wide_cohort_leaves_no_slot_idle():
    assert make_plan(spec(width=32), parse_nodes("16cpu")).width == 3


def test_few_cohorts_do_not_fill_many_slots():
    free = Footprint(base=0, per_run=0)
    made = plan.Plan(slots=slots(parse_nodes("8cpu"), "cpu"), width=4, runs=8, steps=800, speed=10.0, footprint=free)
    assert made.train_seconds == 40 / plan.TRAINING_SHARE


def test_waves_leave_slots_idle_and_take_the_sampler_s_time():
    free = Footprint(base=0, per_run=0)
    values = {"slots": slots(parse_nodes("8cpu"), "cpu"), "width": 4, "runs": 64, "steps": 6400, "speed": 10.0}
    at_once = plan.Plan(**values, footprint=free)
    assert at_once.train_seconds == pytest.approx(80 / plan.TRAINING_SHARE)
    in_waves = plan.Plan(**values, footprint=free, waves=4)
    assert in_waves.train_seconds == pytest.approx(160 / plan.TRAINING_SHARE + 3 * plan.WAVE_SECONDS)


def test_runs_of_many_shapes_are_timed_in_the_narrow_cohorts_that_they_make(monkeypatch):
    timed = []
    monkeypatch.setattr(plan, "_speed", lambda _, __, width: timed.append(width) or 100.0)
    monkeypatch.setattr(plan, "measured_footprint", lambda _: Footprint(base=0, per_run=0))
    one_wave = make_plan(spec(width=32, runs=256), parse_nodes("1cpu"))
    waves = make_plan(spec(width=32, runs=256, sampler="boundary", wave=16), parse_nodes("1cpu"))
    assert (one_wave.waves, waves.waves) == (1, 16)
    whole, stopped = (
        make_plan(spec(**some), parse_nodes("1cpu")) for some in ({"retire": False}, {"stopping": "hazard"})
    )
    assert (one_wave.spent, whole.spent) == (plan.SPENT, 1)
    assert stopped.spent == plan.SPENT * STOPPING.member("hazard").taken < plan.SPENT
    assert one_wave.width == waves.width == 32
    assert 1 <= timed[1] < timed[0] <= 32


MIXED = """
import sys, collections, ray
from ray.cluster_utils import Cluster
from sweeps.execution.ray_session import gpu_slots
from sweeps.stopping.base import STOPPING

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=4, num_gpus=2)
cluster.add_node(num_cpus=8, num_gpus=4)
ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)

@ray.remote(num_cpus=1)
class Cohort:
    def place(self):
        import os
        return ray.get_runtime_context().get_node_id(), os.environ["CUDA_VISIBLE_DEVICES"], ray.get_gpu_ids()

for share in map(float, sys.argv[1:]):
    wanted = gpu_slots(ray.nodes(), share)
    cohorts = [Cohort.options(num_gpus=share).remote() for _ in range(wanted)]
    places = ray.get([cohort.place.remote() for cohort in cohorts], timeout=120)
    load = collections.Counter((node, device) for node, device, _ in places)
    assert all(len(ids) == 1 and str(ids[0]) == device for _, device, ids in places), places
    one_more = Cohort.options(num_gpus=share).remote()
    ready, _ = ray.wait([one_more.place.remote()], timeout=2)
    print("RESULT", share, wanted, len(load), max(load.values()), bool(ready))
    for cohort in [*cohorts, one_more]:
        ray.kill(cohort)
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_ray_puts_as_many_cohorts_on_logical_gpus_as_the_plan_says_and_no_more(tmp_path):
    # In a network of its own: this kind of cluster listens on the machine's address.
    script = tmp_path / "mixed.py"
    script.write_text(MIXED)
    command = f"ip link set lo up && {sys.executable} {script} 1 0.5"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", command], capture_output=True, text=True, check=False, timeout=300
    )
    for expected in ("1.0 6 6 1 False", "0.5 12 6 2 False"):
        assert f"RESULT {expected}" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
