"""The page in a real browser, opened from the disk."""

import dataclasses
import json
import math
import shutil
import statistics
import subprocess
import time

import pytest
from synthetic_runs import make_run, make_sweep

from mobilenet.report.page import write_page

pytest.importorskip("selenium", reason="needs the optional group browser: selenium")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (_BROWSER and _DRIVER), reason="needs the programs chromium and chromedriver"
)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = _BROWSER
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The explicit path keeps selenium from looking for a driver in the network.
    service = webdriver.ChromeService(_DRIVER, log_output=subprocess.DEVNULL)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_window_size(1280, 900)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(make_sweep(), path)
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The page, fresh; it must leave no message in the console and ask for no other address."""
    browser.get_log("performance")
    browser.get(address)
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"]) for entry in browser.get_log("performance")]
    asked = [
        message["message"]["params"]["request"]["url"]
        for message in messages
        if message["message"]["method"] == "Network.requestWillBeSent"
    ]
    # Besides itself the page asks for what it holds.
    assert all(url == address or url.startswith(("data:", "blob:")) for url in asked)


def _texts(page, chart, selector):
    found = page.find_elements(By.CSS_SELECTOR, f"#{chart} {selector}")
    return [element.text for element in found]


def test_the_charts_are_drawn(page):
    # Two families of four widths at two resolutions; published points wait for a click.
    assert len(page.find_elements(By.CSS_SELECTOR, "#tradeoff .scatterlayer .trace")) == 8
    assert len(page.find_elements(By.CSS_SELECTOR, "#tradeoff .point")) == 16
    assert _texts(page, "tradeoff", ".legendtext")[:2] == ["MobileNetV1", "MobileNetV2"]
    # Of sixteen configurations the best is shown, with its three seeds.
    for chart in ("evaluation", "loss"):
        assert len(page.find_elements(By.CSS_SELECTOR, f"#{chart} .scatterlayer .trace")) == 3


def test_a_click_shows_what_was_published(page):
    for toggle in page.find_elements(By.CSS_SELECTOR, "#tradeoff .legendtoggle")[2:]:
        ActionChains(page).move_to_element(toggle).click().perform()
        # Two clicks at once would be a double click, which shows one trace alone.
        time.sleep(0.5)
    assert len(page.find_elements(By.CSS_SELECTOR, "#tradeoff .point")) > 16 + 20


def test_another_cost_is_a_click_away(page):
    page.find_element(By.CSS_SELECTOR, "#tradeoff .updatemenu-header").click()
    page.find_elements(By.CSS_SELECTOR, "#tradeoff .updatemenu-dropdown-button")[1].click()
    assert _texts(page, "tradeoff", ".xtitle") == ["parameters (millions)"]


def test_no_button_uploads_a_chart(page):
    buttons = page.find_elements(By.CSS_SELECTOR, "#tradeoff .modebar-btn")
    titles = [button.get_attribute("data-title") for button in buttons]
    assert "Zoom in" in titles
    assert not any(word in title for title in titles for word in ("Share", "Cloud", "Studio"))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (2, lambda runs: statistics.fmean(run.result["top1"] for run in runs)),
        (4, lambda runs: runs[0].result["madds"]),
        (6, lambda runs: statistics.fmean(run.result["seconds"] for run in runs)),
        (9, lambda runs: runs[0].config["model"]["width"]),
    ],
)
def test_a_click_on_a_heading_sorts_by_its_numbers(page, column, value):
    runs = make_sweep()
    expected = sorted(value(runs[start : start + 3]) for start in range(0, len(runs), 3))
    heading = page.find_element(By.CSS_SELECTOR, f"th:nth-child({column})")
    for direction, order in (("ascending", 1), ("descending", -1)):
        # By keyboard, which is as a click for a button.
        heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        assert heading.get_attribute("aria-sort") == direction
        cells = page.find_elements(By.CSS_SELECTOR, f"td:nth-child({column})")
        numbers = [float(cell.get_attribute("data-number")) for cell in cells]
        assert numbers == pytest.approx(expected[::order])


def test_what_is_no_number_comes_last(browser, tmp_path):
    runs = [make_run(width=0.25 * k) for k in range(1, 5)]
    tops = (0.5, 0.4391, math.nan, 0.45)
    runs = [
        dataclasses.replace(run, result=run.result | {"top1": top1})
        for run, top1 in zip(runs, tops, strict=True)
    ]
    write_page(runs, tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    button = browser.find_element(By.CSS_SELECTOR, "th:nth-child(2) button")
    for expected in (["43.91", "45.00", "50.00"], ["50.00", "45.00", "43.91"]):
        button.click()
        cells = browser.find_elements(By.CSS_SELECTOR, "td:nth-child(2)")
        assert [cell.text for cell in cells] == [*expected, "not finite"]


def test_a_number_leads_to_its_configuration(page):
    details = page.find_elements(By.TAG_NAME, "details")[2]
    assert not details.get_property("open")
    page.find_element(By.LINK_TEXT, "3").click()
    assert "resolution 32, width 0.5" in details.text
    assert details.get_property("open")


def test_names_of_runs_are_no_markup(browser, tmp_path):
    attack = "</script><script>hacked = 1</script><b id=x>&\"'<img src=x onerror='hacked = 2'>"
    runs = [make_run(attack, data=name) for name in (attack, "b")]
    write_page(runs, tmp_path / "attack.html")
    browser.get((tmp_path / "attack.html").as_uri())
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_elements(By.CSS_SELECTOR, "#x, img, b") == []
    # The network's name, as the text is long, and the text itself in the table.
    assert attack in [cell.text for cell in browser.find_elements(By.TAG_NAME, "td")]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#tradeoff .point")) == 2
    assert browser.get_log("browser") == []


def test_a_legend_shows_markup_as_it_is_written(browser, tmp_path):
    name = "<b>a</b>&\"c'"
    write_page([make_run(data=data) for data in (name, "other")], tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    assert _texts(browser, "evaluation", ".legendtext") == [f"1: data {name}", "2: data other"]
