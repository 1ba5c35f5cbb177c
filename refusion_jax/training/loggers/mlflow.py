"""MLflow. Its own variables apply: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ..."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refusion_jax.extras import require
from refusion_jax.training.loggers.identity import keep_name, known_name


class MLflow:
    """Sends scalars, pictures and the settings to a run of MLflow."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        """Starts a run, or continues that of the folder.

        Args:
          folder: of the run.
          resume_step: the step from which the run resumes.

        Raises:
          ImportError: if mlflow is not installed.
        """
        self._mlflow = require("mlflow", extra="mlflow", why="to log to MLflow")
        known = known_name(folder, "mlflow")
        self._is_new = known is None
        if known is None:
            run = self._mlflow.start_run(run_name=folder.resolve().name)
            keep_name(folder, "mlflow", run.info.run_id)
        else:
            self._mlflow.start_run(run_id=known)

    def config(self, values: Mapping[str, Any]) -> None:
        """Sends the settings; see `Logger`. MLflow takes each only once."""
        if self._is_new:
            self._mlflow.log_params(dict(values))

    def scalars(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Sends numbers; see `Logger`."""
        named = {f"{stage}/{name}": value for name, value in values.items()}
        self._mlflow.log_metrics(named, step=step)

    def image(self, step: int, name: str, array: np.ndarray) -> None:
        """Sends a picture; see `Logger`."""
        self._mlflow.log_image(array, key=name, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._mlflow.end_run()
