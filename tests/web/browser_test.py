"""The page and the report in a real browser; skipped where there is no Chromium."""

import base64
import re
import shutil
import socket
import threading
import time
import zipfile

import numpy as np
import pytest
import uvicorn
from PIL import Image
from web.visitors import encoded, scene

from refusion_jax.evaluation.candidates import baselines
from refusion_jax.evaluation.results import write_evaluation
from refusion_jax.reporting.page import Section, write_report
from refusion_jax.web import work
from refusion_jax.web.app import make_app

GREY, COLOUR = scene(160, 240)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 800}
# Makes what a drop of files from the desktop carries.
TRANSFER = """files => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), x => x.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: 'image/png' }));
  }
  return transfer;
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(models):
    """Of a server in a thread, on any free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(make_app(models), log_level="error", ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture
def open_page(browser):
    """Opens pages, and tells afterwards what went wrong on them, or went out."""
    contexts, problems, requests = [], [], []

    def start(address, viewport, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda line: (
                line.type in ("error", "warning") and problems.append(line.text)
            ),
        )
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert problems == []
    kinds = ("http://127.0.0.1:", "blob:", "data:", "file:")
    assert [url for url in requests if not url.startswith(kinds)] == []


def drop(page, *pictures):
    files = [
        (f"{name}.png", base64.b64encode(encoded(picture)).decode())
        for name, picture in pictures
    ]
    transfer = page.evaluate_handle(TRANSFER, files)
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    page.locator("#thumbs li").nth(len(files) - 1).wait_for()


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def split_of(page):
    return float(page.locator(".viewer-divider").input_value())


def fuse(page):
    page.locator("#guess", has_text="Guess").wait_for()
    page.locator("label", has_text="mean").first.click()
    page.locator("#run").click()
    page.locator("#result").wait_for()
    page.locator(".viewer-pane-right img[src*='fused']").wait_for()


def test_two_dropped_files_are_fused_compared_explained_and_saved(
    open_page, address, tmp_path
):
    page = open_page(address, DESKTOP)
    drop(page, ("visible", COLOUR), ("infrared", GREY))
    page.locator("#guess", has_text="A and B are swapped").wait_for()
    titles = page.locator("#thumbs b").all_inner_texts()
    assert titles == ["A: infrared", "B: visible"]
    page.locator("#swap").click()
    page.locator("#thumbs span", has_text="visible.png").wait_for()
    fuse(page)
    # The divider by keyboard, by the pointer, and by blinking.
    stage = page.locator(".viewer-stage")
    stage.focus()
    before = split_of(page)
    page.keyboard.press("ArrowRight")
    assert split_of(page) == before + 2
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.52, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.up()
    assert abs(split_of(page) - 25) <= 1
    clip = page.locator(".viewer-pane-left").evaluate("x => x.style.clipPath")
    assert clip.startswith("inset(0px 75")
    page.keyboard.press(" ")
    assert split_of(page) == 100
    # Both panes zoom in step.
    page.keyboard.press("+")
    moves = page.locator(".viewer-pane img").evaluate_all(
        "images => images.map(x => x.style.transform)"
    )
    assert moves[0] == moves[1] and "scale" in moves[0]
    page.keyboard.press("d")
    assert page.locator("#viewer").get_attribute("data-mode") == "difference"
    page.keyboard.press("s")
    page.keyboard.press("0")
    page.locator("#maps").click()
    page.locator(".viewer-map-choice option", has_text="w_a").wait_for(state="attached")
    page.locator(".viewer-pane-left canvas:not([hidden])").wait_for()
    with page.expect_download() as waiting:
        page.locator("#downloads button", has_text="ZIP").click()
    waiting.value.save_as(tmp_path / "fused.zip")
    names = zipfile.ZipFile(tmp_path / "fused.zip").namelist()
    assert names == ["fused.png", "fuse.json", "w_a.png", "w_b.png"]
    assert fits(page)


def test_a_map_that_comes_late_covers_no_other(open_page, address):
    page = open_page(address, DESKTOP)
    drop(page, ("infrared", GREY), ("visible", COLOUR))
    fuse(page)
    held = []
    page.route("**/w_a.png", lambda route: held.append(route))
    page.locator("#maps").click()
    while not held:
        page.wait_for_timeout(10)
    page.locator("select.viewer-map-choice").select_option("w_b")
    canvas = page.locator(".viewer-pane-left canvas")
    page.wait_for_function(
        "() => document.querySelector('.viewer-pane-left canvas').width === 240"
    )
    before = canvas.evaluate("x => x.toDataURL()")
    with page.expect_response("**/w_a.png"):
        held[0].continue_()
    page.wait_for_timeout(300)
    assert canvas.evaluate("x => x.toDataURL()") == before


def test_the_scores_of_a_metric_have_as_many_decimals_as_each_other(open_page, address):
    page = open_page(address, DESKTOP)
    drop(page, ("infrared", GREY), ("visible", COLOUR))
    fuse(page)
    named = {"unit": "", "formula": "", "higher_is_better": True}
    rows = [
        {"key": "en", "title": "EN", "values": [6.5, 7.0321, None], **named},
        {"key": "sd", "title": "SD", "values": [4.1, 41.056, -0.5], **named},
        {"key": "none", "title": "None", "values": [0.0, 0.0, 0.0], **named},
    ]
    result = {"candidates": ["fused", "average", "maximum"], "rows": rows}
    done = {"id": "1", "state": "done", "result": result}
    page.route("**/api/metrics", lambda route: route.fulfill(json=done))
    page.locator("#score").click()
    page.locator("#score-rows td").first.wait_for()
    assert page.locator("#score-rows tr").evaluate_all(
        "rows => rows.map(x => [...x.querySelectorAll('td')].map(y => y.textContent))"
    ) == [["6.500", "7.032", "\u2013"], ["4.10", "41.06", "-0.50"], ["0", "0", "0"]]


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page, address):
    page = open_page(address, PHONE, "dark")
    assert fits(page)
    assert not page.locator("#choose-folders").is_visible()
    drop(page, ("infrared", GREY), ("visible", COLOUR), ("third", GREY // 2))
    page.locator("#tree", has_text="((1 2) 3)").wait_for()
    page.locator("label", has_text="mean").first.click()
    page.locator("summary", has_text="Options").click()
    assert fits(page)
    page.locator("#run").click()
    page.locator("#result").wait_for()
    assert "these are 3" in page.locator("#no-maps").inner_text()
    # The stage takes the shape of the picture when that has loaded.
    page.wait_for_function(
        """ratio => {
            const box = document.querySelector('.viewer-stage').getBoundingClientRect();
            return Math.abs(box.width / box.height / ratio - 1) < 0.01;
        }""",
        arg=COLOUR.shape[1] / COLOUR.shape[0],
    )
    page.locator("summary", has_text="command").click()
    page.locator(".viewer-keys summary").click()
    assert fits(page)


def write_pairs(folder):
    """Two folders of two pairs."""
    for name, seed in (("ir", 1), ("vi", 2)):
        (folder / name).mkdir()
        for i in (1, 2):
            content = encoded(scene(seed=seed + i)[seed - 1])
            (folder / name / f"{name}_{i}.png").write_bytes(content)


def fuse_pairs(page, folder):
    page.locator("#weights label").first.wait_for(state="attached")
    page.locator("#folder-a").set_input_files(folder / "ir")
    page.locator("#folder-b").set_input_files(folder / "vi")
    page.locator("#batch-remark", has_text="pairs.").wait_for()
    page.locator("label", has_text="mean").first.click()
    page.locator("#batch-run").click()
    page.locator("#batch-zip").wait_for()


def test_two_folders_become_a_batch(open_page, address, tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "ir" / "ir_3.png").write_bytes(b"broken")
    (tmp_path / "vi" / "vi_3.png").write_bytes(encoded(COLOUR))
    (tmp_path / "vi" / "more").mkdir()  # is left out
    (tmp_path / "vi" / "more" / "vi_3.png").write_bytes(encoded(COLOUR))
    page = open_page(address, DESKTOP)
    fuse_pairs(page, tmp_path)
    assert page.locator("#batch-remark").inner_text().startswith("3 pairs.")
    cells = page.locator("#batch-rows tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    broken, *fused = cells  # the worst first
    assert broken[0] == "ir_3" and "got ir_3.png" in broken[1]
    assert sorted(row[0] for row in fused) == ["ir_1", "ir_2"]
    assert float(fused[0][3]) <= float(fused[1][3])
    with page.expect_download() as waiting:
        page.locator("#batch-zip").click()
    waiting.value.save_as(tmp_path / "fused.zip")
    names = zipfile.ZipFile(tmp_path / "fused.zip").namelist()
    assert sorted(names) == sorted(
        f"{stem}/{name}"
        for stem in ("ir_1", "ir_2")
        for name in ("fused.png", "fuse.json")
    )
    page.locator("#batch-rows button", has_text="Look").first.click()
    page.locator("#result").wait_for()
    assert fits(page)


@pytest.mark.parametrize(
    ("button", "path", "shown"),
    [
        ("#maps", "maps", ".viewer-map-choice option[value='w_a']"),
        ("#score", "metrics", "#score-rows td"),
    ],
)
def test_maps_and_metrics_of_one_picture_are_not_shown_with_another(
    open_page, address, tmp_path, button, path, shown
):
    write_pairs(tmp_path)
    page = open_page(address, DESKTOP)
    fuse_pairs(page, tmp_path)
    held = []
    page.route(f"**/api/{path}", lambda route: held.append(route))
    looks = page.locator("#batch-rows button", has_text="Look")
    looks.nth(0).click()
    page.locator(button).click()
    while not held:
        page.wait_for_timeout(10)
    looks.nth(1).click()
    held[0].continue_()
    page.locator(f"{button}:enabled").wait_for()
    assert page.locator(shown).count() == 0
    page.unroute(f"**/api/{path}")
    page.locator(button).click()
    page.locator(shown).first.wait_for(state="attached")


def test_other_options_make_a_batch_anew(open_page, address, tmp_path):
    write_pairs(tmp_path)
    page = open_page(address, DESKTOP)
    fuse_pairs(page, tmp_path)
    asked, held = [], []
    page.on("request", lambda x: x.url.endswith("/api/fuse") and asked.append(x))
    run, ready = page.locator("#batch-run"), page.locator("#batch-run:enabled")
    run.click()
    ready.wait_for()
    assert len(asked) == 0
    page.locator("label", has_text="mapless").click()
    run.click()
    ready.wait_for()
    assert len(asked) == 2
    # Stopped after the first, no picture of before is left beside it.
    page.locator("label", has_text="mean").first.click()
    page.route("**/api/fuse", lambda route: held.append(route))
    run.click()
    while not held:
        page.wait_for_timeout(10)
    page.locator("#batch-stop").click()
    held[0].continue_()
    ready.wait_for()
    assert page.locator("#batch-rows img").count() == 1


def test_a_batch_keeps_its_pairs_while_it_runs(open_page, address, tmp_path):
    write_pairs(tmp_path)
    page = open_page(address, DESKTOP)
    fuse_pairs(page, tmp_path)
    held = []
    page.route("**/api/fuse", lambda route: held.append(route))
    page.locator("label", has_text="mapless").click()
    page.locator("#batch-run").click()
    while not held:
        page.wait_for_timeout(10)
    assert page.locator("#batch-rule").is_disabled()
    stems = page.locator("#batch-rows th").all_inner_texts()
    page.locator("#folder-a").set_input_files(tmp_path / "vi")
    page.locator("#folder-b").set_input_files(tmp_path / "ir")
    page.locator("#problem", has_text="still being fused").wait_for()
    assert page.locator("#batch-rows th").all_inner_texts() == stems
    page.locator("#batch-stop").click()
    held[0].continue_()
    page.locator("#batch-run:enabled").wait_for()
    assert page.locator("#batch-rule").is_enabled()


def test_a_batch_is_saved_without_what_has_expired(open_page, address, tmp_path):
    write_pairs(tmp_path)
    page = open_page(address, DESKTOP)
    fuse_pairs(page, tmp_path)
    stem = page.locator("#batch-rows th").first.inner_text()
    source = page.locator("#batch-rows img").first.get_attribute("src")
    page.request.delete(f"{address}{source.partition('/files/')[0].lstrip('/')}")
    with page.expect_download() as waiting:
        page.locator("#batch-zip").click()
    waiting.value.save_as(tmp_path / "fused.zip")
    names = zipfile.ZipFile(tmp_path / "fused.zip").namelist()
    assert len(names) == 2 and not any(x.startswith(stem) for x in names)
    page.locator("#problem", has_text=f"no longer kept: {stem}.").wait_for()
    assert page.locator("#batch-rows img").count() == 1
    page.locator("#batch-run").click()
    page.locator("#batch-run:enabled").wait_for()
    assert page.locator("#batch-rows img").count() == 2


def choose_folders(page, first, second):
    page.locator("#folder-a").set_input_files(first)
    page.locator("#folder-b").set_input_files(second)
    page.locator("#batch-run:enabled").wait_for()


def test_folders_are_fused_in_the_order_of_the_guess_about_them(
    open_page, address, tmp_path
):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        write_pairs(tmp_path / name)
    old, new = tmp_path / "old", tmp_path / "new"
    page = open_page(address, DESKTOP)
    guess, rule = page.locator("#guess"), page.locator("#batch-rule")
    sent = []

    def answer(route):
        names = re.findall(rb'filename="(..)_', route.request.post_data_buffer)
        sent.append([x.decode() for x in names])
        route.fulfill(json={"id": "x", "state": "failed", "error": "not here"})

    def fused():
        sent.clear()
        page.locator("#batch-run").click()
        page.locator("#batch-run:enabled").wait_for()
        return sent

    page.route("**/api/fuse", answer)
    page.locator("#weights label").first.wait_for(state="attached")
    drop(page, ("near", GREY), ("far", COLOUR))
    page.locator("#guess", has_text="names near and far").wait_for()
    choose_folders(page, old / "vi", old / "ir")
    assert guess.inner_text() == ""  # that was about the pictures
    assert fused() == [["ir", "vi"]] * 2
    assert "names vi and ir" in guess.inner_text()
    assert "the folders are swapped" in guess.inner_text()
    with page.expect_response("**/api/pairs"):
        rule.select_option("order")
    page.locator("#batch-run:enabled").wait_for()
    assert "the folders are swapped" in guess.inner_text()
    assert fused() == [["ir", "vi"]] * 2
    choose_folders(page, new / "ir", new / "vi")
    assert guess.inner_text() == ""
    assert fused() == [["ir", "vi"]] * 2
    assert "swapped" not in guess.inner_text()
    choose_folders(page, old / "vi", old / "ir")
    assert fused() == [["ir", "vi"]] * 2
    # Whoever chooses has the folders as they are given.
    page.locator("label", has_text="mean").first.click()
    choose_folders(page, new / "vi", new / "ir")
    assert fused() == [["vi", "ir"]] * 2
    assert guess.inner_text() == ""


def test_the_example_is_one_press_away(open_page, address):
    page = open_page(address, DESKTOP)
    page.locator("#example").click()
    page.locator("#thumbs li").nth(1).wait_for()
    page.locator("#guess", has_text="Guess: Infrared and visible").wait_for()
    assert page.locator("#levels").is_hidden()  # all of it has 8 bits


def test_a_guess_goes_with_its_pictures(open_page, address):
    page = open_page(address, DESKTOP)
    checked = page.locator("[name='weights']:checked")
    drop(page, ("near", GREY), ("far", COLOUR))
    page.locator("#guess", has_text="names near and far").wait_for()
    assert checked.count() == 1
    page.locator("#clear").click()
    drop(page, ("1", COLOUR), ("2", COLOUR[::-1]))
    page.locator("#guess", has_text="Please choose").wait_for()
    assert checked.count() == 0


def test_handles_on_a_histogram_set_the_levels(open_page, address):
    page = open_page(address, PHONE)
    deep = np.linspace(1000, 9000, GREY.size).astype(np.uint16).reshape(GREY.shape)
    drop(page, ("deep", deep), ("visible", COLOUR))
    page.locator("#options summary").click()
    page.locator("#levels-low").press("ArrowRight")
    assert page.locator("[name='levels']").input_value() == "1008:9000"
    page.locator("[name='levels']").fill("5000:8000")
    assert page.locator("#levels-low").input_value() == "500"
    assert page.locator("#levels-high").input_value() == "875"
    assert fits(page)
    page.locator("#levels button").click()
    assert page.locator("[name='levels']").input_value() == "full"


def test_a_bracket_is_sorted_by_its_exposures(open_page, address):
    page = open_page(address, DESKTOP)
    files = []
    for name, seconds in (("a", 0.5), ("b", 0.01), ("c", 0.1)):
        exif = Image.Exif()
        exif[0x8769] = {33434: seconds}
        content = encoded(COLOUR, "JPEG", exif=exif)
        files.append({"name": f"{name}.jpg", "mimeType": "", "buffer": content})
    page.locator("#files").set_input_files(files)
    page.locator("#tree", has_text="Sorted by exposure").wait_for()
    names = page.locator("#thumbs span[title]").all_inner_texts()
    assert names == ["b.jpg", "c.jpg", "a.jpg"]


def test_pages_beyond_the_most_are_told(open_page, address, monkeypatch):
    monkeypatch.setattr(work, "MOST_PAGES", 2)
    pages = [Image.fromarray(GREY // k) for k in (2, 3)]
    stack = encoded(GREY, "TIFF", save_all=True, append_images=pages)
    page = open_page(address, DESKTOP)
    files = [{"name": "stack.tif", "mimeType": "image/tiff", "buffer": stack}]
    page.locator("#files").set_input_files(files)
    page.locator("#warnings", has_text="3 pages: only the first 2 are read").wait_for()
    assert page.locator("#warnings li").count() == 1
    assert page.locator("#thumbs li").count() == 2
    page.locator("#clear").click()
    assert page.locator("#warnings li").count() == 0


def test_an_error_is_a_sentence_on_the_page(open_page, address):
    page = open_page(address, DESKTOP)
    files = [{"name": "x.png", "mimeType": "image/png", "buffer": b"nothing"}]
    page.locator("#files").set_input_files(files)
    page.locator(
        "#problem", has_text="expected a readable picture, got x.png"
    ).wait_for()


def test_figures_of_a_report_open_in_the_same_viewer(open_page, tmp_path):
    path = tmp_path / "report.html"
    pictures = {"first": GREY, "second": COLOUR, "third": np.flipud(GREY)}
    write_report(path, "Report", [Section("Scene", [], pictures)])
    page = open_page(path.as_uri(), PHONE)
    page.locator("figure button").nth(2).click()
    page.locator("dialog .viewer-pane-right img[alt='third']").wait_for()
    page.keyboard.press("]")
    page.locator("dialog .viewer-pane-right img[alt='first']").wait_for()
    assert fits(page)
    page.locator("button[name='close']").click()
    assert not page.locator("dialog").is_visible()


def test_the_table_of_a_report_filters_and_sorts(browser, tmp_path):
    for side, offset in (("a", 0), ("b", 50)):
        (tmp_path / side).mkdir()
        for i, stem in enumerate(("day", "night", "noon")):
            picture = np.full((16, 16), 20 * i + offset, np.uint8)
            picture[0] = 255 - 100 * i
            Image.fromarray(picture).save(tmp_path / side / f"{stem}.png")
    write_evaluation(
        tmp_path, tmp_path / "a", tmp_path / "b", baselines(["average"]), ("sd",)
    )
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())

    def shown():
        return page.eval_on_selector_all(
            "table.sortable tbody tr",
            "rows => rows.filter(x => !x.hidden).map(x => x.cells[0].textContent)",
        )

    page.fill("input[type=search]", "n")
    assert sorted(shown()) == ["night", "noon"]
    page.fill("input[type=search]", "")
    head = page.locator("table.sortable thead button").first
    head.click()
    assert shown() == ["day", "night", "noon"]
    head.click()
    assert shown() == ["noon", "night", "day"]
    page.close()
