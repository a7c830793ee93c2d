"""What a hand does on a map's page."""


def slide(page, name, value):
    """Move a slider to a value as a hand would, and wait until the map is drawn again."""
    before = page.evaluate("+document.body.dataset.draws")
    page.evaluate(
        "([id, v]) => { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('input')); }",
        [name, value],
    )
    page.wait_for_selector(f"body:not([data-draws='{before}'])")


def opened(browser, path, address="", **look):
    """Open a page and wait until its map is drawn."""
    tab = browser.new_page(**look)
    tab.goto(path.as_uri() + address)
    tab.wait_for_selector("body[data-draws]")
    return tab
