"""The page in a real browser, opened from the disk."""

import json
import shutil
import subprocess

import pytest
from synthetic_runs import make_sweep

from mobilenet.report.page import build_page, write_page

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
    assert asked[0] == address
    assert {url for url in asked if not url.startswith("data:")} == {address}


def _all(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def _one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def _map(page, selector, expression):
    """Returns a value of every element e in one call, where one for each would take seconds."""
    elements = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return page.execute_script(f"return {elements}.map((e) => {expression})")


def _texts(page, selector):
    return _map(page, selector, "e.innerText ?? e.textContent")


def _attributes(page, selector, name):
    return _map(page, selector, f"e.getAttribute('{name}')")


def _column(page, number):
    return _texts(page, f"tbody td:nth-child({number})")


def _data(page):
    return json.loads(_one(page, "#data").get_attribute("textContent"))


def _press(page, key):
    ActionChains(page).send_keys(key).perform()


def _point(page, index):
    """Returns the point of a group by what its label says."""
    label = _data(page)["groups"][index]["label"]
    (point,) = _all(page, f'.point.ours[aria-label^="{label}, "]')
    return point


def test_a_header_sorts_by_numbers_and_shows_the_direction(page):
    before = _column(page, 5)
    header = _one(page, "thead th:nth-child(5)")
    assert header.get_attribute("aria-sort") is None
    header.find_element(By.TAG_NAME, "button").click()
    ascending = _column(page, 5)
    assert header.get_attribute("aria-sort") == "ascending"
    # "104" comes last, which as a text would come before "2.95".
    assert ascending == sorted(before, key=float) != before
    assert ascending[-1] == "104"
    header.find_element(By.TAG_NAME, "button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert _column(page, 5) == ascending[::-1]
    # Every row moved as a whole.
    madds = {g["label"]: g["facts"]["madds"] for g in _data(page)["groups"]}
    for row in zip(*(_column(page, number) for number in (1, 2, 3, 5)), strict=True):
        assert row[3] == madds[f"model {row[0]}, resolution {row[1]}, width {row[2]}"]


def test_a_header_sorts_texts_and_durations_by_keyboard(page):
    button = _one(page, "thead th:nth-child(1) button")
    page.execute_script("arguments[0].focus()", button)
    _press(page, Keys.ENTER)
    _press(page, Keys.ENTER)
    header = _one(page, "thead th:nth-child(1)")
    assert header.get_attribute("aria-sort") == "descending"
    assert _column(page, 1) == ["mobilenet_v2"] * 8 + ["mobilenet_v1"] * 8
    page.execute_script("arguments[0].focus()", _one(page, "thead th:nth-child(8) button"))
    _press(page, Keys.SPACE)
    assert header.get_attribute("aria-sort") is None
    order = map(int, _attributes(page, "tbody tr", "data-group"))
    seconds = [group["seconds"] for group in _data(page)["groups"]]
    assert [seconds[index] for index in order] == sorted(seconds)


def test_hovering_a_point_tells_what_it_is(page):
    tooltip = _one(page, "#tooltip")
    assert not tooltip.is_displayed()
    group = _data(page)["groups"][0]
    ActionChains(page).move_to_element(_point(page, 0)).perform()
    assert tooltip.is_displayed()
    facts = group["facts"]
    assert tooltip.text.split("\n") == [
        "model mobilenet_v1, resolution 32, width 0.25",
        "multiply-adds", f"{facts['madds']} M",
        "parameters", f"{facts['params']} M",
        "top-1", f"{group['top1']:.2f} ± {group['stddev']:.2f} %",
        "seeds", facts["seeds"],
    ]  # fmt: skip
    ActionChains(page).move_to_element(_one(page, "h1")).perform()
    assert not tooltip.is_displayed()


def test_a_click_on_a_point_shows_curves_and_config(page):
    group = _data(page)["groups"][0]
    assert _one(page, "#details-title").text != group["label"]
    _point(page, 0).click()
    assert _one(page, "#details-title").text == group["label"]
    assert _point(page, 0).get_attribute("aria-pressed") == "true"
    assert len(_all(page, '.point[aria-pressed="true"]')) == 1
    assert len(_all(page, "#evaluation path.line")) == 3
    assert len(_all(page, "#loss path.line")) == 3
    # 12 evaluations of each of 3 seeds.
    assert len(_all(page, "#evaluation circle.mark")) == 36
    assert _texts(page, "#seeds .entry") == [
        f"seed {seed}: {run['top1']:.2f} %" for seed, run in enumerate(group["runs"])
    ]
    assert _texts(page, "#differing dt") == ["model.name", "model.resolution", "model.width"]
    assert _texts(page, "#differing dd") == ["mobilenet_v1", "32", "0.25"]
    _one(page, "details summary").click()
    config = dict(zip(_texts(page, "#config dt"), _texts(page, "#config dd"), strict=True))
    assert config == group["config"]
    assert config["optimizer.name"] == "sgd"


def test_a_click_on_a_row_shows_its_group(page):
    _one(page, 'tr[data-group="9"] td:nth-child(4)').click()
    group = _data(page)["groups"][9]
    assert _one(page, "#details-title").text == group["label"]
    assert _one(page, "tr.selected").get_attribute("data-group") == "9"
    assert _point(page, 9).get_attribute("aria-pressed") == "true"


def test_a_row_opens_by_keyboard(page):
    page.execute_script("arguments[0].focus()", _one(page, 'tr[data-group="3"] button'))
    _press(page, Keys.ENTER)
    assert _one(page, "#details-title").text == _data(page)["groups"][3]["label"]


def test_arrow_keys_walk_the_points_by_cost_and_enter_opens_one(page):
    groups = _data(page)["groups"]
    by_cost = sorted(range(16), key=lambda index: groups[index]["madds"])
    page.execute_script("arguments[0].focus()", _one(page, '.point[tabindex="0"]'))
    for index in by_cost[:3]:
        assert _one(page, "#tooltip strong").text == groups[index]["label"]
        _press(page, Keys.ARROW_RIGHT)
    _press(page, Keys.END)
    _press(page, Keys.ENTER)
    assert _one(page, "#details-title").text == groups[by_cost[-1]]["label"]
    _press(page, Keys.ESCAPE)
    assert not _one(page, "#tooltip").is_displayed()
    assert len(_all(page, '.point[tabindex="0"]')) == 1


def test_published_points_come_and_go_and_are_never_like_ours(page):
    published = _data(page)["published"]
    assert "cifar10" in _one(page, "#note").text
    assert len(_all(page, ".point.ours")) == 16
    assert _all(page, ".point.published") == []
    box = _one(page, "#published")
    assert not box.is_selected()
    box.click()
    points = _all(page, ".point.published")
    assert len(points) == len(published) > 50
    assert len(_all(page, ".point.ours")) == 16
    assert "V1, published" in _texts(page, "#legend .entry")
    labels = _attributes(page, ".point.published", "aria-label")
    assert {label[:10] for label in labels} == {"Published:"}
    mark = points[0].find_element(By.CSS_SELECTOR, ".mark")
    assert mark.value_of_css_property("fill") == "none"
    page.execute_script("arguments[0].focus()", points[0])
    assert _one(page, "#tooltip strong").text.startswith("Published: V1 ")
    assert dict(published[0]["facts"])["source"] in _one(page, "#tooltip").text
    # A published point has no curves to open.
    title = _one(page, "#details-title").text
    _press(page, Keys.ENTER)
    assert _one(page, "#details-title").text == title
    box.click()
    assert _all(page, ".point.published") == []


def test_lines_join_the_points_of_a_width(page):
    assert len(_all(page, "#chart path.line")) == 8
    assert sorted(_texts(page, "#chart text.width")) == sorted(["0.25", "0.5", "0.75", "1"] * 2)


def test_a_narrow_window_needs_no_sideways_scrolling(page):
    page.set_window_size(500, 900)
    metrics = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 400
        assert _one(page, "#chart svg").size["width"] <= 400
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.set_window_size(1280, 900)


def test_names_of_runs_are_no_markup(browser, tmp_path):
    runs = make_sweep(seeds=1)[:2]
    for run in runs:
        run.config["data"]["name"] = "</script><script>window.hacked = 1</script><b id=x>"
    path = tmp_path / "attack.html"
    path.write_text(build_page(runs), encoding="utf-8")
    browser.get(path.as_uri())
    assert browser.execute_script("return window.hacked") is None
    assert _all(browser, "#x") == []
    assert _all(browser, ".point.ours")
    assert browser.get_log("browser") == []
