import subprocess
import sys

from refusion_jax.extras import version_of
from refusion_jax.training import machine
from refusion_jax.training.machine import describe_machine


def test_a_package_without_a_checkout_has_no_commit(tmp_path, monkeypatch):
    place = tmp_path / "site-packages" / "refusion_jax" / "training" / "machine.py"
    monkeypatch.setattr(machine, "__file__", str(place))
    assert describe_machine(())["commit"] is None


def test_a_package_that_is_missing_has_no_version():
    found = describe_machine(("numpy", "refusion-none"))["versions"]
    assert found == {"numpy": version_of("numpy"), "refusion-none": None}


def test_no_device_is_started():
    """A benchmark's first process must leave a GPU's memory to the others."""
    program = (
        "from refusion_jax.training.machine import describe_machine; "
        "describe_machine(['jax']); from jax._src import xla_bridge; "
        "raise SystemExit(bool(xla_bridge._backends))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_processors_of_one_name_are_told_apart(tmp_path):
    table = tmp_path / "cpuinfo"
    core = (
        "processor\t: {}\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n\n"
    )
    table.write_text(core.format(0) + core.format(1).replace("17", "18"))
    assert machine._processor(table) == "AMD EPYC (family 25, model 17)"
    table.write_text("model name\t: Some CPU\n")
    assert machine._processor(table) == "Some CPU"
    assert machine._processor(tmp_path / "none")
