"""Makes the picture of the page `refusion serve`, by Chromium and Playwright.

    python docs/make_screenshot.py

Needs the extras `serve` and `test`, and a Chromium on the PATH. The sources are those
of `make_images.py`.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make_images import IMAGES, focus
from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

SIZE: ViewportSize = {"width": 960, "height": 800}


def screenshot(address: str, sources: list[Path]) -> bytes:
    """Fuses two files on the page; returns the page as PNG."""
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        page.locator("#files").set_input_files(sources)
        page.locator("#guess", has_text="Guess").wait_for()
        fused = page.locator(".viewer-pane-right img[src*='fused']")
        for _ in range(2):  # the first also compiles, which is no matter of the page
            page.locator("#run:enabled").click()
            page.locator("#cancel").wait_for()
            page.locator("#cancel").wait_for(state="hidden", timeout=300_000)
            fused.wait_for()
        page.wait_for_timeout(2000)  # until the pictures are drawn
        page.evaluate("scrollTo(0, 0)")
        box = page.locator("#viewer").bounding_box()
        assert box is not None
        content = page.screenshot(
            full_page=True,
            clip={
                "x": 0,
                "y": 0,
                "width": SIZE["width"],
                "height": box["y"] + box["height"],
            },
        )
        browser.close()
    return content


def main() -> None:
    """Starts the server on any free port, and stops it afterwards."""
    command = [sys.executable, "-m", "refusion_jax", "serve", "--port=0"]
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder) / f"{name}.png" for name in ("near", "far")]
        for path, picture in zip(sources, focus(), strict=True):
            Image.fromarray(picture).save(path)
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = next(
                found[0]
                for line in server.stdout
                if (found := re.search(r"http://\S+", line))
            )
            content = screenshot(address, sources)
        finally:
            server.terminate()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.save(IMAGES / "serve.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
