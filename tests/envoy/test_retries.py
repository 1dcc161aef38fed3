"""What is tried again without being asked."""

from seawall.envoy.proto import as_json, message
from seawall.envoy.retries import SAFE_RETRIES


def test_nothing_is_retried_that_a_backend_may_have_begun() -> None:
    policy = as_json(message("envoy.config.route.v3.RetryPolicy")(**SAFE_RETRIES))

    assert policy["retry_on"].split(",") == ["connect-failure", "refused-stream", "reset-before-request"]
    assert policy["num_retries"] == 2
