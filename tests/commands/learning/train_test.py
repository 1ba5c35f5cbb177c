"""`refusion train` up to the training itself, which tests/training covers."""

import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from refusion_jax import cli
from refusion_jax.cli import main
from refusion_jax.commands.learning import ablate, export, prepare, train
from refusion_jax.devices import hosts
from refusion_jax.devices.hosts import HostLostError
from refusion_jax.runs import run as runs
from refusion_jax.training.signals import Interrupted
from refusion_jax.training.trainer import NonFiniteError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Three pairs, in the current folder."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for side in "ab":
        (tmp_path / side).mkdir()
        for stem in range(3):
            pixels = generator.integers(0, 256, (60, 70), np.uint8)
            Image.fromarray(pixels).save(tmp_path / side / f"{stem}.png")
    return tmp_path


@pytest.fixture
def trained(monkeypatch):
    """What the trainer is given; it trains nothing."""
    seen = []

    def watch(config, pairs, folder, **options):
        seen.append((config, pairs, folder, options))
        folder.mkdir(parents=True)
        config.to_json(folder / "config.json")

    monkeypatch.setattr(runs, "train_on", watch)
    return seen


def test_two_folders_and_a_task_are_enough(folders, trained, capsys):
    assert main(["train", "a/", "b/", "-o", "runs/mine", "--task=mfif"]) == 0
    ((config, pairs, folder, options),) = trained
    assert (config.settings.rule, config.settings.alpha_fusion) == ("sharper", 0.05)
    assert len(pairs) == 3 and str(folder) == "runs/mine"
    assert options == {"held_out": None, "loggers": (), "progress": True}
    assert capsys.readouterr().out.splitlines() == [
        "weights: runs/mine/weights.safetensors",
        "fuse: refusion fuse a/ b/ -o fused/ --weights runs/mine",
    ]


def test_settings_have_dashes_or_underscores_and_a_file_is_read_back(folders, trained):
    assert main(["train", "a", "b", "-o", "x", "--crop-size=16", "--no-swap"]) == 0
    arguments = ["train", "-o", "y", "--config", "x", "--crop_size=24", "--swap=true"]
    assert main(arguments) == 0
    first, second = (config for config, *_ in trained)
    assert first.diff(second) == {"crop_size": (16, 24), "swap": (False, True)}


def test_validation_folders_and_loggers_reach_the_trainer(folders, trained):
    arguments = ["train", "a", "b", "-o", "x", "--validation-a=a", "--validation-b=b"]
    assert main([*arguments, "--log=wandb", "--tensorboard", "--quiet"]) == 0
    ((_, _, _, options),) = trained
    assert len(options["held_out"]) == 3 and not options["progress"]
    assert options["loggers"] == ("wandb", "tensorboard")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "expected two folders of pictures or --dataset, got one folder"),
        (["a", "b", "--epochs=0"], "expected epochs to be at least 1, got 0"),
        (["a", "b", "--task=art"], "expected shipped weights among ivif, meif"),
        (["a", "b", "--preset=best"], "expected a preset among default"),
        (["a", "b", "--config=none"], "expected the settings of a run, got no file"),
        (["a", "b", "--log=aim"], "expected a logger among tensorboard"),
        (["a", "b", "--validation-a=a"], "expected validation_b to be given together"),
        (["a", "c"], "c"),
    ],
)
def test_wrong_usage_is_one_sentence(folders, trained, capsys, arguments, message):
    assert main(["train", *arguments, "-o", "x"]) == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1
    assert not trained and not (folders / "x").exists()


def test_a_flag_is_true_or_false(folders, trained, capsys):
    assert main(["train", "a", "b", "-o", "x", "--swap=yes"]) == 2
    expected = "argument --swap: expected true or false, got 'yes'\n"
    assert capsys.readouterr().err.endswith(expected) and not trained


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NonFiniteError("expected a finite loss."), 1),
        (Interrupted(2, 40), 130),
        (Interrupted(15, 40), 143),
    ],
)
def test_an_early_end_is_a_sentence_and_a_code(
    folders, monkeypatch, capsys, error, code
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(runs, "train_on", fail)
    assert main(["train", "a", "b", "-o", "x"]) == code
    assert capsys.readouterr() == ("", f"refusion: {error}\n")


def test_the_line_that_fuses_is_one_that_a_shell_takes(folders, trained, capsys):
    (folders / "a").rename(folders / "my a")
    assert main(["train", "my a", "b", "-o", "my run"]) == 0
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("fuse: ")
    assert shlex.split(line)[2:] == [
        "my a",
        "b",
        *"-o fused/ --weights".split(),
        "my run",
    ]
    for side in "cd":
        shutil.copytree(folders / "b", folders / side)
    assert main(["train", "my a,b", "c,d", "-o", "other"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "fuse: refusion fuse A B -o fused/ --weights other"


def test_hosts_that_do_not_come_are_a_sentence_and_a_code(folders, monkeypatch, capsys):
    def fail(*_):
        raise HostLostError("expected all hosts, got fewer.")

    monkeypatch.setattr(hosts, "join", fail)
    place = ["--coordinator=here:1", "--hosts=2", "--host=0"]
    assert main(["train", "a", "b", "-o", "x", *place]) == 1
    assert capsys.readouterr() == ("", "refusion: expected all hosts, got fewer.\n")


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ((), ""),
        (
            ("--third=my masks", "--align=crop", "--levels=-9:9", "--scene=(.)"),
            " '--labels=my masks' --align=crop --levels=-9:9",
        ),
    ],
)
def test_the_line_after_preparing_trains_on_what_was_prepared(
    folders, trained, capsys, options, read
):
    pytest.importorskip(
        "tensorflow_datasets", reason="tensorflow-datasets is in the extra `data`"
    )
    shutil.copytree(folders / "a", folders / "my masks")
    assert main(["prepare", "folder", "a", "b", *options]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == (
        f"train: refusion train a b --dataset=folder --data-dir=data{read} "
        "-o runs/folder"
    )
    before = sorted(folders.glob("data/*"))
    assert main(shlex.split(line)[2:]) == 0
    ((_, pairs, _, _),) = trained
    assert sorted(folders.glob("data/*")) == before
    assert pairs.third(0) is None if not options else pairs.third(0).ndim == 2


def test_own_pictures_are_two_folders_and_not_a_published_one(capsys):
    assert main(["prepare", "folder", "--source-dir=mine"]) == 2
    assert (
        "expected two folders of pictures with the set folder, got the single folder "
        "mine; name those of the first and the second sources."
    ) in capsys.readouterr().err


@pytest.mark.parametrize("command", [train, prepare, ablate, export])
def test_help_shows_examples(capsys, command):
    name = command.__name__.rpartition(".")[2]
    assert main([name, "--help"]) == 0
    assert command.EXAMPLES in capsys.readouterr().out


def test_preparing_names_the_rules_it_takes(capsys):
    assert main(["prepare", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--align {none,crop,resize,resize-largest,register}" in text
    assert "full, min-max, percentile, auto or LOW:HIGH (default full)" in text
    assert main(["prepare", "folder", "a", "b", "--align=stretch"]) == 2
    assert "'stretch'" in capsys.readouterr().err


def test_the_list_of_commands_needs_no_jax():
    program = (
        "import sys; from refusion_jax.cli import main; main(['--help']); "
        "sys.exit(bool({'jax', 'numpy', 'PIL', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert done.returncode == 0 and b"train" in done.stdout


def test_only_a_process_of_its_own_is_restarted(folders, trained, monkeypatch):
    restarts = []
    monkeypatch.setattr(cli, "restart_with_huge_pages", lambda: restarts.append(1))
    main(["train", "a", "b", "-o", "x"])
    assert restarts == []
    monkeypatch.setattr("sys.argv", ["refusion", "train", "a", "b", "-o", "y"])
    main()
    assert restarts == [1]
