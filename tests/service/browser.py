"""A real headless Chromium, driven by Playwright; and axe-core, which knows what makes a page hard to use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from tests.service.servers.installed import node_packages

AXE = "axe-core@4.10.3"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 600
_PATIENCE = 30_000
"""Milliseconds until something that must be seen counts as missing: the machine may have other work."""


def executable() -> str:
    """The path of a Chromium: one that is there, or Debian's, where it may be installed."""
    found = _on_path()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
        found = _on_path()
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(_NAMES)} is on the PATH (Debian: apt-get install chromium)")
    return found


def _on_path() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _install() -> None:
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run(
            ["apt-get", "--quiet", *command],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A running browser."""
    path = executable()
    expect.set_options(timeout=_PATIENCE)
    async with async_playwright() as playwright:
        # As root, in a container say, Chromium runs only without its sandbox.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = await playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        await running.close()


@asynccontextmanager
async def opened(
    browser: Browser, address: str, *, width: int = 1440, height: int = 900, failing: bool = False, **options: Any
) -> AsyncIterator[Page]:
    """A page that must complain of nothing and ask no other host.

    Args:
        failing: calls of the page are to fail here: the browser may say so on its console.
        options: of the browser's profile: `color_scheme`, `reduced_motion`, `permissions`.
    """
    host = urlsplit(address).netloc
    complaints: list[str] = []
    foreign: list[str] = []
    size = ViewportSize(width=width, height=height)
    context = await browser.new_context(viewport=size, **options)
    page = await context.new_page()

    def heard(kind: str, text: str) -> None:
        expected = failing and text.startswith("Failed to load resource")
        if kind in ("error", "warning") and not expected:
            complaints.append(f"{kind}: {text}")

    page.on("console", lambda message: heard(message.type, message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: foreign.append(request.url) if urlsplit(request.url).netloc != host else None)
    try:
        await page.goto(address)
        yield page
    finally:
        await context.close()
    assert not complaints, complaints
    assert not foreign, foreign


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it is now: rules, and where they are broken."""
    source = node_packages(AXE) / "node_modules" / "axe-core" / "axe.min.js"
    await page.evaluate(source.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = await page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
    assert len(found["passes"]) > 10, "axe-core checked next to nothing"
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
