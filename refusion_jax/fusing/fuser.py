"""An object that loads weights once and fuses many pictures."""

import dataclasses
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from refusion_jax.devices.compilation_cache import use_compilation_cache
from refusion_jax.devices.starting import start_failure
from refusion_jax.files.conveyor import Outcome, convey
from refusion_jax.fusing.fusion import Fusion
from refusion_jax.fusing.inference import fuse_photographs, on_each_other
from refusion_jax.fusing.loss_maps import maps_of
from refusion_jax.fusing.provenance import provenance_of, with_sources
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.methods.setting import Precision
from refusion_jax.pictures.arrays import Source, as_photograph
from refusion_jax.pictures.codecs import check_writable
from refusion_jax.pictures.names import Alignment, Border, Movement, Range
from refusion_jax.pictures.photographs import Photograph
from refusion_jax.weights.pretrained import pretrained_file, suitable_range
from refusion_jax.weights.saving import save_with_card
from refusion_jax.weights.store import as_model

JOBS = 2

# Processes in which JAX runs, and those that were forked from them: JAX's threads are
# not in these, so that they would wait for ever.
_RUNNING: set[int] = set()
_FORKED: set[int] = set()


def _after_fork() -> None:
    if os.getppid() in _RUNNING:
        _FORKED.add(os.getpid())


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def _refuse_forked() -> None:
    if os.getpid() in _FORKED:
        raise RuntimeError(
            "expected a process that was started anew, got one that was forked from a "
            "process in which JAX runs, where it would hang; use "
            "multiprocessing.get_context('spawn')."
        )


def _made_anew(weights: Any, options: dict[str, Any]) -> "Fuser":
    return Fuser(weights, **options)


class Fuser:
    """Fuses pictures with one set of weights and rules; safe to share among threads.

    Threads read and write files in parallel; one picture at a time is on the device,
    which bounds memory. Call `refusion_jax.use_all_cores` first to let the cores of a
    CPU share that picture.

    In place of a weight file, any `FusionModel` will do:

    >>> class Mean(FusionModel):
    ...     def fuse(self, luminance_a, luminance_b, *, precision):
    ...         return (luminance_a + luminance_b) / 2
    >>> fuser = Fuser(Mean(), output_range="none")
    >>> fuser.fuse(np.zeros((1, 2)), np.array([[0.2, 1.0]])).tolist()
    [[26, 128]]
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | FusionModel | Mapping[str, Any],
        *,
        output_range: Range | None = None,
        align: Alignment = "none",
        levels: str = "full",
        precision: Precision = "float32",
        motion: Movement = "auto",
        border: Border = "crop",
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        """Loads the weights onto the device.

        Args:
          weights, output_range, align, levels, precision, motion, border: as for
            `inference.fuse`.
          cache: a folder for compiled programs, see `devices.compilation_cache`. It is
            a setting of the whole process; None leaves it alone.

        Raises:
          FileNotFoundError, ValueError: if the weights or a rule cannot be used.
          RuntimeError: if JAX cannot start on the devices that JAX_PLATFORMS names.
        """
        self._weights, self._cache = weights, cache
        chosen = output_range or suitable_range(weights)
        self._rules = Rules(chosen, align, motion, border, levels, precision)
        if cache is not None:
            use_compilation_cache(cache)
        failure = None if isinstance(weights, FusionModel) else start_failure()
        if failure is not None:
            raise RuntimeError(failure)
        self._model = as_model(weights)
        # Now, because a training may replace the file later.
        self._provenance = provenance_of(weights, self._model, self._rules)
        _RUNNING.add(os.getpid())
        self._one_at_a_time = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles what this was made of: a path stays one, and is loaded anew."""
        rules = dataclasses.asdict(self._rules)
        return _made_anew, (self._weights, {**rules, "cache": self._cache})

    @classmethod
    def from_pretrained(cls, name: str, **rules: Any) -> "Fuser":
        """Makes a fuser of weights that come with the package.

        Args:
          name: of one of `refusion_jax.pretrained()`.
          **rules: the keyword arguments of `Fuser`.

        Raises:
          FileNotFoundError, ValueError: if there are no such weights, if their file or
            card is damaged, or as `Fuser` does.
        """
        return cls(pretrained_file(name), **rules)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Writes the weights and a card, which `Fuser` and `--weights` read again.

        Args:
          folder: is made if need be; `weights.safetensors` and `weights.card.md` in it
            are replaced. The card is that of the weights, or tells what is known of
            them and what is not, such as the license; it is there to be completed.

        Returns:
          The weight file, with the metadata that the weights have.

        Raises:
          OSError: if the folder cannot be written to.
          ValueError: if this fuser was made of a model, whose weights are not known, or
            if the weight file has been replaced since it was loaded.
        """
        loaded = self._provenance["weights_sha256"]
        rule = self._rules.output_range
        return save_with_card(self._weights, folder, rule, loaded=loaded)

    @property
    def model(self) -> FusionModel:
        """The model that fuses, for another `Fuser` with other rules."""
        return self._model

    @property
    def rules(self) -> Rules:
        """How sources are read and results written."""
        return self._rules

    def warm_up(self, height: int, width: int) -> None:
        """Compiles the network for one size of picture, which takes seconds.

        Args:
          height, width: in pixels.
        """
        black = jnp.zeros((height, width, 1), jnp.float32)
        with self._one_at_a_time:
            fused = self._model.fuse(black, black, precision=self._rules.precision)
            fused.block_until_ready()

    def __repr__(self) -> str:
        """Names the weights, their size, whether they make maps, and the devices."""
        name = "weights"
        if isinstance(self._weights, str | os.PathLike):
            name = Path(self._weights).name.removesuffix(".safetensors")
        count = self._model.facts.get("parameters", 0)
        devices = jax.devices()
        times = f" x{len(devices)}" if len(devices) > 1 else ""
        return (
            f"Fuser({name!r}, {count:,} parameters, "
            f"{'with' if self.has_maps else 'without'} maps, "
            f"range={self._rules.output_range}, on {devices[0].platform}{times})"
        )

    @property
    def has_maps(self) -> bool:
        """Whether the weights make maps of what the learned loss prefers."""
        try:
            self._model.require_maps()
        except ValueError:
            return False
        return True

    @property
    def provenance(self) -> dict[str, Any]:
        """How pictures are made, as JSON values, see `fusing.provenance`."""
        return self._provenance

    def __call__(self, *sources: Source | Photograph) -> Fusion:
        """Fuses two or more pictures of one scene.

        Args:
          *sources: as for `inference.fuse`.

        Returns:
          The picture with its maps, motions and provenance; a notebook shows it.

        Raises:
          FileNotFoundError, ValueError: as `inference.fuse` does.
          RuntimeError: in a process forked from one in which JAX runs.
        """
        _refuse_forked()
        photographs = [as_photograph(source) for source in sources]
        with self._one_at_a_time:
            aligned, rules, motions = on_each_other(photographs, self._rules)
            made = fuse_photographs(self._model, aligned, rules)

        def make_maps() -> dict[str, np.ndarray]:
            self.require_maps()
            with self._one_at_a_time:
                return maps_of(self._model, aligned, rules)

        names = [x.name or f"source {i}" for i, x in enumerate(photographs, start=1)]
        return Fusion(
            made,
            provenance=with_sources(self.provenance, names),
            registration=motions,
            make_maps=make_maps,
        )

    def fuse_batch(self, *batches: np.ndarray | jax.Array) -> np.ndarray:
        """Fuses the pictures of batches one after the other, by one compiled program.

        >>> class First(FusionModel):
        ...     def fuse(self, luminance_a, luminance_b, *, precision):
        ...         return luminance_a
        >>> batch = np.full((5, 4, 6, 3), 0.5)
        >>> Fuser(First(), output_range="none").fuse_batch(batch, batch).shape
        (5, 4, 6)

        Args:
          *batches: two or more of shape (number, height, width) or (number, height,
            width, 1 to 4), of one number; values as for `inference.fuse`.

        Returns:
          (number, height, width), or (number, height, width, 3) if any fused picture is
          coloured; uint16 if any of them has 16 bits, else uint8.

        Raises:
          ValueError: if the batches differ in number, or as `inference.fuse` does.
        """
        arrays = [np.asarray(batch) for batch in batches]
        counts = {array.shape[0] if array.ndim > 2 else 0 for array in arrays}
        if len(counts) != 1 or 0 in counts:
            shapes = " and ".join(str(array.shape) for array in arrays) or "none"
            raise ValueError(
                "expected batches of equally many pictures, (number, height, width) "
                f"or (number, height, width, channels), got {shapes}; stack them alike."
            )
        fused = [self.fuse(*sources) for sources in zip(*arrays, strict=True)]
        if len({picture.ndim for picture in fused}) > 1:
            fused = [np.dstack([x] * 3) if x.ndim == 2 else x for x in fused]
        if len({picture.dtype for picture in fused}) > 1:
            fused = [np.uint16(257) * x if x.dtype == np.uint8 else x for x in fused]
        return np.stack(fused)

    def fuse(self, source_a: Source, source_b: Source, *more: Source) -> np.ndarray:
        """Fuses two or more pictures of one scene.

        Args:
          source_a, source_b, *more: as for `inference.fuse`.

        Returns:
          As `inference.fuse` does.

        Raises:
          FileNotFoundError, ValueError: as `inference.fuse` does.
          RuntimeError: in a process forked from one in which JAX runs.
        """
        return self.fuse_photograph(source_a, source_b, *more).pixels

    def fuse_photograph(self, *sources: Source | Photograph) -> Photograph:
        """Fuses as `fuse` does, and keeps transparency, ICC profile and EXIF.

        Args:
          *sources: two or more; only files and photographs have more than pixels.

        Returns:
          The fused picture; `pictures.photographs` says which properties it inherits.

        Raises:
          FileNotFoundError, ValueError: as `inference.fuse` does.
          RuntimeError: in a process forked from one in which JAX runs.
        """
        _refuse_forked()
        photographs = [as_photograph(source) for source in sources]
        with self._one_at_a_time:
            return fuse_photographs(self._model, photographs, self._rules)

    def loss_maps(
        self, source_a: Source | Photograph, source_b: Source | Photograph
    ) -> dict[str, np.ndarray]:
        """Returns what the learned loss prefers at every pixel of a pair.

        Args:
          source_a, source_b: as for `inference.fuse`.

        Returns:
          The model's maps by name, see `loss_maps.maps_of`.

        Raises:
          FileNotFoundError, ValueError: as `inference.fuse` does, or if the weights
            hold no loss proposal module; the authors' files do not.
          RuntimeError: in a process forked from one in which JAX runs.
        """
        _refuse_forked()
        self.require_maps()
        photographs = [as_photograph(source) for source in (source_a, source_b)]
        with self._one_at_a_time:
            return maps_of(self._model, photographs, self._rules)

    def require_maps(self) -> None:
        """Raises ValueError unless the weights can make maps."""
        self._model.require_maps()

    def fuse_file(
        self, output: str | os.PathLike[str], *sources: Source | Photograph
    ) -> Photograph:
        """Fuses pictures and writes the result; the file appears whole or not at all.

        Args:
          output: its ending chooses the format, see `pictures.codecs.write_picture`.
            The file tells by what it was made, see `photographs.origin_of`.
          *sources: two or more.

        Returns:
          The picture that was written.

        Raises:
          FileNotFoundError, ValueError: as `inference.fuse` does, or if the output
            cannot be written.
        """
        check_writable(Path(output))
        fusion = self(*sources)
        fusion.save(output)
        return fusion.photograph

    def fuse_many(
        self, groups: Iterable[Sequence[Source]], *, jobs: int = JOBS
    ) -> Iterator[Outcome[Sequence[Source], np.ndarray]]:
        """Fuses any number of groups, reading ahead while the device works.

        >>> class First(FusionModel):
        ...     def fuse(self, luminance_a, luminance_b, *, precision):
        ...         return luminance_a
        >>> black, white = np.zeros((1, 2), np.uint8), np.full((1, 2), 255, np.uint8)
        >>> groups = [(black, white), (white, black), (white, "missing.png")]
        >>> for group, fused, error in Fuser(First()).fuse_many(groups):
        ...     print("failed" if error else fused.shape)
        (1, 2)
        (1, 2)
        failed

        Args:
          groups: the sources of each picture, two or more.
          jobs: number of threads that read, and of groups read ahead.

        Yields:
          One outcome per group, in order: the group, and the fused picture or the
          error. One bad picture does not stop the rest.

        Raises:
          ValueError: if jobs is below 1.
        """

        def load(group: Sequence[Source]) -> list[Photograph]:
            return [as_photograph(source) for source in group]

        def work(photographs: list[Photograph]) -> np.ndarray:
            return self.fuse_photograph(*photographs).pixels

        def store(group: Sequence[Source], fused: np.ndarray) -> np.ndarray:
            return fused

        return convey(groups, load=load, work=work, store=store, jobs=jobs)
