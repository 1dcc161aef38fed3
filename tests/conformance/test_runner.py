"""The runner can fail: every kind of wrong expectation is noticed, against statuses and echo servers we know.

A runner that cannot fail is worth nothing, so each check here is done twice: as it should be, and a little wrong.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.answers import http_problems
from tests.conformance.case_run import CaseResult, World, run_case
from tests.conformance.certificates import Vault
from tests.conformance.clients import http1
from tests.conformance.clients.dial import Target
from tests.conformance.clients.http import Incoming, Outgoing, follow
from tests.conformance.crowd import copies_problems, shares_problems
from tests.conformance.data import Case, Json, Suite
from tests.conformance.gateway_under_test import CONTROLLER
from tests.conformance.manifests import Key, key_of, merged
from tests.conformance.report import failure, table
from tests.conformance.waiting import Limits, StepFailed
from tests.support.echo import echo_servers
from tests.support.echo_http import Pod

_LIMITS = Limits(status=0.3, traffic=0.3, request=2.0, poll=0.01, after_miss=0.01)
_GATEWAY = {"namespace": "infra", "name": "gateway"}
_ROUTE = {"kind": "HTTPRoute", "namespace": "infra", "name": "route"}
_POD = "backend-a-b"
_MODES = ("http", "h2c", "grpc", "tcp", "udp", "dns")
_SERVED_AS = {"h1": "http", "ws": "http"}
_ECHO = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo"


class StatusBoard:
    """A gateway that has statuses and serves nothing: its address is a backend's."""

    def __init__(self, *, forgets: bool = True) -> None:
        self._objects: dict[Key, Json] = {}
        self._forgets = forgets

    def put(self, obj: Json) -> None:
        old = self._objects.get(key_of(obj))
        generation = old["metadata"]["generation"] + 1 if old else 1
        meta = {**obj["metadata"], "generation": generation}
        self._objects[key_of(obj)] = {**obj, "metadata": meta, "status": _statuses(obj["kind"], generation)}

    def remove(self, key: Key) -> None:
        if self._forgets:
            del self._objects[key]

    async def object(self, key: Key) -> Json | None:
        return self._objects.get(key)

    async def keys(self) -> set[Key]:
        return set(self._objects)


def _statuses(kind: str, generation: int) -> Json:
    if kind == "Gateway":
        generation = 1  # never told of an edit: its conditions become stale
    accepted = {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": generation}
    programmed = {"type": "Programmed", "status": "True", "reason": "Programmed", "observedGeneration": generation}
    if kind == "HTTPRoute":
        ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}
        return {"parents": [{"parentRef": ref, "controllerName": CONTROLLER, "conditions": [accepted]}]}
    kinds = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]
    listener = {"name": "http", "attachedRoutes": 1, "supportedKinds": kinds, "conditions": [accepted]}
    return {
        "conditions": [accepted, programmed],
        "addresses": [{"type": "IPAddress", "value": "127.0.0.1"}],
        "listeners": [listener],
        "attachedListenerSets": 2,
    }


@contextlib.asynccontextmanager
async def _world(folder: Path, *, forgets: bool = True) -> AsyncIterator[tuple[World, dict[str, int]]]:
    """A suite of one manifest, one pod for each mode, and their ports."""
    (folder / "manifests").mkdir()
    (folder / "endpoints.json").write_text('{"pods": {}, "services": {}}')
    (folder / "manifests" / "gatewayclass.yaml").write_text("")
    (folder / "manifests" / "base.yaml").write_text(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gateway, namespace: infra}}\n---\n"
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: route, namespace: infra}}\n"
    )
    env = {"POD_NAME": _POD, "NAMESPACE": "infra", "SERVICE_NAME": "backend"}
    pods = [
        Pod(
            name=f"{mode}-a-b",
            namespace="infra",
            deployment="backend",
            manifest="base",
            address="127.0.0.1",
            servers={"0": mode},
            env=env,
        )
        for mode in _MODES
    ]
    vault = Vault(())
    async with echo_servers(pods, vault.read) as echo:
        board = StatusBoard(forgets=forgets)
        world = World(suite=Suite(folder), vault=vault, echo=echo, gateway=board, limits=_LIMITS)
        yield world, {mode: echo.port(f"{mode}-a-b", mode) for mode in _MODES}


def _case(*steps: Json) -> Case:
    numbered = tuple({"id": number, **step} for number, step in enumerate(steps, start=1))
    return Case(
        short_name="Made",
        features=("Gateway",),
        profiles=("GATEWAY-HTTP",),
        support="core",
        manifests=("base.yaml",),
        steps=numbered,
        file_mode="full",
        provisional=False,
    )


def _run(folder: Path, *steps: Json) -> CaseResult:
    """Run steps; traffic goes to the port of the pod that has the protocol as its mode."""

    async def main() -> CaseResult:
        async with asyncio.timeout(30), _world(folder) as (world, ports):
            placed = [
                {**step, "port": ports[_SERVED_AS.get(step["protocol"]) or step["protocol"]]}
                if "protocol" in step
                else step
                for step in steps
            ]
            return await run_case(_case(*placed), world)

    return asyncio.run(main())


_ACCEPTED = {"type": "Accepted", "status": "True", "reason": "Accepted"}
_PARENT = {
    "match": "full",
    "group": "gateway.networking.k8s.io",
    "kind": "Gateway",
    "namespace": "infra",
    "name": "gateway",
    "namespace_required": False,
}
_LISTENER = {
    "name": "http",
    "supported_kinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
    "attached_routes": 1,
    "conditions": [_ACCEPTED],
}
_OF_ROUTE: Json = {"type": "status", "object": _ROUTE, "observed_generation": True, "conditions": [_ACCEPTED]}
_OF_GATEWAY: Json = {"object": {"kind": "Gateway", **_GATEWAY}, "observed_generation": True}
_EDIT: Json = {"type": "edit", "op": "patch", "object": _ROUTE, "patch": {"spec": {"hostnames": ["a.example.com"]}}}


def _exact(**changes: Any) -> Json:
    return {"type": "listeners", "exact": True, "listeners": [{**_LISTENER, **changes}], **_OF_GATEWAY}


@pytest.mark.parametrize(
    "step",
    [
        {"type": "namespaces_ready", "namespaces": ["infra"]},
        {"type": "address", "gateway": _GATEWAY, "min": 1},
        {"type": "address", "gateway": _GATEWAY, "exact": [{"type": "IPAddress", "value": "127.0.0.1"}]},
        {**_OF_ROUTE, "parent": _PARENT},
        {**_OF_ROUTE, "parent": {"match": "name", "namespace": "infra", "name": "gateway"}},
        {**_OF_ROUTE, "parent": {"match": "all"}},
        {"type": "status", "conditions": [{**_ACCEPTED, "reason": None}], **_OF_GATEWAY},
        _exact(),
        {"type": "listeners", "exact": False, "select": "all", "conditions": [_ACCEPTED], **_OF_GATEWAY},
        {"type": "attached_listener_sets", "count": 2, **_OF_GATEWAY},
    ],
)
def test_a_status_that_fits_passes(tmp_path: Path, step: Json) -> None:
    assert _run(tmp_path, step).failed is None


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"type": "address", "gateway": _GATEWAY, "min": 2}, "1 addresses, expected at least 2"),
        (
            {"type": "address", "gateway": _GATEWAY, "exact": [{"type": "IPAddress", "value": "127.0.0.2"}]},
            "expected [('IPAddress', '127.0.0.2')]",
        ),
        ({"type": "address", "gateway": {**_GATEWAY, "name": "other"}, "min": 1}, "the object is not there"),
        (
            {**_OF_ROUTE, "parent": _PARENT, "conditions": [{**_ACCEPTED, "status": "False"}]},
            "Accepted: expected False/Accepted, got True/Accepted",
        ),
        (
            {**_OF_ROUTE, "parent": _PARENT, "conditions": [{**_ACCEPTED, "type": "ResolvedRefs"}]},
            "no such condition",
        ),
        ({**_OF_ROUTE, "parent": {**_PARENT, "namespace_required": True}}, "no fitting entry in status.parents"),
        ({**_OF_ROUTE, "parent": {**_PARENT, "kind": "ListenerSet"}}, "no fitting entry in status.parents"),
        ({**_OF_ROUTE, "parent": {**_PARENT, "name": "other"}}, "no fitting entry in status.parents"),
        ({**_OF_ROUTE, "ancestor": {"match": "all"}}, "status.ancestors is empty"),
        ({**_OF_ROUTE, "no_accepted_parents": True}, "Accepted: expected False/any"),
        (_exact(name="https"), "status.listeners has ['http'], expected ['https']"),
        (_exact(attached_routes=0), "attachedRoutes is 1, expected 0"),
        (_exact(supported_kinds=[]), "supportedKinds is"),
        (_exact(supported_kinds=[{"group": "gateway.networking.k8s.io", "kind": "GRPCRoute"}]), "supportedKinds is"),
        (
            {"type": "listeners", "exact": False, "select": ["https"], "conditions": [], **_OF_GATEWAY},
            "listener https is not in status.listeners",
        ),
        ({"type": "attached_routes", "zero": True, **_OF_GATEWAY}, "attachedRoutes is {'http': 1}"),
        ({"type": "attached_listener_sets", "count": 0, **_OF_GATEWAY}, "attachedListenerSets is 2, expected 0"),
    ],
)
def test_a_status_that_does_not_fit_fails(tmp_path: Path, step: Json, problem: str) -> None:
    failed = _run(tmp_path, step).failed

    assert failed is not None
    assert any(problem in found for found in failed.problems), failed.problems


@pytest.mark.parametrize(("changed", "fits"), [(True, True), (False, False)])
def test_an_edit_raises_the_generation(tmp_path: Path, changed: bool, fits: bool) -> None:
    result = _run(tmp_path, _EDIT, {"type": "generation", "object": _ROUTE, "changed": changed})

    assert (result.failed is None) == fits


def test_a_stale_condition_of_a_gateway_fails_at_once(tmp_path: Path) -> None:
    edit = {**_EDIT, "object": {"kind": "Gateway", **_GATEWAY}}
    look = {"type": "status", "conditions": [_ACCEPTED], **_OF_GATEWAY}

    failed = _run(tmp_path, look, edit, look).failed

    assert failed is not None
    assert failed.problems[0] == "Accepted has observedGeneration 1, the object is at 2"


def test_no_step_follows_a_failed_one(tmp_path: Path) -> None:
    result = _run(tmp_path, {"type": "address", "gateway": _GATEWAY, "min": 2}, _exact())

    assert [step.step["id"] for step in result.steps] == [1]


def test_a_step_whose_condition_does_not_hold_is_left_out(tmp_path: Path) -> None:
    wrong = {**_exact(attached_routes=7), "when": {"unsupported_features": ["Gateway"]}}

    result = _run(tmp_path, wrong, {**wrong, "when": {"supported_features": ["NoSuchFeature"]}})

    assert result.failed is None
    assert all(step.left_out for step in result.steps)


def test_objects_that_stay_after_the_case_are_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with _world(tmp_path, forgets=False) as (world, _):
            await run_case(_case(), world)

    with pytest.raises(StepFailed, match="HTTPRoute/infra/route is still there after the case"):
        asyncio.run(main())


def _get(protocol: str = "h1", **changes: Any) -> Json:
    expect = {"outcome": "response", "status": [200], "from_backend": True, "backend": "backend", "namespace": "infra"}
    request = {"method": "GET", "path": "/a?b=c", "host": "a.example.com", "headers": {"X-One": "1"}}
    return {
        "type": "request",
        "gateway": _GATEWAY,
        "scheme": "http",
        "protocol": protocol,
        "request": {**request, **changes.pop("request", {})},
        "expect": {**expect, **changes.pop("expect", {})},
        **changes,
    }


def _seen(**wanted: Any) -> Json:
    return _get(expect={"request": wanted})


_SET = {"backend_set_response_headers": {"X-Set": "a b"}}
_FITTING = [
    _get(),
    _get("h2c"),
    _seen(method="GET", path="/a?b=c", host="a.example.com", headers={"x-one": "1"}, http_port="3000"),
    _seen(absent_headers=["X-Two"]),
    _get(request=_SET, expect={"response_headers": {"x-set": "a b"}, "absent_response_headers": ["X-Other"]}),
    _get(request=_SET, expect={"response_headers_one_of": {"X-Set": ["c", "ab"]}, "ignore_whitespace": True}),
    _get(request={"headers": {"Backend": "backend"}}, expect={"backend_from_request_header": "Backend"}, repeat=5),
    _get(request={"path": "/status/503"}, expect={"status": [503]}),
    _get(request={"path": "/status/504"}, expect={"status": [408]}),
    _get(request={"path": "/status/500"}, expect={"outcome": "not_ok"}, successes=5),
    _get(request={"path": "/health"}, expect={"from_backend": False}),
    _get(request={"path": "/retry/x?uuid={uuid}&succeedAfter=1"}, expect={"outcome": "error"}),
    _get(
        request={"path": "/retry/x?uuid={uuid}&succeedAfter=0"},
        expect={"request": {"path": "/retry/x?uuid={uuid}&succeedAfter=0"}},
    ),
]
_WRONG = [
    (_get(expect={"status": [404]}), "status 200, expected [404]"),
    (_get(expect={"backend": "other"}), "backend backend-a-b, expected other"),
    (_get("h2c", expect={"backend": "other"}), "backend backend-a-b, expected other"),
    (_get(expect={"namespace": "other"}), "namespace infra, expected other"),
    (_get(expect={"response_protocol": "HTTP/2.0"}), "protocol HTTP/1.1, expected HTTP/2.0"),
    (_seen(method="POST"), "method 'GET', expected 'POST'"),
    (_seen(path="/a"), "path '/a?b=c', expected '/a'"),
    (_seen(host="b.example.com"), "host 'a.example.com', expected 'b.example.com'"),
    (_seen(headers={"X-One": "2"}), "X-One: ['1'], expected '2'"),
    (_seen(absent_headers=["x-one"]), "x-one: ['1'], expected none"),
    (_seen(http_port="1"), "http_port '3000', expected '1'"),
    (_seen(sni="a"), "sni None, expected 'a'"),
    (_get(expect={"from_backend": False}), "a backend answered"),
    (_get(request={"path": "/health"}), "not a backend's answer"),
    (_get(request=_SET, expect={"response_headers": {"X-Set": "ab"}}), "response header X-Set: 'a b'"),
    (_get(request=_SET, expect={"absent_response_headers": ["x-set"]}), "response header x-set: 'a b', expected none"),
    (_get(expect={"backend_from_request_header": "Backend"}), "expected its own name"),
    (
        _get(request={"headers": {"Backend": "other"}}, expect={"backend_from_request_header": "Backend"}, repeat=2),
        "expected its own name",
    ),
    (_get(expect={"outcome": "not_ok"}), "status 200, expected an error"),
    (_get(request={"path": "/status/504"}, expect={"outcome": "not_ok"}), "expected an error but no timeout"),
    (_get(expect={"outcome": "error"}), "status 200, expected that the connection breaks"),
    (_get(request={"path": "/status/302"}, expect={"status": [302], "redirect": {"path": "/"}}), "has no Location"),
    (_get(request={"path": "/retry/x?uuid={uuid}&succeedAfter=1"}), "no answer"),
]
_ORIGIN = {"path": "/ws", "origin": "ws://a", "messages": [{"text": "a"}, {"binary_hex": "0102"}]}
_OTHERS: list[tuple[Json, Json, Json]] = [
    ({"protocol": "ws", "scheme": "ws"}, {"request": _ORIGIN}, {"request": {**_ORIGIN, "path": "/health"}}),
    (
        {"protocol": "grpc", "scheme": "http", "request": {"method": _ECHO}},
        {"expect": {"outcome": "response", "grpc_code": "OK", "grpc_method": _ECHO, "backend": "backend"}},
        {"expect": {"outcome": "response", "grpc_code": "OK", "grpc_method": f"{_ECHO}Two", "backend": "backend"}},
    ),
    (
        {"protocol": "grpc", "scheme": "http", "request": {"method": f"{_ECHO}Three"}},
        {"expect": {"outcome": "response", "grpc_code": "UNIMPLEMENTED"}},
        {"expect": {"outcome": "response", "grpc_code": "OK"}},
    ),
    (
        {"protocol": "tcp", "scheme": "tcp", "request": {"exchange": ["PING", "IS_TLS", "TEST"]}},
        {"expect": {"outcome": "response", "backend": "backend", "backend_is_tls": False}},
        {"expect": {"outcome": "response", "backend": "backend", "backend_is_tls": True}},
    ),
    (
        {"protocol": "udp", "scheme": "udp", "request": {"payload": "a"}},
        {"expect": {"outcome": "response", "service": "backend"}},
        {"expect": {"outcome": "response", "service": "other"}},
    ),
]


@pytest.mark.parametrize("step", _FITTING)
def test_an_answer_that_fits_passes(tmp_path: Path, step: Json) -> None:
    result = _run(tmp_path, step)

    assert result.failed is None, result.failed


@pytest.mark.parametrize(("step", "problem"), _WRONG)
def test_an_answer_that_does_not_fit_fails(tmp_path: Path, step: Json, problem: str) -> None:
    failed = _run(tmp_path, step).failed

    assert failed is not None
    assert any(problem in found for found in failed.problems), failed.problems


@pytest.mark.parametrize(("shared", "right", "wrong"), _OTHERS)
def test_other_protocols_are_judged(tmp_path: Path, shared: Json, right: Json, wrong: Json) -> None:
    base = {"type": "request", "gateway": _GATEWAY, "expect": {"outcome": "response"}, **shared}

    assert _run(tmp_path, {**base, **right}).failed is None
    (tmp_path / "again").mkdir()
    assert _run(tmp_path / "again", {**base, **wrong}).failed is not None


def test_redirects_are_compared_part_by_part() -> None:
    answer = Incoming(status=302, protocol="HTTP/1.1", headers=(("Location", "https://b.example.com:8443/new"),))

    def problems(**redirect: str) -> list[str]:
        return http_problems({"status": [302], "redirect": redirect}, answer, "http://a.example.com/old")

    assert problems(scheme="https", host="b.example.com", port="8443", path="/new") == []
    assert len(problems(scheme="http", host="a.example.com", port="443", path="/old")) == 4
    assert "port 8443" in problems(path="/new")[0]


def test_a_distribution_counts_backends(tmp_path: Path) -> None:
    step = {
        "type": "distribution",
        "gateway": _GATEWAY,
        "scheme": "udp",
        "protocol": "udp",
        "request": {"payload": "a"},
        "requests": 40,
        "concurrency": 10,
        "tolerance": 0.05,
        "attempts": 2,
    }

    assert _run(tmp_path, {**step, "weights": {"backend": 1.0, "other": 0.0}}).failed is None
    (tmp_path / "again").mkdir()
    assert _run(tmp_path / "again", {**step, "weights": {"backend": 0.5, "other": 0.5}}).failed is not None


@pytest.mark.parametrize(
    ("counts", "problems"),
    [
        ({"a": 70, "b": 30}, 0),
        ({"a": 66, "b": 34}, 0),
        ({"a": 64, "b": 36}, 2),
        ({"a": 69, "b": 30, "c": 1}, 1),
        ({"a": 69, "b": 30, "d": 1}, 1),
    ],
)
def test_shares_have_a_tolerance_but_zero_has_none(counts: dict[str, int], problems: int) -> None:
    weights = {"a": 0.7, "b": 0.3, "c": 0.0}

    assert len(shares_problems(Counter(counts), weights, 0.05)) == problems


@pytest.mark.parametrize(
    ("copies", "fits"), [(100, True), (74, True), (126, True), (73, False), (127, False), (0, False)]
)
def test_copies_follow_the_binomial_law(copies: int, fits: bool) -> None:
    step = {"requests": 500, "tolerance_stddevs": 3.0}

    assert (copies_problems(copies, step, {"name": "a", "percent": 20}) == []) == fits


@pytest.mark.parametrize(("mirrored_to", "fits"), [("backend", True), ("other", False)])
def test_a_mirror_is_looked_for_where_it_should_be(tmp_path: Path, mirrored_to: str, fits: bool) -> None:
    step = _get(
        type="mirror",
        request={"unique_query_param": "id", "path": "/m"},
        expect={"request": {"path": "/m"}},
        mirrored_to=[{"namespace": "infra", "name": mirrored_to}],
        log_within_seconds=0.3,
    )

    assert (_run(tmp_path, step).failed is None) == fits


def test_a_redirect_is_followed_at_the_same_address() -> None:
    async def main() -> list[str]:
        asked = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked.append(head.split("\r\n")[0])
            moved = f"302 Found\r\nLocation: http://b.example.com:{port}/new\r\n"
            writer.write(f"HTTP/1.1 {moved if len(asked) == 1 else '200 OK'}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            request = Outgoing(method="GET", path="/old", host="a.example.com")
            await follow(http1.exchange, Target(address="127.0.0.1", port=port), request, "http")
        return asked

    assert asyncio.run(main()) == ["GET /old HTTP/1.1", "GET /new HTTP/1.1"]


def test_a_patch_merges_removes_and_reads_references() -> None:
    vault = Vault(
        [{"kind": "ConfigMap", "namespace": "x", "name": "ca", "keys": ["ca.crt"], "generate": {"what": "ca"}}]
    )
    obj = {"spec": {"a": 1, "b": {"c": 2}}, "data": {}}

    patched = merged(obj, {"spec": {"a": None, "b": {"d": 3}}, "data": {"k": {"$ref": "ConfigMap/x/ca#ca.crt"}}}, vault)

    assert patched == {"spec": {"b": {"c": 2, "d": 3}}, "data": {"k": vault.read("ConfigMap/x/ca#ca.crt")}}


def test_a_failure_names_case_step_expected_and_actual(tmp_path: Path) -> None:
    result = _run(tmp_path, _get(expect={"status": [404]}))

    assert "Made" in failure(result)
    assert "status 200, expected [404]" in failure(result)
    assert "failed: Made, step 1" in "\n".join(table([result.case], {"Made": result}))
