"""The Gateway API's conformance suite as data, run against a real `seawall up` with the real Envoy.

    data.py           where the data is, and its records: cases, pods, services
    certificates.py   what generated.json asks for, made fresh
    manifests.py      the objects of one case
    gateway_under_test.py   everything that knows Seawall: start, write, delete, ask
    echo (tests/support/echo*.py) the backends
    clients/          one client a protocol
    statuses.py       is a status what a step wants?        (pure)
    answers.py        is an answer what a step wants?       (pure)
    waiting.py        again until it is right, or too late
    traffic.py        request, mirror and distribution steps
    case_run.py       one case: its objects, its steps in order, its end
    claimed.py        what Seawall says it supports
    report.py         tables
    test_suite.py     every case; test_echo.py and test_runner.py: the tools themselves

`python -m tests.conformance HTTPRouteMatching -v` runs a case and shows every step.
"""
