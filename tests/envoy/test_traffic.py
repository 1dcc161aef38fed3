"""Traffic: what each part of a policy is as a filter, and in which order they stand."""

from typing import Any

import msgspec
import pytest

from seawall.envoy import traffic
from seawall.envoy.proto import as_json, decode
from seawall.gateway.handling import Handling, Session, Source
from seawall.gateway.resources import traffic as written
from seawall.kit.units import Seconds

_PREFIX = "type.googleapis.com/"


def built(**fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return name and configuration of each filter."""
    found = []
    for step in traffic.steps(Handling(**fields)):
        config = step["typed_config"]
        message = as_json(decode(config["type_url"].removeprefix(_PREFIX), config["value"]))
        found.append((step["name"], message))
    return found


def test_filters_stand_in_one_order() -> None:
    everything = built(
        session=Session(type="Cookie", name="a"),
        fault=written.Fault(abort=written.Abort(status=500)),
        bandwidth=written.Bandwidth(request=1, response=2),
        compression=written.Compression(),
        request_body=written.RequestBody(max_bytes=1),
        error_pages=(written.ErrorPage(body="", codes=(500,)),),
    )

    names = [name for name, _ in everything]
    assert names == ["bandwidth", "zstd", "brotli", "gzip", "error-pages", "body", "session", "fault", "bandwidth"]


def test_what_keeps_a_body_is_the_last_to_be_asked() -> None:
    body = written.RequestBody(max_bytes=1, buffer=True)

    found = built(request_body=body, fault=written.Fault(), session=Session(type="Cookie", name="a"))

    assert [name for name, _ in found] == ["session", "fault", "body"]


def test_the_same_settings_have_the_same_key_wherever_they_are_from() -> None:
    one = Handling(fault=written.Fault(), sources=(Source(field="fault", policy="a"),))
    other = Handling(fault=written.Fault(), sources=(Source(field="fault", policy="b"),))

    assert traffic.key(one) == traffic.key(other) != ""
    assert traffic.key(Handling(fault=written.Fault(header="x"))) != traffic.key(one)
    assert traffic.key(None) == traffic.key(Handling()) == ""


def test_a_fault_delays_and_aborts_a_share_of_the_requests() -> None:
    fault = {"delay": {"duration": "250ms", "percent": 0.5}, "abort": {"grpcStatus": 14}, "header": "X-Drill"}

    ((_, found),) = built(fault=msgspec.convert(fault, written.Fault))

    assert found["delay"] == {
        "fixed_delay": "0.250s",
        "percentage": {"numerator": 5000, "denominator": "MILLION"},
    }
    assert found["abort"] == {
        "grpc_status": 14,
        "percentage": {"numerator": 1_000_000, "denominator": "MILLION"},
    }
    assert found["headers"] == [{"name": "x-drill", "present_match": True}]
    assert found["max_active_faults"] == 1000


def test_a_body_is_streamed_unless_it_is_to_be_kept() -> None:
    ((_, streamed),) = built(request_body=written.RequestBody(max_bytes=9))
    ((_, kept),) = built(request_body=written.RequestBody(max_bytes=9, buffer=True))

    assert streamed["max_request_bytes"] == "9"
    assert kept["max_request_bytes"] == 9


def test_each_direction_has_its_bandwidth() -> None:
    (one,) = built(bandwidth=written.Bandwidth(response=100))
    two = built(bandwidth=written.Bandwidth(request=1, response=2))

    assert (one[1]["enable_mode"], one[1]["limit_kbps"]) == ("RESPONSE", "100")
    assert [(found["enable_mode"], found["limit_kbps"]) for _, found in two] == [("RESPONSE", "2"), ("REQUEST", "1")]


def test_the_first_algorithm_is_the_favourite() -> None:
    found = built(compression=written.Compression(algorithms=("gzip", "zstd"), min_bytes=99))

    assert [(name, one.get("choose_first", False)) for name, one in found] == [("gzip", True), ("zstd", False)]
    direction = found[0][1]["response_direction_config"]
    assert direction["common_config"]["min_content_length"] == 99
    assert direction["weaken_etag_on_compress"] is True


def test_a_page_is_for_what_the_edge_says_unless_it_is_for_all() -> None:
    pages = (
        written.ErrorPage(body="a", codes=(404,), from_="any", content_type="text/html; q=50%"),
        written.ErrorPage(body="b", ranges=(written.StatusRange(first=502, last=503),), status=500),
    )

    ((_, found),) = built(error_pages=pages)

    every, ours = found["custom_response_matcher"]["matcher_list"]["matchers"]
    assert every["predicate"]["single_predicate"]["value_match"] == {"exact": "404"}
    page = every["on_match"]["action"]["typed_config"]
    assert page["response_headers_to_add"][0]["header"]["value"] == "text/html; q=50%%"
    codes, local = ours["predicate"]["and_matcher"]["predicate"]
    values = [one["single_predicate"]["value_match"]["exact"] for one in codes["or_matcher"]["predicate"]]
    assert values == ["502", "503"]
    assert local["single_predicate"]["value_match"] == {"exact": "true"}
    assert ours["on_match"]["action"]["typed_config"]["status_code"] == 500


@pytest.mark.parametrize(
    ("session", "state"),
    [
        (Session(type="Header", name="x-session"), {"name": "x-session"}),
        (Session(type="Cookie", name="a"), {"name": "a", "path": "/"}),
        (Session(type="Cookie", name="a", lifetime=Seconds(60)), {"name": "a", "path": "/", "ttl": "60s"}),
    ],
)
def test_a_session_is_kept_by_header_or_by_cookie(session: Session, state: dict[str, Any]) -> None:
    ((_, found),) = built(session=session)

    config = found["session_state"]["typed_config"]
    held = {name: value for name, value in config.get("cookie", config).items() if name not in ("@type", "attributes")}
    assert held == state
