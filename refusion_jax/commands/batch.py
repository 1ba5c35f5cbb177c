"""Runs jobs: a line a picture, failures named, the rest done."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from refusion_jax.commands.jobs import Job, is_finished
from refusion_jax.commands.messages import complain
from refusion_jax.files.atomic import remove_abandoned
from refusion_jax.files.conveyor import convey
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.loss_maps import write_maps
from refusion_jax.pictures.photographs import (
    Photograph,
    read_photograph,
    write_photograph,
)


class _Made(NamedTuple):
    """A fused picture on its way to its file."""

    fused: Photograph
    maps: dict[str, np.ndarray] | None


def fuse_batch(
    fuser: Fuser,
    jobs: Sequence[Job],
    *,
    threads: int,
    resume: bool,
    with_maps: bool,
    is_batch: bool,
) -> int:
    """Fuses and writes pictures, in order, and prints `OUTPUT WIDTHxHEIGHT` for each.

    Args:
      fuser: does the work.
      jobs: what to fuse and where to write it.
      threads: that read ahead and write behind.
      resume: whether outputs that are whole are kept.
      with_maps: whether to write the loss maps of a pair as well.
      is_batch: whether to show progress and sum up.

    Returns:
      The exit status: 0 if all is written, 1 if some failed.

    Raises:
      KeyboardInterrupt: saying how far it came.
    """
    if resume:
        for folder in {job.output.parent for job in jobs}:
            if folder.is_dir():
                remove_abandoned(folder)

    def load(job: Job) -> list[Photograph] | None:
        if resume and is_finished(job):
            return None
        return [read_photograph(source) for source in job.sources]

    def work(photographs: list[Photograph] | None) -> _Made | None:
        if photographs is None:
            return None
        fused = fuser.fuse_photograph(*photographs)
        maps = fuser.loss_maps(*photographs) if with_maps else None
        return _Made(fused, maps)

    def store(job: Job, made: _Made | None) -> str:
        if made is None:
            return f"{job.output} kept"
        if made.maps is not None:
            write_maps(job.output.with_suffix(".maps"), made.maps, made.fused.pixels)
        # Last: a picture that is there has its maps.
        write_photograph(job.output, made.fused)
        height, width = made.fused.pixels.shape[:2]
        return f"{job.output} {width}x{height}"

    start, written, kept, failed = time.monotonic(), 0, 0, []
    # disable=None: no bar where nobody looks.
    bar = tqdm(total=len(jobs), unit="picture", disable=None if is_batch else True)
    try:
        for outcome in convey(jobs, load=load, work=work, store=store, jobs=threads):
            with bar.external_write_mode():
                if outcome.result is None:
                    failed.append(outcome.item.stem)
                    complain(f"{outcome.item.stem}: {outcome.error}")
                else:
                    print(outcome.result, flush=True)
                    is_kept = outcome.result.endswith(" kept")
                    written, kept = written + (not is_kept), kept + is_kept
            bar.update()
    except KeyboardInterrupt:
        bar.close()
        told = f"interrupted after {written + kept} of {len(jobs)} pictures"
        raise KeyboardInterrupt(told) from None
    bar.close()
    if is_batch:
        seconds = time.monotonic() - start
        parts = [f"{written} of {len(jobs)} written"]
        parts += [f"{kept} kept"] if kept else []
        named = ", ".join(failed[:10]) + (", ..." if len(failed) > 10 else "")
        parts += [f"{len(failed)} failed ({named})"] if failed else []
        complain(f"{', '.join(parts)}, {seconds:.1f} s")
    return 1 if failed else 0
