"""The page of a sweep under way follows it by itself: a sweep grows beneath it, and the map keeps what was chosen."""

import threading

import pytest
import uvicorn

from sweeps.store.run_store import Asked, Store
from sweeps.watching.server import Watched, application, listen
from tests.browser.controls import violations
from tests.tiny_sweeps import tiny, trained

pytestmark = pytest.mark.browser

SPEC = tiny("grows", runs=24, wave=12, measures="none")


def test_the_page_follows_a_sweep_and_the_map_keeps_its_state(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.maps.grid.GRID_POINTS", 400)
    results = tmp_path / "my results"
    chosen = trained(SPEC)
    records = [record for _, record in chosen]
    watched = Watched(results / SPEC.name)
    place = listen(0)
    server = uvicorn.Server(uvicorn.Config(application(watched, "t", looks=0.2), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    tab = browser.new_page(viewport={"width": 1380, "height": 950})
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        tab.goto(f"http://127.0.0.1:{place.getsockname()[1]}/?token=t")
        tab.get_by_text("waiting for the sweep to begin").wait_for()
        with Store(SPEC, results) as store:
            store.ask([Asked(number=n, params=p, run_id=r.run_id) for n, (p, r) in enumerate(chosen)])
            store.add(records[:12])
            tab.get_by_text("12 of 24 runs").wait_for()
            tab.wait_for_selector("body[data-map='1']", timeout=30_000)
            assert tab.locator("#curves polyline").count() == 12
            frame = tab.frames[1]
            frame.wait_for_selector("body[data-draws]")
            frame.evaluate("location.hash = new URLSearchParams({...Object.fromEntries("
                           "new URLSearchParams(location.hash.slice(1))), threshold: '0.95'}).toString()")  # fmt: skip
            before = frame.evaluate("location.hash")
            store.add(records[12:])
        tab.get_by_text("24 of 24 runs: the sweep is done").wait_for()
        tab.wait_for_selector("body[data-map='2']", timeout=30_000)
        frame = tab.frames[-1]
        frame.wait_for_selector("body[data-draws]")
        assert len(tab.frames) == 2
        assert frame.evaluate("location.hash") == before
        assert tab.locator("#widths tr").count() == len(watched.live.widths[-1][1])
        assert violations(tab) == []
    finally:
        tab.close()
        server.should_exit = True
        thread.join(10)
    assert errors == []
