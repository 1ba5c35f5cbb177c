"""The interface of a fusion method: a record of functions and the objects they make.

A `Learner` is all that the trainer needs, and may know, of a method; a `FusionModel` is
all that fusing, export and evaluation need. There is no base class and no plug-in
mechanism: `registry` lists the methods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from refusion_jax.array_types import Batch, Image, Params, Scalar, Shapes

Scalars = dict[str, Scalar]
Luminance = Float[Array, "height width 1"]


class Draw(NamedTuple):
    """A batch that a step needs.

    Attributes:
      name: the key under which the step finds the batch.
      stream: number of its random stream; 0 and 4 are taken (order, validation).
      part: the pairs to draw from: "first_half" or "second_half" of the epoch's order,
        which are disjoint, or "all".
    """

    name: str
    stream: int
    part: str


class Stage(NamedTuple):
    """Consecutive steps of one kind within an epoch.

    Attributes:
      name: the stage's name in logs.
      steps: number of steps per epoch; may be 0.
      draws: the batches that each step needs.
      start_epoch: the first epoch that has the stage, counted from 0.
      end_epoch: the first epoch that no longer has it; None: the last one has it.
    """

    name: str
    steps: int
    draws: tuple[Draw, ...]
    start_epoch: int = 0
    end_epoch: int | None = None

    def is_in(self, epoch: int) -> bool:
        """Returns whether an epoch has the stage."""
        is_over = self.end_epoch is not None and epoch >= self.end_epoch
        return epoch >= self.start_epoch and not is_over


class TrainState(NamedTuple):
    """The state of a run, as one pytree.

    Attributes:
      params: a NamedTuple of parameter trees.
      opt_states: a NamedTuple of optimiser states with the same field names.
      step: number of updates so far, over all stages.
      key: the run's key; never changed. All randomness is fold_in(key, ...).
    """

    params: Any
    opt_states: Any
    step: Int[Array, ""]
    key: Key[Array, ""]


@runtime_checkable
class Learner(Protocol):
    """A method in training."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of each epoch, in order."""
        ...

    @property
    def best(self) -> str:
        """The validation scalar that marks the best checkpoint; lower is better."""
        ...

    @property
    def warm_up_epochs(self) -> int:
        """How many epochs a run begins with before its pictures mean anything."""
        ...

    @property
    def headline(self) -> Mapping[str, str]:
        """Label to scalar name: what the progress bar shows."""
        ...

    def init(self, key: Array) -> TrainState:
        """Returns the state before the first step, initialised from a key."""
        ...

    def rates(self, epoch: int) -> Any:
        """Returns the float32 scalars of an epoch as a pytree, to be traced."""
        ...

    def step(
        self, stage: str, state: TrainState, batches: Mapping[str, Batch], rates: Any
    ) -> tuple[TrainState, Scalars]:
        """Returns the state after one step, and the step's scalars; pure.

        Args:
          stage: name of one of `stages`.
          state: the state before the step.
          batches: one batch per draw of the stage, by the draw's name.
          rates: the epoch's scalars, from `rates`.
        """
        ...

    def validate(self, params: Any, batch: Batch) -> Scalars:
        """Returns the scalars of a held-out batch; pure."""
        ...

    def look(
        self, params: Any, batch: Batch
    ) -> Sequence[Mapping[str, Float[np.ndarray, "height width"]]]:
        """Returns the networks' outputs for one pair, as rows of labelled pictures.

        Args:
          params: the parameters of a state.
          batch: a batch of one pair.

        Returns:
          Label to picture in [0, 1], one mapping per row of a panel.
        """
        ...


@runtime_checkable
class FusionModel(Protocol):
    """A method with weights, ready to fuse."""

    @property
    def method(self) -> str:
        """The method's name."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """A description of the weights, as JSON values."""
        ...

    def fuse(
        self, luminance_a: Luminance, luminance_b: Luminance, *, precision: str
    ) -> Luminance:
        """Fuses one pair of any size.

        Args:
          luminance_a, luminance_b: in [0, 1].
          precision: see `methods.precision`.

        Returns:
          The network's output in [0, 1], before any stretch.
        """
        ...

    def batched(self, source_a: Image, source_b: Image) -> Image:
        """Fuses batches, for export: pure, and accepts symbolic sizes."""
        ...

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Computes the same as `batched` with operations that every runtime has."""
        ...

    def require_maps(self) -> None:
        """Raises ValueError unless the weights include what makes maps."""
        ...

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, Float[np.ndarray, "height width"]]:
        """Returns maps of the pair that explain its fusion.

        Args:
          luminance_a, luminance_b: in [0, 1].

        Returns:
          Maps in [0, 1] by name.

        Raises:
          ValueError: if the weights lack what makes maps.
        """
        ...


@dataclass(frozen=True)
class Method:
    """A fusion method.

    Attributes:
      name: identifies the method in config.json, in the metadata of weights and on the
        command line.
      title: for pages and cards.
      trees: names of its parameter trees.
      settings: a frozen dataclass whose fields are made by `setting.setting`; each
        field is a flag.
      presets: name to the settings that differ from the defaults.
      pairs_in_batch: (settings, batch size) -> number of pairs to draw for a batch;
        raises ValueError if the batch size does not suit the settings.
      shapes: (tree name, leaves by path) -> shape of each leaf, in the variant that
        the leaves imply.
      remark: (tree name, tree) -> the variant in words; empty if there is only one.
      learner: (settings, epochs, mesh) -> the `Learner`. The mesh's devices share each
        batch.
      verdict: scalars of a validation -> what is wrong with what a run has learned,
        in a sentence; empty if nothing is seen.
      model: (trees by name, their origin, notes) -> the `FusionModel`; raises
        ValueError if trees are missing or a note is broken. The notes are a weight
        file's metadata.
      notes: settings -> what a weight file says beside its trees, so that they fuse as
        they were trained to.
      studies: name to variants that are compared, see `runs.variants.read_variant`.
      needs_labels: whether its batches must have labels.
      classes: number of classes that labels may name, the unlabelled one included; None
        if a setting of this name says it, or any will do.
    """

    name: str
    title: str
    trees: tuple[str, ...]
    settings: type[Any]
    presets: Mapping[str, Mapping[str, Any]]
    pairs_in_batch: Callable[[Any, int], int]
    shapes: Callable[[str, Mapping[str, Any]], Shapes]
    remark: Callable[[str, Params], str]
    learner: Callable[[Any, int, Mesh], Learner]
    verdict: Callable[[Mapping[str, float]], str]
    model: Callable[[Mapping[str, Params], str, Mapping[str, str]], FusionModel]
    notes: Callable[[Any], Mapping[str, str]]
    studies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs_labels: bool = False
    classes: int | None = None
