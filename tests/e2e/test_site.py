"""The site as a reader has it: a real store, real Chromium, no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .browser import WIDTHS, Reader, check_pages
from .conftest import SUITE, Bench

pytestmark = pytest.mark.e2e
FIGURE = """
figures:
  - title: Loss
    lines: method
    panels: [{curve: train/loss}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, data_cache) -> Path:
    """A site of twelve small cells, built once."""
    bench = Bench(tmp_path_factory.mktemp("site"), data_cache)
    suite = bench.suite(SUITE.replace("profiles:", f"{FIGURE.strip()}\nprofiles:"))
    bench("run", suite, "--engine", "inline")
    assert "12 cells" in bench("site", suite)
    return bench.folder / "site"


def pages(site: Path) -> list[Path]:
    """Return one page of each kind."""
    return [next(iter(sorted(site.glob(f"{kind}*.html")))) for kind in
            ("index", "papers/", "suites/", "cells/")]  # fmt: skip


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"tbody tr:visible td:nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_without_complaint_or_network_and_fit_the_screen(
    site, browser, width, scheme
) -> None:
    check_pages(browser, pages(site), width, scheme)


def test_on_a_phone_a_table_keeps_its_first_column(site, browser) -> None:
    page = Reader(browser, viewport={"width": 390, "height": 844}).open(pages(site)[2])
    box = page.locator(".wide").first
    cell, second = (box.locator(f"tbody tr:first-child td:nth-child({i})") for i in (1, 2))
    before, gone = cell.bounding_box()["x"], second.bounding_box()["x"]
    assert box.evaluate("e => (e.scrollLeft = 1e6, e.scrollLeft)") > 50
    assert abs(cell.bounding_box()["x"] - before) < 2
    assert second.bounding_box()["x"] < gone
    # It is opaque: what scrolls below it is not read through it.
    ground = cell.evaluate("e => getComputedStyle(e).backgroundColor")
    assert ground.startswith("rgb(")


def test_the_front_page_leads_to_each_paper_by_its_picture(site, browser) -> None:
    page = Reader(browser).open(pages(site)[0])
    card = page.locator(".card").first
    assert card.locator("img").evaluate("i => i.naturalWidth") > 100
    card.locator("a.picture").click()
    # The suite's own figure is what its part begins with.
    assert page.locator(":target h3").first.inner_text() == "Figures"


def test_sorting_sorts_up_down_and_back(site, browser) -> None:
    page = Reader(browser).open(pages(site)[2])
    heads = page.locator("thead th").all_inner_texts()
    number = 1 + next(i for i, head in enumerate(heads) if head.startswith("test/top1"))
    button = page.locator(f"thead th:nth-child({number}) button")
    before = column(page, number)
    values = sorted(map(float, before))
    assert values != list(map(float, before))
    # By the keyboard alone.
    button.focus()
    page.keyboard.press("Enter")
    assert list(map(float, column(page, number))) == values
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.keyboard.press("Enter")
    assert list(map(float, column(page, number))) == values[::-1]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.keyboard.press("Enter")
    assert column(page, number) == before
    assert page.locator("th[aria-sort]").count() == 0


def test_filtering_keeps_rows_with_all_the_words(site, browser) -> None:
    page = Reader(browser).open(pages(site)[2])
    assert len(column(page, 1)) == 12
    page.get_by_role("searchbox").fill("BSS 3%")
    assert len(column(page, 1)) == 3
    assert "3 of 12" in page.locator(".filter").inner_text()
    page.get_by_role("searchbox").fill("")
    assert len(column(page, 1)) == 12


def test_a_number_leads_to_its_seeds_and_they_to_their_cell(site, browser) -> None:
    page = Reader(browser).open(pages(site)[0])
    page.locator("tbody a").first.click()
    page.locator("h3:has-text('Results') ~ .grid td.n a").first.click()
    marked = page.locator("tr.here")
    # The browser tells the page of its new address when it gets to it.
    marked.nth(2).wait_for()
    assert marked.count() == 3
    cell = marked.first.locator("a").first
    name = cell.inner_text()
    cell.click()
    assert name in page.locator("main").inner_text()
    assert page.locator(".curves img").count() >= 2


def test_the_theme_is_remembered(site, browser) -> None:
    reader = Reader(browser, color_scheme="light")
    index, paper, *_ = pages(site)
    ground = "getComputedStyle(document.body).backgroundColor"
    page = reader.open(index)
    light = page.evaluate(ground)
    page.get_by_role("button", name="Theme: auto").click()
    assert page.evaluate(ground) == light
    page.get_by_role("button", name="Theme: light").click()
    dark = page.evaluate(ground)
    assert dark != light
    assert reader.open(paper).evaluate(ground) == dark
    assert reader.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(site, browser, scheme) -> None:
    for file in pages(site):
        page = Reader(browser, color_scheme=scheme).open(file)
        faint = page.evaluate(CONTRASTS)
        # WCAG AA for text of any size.
        assert all(ratio >= 4.5 for _, ratio in faint), (file, [f for f in faint if f[1] < 4.5])
        assert len(faint) > 20


# The contrast of every text with the first ground behind it, by WCAG 2.2's relative luminance.
CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.data.trim() || !node.parentElement.checkVisibility()) continue;
    let ground = node.parentElement;
    while (ground && parse(getComputedStyle(ground).backgroundColor)[3] === 0)
      ground = ground.parentElement;
    const pair = [getComputedStyle(node.parentElement).color,
                  getComputedStyle(ground ?? document.body).backgroundColor];
    const [a, b] = pair.map((c) => light(parse(c)) + 0.05);
    found.push([node.data.trim().slice(0, 40), Math.max(a, b) / Math.min(a, b)]);
  }
  return found;
}"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{suite}", "--profile", "papr"], "no suite here has a profile 'papr'"),
        (["{suite}", "--to", "."], "the folder is not empty, and no site of ours"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_message(bench, arguments, message) -> None:
    suite = bench.suite()
    output = bench("site", *[a.format(suite=suite) for a in arguments], code=2)
    assert message in output
    assert "Traceback" not in output
