"""What a fusion method is: a record with functions, and the two things it turns into.

A `Learner` is what the trainer needs, and all that it may know of a method; a
`FusionModel` is what fusing, export and evaluation need. There is no base class and no
plug-in mechanism: `registry` lists the methods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from refusion_jax.array_types import Batch, Image, Params, Scalar, Shapes

Scalars = dict[str, Scalar]
Luminance = Float[Array, "height width 1"]


class Draw(NamedTuple):
    """A batch that a step asks for.

    Attributes:
      name: by which the step finds it.
      stream: number of its random stream; 0 and 4 are taken (order, validation).
      part: which pairs it is drawn from: "first_half" or "second_half" of an epoch's
        order, which are disjoint, or "all".
    """

    name: str
    stream: int
    part: str


class Stage(NamedTuple):
    """Steps of one kind that follow each other in an epoch.

    Attributes:
      name: in logs.
      steps: per epoch; may be 0.
      draws: the batches of each step.
    """

    name: str
    steps: int
    draws: tuple[Draw, ...]


class TrainState(NamedTuple):
    """What a run is at one moment, as one pytree.

    Attributes:
      params: a NamedTuple of parameter trees.
      opt_states: a NamedTuple of optimiser states, by the same names.
      step: updates made so far, of all stages together.
      key: the run's key; never changed. All randomness is fold_in(key, ...).
    """

    params: Any
    opt_states: Any
    step: Int[Array, ""]
    key: Key[Array, ""]


@runtime_checkable
class Learner(Protocol):
    """A method that learns."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of each epoch, in order."""
        ...

    @property
    def best(self) -> str:
        """The validation scalar that marks the best checkpoint; lower is better."""
        ...

    @property
    def headline(self) -> Mapping[str, str]:
        """Label to scalar: what is shown while a run goes on."""
        ...

    def init(self, key: Array) -> TrainState:
        """Returns the state before the first step, drawn from a key."""
        ...

    def rates(self, epoch: int) -> Any:
        """Returns the float32 scalars of an epoch, as a pytree that is traced."""
        ...

    def step(
        self, stage: str, state: TrainState, batches: Mapping[str, Batch], rates: Any
    ) -> tuple[TrainState, Scalars]:
        """Returns the state after a step, and its scalars; pure.

        Args:
          stage: name of one of `stages`.
          state: the run.
          batches: by the names of the stage's draws.
          rates: of the epoch.
        """
        ...

    def validate(self, params: Any, batch: Batch) -> Scalars:
        """Returns the scalars of a held-out batch; pure."""
        ...

    def look(
        self, params: Any, batch: Batch
    ) -> Sequence[Mapping[str, Float[np.ndarray, "height width"]]]:
        """Returns what the networks make of one pair, as rows of labelled pictures.

        Args:
          params: of a state.
          batch: a batch of one.

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
        """What the weights are, as JSON can hold it."""
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
        """Fuses batches, for export: pure, and of symbolic sizes where need be."""
        ...

    def plainly(self, source_a: Image, source_b: Image) -> Image:
        """Does what `batched` does in operations that every runtime has."""
        ...

    def require_maps(self) -> None:
        """Raises ValueError where the weights have nothing that makes maps."""
        ...

    def maps(
        self, luminance_a: Luminance, luminance_b: Luminance
    ) -> dict[str, Float[np.ndarray, "height width"]]:
        """Explains a fusion by maps of the pair.

        Args:
          luminance_a, luminance_b: in [0, 1].

        Returns:
          Map in [0, 1] by name.

        Raises:
          ValueError: where the weights have nothing that makes maps.
        """
        ...


@dataclass(frozen=True)
class Method:
    """A fusion method.

    Attributes:
      name: in config.json, in the metadata of weights, as a flag.
      title: for pages and cards.
      trees: names of its parameter trees.
      settings: a frozen dataclass whose fields are made by `setting.setting`; each is
        a flag.
      presets: name to the settings that differ from the defaults.
      pairs_in_batch: (settings, batch size) -> how many pairs are drawn for a batch;
        ValueError where the batch size does not suit the settings.
      shapes: (tree name, leaves by path) -> shape of each leaf, in the variant that
        the leaves announce.
      remark: (tree name, tree) -> the variant in words; empty if there is one only.
      learner: (settings, epochs, mesh) -> what the trainer needs. The mesh's devices
        share each batch.
      model: (trees by name, where they are from) -> what fuses; ValueError where the
        trees are not enough.
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
    model: Callable[[Mapping[str, Params], str], FusionModel]
