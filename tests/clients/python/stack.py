"""The simulated Azure and the gateway in front of it, started from the built binary and ended by SIGTERM."""

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BINARY = os.environ.get("AZGATE_BIN", str(TOP / "target/debug/azgate"))
CONFIG = TOP / "tests/clients/azgate.json"
VIRTUAL_KEYS = ("any", "classic", "v1", "entra", "refused", "narrow", "expired", "disabled", "spent", "small", "single", "ample")


class StartFailed(Exception):
    """Nothing can be tested; the message has the logs."""


@dataclass
class Stack:
    folder: Path
    simulator: str = ""
    gateway: str = ""
    admin: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen] = field(default_factory=list)
    # Variables for the simulated Azure alone.
    of_simulator: dict[str, str] = field(default_factory=dict)

    def start(self) -> "Stack":
        ports = free_ports(3)
        self.simulator, self.gateway, self.admin = (f"http://127.0.0.1:{port}" for port in ports)
        self.keys = {name: secrets.token_urlsafe(32) for name in VIRTUAL_KEYS}
        environment = {f"VK_{name.upper()}": key for name, key in self.keys.items()}
        environment |= {"SIM_URL": self.simulator, "SIM_KEY": "sim-key", "SIM_WRONG_KEY": "wrong-key", "SIM_SECRET": "sim-secret"}
        environment["STATE_DIRECTORY"] = str(self.folder / "state")
        sim, gateway, admin = (f"127.0.0.1:{port}" for port in ports)
        self._spawn("simulator", ["simulate", "--listen", sim], self.of_simulator)
        run = ["run", "--config", str(CONFIG), "--listen", gateway, "--admin-listen", admin]
        self._spawn("gateway", run, environment)
        self._wait_for(f"{self.admin}/readyz")
        return self

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def received(self) -> list[dict]:
        """What the simulated Azure was sent, oldest first."""
        with urllib.request.urlopen(f"{self.simulator}/_sim/requests", timeout=5) as answer:
            return json.load(answer)

    def logs(self, lines: int = 80) -> str:
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {file.name}\n" + "\n".join(file.read_text().splitlines()[-lines:]) for file in files)

    def _spawn(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [BINARY, *arguments],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)

    def _wait_for(self, url: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and all(process.poll() is None for process in self.processes):
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise StartFailed(f"`{url}` did not answer 200\n{self.logs()}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
