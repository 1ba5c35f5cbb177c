"""What is said when a cluster is lost."""

from types import SimpleNamespace

import pytest

from refusion_jax.cli import _parser
from refusion_jax.commands.cluster import engine

ray = pytest.importorskip("ray", reason="ray is in the extra `cluster`")


@pytest.mark.parametrize(
    ("command", "cure"),
    [
        (("fuse", "a", "b"), "the same command with --resume finishes the rest."),
        (("evaluate", "a", "b", "fused"), "repeat the command."),
    ],
)
def test_only_commands_that_resume_advise_it(command, cure):
    arguments = _parser().parse_args([*command, "-o", "out"])
    assert engine.lost(arguments) == (
        f"the cluster's head is lost; start it again, and {cure}"
    )


@pytest.mark.parametrize(
    ("more", "cure"),
    [
        ({"cure": engine.RESUME}, "the same command with --resume finishes the rest."),
        ({}, "repeat the command."),
    ],
)
def test_a_cluster_that_is_lost_is_told_with_its_cure(monkeypatch, more, cure):
    class Lost:
        def map_batches(self, *_, **__):
            return self

        def iter_rows(self):
            raise ConnectionError("no head.")

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 5})
    monkeypatch.setattr(
        ray,
        "data",
        SimpleNamespace(
            DataContext=SimpleNamespace(get_current=SimpleNamespace),
            from_items=lambda *_, **__: Lost(),
            ActorPoolStrategy=dict,
        ),
        raising=False,
    )
    with pytest.raises(engine.EngineError) as error:
        list(engine.spread(["1"], dict, (), **more))
    assert str(error.value) == f"the cluster is lost (no head); {cure}"
