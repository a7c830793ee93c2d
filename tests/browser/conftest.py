"""One headless Chromium for all tests of pages."""

import pytest

from tests.needs import chromium


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=chromium(), args=quiet)
        yield started
        started.close()
