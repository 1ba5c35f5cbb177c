"""Files of `experiments/cluster/`: they parse, and start what the command knows."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
import yaml
from documents import ROOT, text_of

from refusion_jax.cli import _parser

FOLDER = ROOT / "experiments" / "cluster"
FUSE_JOB = "experiments/cluster/fuse.yaml"
SHELL = sorted(x.name for x in FOLDER.iterdir() if x.suffix in (".sh", ".sbatch"))
# One machine plays all: the words after the options are a name and a command.
SSH = """\
#!/bin/bash
while [[ $1 == -* ]]; do
    [[ $1 == -o ]] && shift
    shift
done
echo "$1" >> nodes
exec bash -c "$2"
"""
# Writes its words down; waits for SIGTERM if it has been told so.
PROGRAM = """\
#!/bin/bash
printf '%s\\n' "${0##*/}" "$@" > "$BASHPID.told"
[[ -e wait ]] || exit 0
trap 'touch stopped; exit 143' TERM
touch "$BASHPID.ready"
until [[ -e stopped ]]; do sleep 0.05; done
exit 143
"""


def options_of(words):
    """The words after `refusion`, variables filled in, as the command parses them."""
    filled = [re.sub(r"\$[({\w]+[)}]?", "1", word) for word in words]
    return _parser().parse_args(filled[filled.index("refusion") + 1 :])


def documents_of(name):
    return [*yaml.safe_load_all((FOLDER / name).read_text())]


@pytest.mark.parametrize("name", SHELL)
def test_scripts_are_sound(name):
    tools = [["bash", "-n"]] + [["shellcheck"]] * bool(shutil.which("shellcheck"))
    for tool in tools:
        done = subprocess.run([*tool, str(FOLDER / name)], capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert os.access(FOLDER / name, os.X_OK)


@pytest.mark.parametrize("name", [x for x in SHELL if x.endswith(".sbatch")])
def test_slurm_starts_what_the_command_knows(name):
    text = (FOLDER / name).read_text().replace("\\\n", " ")
    (line,) = (x for x in text.splitlines() if x.startswith("srun "))
    words = [x.rpartition("/")[2] if "/bin/" in x else x for x in shlex.split(line)]
    until = words.index("||") if "||" in words else None
    options = options_of(words[:until])
    if name.startswith("train"):
        assert (options.coordinator, options.hosts, options.host) == (
            "auto",
            None,
            None,
        )
        tasks = [int(x) for x in re.findall(r"^#SBATCH --n\S+=(\d+)$", text, re.M)]
        assert options.batch_size % (tasks[0] * tasks[1]) == 0


def test_kubernetes_starts_what_the_command_knows():
    service, job = documents_of("train.yaml")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = options_of(["refusion", *container["args"]])
    count, name = job["spec"]["completions"], job["metadata"]["name"]
    assert count == job["spec"]["parallelism"] == options.hosts
    assert container["args"][-1] == "--host=$(JOB_COMPLETION_INDEX)"
    assert options.batch_size % count == 0
    # The first pod's name in the service, as Kubernetes gives it to an Indexed Job.
    assert options.coordinator.startswith(f"{name}-0.{service['metadata']['name']}:")
    assert pod["subdomain"] == service["metadata"]["name"]
    assert (
        service["spec"]
        | {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"job-name": name},
        }
        == service["spec"]
    )
    assert {x["name"] for x in container["volumeMounts"]} == {
        x["name"] for x in pod["volumes"]
    }


def test_a_ray_job_starts_what_the_command_knows():
    (job,) = documents_of("fuse.yaml")
    options = options_of(shlex.split(job["spec"]["entrypoint"]))
    assert (options.engine, options.address, options.resume) == ("ray", "auto", True)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert f"FROM rayproject/ray:{cluster['rayVersion']}-" in text_of(FUSE_JOB)
        assert [x["name"] for x in container["volumeMounts"]] == [
            x["name"] for x in pod["volumes"]
        ]


@pytest.fixture
def start(tmp_path):
    """Starts a script whose machines are all this one."""
    for name, text in {"ssh": SSH, "refusion": PROGRAM, "ray": PROGRAM}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HOME": str(tmp_path)}

    scripts = []

    def start(script, *words, **variables):
        with (tmp_path / "messages").open("w") as messages:
            process = subprocess.Popen(
                [FOLDER / script, *words],
                env={**environment, **variables},
                cwd=tmp_path,
                stderr=messages,
            )
        scripts.append(process)
        return process

    # Jobs in the background of a shell ignore Ctrl-C, and so would the script.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield start
    signal.signal(signal.SIGINT, before)
    (tmp_path / "stopped").touch()  # what programs that outlive their script wait for
    for script in scripts:
        script.kill()
        script.wait()


def told(folder):
    """The words of every program that was started, in any order."""
    return sorted(x.read_text().splitlines() for x in folder.glob("*.told"))


def test_ssh_starts_a_host_on_each_machine(start, tmp_path):
    words = ["a b/", "c/", "-o", "run", "--task=ivif"]
    script = start("train_by_ssh.sh", "n1", "n2", "n3", "--", *words, PORT="1234")
    assert script.wait(timeout=20) == 0
    place = ["--coordinator=n1:1234", "--hosts=3"]
    hosts = [["refusion", "train", *words, *place, f"--host={i}"] for i in range(3)]
    assert told(tmp_path) == hosts
    assert sorted((tmp_path / "nodes").read_text().split()) == ["n1", "n2", "n3"]
    assert options_of(hosts[2]).host == 2


def test_ssh_starts_ray_on_each_machine_and_stops_it(start, tmp_path):
    script = start("fuse_by_ssh.sh", "n1", "n2", "--", "a/", "b/", "-o", "out/")
    assert script.wait(timeout=20) == 0
    fuse = ["refusion", "fuse", "a/", "b/", "-o", "out/", "--engine=ray"]
    fuse += ["--address=auto"]
    begin = [["ray", "start", x] for x in ("--address=n1:6379", "--head")]
    begin[1] += ["--port=6379"]
    assert told(tmp_path) == [*begin, *[["ray", "stop"]] * 2, fuse]
    assert (tmp_path / "nodes").read_text().split() == ["n1", "n2", "n1", "n1", "n2"]
    assert options_of(fuse).engine == "ray"


def test_a_signal_reaches_the_first_host(start, tmp_path):
    (tmp_path / "wait").touch()
    script = start("train_by_ssh.sh", "n1", "n2", "--", "a/", "b/", "-o", "run")
    deadline = time.monotonic() + 20
    while len([*tmp_path.glob("*.ready")]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    script.send_signal(signal.SIGINT)
    assert script.wait(timeout=20) == 143
    assert (tmp_path / "stopped").exists()


def test_the_worst_exit_status_is_that_of_the_script(start, tmp_path):
    (tmp_path / "refusion").write_text("#!/bin/bash\n[[ $* != *--host=0 ]]\n")
    script = start("train_by_ssh.sh", "n1", "n2", "--", "a/", "b/", "-o", "run")
    assert script.wait(timeout=20) == 1


@pytest.mark.parametrize("script", [x for x in SHELL if x.endswith(".sh")])
@pytest.mark.parametrize("words", [[], ["n1"], ["n1", "--"], ["--", "a/"]])
def test_without_machines_or_arguments_ssh_scripts_say_how(
    start, tmp_path, script, words
):
    assert start(script, *words).wait(timeout=20) == 2
    assert f"usage: {script} NODE..." in (tmp_path / "messages").read_text()
