"""A page in real headless Chromium, for what only a browser can show."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

# A microphone that beeps, and a user who allows it.
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture
def chromium_page() -> Iterator[Page]:
    """Open an empty page; skip where there is no Chromium."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *FAKE])
        yield browser.new_page()
        browser.close()
