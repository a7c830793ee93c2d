"""What a hand does on a page, how wide and how dark it may be, and what axe finds in it."""

from axe_playwright_python.sync_playwright import Axe

LOOKS = [(width, scheme) for width in (390, 800, 1400) for scheme in ("dark", "light")]
"""Widths of a window, and the colours that its owner prefers."""


def looks(tab):
    """Give a page each of its looks; yield what each is."""
    for width, scheme in LOOKS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        yield width, scheme


def violations(tab):
    """Return what axe finds against a page. The violations alone are brought over: whole reports take longer."""
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(Axe().axe_script)
    return tab.evaluate("axe.run({ resultTypes: ['violations'] }).then(found => found.violations)")


def slide(page, name, value):
    """Move a slider to a value as a hand would, and wait until the map is drawn again."""
    before = page.evaluate("+document.body.dataset.draws")
    page.evaluate(
        "([id, v]) => { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('input')); }",
        [name, value],
    )
    page.wait_for_selector(f"body:not([data-draws='{before}'])")


REFERENCE = """() => {
    const began = performance.now();
    let state = 1, words = 0;
    const numbers = Float64Array.from({ length: 200_000 }, () => (state = (state * 48271) % 2147483647));
    for (const number of numbers.sort()) words += `${number}`.length;
    document.body.dataset.words = words;
    return performance.now() - began;
}"""
"""A fixed piece of script: what it takes says how fast the machine is just now, beside whatever else it does."""


def reference(page):
    """Return the milliseconds of `REFERENCE`, the least of three goes."""
    return min(page.evaluate(REFERENCE) for _ in range(3))


def drags(page, name, values):
    """Move a slider to each value; return the least time of an answer as a multiple of the reference's.

    The two are measured in turn, so that a slow machine, or one that is busy with other things, slows both.
    """
    answers, references = [], []
    for value in values:
        references.append(reference(page))
        slide(page, name, value)
        answers.append(float(page.evaluate("document.body.dataset.ms")))
    return min(answers) / min(references)


def opened(browser, path, address="", **look):
    """Open a page and wait until its map is drawn."""
    tab = browser.new_page(**look)
    tab.goto(path.as_uri() + address)
    tab.wait_for_selector("body[data-draws]")
    return tab
