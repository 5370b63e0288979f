"""The report in a real browser: tests click every category, figure and page as a reader would."""

import base64
import json
import re
from dataclasses import dataclass

import pandas as pd
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.xdist_group("smoke")

SECONDS = 20


@dataclass(frozen=True)
class Entry:
    """The content behind one row of a category's table.

    Attributes:
        labels: The labels of the row.
        caption: The caption as HTML.
        shown: The text of a page, the displayed width of a picture, the beginning of a PDF's address, or the name of a
            file to save and its content as a data URI.
    """

    labels: list[str]
    caption: str
    shown: object


class Reader:
    """Opens the pages of the report by clicking."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, selector):
        return WebDriverWait(self.browser, SECONDS).until(
            lambda browser: browser.find_element(By.CSS_SELECTOR, selector)
        )

    def click(self, text):
        self.browser.find_element(By.LINK_TEXT, text).click()

    def go_home(self):
        self.find("nav nav li a").click()

    def categories(self):
        return self.browser.execute_script("return Object.keys(categories)")

    def entries(self, category):
        self.go_home()
        self.click(category)
        for number in range(1, len(self.browser.find_elements(By.CSS_SELECTOR, "nav table tbody tr")) + 1):
            line = self.find(f"nav table tbody tr:nth-child({number})")
            *cells, _ = line.find_elements(By.TAG_NAME, "td")
            labels = [cell.text for cell in cells]
            eye, about = line.find_elements(By.TAG_NAME, "a")
            shown = self.shown(eye, labels[-1])
            about.click()
            caption = self.find("nav .prose-invert").get_attribute("innerHTML")
            self.click(category)
            yield Entry(labels, caption, shown)

    def shown(self, eye, kind):
        """Open the content behind one row of the table, and return it as described in `Entry.shown`."""
        if download := eye.get_attribute("download"):
            return download, eye.get_attribute("href")
        eye.click()
        if kind == "picture":
            return self.picture()
        return self.page_text() if kind == "page" else self.find("iframe").get_attribute("src")[:20]

    def picture(self):
        """Return the displayed width of the picture after it has loaded."""
        picture = self.find("#app .p-3 > img")
        WebDriverWait(self.browser, SECONDS).until(
            lambda browser: browser.execute_script("return arguments[0].complete", picture)
        )
        natural, shown = self.browser.execute_script(
            "return [arguments[0].naturalWidth, arguments[0].clientWidth]", picture
        )
        return shown if natural else 0

    def page_text(self):
        self.browser.switch_to.frame(self.find("iframe"))
        text = self.find("body").text
        self.browser.switch_to.default_content()
        return text


@pytest.fixture(scope="module")
def reader(browser):
    return Reader(browser)


@pytest.fixture(scope="module")
def entries(reader):
    """All entries of the report by category; this fixture opens each of them."""
    return {category: list(reader.entries(category)) for category in reader.categories()}


@pytest.fixture(scope="module")
def results(report):
    return report.parent


def named(entries, category, *labels):
    return next(entry for entry in entries[category] if entry.labels == list(labels))


def test_categories(entries):
    assert set(entries) == {
        "Alignment",
        "Claims",
        "Configuration",
        "Curvature",
        "Displacement",
        "Localization",
        "Null models",
        "Run times",
        "Sweeps",
        "Training",
    }


def test_every_figure_is_shown(entries, results):
    expected = {path.stem for path in results.glob("figures/*.png")}
    pictures = [entry for listed in entries.values() for entry in listed if entry.labels[-1] == "picture"]
    shown = {entry.labels[0].replace(" ", "_"): entry.shown for entry in pictures}
    assert set(shown) == {name.removeprefix("fig") for name in expected}
    assert all(width > 300 for width in shown.values()), shown


def test_every_figure_is_available_as_pdf_and_table(entries, results):
    for path in results.glob("figures/*.png"):
        label = path.stem.removeprefix("fig").replace("_", " ")
        files = {
            entry.labels[-1]: entry.shown for listed in entries.values() for entry in listed if entry.labels[0] == label
        }
        assert files["print (pdf)"] == "data:application/pdf"
        name, uri = files["table (csv)"]
        assert name == f"{path.stem}.csv"
        assert base64.b64decode(uri.partition("base64,")[2]) == path.with_suffix(".csv").read_bytes()


def test_captions_are_complete_and_without_markup_errors(entries):
    for category, listed in entries.items():
        for entry in listed:
            assert len(entry.caption) > 100, entry.labels
            for mistake in ("{{", "}}", "Undefined", "system-message", "problematic"):
                assert mistake not in entry.caption, entry.labels
            # The run times cover all jobs, so their caption names no runs.
            if re.match(r"(ext)?\d\d ", entry.labels[0]) and entry.labels[0] != "ext09 run times":
                for fact in (
                    r"(1,437|4,000) training samples",
                    r"N = (610|6,370) parameters",
                    r"\d initializations?",
                    r"60 steps with batches of 64",
                ):
                    assert re.search(fact, entry.caption), (category, entry.labels, fact)


def test_the_report_has_the_table_of_claims(entries, results):
    text = named(entries, "Claims", "verdicts", "page").shown
    verdicts, variants = (pd.read_csv(results / f"{name}.csv") for name in ("claims", "claims_sensitivity"))
    for verdict in verdicts.itertuples():
        assert f"{verdict.claim} · " in text
    for verdict, count in pd.concat([verdicts, variants])["verdict"].value_counts().items():
        # The introduction names each verdict once.
        assert len(re.findall(rf"\b{verdict}\b", text)) == count + (verdict != "not measured")


def test_the_report_has_the_configuration(entries, results):
    text = named(entries, "Configuration", "page").shown
    assert re.search(r"^training\.steps 60 Optimizer steps of a run", text, re.M)
    name, uri = named(entries, "Configuration", "study to run again (yaml)").shown
    assert name == "config.yaml"
    assert base64.b64decode(uri.partition("base64,")[2]) == (results / name).read_bytes()


def test_the_report_has_the_run_times(entries):
    name, uri = named(entries, "Run times", "every job", "table (csv)").shown
    assert name == "benchmarks.csv"
    table = base64.b64decode(uri.partition("base64,")[2]).decode()
    assert {"data", "train", "eigenpairs", "null_model", "metrics", "claims", "fig01"} <= {
        line.partition(",")[0] for line in table.splitlines()
    }


def test_a_link_on_the_first_page_opens_a_figure_next_to_its_caption(reader):
    reader.browser.refresh()
    assert "The study smoke trains networks with sgd, adam on digits and mnist5k" in reader.find(".prose").text
    reader.click("03 localization")
    assert reader.picture() > 300
    assert "Inverse participation ratio" in reader.find("nav .prose-invert").text
    reader.click("Localization")
    reader.go_home()


def test_workflow_and_statistics_are_drawn(reader):
    for name, drawing in {"Workflow": "#rulegraph canvas", "Statistics": "#timeline canvas"}.items():
        reader.click(name)
        assert reader.find(drawing).size["width"] > 100


def test_the_report_has_no_errors_and_needs_no_network(browser, entries, report):
    mistakes = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert mistakes == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    assert [message for message in messages if message["method"] == "Network.loadingFailed"] == []
    asked = {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }
    assert len(asked) > len(entries)
    # Chromium shows PDF files with a built-in extension.
    known = ("data:", report.as_uri(), "chrome-extension:")
    assert [url for url in asked if not url.startswith(known)] == []
