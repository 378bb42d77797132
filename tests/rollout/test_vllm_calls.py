"""What is asked of a vLLM server over HTTP, and what it must serve before anything loads."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rollout.fake_vllm import CONFIG, Fake, Raw

from r1kit.checks import check_recipe
from r1kit.cluster.settings import VLLM
from r1kit.errors import InputError, MissingError, R1Error
from r1kit.recipe import load_recipe
from r1kit.rollout.replica import ReplicaLost
from r1kit.vllm.calls import Calls, Refused
from r1kit.vllm.served import check_fits, check_servers, look

# ---- calls ---------------------------------------------------------------------------------------------------------


def no_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def trickle(connection: socket.socket) -> None:
    """A byte now and then: no single read is ever late."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        connection.sendall(b" ")
        time.sleep(0.05)


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices": ['


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (lambda connection: connection.sendall(HALF), "its answer to POST /x broke off"),
        (lambda connection: None, "its answer to POST /x broke off"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "its answer to POST /x broke off"),
        (lambda connection: time.sleep(5), "no answer to POST /x in 0.5 s"),
        (trickle, "no answer to POST /x in 0.5 s"),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
            "its answer to POST /x is not JSON: <html>",
        ),
        (
            lambda connection: connection.sendall(b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\ngone"),
            "it answers POST /x with 502: gone",
        ),
    ],
)
def test_what_no_server_should_do_is_named_in_time(raw: Callable[..., Raw], behave: Any, why: str) -> None:
    calls = Calls(raw(behave).address)
    with pytest.raises(ReplicaLost) as lost:
        calls.ask("POST", "/x", {}, timeout=0.5)
    assert str(lost.value).startswith(why)
    calls.close()


def test_a_port_where_nothing_listens() -> None:
    with pytest.raises(ReplicaLost, match="nothing listens there"):
        Calls(no_port()).ask("GET", "/version", timeout=5)


def test_calls_are_cut_by_another_thread(raw: Callable[..., Raw]) -> None:
    """Whoever waits learns why at once; later calls are made as usual."""
    calls = Calls(raw(lambda connection: time.sleep(20)).address)
    said: list[str] = []

    def ask() -> None:
        try:
            calls.ask("POST", "/x", {}, timeout=60)
        except ReplicaLost as lost:
            said.append(str(lost))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(calls._going) < 3:
        time.sleep(0.01)
    time.sleep(0.05)  # connected
    calls.hang_up("it hangs")
    for thread in threads:
        thread.join(5)
    assert said == ["it hangs"] * 3
    with pytest.raises(ReplicaLost, match=r"no answer to POST /x in 0\.3 s"):
        calls.ask("POST", "/x", {}, timeout=0.3)
    calls.close()
    with pytest.raises(ReplicaLost, match="its connection is closed"):
        calls.ask("POST", "/x", {}, timeout=1)


def test_a_refusal_says_what_the_server_says(fake: Fake) -> None:
    fake.state.fail["/x"] = (400, b'{"error": {"message": "too\\n long"}}')
    with pytest.raises(Refused, match=r"^too long$"):
        Calls(fake.address).ask("GET", "/x", timeout=5)


# ---- before anything loads -----------------------------------------------------------------------------------------


def test_a_server_says_what_it_serves(fake: Fake) -> None:
    found, warnings = look([fake.address])
    served = found[fake.address]
    assert (served.version, served.positions, served.workers, served.config["hidden_size"]) == ("0.32.0", 64, 1, 48)
    assert warnings == []
    check_fits(fake.address, served, {**CONFIG, "eos_token_id": 3, "dtype": "bfloat16"})


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "http://localhost", "ftp://host:1", "http://h:x", "http://h:1/v1"]
)
def test_an_address_is_one(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a server; write http://HOST:PORT"):
        look([address])


def test_one_of_two_servers_is_enough_to_begin(fake: Fake) -> None:
    away = no_port()
    found, warnings = look([away, fake.address])
    assert list(found) == [fake.address]
    assert warnings == [
        f"warning: engine.address {away}: nothing listens there (Connection refused); the run begins without it"
    ]


def test_no_server_at_all() -> None:
    address = no_port()
    with pytest.raises(MissingError) as missing:
        look([address])
    assert str(missing.value) == (
        f"engine.address {address}: nothing listens there (Connection refused); start a server there: "
        "python -m r1kit.vllm.serve MODEL --port PORT"
    )


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"missing": {"/version"}}, InputError, "what listens there is no server of vLLM"),
        ({"fail": {"/version": (200, b"<html>")}}, InputError, "what listens there is no server of vLLM"),
        ({"fail": {"/version": (200, b"[]")}}, InputError, "what listens there is no server of vLLM"),
        ({"version": "0.27.1"}, MissingError, "runs vLLM 0.27.1; weights are handed over as 0.28"),
        ({"version": "dev"}, MissingError, "runs vLLM dev; weights are handed over as 0.28"),
        ({"missing": {"/get_world_size"}}, MissingError, "VLLM_SERVER_DEV_MODE=1 is not set"),
        ({"fail": {"/get_world_size": (401, b"{}")}}, MissingError, "set VLLM_API_KEY"),
        (
            {"fail": {"/collective_rpc": (500, b'{"error": {"message": "no attribute \'r1kit_describe\'"}}')}},
            MissingError,
            "r1kit's worker extension is not there",
        ),
        ({"backend": "nccl"}, MissingError, "its weights come by 'nccl', not by 'r1kit'"),
        ({"backend": ""}, MissingError, "its weights come by 'nothing'"),
        ({"logprobs_mode": "raw_logprobs"}, MissingError, "logprobs_mode is raw_logprobs"),
        ({"missing": {"/inference/v1/generate"}}, MissingError, "--enable-scale-out"),
        ({"experts_move": True}, MissingError, "was started with --enable-eplb, which moves experts"),
    ],
)
def test_what_a_server_lacks_is_one_line(fake: Fake, change: dict[str, Any], error: type[R1Error], what: str) -> None:
    for name, value in change.items():
        if hasattr(fake.state, name):
            setattr(fake.state, name, value)
        else:
            fake.state.told[name] = value
    if "missing" in change:
        fake.state.fail |= dict.fromkeys(change["missing"], (404, b"{}"))
    with pytest.raises(error) as raised:
        look([fake.address])
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)


def test_experts_on_devices_of_their_own_are_asked_for(fake: Fake) -> None:
    settings = VLLM(address=(fake.address,), expert_parallel=True)
    with pytest.raises(MissingError, match=r"was started without --enable-expert-parallel .beside --tensor-parallel-s"):
        check_servers(settings, {})
    fake.state.told["experts_apart"] = True
    assert check_servers(settings, {}) == []


def test_a_server_of_another_model_is_refused(fake: Fake) -> None:
    found, _ = look([fake.address])
    for other, what in [
        ({**CONFIG, "vocab_size": 61}, "its vocab_size is 60, the recipe's 61"),
        ({**CONFIG, "rope_theta": None, "rope_parameters": {"rope_theta": 5e5}}, "its rope_theta is 10000.0"),
    ]:
        with pytest.raises(InputError, match=what):
            check_fits(fake.address, found[fake.address], other)


# ---- as a user types it --------------------------------------------------------------------------------------------


def test_check_asks_the_servers(fake: Fake) -> None:
    """One line, before anything loads; a server that is away is a warning while another is there."""
    fake.state.told["config"] |= {"hidden_size": 96, "num_hidden_layers": 3, "vocab_size": 176}
    away = no_port()
    recipe = load_recipe("nano-zero", [f'engine={{kind="vllm",address="{fake.address}"}}'])
    assert recipe.engine.settings.address == (fake.address,)
    assert check_recipe(recipe) == []
    with pytest.raises(MissingError, match="nothing listens there"):
        check_recipe(load_recipe("nano-zero", [f'engine={{kind="vllm",address=["{away}"]}}']))
    both = load_recipe("nano-zero", [f'engine={{kind="vllm",address=["{away}","{fake.address}"]}}'])
    assert [line for line in check_recipe(both) if away in line]
    for change, what in [
        ('hand_over="nccl"', "needs GPUs, and .* computes on cpu"),
        ('hand_over="folder"', 'engine.folder = "" is no folder here'),
    ]:
        with pytest.raises(InputError, match=what):
            check_recipe(load_recipe("nano-zero", [f'engine={{kind="vllm",address="{fake.address}",{change}}}']))
    fake.state.told["config"]["hidden_size"] = 128
    with pytest.raises(InputError, match="serves another model: its hidden_size is 128, the recipe's 96"):
        check_recipe(recipe)
