"""MLflow's own pages, in a real browser: the runs are listed, a run shows its curves, the sweep's run shows its map."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from grokcore.records.regimes import RegimeRule
from sweeps.finished_runs.load import load
from sweeps.spec.space import Choice
from sweeps.store.run_store import Store, read_records, record_ids
from sweeps.store.tables import write_tables
from sweeps.tracking.mlflow_mirror import Mirror, track
from sweeps.tracking.run_entry import entry_of
from tests import tiny_sweeps
from tests.tiny_sweeps import tiny, trained

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]

SPEC = tiny(
    "browsed",
    run=tiny_sweeps.SPEC.run | {"steps": 400},
    space=tiny_sweeps.SPEC.space | {"seed": Choice(values=(0, 1))},
    rule=RegimeRule(budget=400, ratio=3.0),
    runs=16,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Make a sweep's folder as the sweep does, map and mirror included, without Ray."""
    from analysis.exports.map import export_map

    folder = tmp_path_factory.mktemp("browsed")
    with pytest.MonkeyPatch.context() as patch, Store(SPEC, folder) as store:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("analysis.maps.grid.GRID_POINTS", 400)
        store.add([record for _, record in trained(SPEC)])
        write_tables(store.path, SPEC.rule)
        export_map(store.path, store.path)
        track(store.path)
        yield store.path


@pytest.fixture(scope="module")
def printed(results):
    """Serve the mirror as `grokmap ui NAME` does; give the address that it prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "sweeps.cli", "ui", SPEC.name, "--port", str(port)]
    command += ["--results", str(results.parent)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield next(line for line in process.stdout if line.startswith(SPEC.name)).partition(": ")[2].strip()
    finally:
        # As Ctrl-C does; but a shell that runs tests in the background has its children ignore that.
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stdout.close()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server ended with the command"


@pytest.fixture(scope="module")
def server(printed):
    return printed.partition("/#")[0]


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.close()


@pytest.fixture(scope="module")
def mirror(results):
    """Return MLflow's own identities: experiment, runs by run_id, and the sweep's run."""
    return Mirror(results)


def test_the_printed_address_lists_every_run_and_the_sweep_first(page, printed, mirror, tmp_path):
    page.goto(printed)
    page.get_by_text(f"sweep {SPEC.name}", exact=True).first.wait_for()
    page.screenshot(path=tmp_path / "runs.png")
    names = {entry_of(record, SPEC, mirror.sweep_id).name for record in read_records(mirror.path)}
    assert names
    for name in names:
        page.get_by_text(name, exact=True).first.wait_for(state="attached")
    text = page.inner_text("body")
    assert text.index(f"sweep {SPEC.name}") < min(text.index(name) for name in names)


def test_a_run_shows_its_curves_against_optimizer_steps_and_leads_to_its_map(page, server, mirror, tmp_path):
    run = mirror.find(next(record_ids(mirror.path)))
    # MLflow draws a chart only when it comes into view.
    page.set_viewport_size({"width": 1500, "height": 3000})
    page.goto(f"{server}/#/experiments/{mirror._experiment}/runs/{run}/model-metrics?workflowType=machine_learning")
    for name in ("train_accuracy", "val_accuracy", "weight_norm"):
        page.get_by_text(name, exact=True).first.wait_for()
    page.locator("svg.main-svg").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=tmp_path / "run.png")
    assert page.locator("path.js-line").count() >= 3
    assert page.locator(".barlayer .bars").count() == 0
    page.goto(f"{server}/#/experiments/{mirror._experiment}/runs/{run}")
    link = page.get_by_text("The sweep, with its map under Artifacts").first
    page.goto(f"{server}/#{link.get_attribute('href').partition('#')[2]}")
    page.get_by_text(f"sweep {SPEC.name}", exact=True).first.wait_for()
    assert page.get_by_text("1 matching run").count() == 1


def test_a_run_of_the_maps_page_leads_to_itself(page, server, mirror, results, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    load(results).page().save(tmp_path / "map.html")
    page.goto((tmp_path / "map.html").as_uri())
    page.locator("#runs tbody tr").nth(2).click()
    link = page.locator("#in-mlflow")
    assert link.get_attribute("href").startswith("http://127.0.0.1:5000/#/")
    assert f"while grokmap ui {results} runs" in page.inner_text("#links")
    run_id = page.inner_text("#runs tbody tr:nth-child(3) td:first-child")
    page.goto(f"{server}/#{link.get_attribute('href').partition('#')[2]}")
    # The list's filter is the run's identity, and what it finds is that run.
    record = next(record for record in read_records(results) if record.run_id.startswith(run_id))
    page.get_by_text(entry_of(record, SPEC, mirror.sweep_id).name, exact=True).first.wait_for()
    assert page.get_by_text("1 matching run").count() == 1


def test_the_sweeps_own_run_shows_its_rule_and_its_map(page, server, mirror, tmp_path):
    page.goto(f"{server}/#/experiments/{mirror._experiment}/runs/{mirror.find(None)}")
    page.get_by_text(SPEC.rule.sentence()).first.wait_for()
    page.screenshot(path=tmp_path / "sweep.png")
    page.goto(f"{server}/#/experiments/{mirror._experiment}/runs/{mirror.find(None)}/artifacts/map.png")
    picture = page.locator("img[src^='blob:'], img[src*='map.png'], img[src*='get-artifact']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 400
    page.screenshot(path=tmp_path / "map.png")


def test_a_runs_own_page_and_picture_are_shown_with_the_run(page, server, mirror, results, tmp_path, monkeypatch):
    from sweeps.finished_runs.inspect import show

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_id = next(record_ids(results))
    run = mirror.find(run_id)
    said = []
    show(run_id, results.parent, None, again=True, style="screen", say=said.append)
    assert said == ["training run " + run_id + " again, 400 steps"], "nothing stood in the way of MLflow"
    page.goto(f"{server}/#/experiments/{mirror._experiment}/runs/{run}/artifacts/inside/{run_id}.html")
    inside = page.frame_locator("iframe")
    inside.get_by_role("heading", name="Numbers").wait_for()
    assert inside.get_by_alt_text(f"Curves and measures of run {run_id}").evaluate("image => image.naturalWidth") > 400
    page.screenshot(path=tmp_path / "inside.png")
    page.get_by_text(f"{run_id}.png", exact=True).first.click()
    picture = page.locator(f"img[src^='blob:'], img[src*='{run_id}.png'], img[src*='get-artifact']").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 400
