"""Handling: what needs a filter, and that a policy says nothing but what is about requests or about a backend."""

import msgspec
import pytest

from seawall.gateway.handling import BACKEND_FIELDS, REQUEST_FIELDS, Handling, Session, Source
from seawall.gateway.resources.traffic import Bandwidth, Compression, ErrorPage, Fault, RequestBody, TrafficPolicySpec


def test_every_field_of_a_policy_is_either_about_requests_or_about_a_backend() -> None:
    fields = {field.name for field in msgspec.structs.fields(TrafficPolicySpec)} - {"target_refs"}

    assert fields == {*REQUEST_FIELDS, *BACKEND_FIELDS}
    assert not set(REQUEST_FIELDS) & set(BACKEND_FIELDS)


@pytest.mark.parametrize(
    "handling",
    [
        Handling(session=Session(type="Cookie", name="a")),
        Handling(fault=Fault()),
        Handling(bandwidth=Bandwidth()),
        Handling(compression=Compression()),
        Handling(request_body=RequestBody(max_bytes=1)),
        Handling(error_pages=(ErrorPage(body=""),)),
    ],
)
def test_what_changes_requests_or_responses_needs_a_filter(handling: Handling) -> None:
    assert handling.has_filters


def test_timeouts_and_retries_need_none() -> None:
    assert not Handling(sources=(Source(field="retry", policy="TrafficPolicy/shop/a"),)).has_filters
