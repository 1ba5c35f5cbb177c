"""What jobs do: look at pictures, fuse them, score and explain the result, pack it."""

import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refusion_jax import metrics
from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing.choice import choose
from refusion_jax.fusing.inference import aligned_pictures, on_each_other
from refusion_jax.fusing.provenance import to_text, with_sources
from refusion_jax.pictures.codecs import limit_of_pixels, read_picture, to_luminance
from refusion_jax.pictures.levels import average, to_8_bit
from refusion_jax.pictures.photographs import (
    Photograph,
    count_pages,
    origin_of,
    read_photograph,
    write_photograph,
)
from refusion_jax.reporting.color_map import color_map
from refusion_jax.web.jobs import Job, Upload
from refusion_jax.web.models import Models
from refusion_jax.web.options import (
    PAGE_SUFFIX,
    Options,
    command_of,
    facts_of,
    files_of,
    python_of,
)
from refusion_jax.web.views import (
    describe,
    describe_scores,
    eight_bits,
    thumb_of,
    write_view,
)

# Endings of downloads, and whether 16 bits become 8 for them.
FORMATS = {
    "png": (".png", False),
    "png8": (".png", True),
    "tiff": (".tif", False),
    "jpeg": (".jpg", False),
}
MOST_PAGES = 256


class Fused(NamedTuple):
    """What later jobs need of a fusion.

    Attributes:
      uploads: the sources, in order.
      options: of the run.
      picture: the file with all bits.
    """

    uploads: tuple[Upload, ...]
    options: Options
    picture: Path


def inspect(job: Job) -> dict[str, Any]:
    """Looks at the uploads of a job: size, depth, a thumbnail; pages become pictures.

    Args:
      job: with uploads.
    """
    job.enter("reading")
    pages = []
    for upload in job.uploads:
        count = count_pages(upload.path)
        if count == 1 or len(job.uploads) > 1:
            pages.append(upload)
            continue
        if count > MOST_PAGES:
            job.notes.append(
                f"{upload.name} has {count} pages: only the first "
                f"{MOST_PAGES} are read; split it for the others."
            )
        pages += [
            Upload(upload.path, f"{upload.name}{PAGE_SUFFIX.format(page + 1)}", page)
            for page in range(min(count, MOST_PAGES))
        ]
    job.uploads = pages
    pictures = []
    for place, upload in enumerate(pages):
        job.enter(f"reading {place + 1} of {len(pages)}")
        photograph = _read(upload)
        thumb = f"thumb{place}.png"
        job.files[thumb] = job.folder / thumb
        job.files[thumb].write_bytes(thumb_of(photograph))
        told = {"picture": f"{job.id}.{place}", "name": upload.name, "thumb": thumb}
        pictures.append(told | describe(photograph))
    return {"pictures": pictures}


def guess(uploads: Sequence[Upload]) -> Callable[[Job], dict[str, Any]]:
    """Returns work that guesses the weights and the order of sources, and says why.

    Args:
      uploads: the sources, in order. Their names are read as words only.
    """

    def work(job: Job) -> dict[str, Any]:
        job.enter("looking")
        if len(uploads) < 2 or any(upload.page is not None for upload in uploads):
            return {"weights": "", "reason": "", "is_reversed": False}
        names = [Path(upload.name) for upload in uploads]
        files = [upload.path for upload in uploads]
        choice = choose(names, [files], levels="auto")
        if choice is None:
            reason = "Neither names nor contents show what these are"
            return {"weights": "", "reason": reason, "is_reversed": False}
        return {
            "weights": choice.weights.name,
            "reason": choice.reason,
            "is_reversed": choice.is_reversed and len(uploads) == 2,
        }

    return work


def fuse(
    models: Models, uploads: Sequence[Upload], options: Options
) -> Callable[[Job], dict[str, Any]]:
    """Returns work that fuses pictures and writes what the viewer shows.

    Args:
      models: the weights.
      uploads: the sources, in order.
      options: of the run.
    """

    def work(job: Job) -> dict[str, Any]:
        start = time.monotonic()
        if len(uploads) < 2:
            raise ValueError(
                f"expected two pictures or more, got {len(uploads)}; add another."
            )
        job.enter("reading")
        with limit_of_pixels(options.max_pixels):
            photographs: Sequence[Photograph] = [_read(upload) for upload in uploads]
        rules = options.rules
        if rules.align == "register":
            job.enter("registering")
            photographs, rules, _ = on_each_other(photographs, rules)
        size = photographs[0].pixels.shape[:2]
        is_new = models.is_new(options.offer.name, size, rules.precision)
        doing = "compiling (once for this size) and fusing" if is_new else "fusing"
        last = len(photographs) - 1

        def tell(step: int) -> None:
            job.enter(doing if last == 1 else f"{doing}, {step} of {last}")

        fuser = models.fuser(options.offer.name, rules, tell)
        fused = fuser.fuse_photograph(*photographs)
        job.enter("writing")
        picture = job.folder / "fused.png"
        # By the options, because registering has changed the rules.
        record = models.provenance(options.offer.name, options.rules)
        origin = to_text(with_sources(record, [upload.name for upload in uploads]))
        write_photograph(picture, fused, origin=origin)
        job.kept = Fused(tuple(uploads), options, picture)
        views = _write_views(job, photographs, rules, fused, options.offer.sources)
        files = files_of(uploads)
        height, width = fused.pixels.shape[:2]
        return {
            "width": width,
            "height": height,
            "is_deep": fused.pixels.dtype == np.uint16,
            "seconds": round(time.monotonic() - start, 2),
            "views": views,
            "no_maps": (
                "Loss maps weigh two pictures against each other; these are "
                f"{len(uploads)}."
                if len(uploads) > 2
                else models.why_no_maps(options.offer.name)
            ),
            "command": command_of(files, options),
            "python": python_of(files, options),
        }

    return work


def _write_views(
    job: Job,
    photographs: Sequence[Photograph],
    rules: Any,
    fused: Photograph,
    titles: Sequence[str],
) -> list[dict[str, str]]:
    """Writes 8-bit pictures of one size: the sources, their average, the result."""
    if len(photographs) > 2:
        titles = [f"Picture {place + 1}" for place in range(len(photographs))]
    views: list[dict[str, str]] = []
    total: np.ndarray = np.zeros(1, np.float32)

    def add(key: str, title: str, picture: np.ndarray) -> None:
        job.files[f"{key}.png"] = job.folder / f"{key}_view.png"
        write_view(job.files[f"{key}.png"], picture)
        views.append({"key": key, "title": title[:1].upper() + title[1:]})

    aligned = aligned_pictures(photographs, rules)
    colours = [x.is_coloured for x in photographs]
    for place, (make, title) in enumerate(zip(aligned, titles, strict=True)):
        unit = make()
        if unit.ndim == 3 and not colours[place]:
            unit = unit[..., 0]
        add(
            chr(ord("a") + place) if place < 26 else f"s{place}",
            title,
            eight_bits(unit),
        )
        wide = unit[..., None] if any(colours) and unit.ndim == 2 else unit
        total = total + wide / np.float32(len(aligned))
    add("fused", "Fused", _shown(fused.pixels))
    add("average", "Average", eight_bits(total))
    return views


def score(fusion: Job, keys: Sequence[str] | None) -> Callable[[Job], dict[str, Any]]:
    """Returns work that scores a fusion, beside the average and the maximum.

    Args:
      fusion: a job of `fuse`, of two sources.
      keys: of `metrics.METRICS`; None for all.
    """

    def work(job: Job) -> dict[str, Any]:
        if len(fusion.kept.uploads) != 2:
            raise ValueError(
                f"expected two sources to score, got {len(fusion.kept.uploads)}; the "
                "metrics compare a fused picture with two."
            )
        job.enter("reading")
        read = [fusion.files[f"{x}.png"] for x in ("a", "b", "fused")]
        return _scores(job, [to_luminance(read_picture(x)) for x in read], keys)

    return work


def score_files(
    uploads: Sequence[Upload], keys: Sequence[str] | None
) -> Callable[[Job], dict[str, Any]]:
    """Returns work that scores a fused picture that was sent with its sources.

    Args:
      uploads: two sources and the fused picture.
      keys: of `metrics.METRICS`; None for all.
    """

    def work(job: Job) -> dict[str, Any]:
        job.enter("reading")
        pictures = [to_luminance(read_picture(x.path)) for x in uploads]
        sizes = [f"{x.shape[1]} x {x.shape[0]}" for x in pictures]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"expected three pictures of one size, got {', '.join(sizes)}; crop or "
                "resize them."
            )
        return _scores(job, pictures, keys)

    return work


def _scores(
    job: Job, luminances: Sequence[np.ndarray], keys: Sequence[str] | None
) -> dict[str, Any]:
    a, b, fused = luminances
    rows = {"Fused": fused, "Average": average(a, b), "Maximum": np.maximum(a, b)}
    made = {}
    for name, picture in rows.items():
        job.enter(f"scoring {name} (compiles once for each size)")
        made[name] = metrics.compute(a, b, picture, keys)
    return describe_scores(made)


def explain(
    models: Models, uploads: Sequence[Upload], options: Options
) -> Callable[[Job], dict[str, Any]]:
    """Returns work that makes the loss maps of a pair.

    Args:
      models: the weights.
      uploads: the two sources.
      options: of the run.
    """

    def work(job: Job) -> dict[str, Any]:
        if len(uploads) != 2:
            raise ValueError(
                f"expected two sources for the maps, got {len(uploads)}; the loss "
                "weighs two against each other."
            )
        job.enter("reading")
        with limit_of_pixels(options.max_pixels):
            photographs = [_read(upload) for upload in uploads]
        fuser = models.fuser(options.offer.name, options.rules)
        job.enter("computing the maps (compiles once for each size)")
        made = fuser.loss_maps(*photographs)
        job.enter("writing")
        for name, values in made.items():
            job.files[f"{name}.png"] = job.folder / f"{name}.png"
            write_view(job.files[f"{name}.png"], eight_bits(values))
        ramp = color_map(np.linspace(0, 1, 256)[None])[0]
        return {"maps": list(made), "ramp": ramp.tolist()}

    return work


def convert(fusion: Job, name: str) -> Callable[[Job], dict[str, Any]]:
    """Returns work that writes a fusion in another format.

    Args:
      fusion: a job of `fuse`.
      name: a key of FORMATS.
    """

    def work(job: Job) -> dict[str, Any]:
        job.enter("writing")
        ending, is_shallow = FORMATS[name]
        path = job.folder / f"fused{ending}"
        photograph = read_photograph(fusion.kept.picture)
        if is_shallow:
            photograph = photograph._replace(pixels=_shown(photograph.pixels))
        origin = origin_of(fusion.kept.picture)
        write_photograph(path, photograph, origin=origin)
        job.files[path.name] = path
        return {"file": path.name}

    return work


def pack(
    fusions: Sequence[Job],
    names: Sequence[str],
    maps: Sequence[Job],
    missing: Sequence[str] = (),
) -> Callable[[Job], dict[str, Any]]:
    """Returns work that packs fusions with what made them, and maps, as a ZIP.

    Args:
      fusions: jobs of `fuse`.
      names: of the folders, one each; empty for a single fusion.
      maps: jobs of `explain`, one each or none.
      missing: ids of fusions that were asked for and are gone, which the result tells.
        Where nothing is left, no file is written.
    """

    def work(job: Job) -> dict[str, Any]:
        if not fusions:
            return {"file": "", "missing": list(missing)}
        path = job.folder / "fused.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
            for place, fusion in enumerate(fusions):
                job.enter(f"packing {place + 1} of {len(fusions)}")
                head = f"{names[place]}/" if names else ""
                packed.write(fusion.kept.picture, f"{head}fused.png")
                packed.writestr(f"{head}fuse.json", _facts(fusion))
                for explained in maps[place : place + 1]:
                    for name in explained.result["maps"]:
                        packed.write(
                            explained.files[f"{name}.png"], f"{head}{name}.png"
                        )
        job.files[path.name] = path
        return {"file": path.name, "missing": list(missing)}

    return work


def _facts(fusion: Job) -> bytes:
    kept: Fused = fusion.kept
    sources = [
        {"name": x.name, "sha256": sha256_of(x.path), "page": x.page}
        for x in kept.uploads
        if x.path.exists()
    ]
    result = {
        key: fusion.result[key] for key in ("width", "height", "seconds", "command")
    }
    return facts_of(sources, kept.options, {**result, "notes": fusion.notes})


def _read(upload: Upload) -> Photograph:
    page = upload.page
    return read_photograph(upload.path, page=page)._replace(name=upload.name)


def _shown(pixels: np.ndarray) -> np.ndarray:
    return to_8_bit(pixels) if pixels.dtype == np.uint16 else pixels
