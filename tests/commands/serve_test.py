import queue
import signal
import socket
import sys
import webbrowser

import pytest
import uvicorn

from refusion_jax.cli import main


@pytest.fixture
def started(monkeypatch):
    """Servers that were started, in place of running them."""
    found = []

    def run(self, sockets):
        found.append((self.config.app, sockets[0].getsockname()))

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


def test_only_this_machine_can_connect_unless_told(started, capsys):
    assert main(["serve", "--port", "0"]) == 0
    ((_, (host, port)),) = started
    assert host == "127.0.0.1"
    assert capsys.readouterr().out == f"The page is at http://127.0.0.1:{port}/\n"


def test_an_address_for_others_has_a_token(started, capsys):
    assert main(["serve", "--port", "0", "--host", "0.0.0.0"]) == 0
    ((app, _),) = started
    address = capsys.readouterr().out.split()[-1]
    token = app.user_middleware[0].kwargs["token"]
    assert len(token) >= 16 and address.endswith(f"/?token={token}")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_browser_is_sent_to_the_printed_address(started, capsys, monkeypatch, host):
    opened = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    assert main(["serve", "--port", "0", "--host", host, "--open"]) == 0
    assert opened.get(timeout=60) == capsys.readouterr().out.split()[-1]


def test_ctrl_c_is_the_usual_end(monkeypatch, capsys):
    startup = uvicorn.Server.startup

    async def start_and_stop(self, sockets=None):
        await startup(self, sockets)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(uvicorn.Server, "startup", start_and_stop)
    assert main(["serve", "--port", "0"]) == 0
    assert capsys.readouterr().err == ""


def test_a_port_in_use_is_told(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"expected an address to listen on, got 127.0.0.1 port {port}" in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "expected a port of 0 to 65535, got 70000"),
        (["--host", "192.0.2.1"], "got 192.0.2.1 port 7860 ("),
        (["--max-pixels", "0"], "expected --max-pixels of 1 or more, got 0"),
        (["--task", "none"], "expected shipped weights among"),
        (["--weights", "none.safetensors"], "none.safetensors"),
    ],
)
def test_wrong_arguments_are_told(started, capsys, arguments, sentence):
    assert main(["serve", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not started


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 2
    assert "pip install 'refusion-jax[serve]'" in capsys.readouterr().err
