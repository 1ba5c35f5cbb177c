"""The weights that the page offers: shipped ones, and one that the command named."""

import dataclasses
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from refusion_jax.files.checksums import sha256_of
from refusion_jax.fusing.fuser import Fuser
from refusion_jax.fusing.provenance import provenance_of
from refusion_jax.fusing.rules import Rules
from refusion_jax.methods.protocol import FusionModel
from refusion_jax.web.steps import Stepwise
from refusion_jax.weights.pretrained import (
    find_pretrained,
    pretrained,
    pretrained_file,
    pretrained_names,
    suitable_range,
)
from refusion_jax.weights.store import load_model, weights_file

SOURCES = ("Source A", "Source B")


class Offer(NamedTuple):
    """Weights that a visitor can choose.

    Attributes:
      name: what the page sends.
      title: in words.
      sources: the first and the second source, in words.
      output_range: the rule that suits their pictures.
      sha256: of the file; empty if there is none.
      license: of shipped weights; empty of others.
      argument: of `refusion fuse`, what names them.
    """

    name: str
    title: str
    sources: tuple[str, str]
    output_range: str = "stretch"
    sha256: str = ""
    license: str = ""
    argument: str = ""


class Models:
    """Loads weights once each; used by one job at a time."""

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        task: str | None = None,
        more: Mapping[str, FusionModel] | None = None,
    ) -> None:
        """Lists the weights; none are loaded but those that are named.

        Args:
          weights: a weight file or a run folder to offer first; None: shipped ones
            only.
          task: the name of shipped weights to choose at first.
          more: further models by name.

        Raises:
          FileNotFoundError, ValueError: if weights cannot be used.
        """
        self._models: dict[str, FusionModel] = dict(more or {})
        self._seen: set[tuple[Any, ...]] = set()
        self._lock = threading.Lock()
        self.offers = {name: Offer(name, name, SOURCES) for name in self._models}
        self._files: dict[str, Path] = {}
        own = "" if weights is None else self._offer(Path(weights))
        for x in pretrained():
            self._files[x.name] = x.path
            self.offers[x.name] = Offer(
                x.name,
                x.title,
                x.sources,
                x.output_range,
                x.sha256,
                x.license,
                f"--task={x.name}",
            )
        if task is not None:
            find_pretrained(task)
        self.preferred = task or own

    def _offer(self, weights: Path) -> str:
        """Offers the weights of a path, and returns the name of the offer."""
        file, place = weights_file(weights), weights.resolve()
        for x in pretrained():
            if x.path == file:
                return x.name  # which is offered anyway
        name, argument = place.name, place.name
        if name in pretrained_names():
            # By this name alone, the page and the command would take the shipped ones.
            name, argument = f"{name} (yours)", f"{place.parent.name}/{name}"
        self._models[name] = load_model(weights)
        self._files[name] = file
        self.offers[name] = Offer(
            name,
            name,
            SOURCES,
            suitable_range(weights),
            sha256_of(file),
            argument=f"--weights={argument}",
        )
        return name

    def model(self, name: str) -> FusionModel:
        """Returns a model, which is loaded at its first use.

        Args:
          name: of an offer.

        Raises:
          FileNotFoundError, ValueError: if there is none, or it cannot be used.
        """
        if name not in self.offers:
            raise ValueError(
                f"expected weights among {', '.join(self.offers)}, got {name[:40]!r}; "
                "choose one of these."
            )
        with self._lock:
            if name not in self._models:
                self._models[name] = load_model(pretrained_file(name))
            return self._models[name]

    def fuser(
        self, name: str, rules: Rules, tell: Callable[[int], None] | None = None
    ) -> Fuser:
        """Returns a fuser of a model by some rules.

        Args:
          name: of an offer.
          rules: how sources are read and the result is written.
          tell: hears of each fusion of a stack, see `Stepwise`.
        """
        model = self.model(name)
        if tell:
            model = Stepwise(model, tell)
        return Fuser(model, **dataclasses.asdict(rules))

    def provenance(self, name: str, rules: Rules) -> dict[str, Any]:
        """Returns how pictures are made, as `refusion fuse` writes it.

        Args:
          name: of an offer.
          rules: as they were chosen.
        """
        record = provenance_of(None, self.model(name), rules)
        if name in self._files:
            # Not by the file, which a training may have replaced since it was loaded.
            record["weights"] = self._files[name].name
            record["weights_sha256"] = self.offers[name].sha256
        return record

    def is_new(self, name: str, size: tuple[int, ...], precision: str) -> bool:
        """Returns whether pictures of this size come for the first time, to compile.

        Args:
          name: of an offer.
          size: height and width.
          precision: of the network.
        """
        key = (name, *size, precision)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    def why_no_maps(self, name: str) -> str:
        """Returns why a model makes no loss maps; empty if it does.

        Args:
          name: of an offer.
        """
        try:
            self.model(name).require_maps()
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def listing(self) -> list[dict[str, Any]]:
        """Returns the offers as JSON values."""
        return [
            {**offer._asdict(), "no_maps": self.why_no_maps(offer.name)}
            for offer in self.offers.values()
        ]
