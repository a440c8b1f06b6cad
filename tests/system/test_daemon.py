"""Real daemons on the loopback interface: life, death and the commands."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate as validate_openapi
from prometheus_client.parser import text_string_to_metric_families

from rovy.cli.client import UnixConnection
from testnet.netns import Host, Lab, wait_until

pytestmark = pytest.mark.system

BIN = Path(sys.executable).parent
STOP_TIME = 2.0
CLOSED = '"type": "object", "additionalProperties": false, "properties"'


class Daemon:
    """One rovyd on a host of the lab, with a directory of its own."""

    def __init__(self, host: Host, directory: Path, port: int) -> None:
        self.host, self.directory, self.port = host, directory, port
        self.state, self.socket = directory / "state", directory / "rovyd.sock"
        self.config = directory / "rovy.toml"
        directory.mkdir()
        self.log = directory / "log"
        self.configure()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, text: str = "", tail: str = "") -> None:
        self.config.write_text(
            f'listen = ["/ip4/127.0.0.1/udp/{self.port}"]\nport_tries = 0\n'
            f'state_dir = "{self.state}"\nsocket = "{self.socket}"\n{text}\n{tail}\n'
        )

    def start(self, *options: str, wait: bool = True) -> "Daemon":
        command = [str(BIN / "rovyd"), "--config", str(self.config), *options]
        self.process = self.host.spawn(command, log=self.log)
        if wait:
            wait_until(lambda: self.answers() or self.ended(), timeout=10)
            assert not self.ended(), self.log.read_text()
        return self

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def answers(self) -> bool:
        try:
            return self.request("GET", "/v1/info")[0].status == 200
        except OSError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def ctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # nsenter is left out: the socket is a file, and rovyctl needs no network.
        command = [str(BIN / "rovyctl"), *arguments]
        environment = {**os.environ, "ROVY_SOCKET": str(self.socket)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def json(self, *arguments: str) -> dict:
        return json.loads(self.ctl(*arguments, "--json").stdout)

    def address(self) -> str:
        return f"/ip4/127.0.0.1/udp/{self.port}/rovy/{self.json('info')['peer_id']}"

    def peer_states(self) -> list[str]:
        return [peer["state"] for peer in json.loads(self.request("GET", "/v1/peers")[1])["peers"]]

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[HTTPResponse, bytes]:
        connection = UnixConnection(self.socket, 10)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("a")


@pytest.fixture
def daemon(host: Host, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(host, tmp_path / "a", 4001)
    yield daemon
    if daemon.process and not daemon.ended():
        daemon.end(signal.SIGKILL)


@pytest.fixture
def other(host: Host, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(host, tmp_path / "b", 4002)
    yield daemon
    if daemon.process and not daemon.ended():
        daemon.end(signal.SIGKILL)


@pytest.fixture
def pair(daemon: Daemon, other: Daemon) -> tuple[Daemon, Daemon]:
    """Two daemons that are peers: the first keeps the second and names it `other`."""
    daemon.start()
    other.start()
    daemon.ctl("peer", "add", other.address(), "--name", "other")
    wait_until(lambda: daemon.peer_states() == other.peer_states() == ["up"], timeout=5)
    return daemon, other


def test_first_run_tells_what_matters(daemon):
    daemon.start()
    text = daemon.log.read_text()
    info = daemon.json("info")
    for part in (info["peer_id"], info["address"], "udp/4001", str(daemon.socket), "rovyctl peer"):
        assert part in text
    assert info["pid"] == daemon.process.pid
    assert info["listen"] == ["/ip4/127.0.0.1/udp/4001"]
    assert daemon.socket.stat().st_mode & 0o777 == 0o660
    assert (daemon.state / "key.toml").stat().st_mode & 0o777 == 0o600
    assert daemon.state.stat().st_mode & 0o777 == 0o700


def test_peers_and_pings(pair):
    daemon, other = pair
    (peer,) = daemon.json("peers")["peers"]
    assert (peer["name"], peer["kept"], peer["origin"]) == ("other", True, "added")
    assert peer["route"] == "127.0.0.1:4002"
    (inbound,) = other.json("peers")["peers"]
    assert (inbound["kept"], inbound["origin"]) == (False, "inbound")
    info = other.json("info")
    for target in ("other", info["peer_id"], f"/rovy/{info['peer_id']}", info["address"]):
        done = daemon.ctl("ping", "-c", "2", "-i", "0.01", target)
        assert "2 sent, 2 answered, 0% lost" in done.stdout
    assert "via local" in daemon.ctl("ping", "-c", "1", daemon.json("info")["peer_id"]).stdout
    assert other.json("sessions")["sessions"][0]["paths"]
    assert other.json("counters")["counters"]["underlay"]


def test_ping_by_a_label_of_one_hop_takes_the_peering_itself(pair):
    daemon, _ = pair
    slot = daemon.json("peers")["peers"][0]["slot"]
    done = daemon.ctl("ping", "-c", "1", f"/rovyrt/{slot:02x}")
    assert "via 127.0.0.1:" in done.stdout


def test_ping_of_a_dead_node_fails(pair):
    daemon, other = pair
    other.end(signal.SIGKILL)
    done = daemon.ctl("ping", "-c", "1", "-W", "0.3", "other", check=False)
    assert done.returncode == 1
    assert "1 sent, 0 answered, 100% lost" in done.stdout


def test_removed_peer_is_gone_for_both(pair):
    daemon, other = pair
    daemon.ctl("peer", "remove", "other")
    assert daemon.peer_states() == []
    wait_until(lambda: other.peer_states() == [], timeout=5)


def test_shells_complete_commands_options_and_peers(pair):
    daemon, other = pair
    assert complete(daemon, "rovyctl", "pe") == ["peer", "peers"]
    assert "--count" not in complete(daemon, "rovyctl", "ping", "--")
    assert "--json" in complete(daemon, "rovyctl", "ping", "--")
    assert complete(daemon, "rovyctl", "ping", "ot") == ["other"]
    assert complete(daemon, "rovyctl", "peer", "remove", "") == ["other"]
    assert complete(other, "rovyctl", "ping", "baf") == [daemon.json("info")["peer_id"]]
    daemon.end()
    assert complete(daemon, "rovyctl", "ping", "") == []


def complete(daemon: Daemon, *words: str) -> list[str]:
    """What a real bash offers for the last word."""
    script = (
        f'source <({BIN}/rovyctl completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
        " _rovyctl_completion rovyctl; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    environment = {"ROVY_SOCKET": str(daemon.socket), "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = daemon.host.run(["bash", "-c", script, "bash", *words], env=environment)
    assert not done.stderr
    return done.stdout.split()


def test_events_show_what_happens(pair):
    daemon, other = pair
    log = daemon.directory / "events"
    command = [str(BIN / "rovyctl"), "events", "--json", "--socket", str(daemon.socket)]
    stream = daemon.host.spawn(command, log=log, env={"PYTHONUNBUFFERED": "1"})
    time.sleep(2)  # a client takes a while to start on a busy machine
    other.end()
    wait_until(lambda: "peering_down" in log.read_text(), timeout=10)
    events = map(json.loads, log.read_text().splitlines())
    event = next(event for event in events if event["kind"] == "peering_down")
    assert event["name"] == "other"
    assert daemon.end() == 0  # an open stream is no obstacle
    assert stream.wait(5) == 1


def test_stop_is_quick_and_leaves_nothing(daemon):
    for number in (signal.SIGTERM, signal.SIGINT):
        daemon.start()
        began = time.monotonic()
        assert daemon.end(number) == 0
        assert time.monotonic() - began < STOP_TIME
        assert not daemon.socket.exists()
        assert sorted(os.listdir(daemon.state)) == ["key.toml", "state.json"]
    daemon.start()
    daemon.ctl("stop")
    assert daemon.process.wait(STOP_TIME) == 0
    done = daemon.ctl("info", check=False)
    assert done.returncode == 1
    assert "rovyd does not run: there is no socket" in done.stderr


def test_stop_tells_the_peers(pair):
    daemon, other = pair
    daemon.end()
    wait_until(lambda: other.peer_states() == [], timeout=1)


def test_kill_keeps_key_slots_and_peers(pair):
    daemon, _ = pair
    before, info = daemon.json("peers")["peers"][0], daemon.json("info")
    bound = json.loads((daemon.state / "state.json").read_text())["stamp_bound"]
    daemon.end(signal.SIGKILL)
    assert daemon.socket.exists()
    assert "left its socket" in daemon.ctl("info", check=False).stderr
    daemon.start()  # and the stale socket is replaced
    assert daemon.json("info")["peer_id"] == info["peer_id"]
    wait_until(lambda: daemon.peer_states() == ["up"], timeout=10)
    after = daemon.json("peers")["peers"][0]
    assert after["slot"] == before["slot"]
    assert after["name"] == "other"
    assert json.loads((daemon.state / "state.json").read_text())["stamp_bound"] > bound


def test_defaults_listen_on_both_families(daemon, host):
    daemon.config.write_text("")
    daemon.start("--state-dir", str(daemon.state), "--socket", str(daemon.socket))
    assert daemon.json("info")["listen"] == ["/ip4/0.0.0.0/udp/1312", "/ip6/::/udp/1312"]
    daemon.end()
    for scope in ("all", "default", "lo"):
        host.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", "1")
    daemon.start("--state-dir", str(daemon.state), "--socket", str(daemon.socket))
    assert daemon.json("info")["listen"][0] == "/ip4/0.0.0.0/udp/1312"


def test_second_daemon_is_refused(daemon, other):
    daemon.start()
    other.configure()
    other.start("--state-dir", str(daemon.state), wait=False)
    assert other.process.wait(10) == 1
    assert "another rovyd uses" in other.log.read_text()
    other.start("--socket", str(daemon.socket), wait=False)
    assert other.process.wait(10) == 1
    assert "another rovyd answers" in other.log.read_text()
    other.start("--listen", "/ip4/127.0.0.1/udp/4001", wait=False)
    assert other.process.wait(10) == 1
    assert "cannot listen on 127.0.0.1:4001" in other.log.read_text()
    assert "Traceback" not in other.log.read_text()
    assert daemon.answers()


def test_taken_port_moves_on(daemon, other):
    daemon.start()
    other.config.write_text(other.config.read_text().replace("port_tries = 0", "port_tries = 4"))
    other.start("--listen", "/ip4/127.0.0.1/udp/4001")
    assert other.json("info")["port"] == 4002


def test_bad_configuration(daemon):
    daemon.configure("max_pers = 3")
    daemon.start(wait=False)
    assert daemon.process.wait(10) == 1
    assert daemon.log.read_text() == (
        f"rovyd: {daemon.config}:5: 'max_pers': unknown setting; did you mean max_peers?\n"
    )


def test_what_stops_the_start_is_json_where_logs_are(daemon):
    daemon.configure('log_format = "json"')
    (daemon.directory / "state").write_text("not a directory")
    daemon.start(wait=False)
    assert daemon.process.wait(10) == 1
    (line,) = daemon.log.read_text().splitlines()
    entry = json.loads(line)
    assert entry["level"] == "critical"
    assert "cannot be used as the state directory" in entry["message"]
    daemon.log.unlink()
    daemon.configure("max_pers = 3")  # unreadable: then the command line says how to tell it
    daemon.start("--log-format", "json", wait=False)
    assert daemon.process.wait(10) == 1
    assert "did you mean max_peers?" in json.loads(daemon.log.read_text())["message"]


def test_damaged_state_is_no_obstacle(daemon):
    daemon.start()
    daemon.end()
    (daemon.state / "state.json").write_text("{")
    daemon.start()
    assert "state.json.damaged-1" in daemon.log.read_text()


def test_damaged_key_is_one(daemon):
    daemon.state.mkdir()
    (daemon.state / "key.toml").write_text("PrivateKey = 3\n")
    (daemon.state / "key.toml").chmod(0o600)
    daemon.start(wait=False)
    assert daemon.process.wait(10) == 1
    assert "key.toml: key file: PrivateKey is missing" in daemon.log.read_text()
    assert (daemon.state / "key.toml").read_text() == "PrivateKey = 3\n"


def test_reload_by_signal_and_command(pair):
    daemon, other = pair
    peer = f'[[peer]]\naddress = "{other.address()}"\nname = "renamed"\n'
    daemon.configure('log_level = "debug"\nport_tries = 3', peer)
    daemon.config.write_text(daemon.config.read_text().replace("port_tries = 0\n", ""))
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded: peers, log_level" in daemon.log.read_text(), timeout=5)
    assert daemon.json("peers")["peers"][0]["origin"] == "config"
    assert daemon.json("info")["problems"] == ["settings that wait for a restart: port_tries"]
    assert daemon.json("reload") == {"applied": [], "restart": ["port_tries"]}
    daemon.config.write_text("nonsense")
    done = daemon.ctl("reload", check=False)
    assert done.returncode == 2
    assert f"{daemon.config}:1" in done.stderr
    assert daemon.answers()


def test_reload_denies_a_peer_and_lets_it_in_again(pair):
    daemon, other = pair
    other.configure(f'deny = ["{daemon.json("info")["peer_id"]}"]')
    assert other.json("reload") == {"applied": ["deny"], "restart": []}
    wait_until(lambda: daemon.peer_states() == ["connecting"], timeout=5)
    assert other.peer_states() == []
    other.configure()
    other.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.peer_states() == ["up"], timeout=20)


def test_private_networks_do_not_meet(daemon, other):
    key = daemon.json("keygen", "--network")["network_key"]
    daemon.start("--network-key", key)
    other.start()
    daemon.ctl("peer", "add", other.address())
    done = daemon.ctl("ping", "-c", "1", "-W", "0.5", other.json("info")["peer_id"], check=False)
    assert done.returncode == 1
    other.end()
    other.configure(f'network_key = "{key}"')
    other.start()
    wait_until(lambda: daemon.peer_states() == ["up"], timeout=10)
    assert key not in daemon.log.read_text() + other.log.read_text()


def test_full_disk(daemon, host):
    """The daemon runs on, says so, and writes when there is room again."""
    daemon.state.mkdir()
    host.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(daemon.state)])
    try:
        daemon.start()
        filler = daemon.state / "filler"
        fill(filler)
        address = f"/ip4/127.0.0.1/udp/4009/rovy/{daemon.json('keygen')['peer_id']}"
        daemon.ctl("peer", "add", address, "--name", "new")
        assert "cannot be written: No space" in daemon.json("info")["problems"][0]
        assert "cannot be written: No space" in daemon.log.read_text()
        filler.unlink()
        wait_until(lambda: not daemon.json("info")["problems"], timeout=10)
        assert "is written again" in daemon.log.read_text()
        daemon.end(signal.SIGKILL)
        daemon.start()
        assert daemon.json("peers")["peers"][0]["name"] == "new"
        assert daemon.end() == 0
    finally:
        host.run(["umount", "--lazy", str(daemon.state)])


def test_full_disk_at_the_start(daemon, host):
    """A new node needs its key on disk; one that has a key runs."""
    daemon.state.mkdir()
    host.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(daemon.state)])
    try:
        fill(daemon.state / "filler")
        daemon.start(wait=False)
        assert daemon.process.wait(10) == 1
        assert "key.toml: cannot be created: No space left" in daemon.log.read_text()
        assert os.listdir(daemon.state) == ["filler"]
        key = daemon.directory / "key.toml"
        daemon.ctl("keygen", "-o", str(key))
        daemon.start("--key", str(key))
        assert "cannot be written: No space" in daemon.json("info")["problems"][0]
        assert daemon.end() == 0
    finally:
        host.run(["umount", "--lazy", str(daemon.state)])


def fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017


def test_directory_that_cannot_be_made(daemon):
    daemon.start("--state-dir", "/proc/rovy", wait=False)
    assert daemon.process.wait(10) == 1
    assert "cannot be used as the state directory" in daemon.log.read_text()


def test_hostile_requests(daemon):
    daemon.start()
    for method, path, body, status in (
        ("POST", "/v1/ping", b"{", 400),
        ("POST", "/v1/ping", b'{"target": "' + b"x" * 20_000 + b'"}', 413),
        ("POST", "/v1/ping", b'{"target": "nobody"}', 404),
        ("POST", "/v1/peers", b'{"address": "x"}', 400),
        ("DELETE", "/v1/peers/" + "x" * 300, b"", 400),
        ("GET", "/v1/nothing", b"", 404),
        ("PUT", "/v1/info", b"", 405),
    ):
        response, data = daemon.request(method, path, body)
        assert response.status == status, data
        assert json.loads(data)["error"]["message"]
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(daemon.socket))
        raw.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
        raw.settimeout(5)
        raw.recv(100)
    assert daemon.answers()
    assert "Traceback" not in daemon.log.read_text()


def test_answers_are_what_the_openapi_document_says(pair):
    daemon, other = pair
    document = json.loads(daemon.request("GET", "/v1/openapi.json")[1])
    validate_openapi(document)
    bodies: dict[str, object] = {
        f"/v1/{what}": {"target": "other"} for what in ("ping", "resolve", "lookup", "traceroute")
    }
    record = {"kind": "service", "name": "web"}
    bodies |= {"/v1/dht/put": {**record, "body": "tcp/80"}, "/v1/dht/get": record}
    bodies |= {"/v1/peers": {"address": other.address()}, "/v1/firewall": {"rule": "tcp/22"}}
    bodies |= {"/v1/reload": {}, "/v1/stop": {}}
    removed = {"/v1/peers/{peer}": "other", "/v1/firewall/{rule}": "tcp%2F22"}
    for path, method, operation in sorted(operations(document), key=turn):
        real = path.replace(path[path.find("{") :], removed[path]) if "{" in path else path
        body = json.dumps(bodies[path]).encode() if method == "post" else b""
        response, data = daemon.request(method.upper(), real, body)
        assert_described(document, operation["responses"][str(response.status)], json.loads(data))


def operations(document: dict) -> Iterator[tuple[str, str, dict]]:
    """All whose answer is one JSON object of a known type."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            success = next(iter(operation["responses"].values()))
            if success["content"].get("application/json"):
                yield path, method, operation


def turn(operation: tuple[str, str, dict]) -> int:
    """A record is put before it is got, things are taken away after all else, the daemon last."""
    path, method, _ = operation
    late = {"/v1/dht/get": 1, "/v1/stop": 3}
    return late.get(path, 2 if method == "delete" else 0)


def assert_described(document: dict, response: dict, answer: dict) -> None:
    """The answer fits its schema, and has no field that the schema does not name."""
    schema = {**response["content"]["application/json"]["schema"], **document}
    closed = json.dumps(schema).replace('"type": "object", "properties"', CLOSED)
    assert CLOSED in closed
    jsonschema.Draft202012Validator(json.loads(closed)).validate(answer)


def test_errors_are_what_the_openapi_document_says(daemon):
    daemon.start()
    document = json.loads(daemon.request("GET", "/v1/openapi.json")[1])
    response, data = daemon.request("POST", "/v1/ping", b'{"target": "nobody"}')
    described = document["paths"]["/v1/ping"]["post"]["responses"]
    assert str(response.status) not in described
    assert_described(document, described["default"], json.loads(data))


def test_metrics_on_the_socket_and_on_tcp(pair):
    daemon, _ = pair
    response, data = daemon.request("GET", "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {s.name: s for f in text_string_to_metric_families(data.decode()) for s in f.samples}
    assert samples["rovy_peerings"].value == 1
    assert samples["rovy_peer_rtt_seconds"].labels["name"] == "other"
    assert 0 < samples["rovy_peer_rtt_seconds"].value < 1
    daemon.end()
    daemon.configure('metrics_listen = "127.0.0.1:9312"')
    daemon.start()
    fetch = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9312{}').read())"
    answer = daemon.host.run([sys.executable, "-c", fetch.format("/metrics")])
    assert "rovy_build_info" in answer.stdout
    refused = daemon.host.run([sys.executable, "-c", fetch.format("/v1/info")], check=False)
    assert "HTTP Error 404" in refused.stderr


def test_metrics_on_a_taken_port(daemon, other):
    daemon.configure('metrics_listen = "127.0.0.1:9312"')
    daemon.start()
    other.configure('metrics_listen = "127.0.0.1:9312"')
    other.start(wait=False)
    assert other.process.wait(10) == 1
    assert "metrics_listen: cannot listen on 127.0.0.1:9312" in other.log.read_text()


def test_service_manager_is_told(daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        command = [str(BIN / "rovyd"), "--config", str(daemon.config)]
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        daemon.process = daemon.host.spawn(command, log=daemon.log, env=environment)
        assert manager.recv(200).startswith(b"READY=1")
        assert daemon.end() == 0
        assert manager.recv(200) == b"STOPPING=1"


def test_watchdog_is_fed_until_the_event_loop_hangs(daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        command = [str(BIN / "rovyd"), "--config", str(daemon.config)]
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        daemon.process = daemon.host.spawn(command, log=daemon.log, env=environment)
        wait_until(daemon.answers, timeout=10)
        manager.settimeout(0.4)
        assert sum(manager.recv(200) == b"WATCHDOG=1" for _ in range(6)) >= 4
        daemon.process.send_signal(signal.SIGSTOP)
        drain(manager)
        with pytest.raises(TimeoutError):
            manager.recv(200)


def drain(sock: socket.socket) -> None:
    sock.setblocking(False)
    try:
        while True:
            sock.recv(200)
    except BlockingIOError:
        sock.settimeout(0.4)
