"""The page in a real browser, opened from the disk."""

import json
import shutil
import subprocess
import time

import pytest
from synthetic_runs import make_sweep

from mobilenet.report.page import write_page

pytest.importorskip("selenium", reason="needs the optional group browser: selenium")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

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
    assert _texts(page, "tradeoff", ".legendtext")[:2] == ["mobilenet_v1", "mobilenet_v2"]
    # Of sixteen configurations the first is shown, with its three seeds.
    for chart in ("evaluation", "loss"):
        assert len(page.find_elements(By.CSS_SELECTOR, f"#{chart} .scatterlayer .trace")) == 3


def test_a_click_shows_what_was_published(page):
    for toggle in page.find_elements(By.CSS_SELECTOR, "#tradeoff .legendtoggle")[2:]:
        ActionChains(page).move_to_element(toggle).click().perform()
        # Two clicks at once would be a double click, which shows one trace alone.
        time.sleep(0.5)
    assert len(page.find_elements(By.CSS_SELECTOR, "#tradeoff .point")) > 16 + 20


def test_a_click_on_a_heading_sorts_by_its_numbers(page):
    heading = page.find_elements(By.CSS_SELECTOR, "th")[2]
    for order in (1, -1):
        heading.click()
        cells = page.find_elements(By.CSS_SELECTOR, "td:nth-child(3)")
        madds = [float(cell.get_attribute("data-number")) for cell in cells]
        assert madds == sorted(madds)[::order]
