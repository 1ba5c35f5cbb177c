"""The pages of `docs/` about Python and the metrics tell what is so."""

import doctest
import re
from pathlib import Path

import numpy as np
from PIL import Image

from refusion_jax.methods.refusion import forward
from refusion_jax.metrics import ALL_METRICS

PAGES = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| .+ \| (higher|lower) \| .+ \|$", re.MULTILINE)


def test_every_example_about_python_runs(tmp_path, monkeypatch):
    # In place of the network, which compiles for long.
    monkeypatch.setattr(forward, "fuse_luminance", lambda _, a, b, **__: (a + b) / 2)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder, shape in (("ir", (24, 32)), ("vi", (24, 32, 3)), ("fused", (24, 32))):
        Path(folder).mkdir()
        for stem in ("1", "2"):
            contrast = 100 if stem == "1" else 256  # the first is the worse
            picture = rng.integers(0, contrast, shape, np.uint8)
            Image.fromarray(picture).save(f"{folder}/{stem}.png")
    for name in ("ir", "vi"):
        Path(f"{name}.png").write_bytes(Path(f"{name}/2.png").read_bytes())
    # Fences end a block of expected output.
    text = re.sub(r"^```.*$", "", (PAGES / "python.md").read_text(), flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(text, {}, "python.md", None, 0)
    # The smallest side of MEF-SSIM is larger: NaN is a value too.
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    problems = []
    result = runner.run(example, out=problems.append)
    assert result.failed == 0, "".join(problems)
    assert result.attempted > 25


def test_every_metric_has_a_row_with_its_direction():
    rows = dict(ROW.findall((PAGES / "metrics.md").read_text()))
    assert rows == {
        key: "higher" if metric.higher_is_better else "lower"
        for key, metric in ALL_METRICS.items()
    }
