"""Native filters and switches through `seawall up`: put in, refused and isolated, taken out; told to Envoy's runtime."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.manifests import Json, gateway, route
from tests.support.seawall import Instance, free_port, seawall_up

pytestmark = pytest.mark.e2e

_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
_MARK = "function envoy_on_response(h) h:headers():add('x-mark', '{}') end"
_FAULT = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
    "abort": {"httpStatus": 418, "percentage": {"numerator": 0}},
}


def _lua(source: str) -> Json:
    return {"@type": _LUA, "defaultSourceCode": {"inlineString": source}}


def _policy(name: str, *configs: Json) -> Json:
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    filters = [{"name": f"f{index}", "typedConfig": config} for index, config in enumerate(configs)]
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "HTTPFilterPolicy",
        "metadata": {"name": name, "namespace": "test"},
        "spec": {"targetRefs": [target], "filters": filters},
    }


def _perimeter(*, on: bool, until: str = "2999-01-01T00:00:00Z") -> Json:
    switch = {"name": "tea", "key": "fault.http.abort.abort_percent", "value": 100, "on": on, "until": until}
    return {
        "apiVersion": "seawall.dev/v1alpha1",
        "kind": "Perimeter",
        "metadata": {"name": "default"},
        "spec": {"switches": [switch]},
    }


def _files(port: int) -> dict[str, list[Json]]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "one", "namespace": "test", "annotations": {"seawall.dev/demo": "true"}},
        "spec": {"ports": [{"port": 80}]},
    }
    routes = [route("a", ["a.example"], [{"backendRefs": [{"name": "one", "port": 80}]}])]
    return {"gateway": gateway(port), "services": [service], "routes": routes}


async def _until_served(port: int, claim: Callable[[httpx.Response], bool]) -> httpx.Response:
    answer: Any = None
    try:
        async with asyncio.timeout(20), httpx.AsyncClient() as client:
            while True:
                answer = await client.get(f"http://127.0.0.1:{port}/", headers={"host": "a.example"})
                if claim(answer):
                    return answer  # type: ignore[no-any-return]  # an httpx.Response
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within 20 s; the last answer: {answer} {answer and answer.headers}") from None


def _marks(*marks: str) -> Callable[[httpx.Response], bool]:
    return lambda answer: answer.status_code == 200 and answer.headers.get_list("x-mark") == list(marks)


def _conditions(policy: Json) -> dict[str, str]:
    return {one["type"]: one["status"] for one in policy["status"]["ancestors"][0]["conditions"]}


async def _said(instance: Instance, name: str, programmed: str) -> Json:
    path = f"/v1/objects/HTTPFilterPolicy/test/{name}"

    def fits(policy: Json) -> bool:
        return bool(policy["status"].get("ancestors")) and _conditions(policy)["Programmed"] == programmed

    found: Json = await instance.until(fits, path=path)
    return found


def test_native_filters_run_in_order_and_what_envoy_refuses_is_isolated() -> None:
    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port)) as instance:
            instance.write("well", _policy("a-well", _lua(_MARK.format("one")), _lua(_MARK.format("two"))))
            # The response passes the filters from the backend on, that is backwards.
            await _until_served(port, _marks("two", "one"))
            assert _conditions(await _said(instance, "a-well", "True"))["Accepted"] == "True"

            # The schema has nothing against this; the Lua in Envoy has.
            instance.write("ill", _policy("b-ill", _lua("function envoy_on_request(")))
            ill = await _said(instance, "b-ill", "False")
            assert "script load error" in ill["problems"][0]["message"]
            assert ill["problems"][0]["place"].startswith(f"{instance.folder}/ill.yaml:")
            await _until_served(port, _marks("two", "one"))

            # A change elsewhere on the listener still gets through, and the edge is well again.
            instance.write("well", _policy("a-well", _lua(_MARK.format("three"))))
            await _until_served(port, _marks("three"))
            await instance.well()
            edge = await instance.get("/v1/objects/Gateway/test/edge")
            assert not edge["problems"]

            instance.write("ill", _policy("b-ill", _lua(_MARK.format("healed"))))
            await _until_served(port, _marks("healed", "three"))

            typo = {"@type": _LUA, "defaultSourceCode": {"inlinestring": ""}}
            instance.write("ill", _policy("b-ill", typo))
            # This the schema sees: the file is told where it is wrong, and what was there before stays in force.
            status = await instance.until(lambda status: bool(status["fileProblems"]))
            (problem,) = status["fileProblems"]
            assert problem["place"].startswith(f"{instance.folder}/ill.yaml:")
            assert "inlineString" in problem["hint"]
            await _until_served(port, _marks("healed", "three"))

    asyncio.run(run())


def test_a_switch_reaches_envoys_runtime_and_leaves_it() -> None:
    async def run() -> None:
        port = free_port()
        files = _files(port) | {"tea": [_policy("tea", _FAULT)], "perimeter": [_perimeter(on=False)]}
        async with seawall_up(files) as instance:
            await _until_served(port, lambda answer: answer.status_code == 200)

            instance.write("perimeter", _perimeter(on=True))
            await _until_served(port, lambda answer: answer.status_code == 418)
            assert '"fault.http.abort.abort_percent"' in await _runtime(instance)

            instance.write("perimeter", _perimeter(on=False))
            await _until_served(port, lambda answer: answer.status_code == 200)

            instance.write("perimeter", _perimeter(on=True))
            await _until_served(port, lambda answer: answer.status_code == 418)
            (instance.folder / "perimeter.yaml").unlink()
            await _until_served(port, lambda answer: answer.status_code == 200)

            instance.write("perimeter", _perimeter(on=True, until="2020-01-01T00:00:00Z"))
            await instance.until(
                lambda one: bool(one["problems"]) and "went off" in one["problems"][0]["message"],
                path="/v1/objects/Perimeter/_/default",
            )
            await _until_served(port, lambda answer: answer.status_code == 200)

    asyncio.run(run())


async def _runtime(instance: Instance) -> str:
    (admin,) = instance.run_dir.rglob("admin.sock")
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(admin)), base_url="http://envoy") as client:
        return (await client.get("/runtime")).text


def test_who_keeps_a_connection_leaves_the_old_filters_with_the_next_answer() -> None:
    """Envoy's own default lets old connections meet the old filters for minutes: a rollback would not reach them."""

    async def run() -> None:
        port = free_port()
        async with seawall_up(_files(port)) as instance, httpx.AsyncClient() as kept:
            instance.write("mark", _policy("mark", _lua(_MARK.format("old"))))
            await _until_served(port, _marks("old"))
            asking: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/", "headers": {"host": "a.example"}}
            assert _marks("old")(await kept.get(**asking))

            instance.write("mark", _policy("mark", _lua(_MARK.format("new"))))
            await _until_served(port, _marks("new"))

            last = await kept.get(**asking)
            assert _marks("old")(last)
            assert last.headers["connection"] == "close"
            assert _marks("new")(await kept.get(**asking))

    asyncio.run(run())
