"""Verdicts against the real Envoy: every kind, every field, who wins, and when it ends."""

import asyncio
import math
import ssl
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from seawall.envoy import acts, verdicts
from seawall.envoy.verdicts import judge, keys, prepare
from seawall.fleet.verdicts import Entry
from seawall.traffic.entry import parse
from tests.support.judged import HOST, Judged, entry, judged

ELSEWHERE = "127.0.0.9"


def run(story: Coroutine[None, None, None], seconds: float = 60.0) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await story

    asyncio.run(bounded())


async def refused(edge: Judged, path: str = "/", **asked: str) -> bool:
    answer = await edge.get(path, **asked)
    assert answer.status_code in (200, 403)
    return answer.status_code == 403


async def seen(edge: Judged, is_refused: bool) -> bool | None:
    return await refused(edge, client=ELSEWHERE) == is_refused or None


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────

ASKED: dict[str, tuple[dict[str, Any], list[dict[str, str]], list[dict[str, str]]]] = {
    "address": ({"match": {"address": ELSEWHERE}}, [{"client": ELSEWHERE}], [{}]),
    "net24": ({"match": {"net24": "127.0.9.0/24"}}, [{"client": "127.0.9.7"}], [{"client": "127.0.8.7"}]),
    "any network": ({"match": {"address": "127.1.0.0/17"}}, [{"client": "127.1.127.1"}], [{"client": "127.1.128.1"}]),
    "agent": ({"match": {"agent": "bad/1"}}, [{"user_agent": "bad/1"}], [{}, {"user_agent": "bad/1.0"}]),
    "no agent": ({"match": {"agent": ""}}, [{"user_agent": ""}, {"user_agent": "-"}], [{"user_agent": "some"}]),
    "path": (
        {"match": {"path": "/login"}},
        [{"path": "/login"}, {"path": "/login?next=1"}],
        [{"path": "/login/x"}, {}],
    ),
    "path that varies": (
        {"match": {"path": "/item/*/in.stock"}},
        [{"path": "/item/4711/in.stock"}, {"path": "/item/" + "a" * 40 + "/in.stock?x"}],
        [{"path": "/item/new/in.stock"}, {"path": "/item/4711/in-stock"}, {"path": "/item/4/7/in.stock"}],
    ),
    "method": ({"match": {"method": "PUT"}}, [{"method": "PUT"}], [{}]),
    "host": ({"match": {"host": "a.wild.example"}}, [{"host": "a.wild.example"}], [{"host": "b.wild.example"}]),
    "query shape": (
        {"match": {"query_shape": "a&b"}},
        [{"path": "/?a=1&b=2"}, {"path": "/?b&a=&b=3"}],
        [{"path": "/?a=1"}, {"path": "/?a=1&b=2&c"}, {"path": "/?aa=1&b=2"}, {}],
    ),
    "no query": ({"match": {"query_shape": ""}}, [{}, {"path": "/?"}], [{"path": "/?a"}]),
    "query": ({"match": {"query": "a=1.0"}}, [{"path": "/?a=1.0"}], [{"path": "/?a=1x0"}, {"path": "/?a=1.0&b"}]),
    "fetch": ({"match": {"fetch": "document"}}, [{"sec_fetch_dest": "document"}], [{}]),
    "language": ({"match": {"language": "xx"}}, [{"accept_language": "xx"}], [{}, {"accept_language": "xx,en"}]),
    "headers": (
        {"match": {"headers": "11101"}},
        [{"accept_language": "x", "sec_fetch_dest": "empty"}],
        [{}, {"accept_language": "x", "sec_fetch_dest": "empty", "sec_ch_ua": "x"}],
    ),
    "referer": ({"match": {"referer": ""}}, [{}], [{"referer": "http://shop.example/"}]),
    "protocol": ({"match": {"protocol": "HTTP/1.1", "agent": "x"}}, [{"user_agent": "x"}], [{}]),
    "route": (
        {"route": "login", "match": {"agent": "x"}},
        [{"path": "/login", "user_agent": "x"}],
        [{"user_agent": "x"}],
    ),
    "a whole route": (
        {"route": "login"},
        [
            {"path": "/login"},
            {"path": "/login", "host": "b.wild.example"},
            {"path": "/login", "host": "B.wild.example"},
        ],
        [{}],
    ),
    "network and agent": (
        {"match": {"net24": "127.0.9.0/24", "agent": "x"}},
        [{"client": "127.0.9.1", "user_agent": "x"}],
        [{"client": "127.0.9.1"}, {"user_agent": "x"}],
    ),
    "address, agent, language and path": (
        {"match": {"address": ELSEWHERE, "agent": "x", "language": "y", "path": "/login"}},
        [{"client": ELSEWHERE, "user_agent": "x", "accept_language": "y", "path": "/login"}],
        [
            {"user_agent": "x", "accept_language": "y", "path": "/login"},
            {"client": ELSEWHERE, "user_agent": "x", "accept_language": "y"},
        ],
    ),
    "network in a network": (
        {"match": {"address": "127.0.9.7", "net24": "127.0.9.0/24"}},
        [{"client": "127.0.9.7"}],
        [{"client": "127.0.9.8"}],
    ),
}


@pytest.mark.e2e
def test_every_scope_holds_its_requests_and_no_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            for name, (fields, inside, outside) in ASKED.items():
                assert await edge.enforce(entry(**fields)) == {}, name
                for asked in inside:
                    assert await refused(edge, **asked), (name, asked)
                for asked in outside:
                    assert not await refused(edge, **asked), (name, asked)

    run(story())


async def over_tls(edge: Judged) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with httpx.AsyncClient(verify=context) as http:
        return (await http.get(f"https://127.0.0.1:{edge.tls_port}/", headers={"host": HOST})).status_code


@pytest.mark.e2e
def test_a_fingerprint_is_compared_without_its_third_part(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            assert await over_tls(edge) == 200
            log = tmp_path / "access.log"
            await edge.envoy.until(partial(_logged, log), "the access log")
            (ja4,) = parse(log.read_bytes()).columns["ja4"]
            assert len(ja4) == 23 and ja4.count("_") == 1

            await edge.enforce(entry(match={"ja4": ja4}))
            assert await over_tls(edge) == 403
            assert not await refused(edge)
            await edge.enforce(
                entry(match={"ja4": ja4, "path": "/", "agent": "x"}), entry(id="2", match={"ja4": ja4[:-1]})
            )
            assert await over_tls(edge) == 200

    run(story())


async def _logged(log: Path) -> bool | None:
    found = await asyncio.to_thread(lambda: log.read_bytes() if log.exists() else b"")
    return found.endswith(b"\n") or None


@pytest.mark.e2e
def test_ten_scopes_at_a_time_are_each_found(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            entries = [entry(id=f"v{number}", **fields) for number, (fields, _, _) in enumerate(ASKED.values())]
            assert await edge.enforce(*entries) == {}

            for name, (_, inside, _) in ASKED.items():
                for asked in inside:
                    assert await refused(edge, **asked), (name, asked)

    run(story())


@pytest.mark.e2e
def test_what_no_route_knows_is_refused_as_well_and_what_answers_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(match={"address": ELSEWHERE}))

            for asked in (
                {"host": "nobody.example"},
                {"host": "a.wild.example"},
                {"path": "/back"},
                {"path": "/login"},
            ):
                answer = await edge.get(client=ELSEWHERE, **asked)
                assert (answer.status_code, answer.headers["x-seawall-ref"]) == (403, "v1"), asked

    run(story())


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.e2e
def test_a_refusal_tells_its_reference_and_a_code_of_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            for code in (*acts.CODES, 0):
                await edge.enforce(entry(id=f"r.{code}", code=code, match={"address": ELSEWHERE}))
                answer = await edge.get(client=ELSEWHERE)

                assert answer.status_code == (code or 403)
                assert answer.headers["x-seawall-ref"] == f"r.{code}"
                assert f"r.{code}" in answer.text
                assert ("retry-after" in answer.headers) == (code in (429, 503))

    run(story())


@pytest.mark.e2e
def test_what_is_not_built_yet_and_what_the_kernel_should_drop_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            for kind, code in (("challenge", 429), ("labyrinth", 429), ("drop", 403)):
                await edge.enforce(entry(kind=kind, match={"address": ELSEWHERE}))

                assert (await edge.get(client=ELSEWHERE)).status_code == code, kind

    run(story())


@pytest.mark.e2e
def test_a_limit_is_each_clients_and_survives_other_verdicts(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            each = entry(id="each", kind="limit", rate=0.1, burst=2, per_client=True, match={"agent": "y"})
            await edge.enforce(each)

            first = [*await edge.statuses(3, user_agent="y"), *await edge.statuses(3, user_agent="y", client=ELSEWHERE)]
            assert first.count(200) == 4 and first.count(429) == 2
            await edge.enforce(each, entry(id="other", match={"address": "127.0.0.77"}))
            assert await edge.statuses(3, user_agent="y") == [429] * 3
            answer = await edge.get(user_agent="y")
            assert (answer.headers["x-seawall-ref"], answer.headers["retry-after"]) == ("each", "30")
            await edge.enforce(slot="fresh")
            await edge.enforce(each, slot="lasting")
            assert await edge.statuses(2, user_agent="y") == [429] * 2

    run(story())


@pytest.mark.e2e
def test_two_limits_have_buckets_of_their_own(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            one = entry(kind="limit", rate=1.0, burst=2, match={"agent": "x"})
            two = entry(id="v2", kind="limit", rate=1.0, burst=5, match={"agent": "y"})
            await edge.enforce(one, two)

            assert (await edge.statuses(4, user_agent="x")).count(200) == 2
            assert (await edge.statuses(7, user_agent="y")).count(200) == 5

    run(story())


@pytest.mark.e2e
def test_what_passes_a_limit_is_left_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(kind="limit", rate=100, burst=100, match={"agent": "x"}))

            assert (await edge.get(user_agent="x")).text == "shop"
            told = (await edge.get("/back", user_agent="x")).text
            assert "x-seawall" not in told and "user-agent: x" in told

    run(story())


@pytest.mark.e2e
def test_a_tag_is_told_to_the_origin_and_no_client_can_forge_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(kind="tag", match={"agent": "x"}))

            forged = {"x_seawall_tag": "mine", "x_seawall_ref": "mine", "x_seawall_scope": "mine"}
            assert "x-seawall-tag: v1" in (await edge.get("/back", user_agent="x", **forged)).text
            assert "mine" not in (await edge.get("/back", user_agent="x", **forged)).text
            assert "mine" not in (await edge.get("/back", **forged)).text

    run(story())


@pytest.mark.e2e
def test_a_tarpit_holds_a_bounded_number_back_and_refuses(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(kind="tarpit", delay_ms=400, match={"agent": "x"}))

            began = time.monotonic()
            answer = await edge.get(user_agent="x")
            assert time.monotonic() - began >= 0.4
            assert (answer.status_code, answer.headers["x-seawall-ref"]) == (429, "v1")
            await edge.envoy.admin_post(f"/runtime_modify?{acts.MOST_DELAYED_KEY}=1")
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(edge.get(user_agent="x", client=f"127.0.0.{n}")) for n in range(20, 26)]
            assert {one.result().status_code for one in tasks} == {429}
            quick = [one for one in tasks if one.result().elapsed.total_seconds() < 0.35]
            assert len(quick) >= 4

    run(story())


# ── who wins ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.e2e
def test_what_is_allowed_wins_over_all_but_a_persons_refusal(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            friend = entry(id="friend", kind="allow", match={"agent": "friend"})
            for slot, other in (("fresh", "lasting"), ("lasting", "fresh")):
                await edge.enforce(friend, slot=slot)
                await edge.enforce(entry(match={"address": ELSEWHERE}), slot=other)
                assert await refused(edge, client=ELSEWHERE)
                assert not await refused(edge, client=ELSEWHERE, user_agent="friend")

                await edge.enforce(entry(match={"address": ELSEWHERE}, is_override=True), slot=other)
                assert await refused(edge, client=ELSEWHERE, user_agent="friend")

                await edge.enforce(entry(match={"address": ELSEWHERE}), friend, slot=slot)
                await edge.enforce(slot=other)
                assert not await refused(edge, client=ELSEWHERE, user_agent="friend")

    run(story())


@pytest.mark.e2e
def test_of_several_the_strongest_is_done(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            limit = entry(id="limit", kind="limit", rate=1, burst=1, match={"address": ELSEWHERE})
            deny = entry(id="deny", match={"agent": "x"})
            for slots in (("fresh", "lasting"), ("lasting", "fresh")):
                await edge.enforce(limit, slot=slots[0])
                await edge.enforce(deny, slot=slots[1])
                answer = await edge.get(client=ELSEWHERE, user_agent="x")
                assert answer.headers["x-seawall-ref"] == "deny"

            await edge.enforce(entry(id="tag", kind="tag", match={"address": ELSEWHERE}), deny, limit)
            await edge.enforce(slot="lasting")
            assert (await edge.get(client=ELSEWHERE, user_agent="x")).headers["x-seawall-ref"] == "deny"

    run(story())


@pytest.mark.e2e
def test_the_nearest_network_counts(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            near = entry(id="near", code=404, match={"address": "127.0.9.7"})
            await edge.enforce(entry(id="wide", match={"address": "127.0.0.0/16"}), near)

            assert (await edge.get(client="127.0.9.7")).headers["x-seawall-ref"] == "near"
            assert (await edge.get(client="127.0.9.8")).headers["x-seawall-ref"] == "wide"

    run(story())


# ── when it ends ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.e2e
def test_a_verdict_ends_though_nobody_takes_it_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            until = time.time() + 1.5
            await edge.enforce(entry(expires=until, match={"address": ELSEWHERE}))
            assert await refused(edge, client=ELSEWHERE)

            await edge.envoy.until(lambda: seen(edge, False), "its end")
            assert until - 0.01 <= time.time() < until + 0.5

    run(story())


@pytest.mark.e2e
def test_one_switch_makes_everything_only_watched(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(match={"address": ELSEWHERE}))
            for percent, is_refused in ((0, False), (100, True)):
                await edge.envoy.admin_post(f"/runtime_modify?{acts.ENFORCE_PCT}={percent}")
                await edge.envoy.until(partial(seen, edge, is_refused), "the switch")

    run(story())


@pytest.mark.e2e
def test_a_share_is_done_to_a_share(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            await edge.enforce(entry(share=0.5, match={"address": ELSEWHERE}))

            found = (await edge.statuses(200, client=ELSEWHERE)).count(403)
            assert 60 < found < 140

    run(story())


@pytest.mark.e2e
def test_verdicts_touch_no_listener_and_no_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with judged(tmp_path) as edge:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{edge.port}", headers={"host": "shop.example"}
            ) as http:
                assert (await http.get("/")).status_code == 200
                await edge.enforce(entry(match={"address": "127.0.0.0/8"}))
                assert (await http.get("/")).status_code == 403
                await edge.enforce()
                assert (await http.get("/")).status_code == 200
            drained = await edge.envoy.stats(
                "listener_manager.(total_listeners_draining|listener_modified|listener_in_place)"
            )
            assert set(drained.values()) == {0}

    run(story())


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────


def why(**fields: Any) -> str:
    made = prepare(entry(**fields), "fresh")
    return made if isinstance(made, str) else ""


def test_what_an_edge_cannot_see_is_refused_with_a_reason() -> None:
    for field in ("account", "token", "status", "login", "cache", "verified", "alpn", "refused", "nonsense"):
        assert field in why(match={field: "x"})
    assert "digest" in why(match={"headers": "a1b2c3"})
    assert "digest" in why(match={"agent": "a" * 256})
    assert "names" in why(match={"query_shape": "&".join("abcdefghij")})


def test_hostile_values_are_refused_before_envoy_sees_them() -> None:
    for name in ("", "a b", "a\n", "%REQ(X)%", "é", "x" * 65, "\x1f"):
        assert "id" in why(id=name, match={"agent": "x"})
    for fields in (
        {"expires": math.nan},
        {"expires": math.inf},
        {"expires": 1e300},
        {"expires": -1.0},
        {"rate": math.inf},
    ):
        assert why(match={"agent": "x"}, **fields)
    for share in (0.0, -1.0, 1.1, math.nan):
        assert why(match={"agent": "x"}, share=share)
    for network in ("", "300.1.1.1", "::/129", "127.0.0.1/8/8", "0x7f.1"):
        assert why(match={"address": network})
    assert "answer" in why(code=200, match={"agent": "x"})
    assert "nothing" in why(kind="limit", match={"agent": "x"})
    assert "all of them" in why(match={})
    assert "No address" in why(match={"address": "192.0.2.1", "net24": "198.51.100.0/24"})


@pytest.mark.e2e
def test_hostile_values_are_only_text_to_envoy(tmp_path: Path) -> None:
    hostile = (
        "%REQ(:PATH)%",
        "a\x1fb",
        "\x00",
        "\n",
        "é\ud7ff",
        ".*",
        "\\E",
        "[",
        "x" * 200,
        "(?i)x",
        "%",
        "%%",
        "'\"`$",
    )

    async def story() -> None:
        async with judged(tmp_path) as edge:
            entries = [
                entry(id=f"{field}{number}", match={field: value})
                for number, value in enumerate(hostile)
                for field in ("agent", "path", "host", "query_shape", "query", "language", "ja4")
            ]
            entries += [entry(id=f"t{number}", match={"path": f"/*{value}"}) for number, value in enumerate(hostile)]

            assert await edge.enforce(*entries) == {}

            assert not await refused(edge)
            assert await refused(edge, user_agent=".*") and await refused(edge, user_agent="%REQ(:PATH)%")
            assert await refused(edge, user_agent="%") and await refused(edge, user_agent="%%")
            assert not await refused(edge, user_agent="anything")
            rejected = await edge.envoy.stats("config_fail|update_rejected")
            assert set(rejected.values()) == {0}

    run(story())


def test_a_filter_is_bounded_and_says_what_found_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOST_ASKED", 2)
    monkeypatch.setattr(verdicts, "MOST_KEYS", 3)
    monkeypatch.setattr(verdicts, "MOST_COPIES", 20)

    def crowded(*entries: Entry) -> set[str]:
        made = [one for each in entries if not isinstance(one := prepare(each, "fresh"), str)]
        return set(judge("fresh", made, chains=5).refused)

    assert len(crowded(*(entry(id=f"v{n}", match={"path": f"/{n}/*"}) for n in range(4)))) == 2
    fields = ("agent", "host", "method", "language")
    assert len(crowded(*(entry(id=f"v{n}", match={field: "x"}) for n, field in enumerate(fields)))) == 2
    assert len(crowded(*(entry(id=f"v{n}", match={"address": f"127.0.0.{n}"}) for n in range(6)))) == 2
    strong, weak = (
        [entry(id=f"{kind}{n}", kind=kind, match={"address": f"127.{kind == 'tag':d}.0.{n}"}) for n in range(3)]
        for kind in ("deny", "tag")
    )
    assert crowded(*weak, *strong) == {"tag1", "tag2"}, "the strongest stay"


def test_equal_verdicts_give_equal_bytes_in_any_order() -> None:
    made = [
        one
        for number in range(20)
        if not isinstance(
            one := prepare(entry(id=f"v{number}", match={"agent": str(number)}, expires=2e9), "fresh"), str
        )
    ]

    assert judge("fresh", made) == judge("fresh", made[::-1])


def test_without_verdicts_the_filter_does_nothing() -> None:
    none = judge("lasting", [])

    assert none.resource.name == "seawall.verdicts.lasting" and none.refused == {} and none.fields == frozenset()
    assert len(none.resource.body) < 150 and len(keys(none.fields).body) < 150
