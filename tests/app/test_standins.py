"""Stand-ins: demo backends and self-signed certificates, on request only."""

import asyncio
import datetime

import httpx
from cryptography import x509

from seawall.app.standins import DEMO, SELF_SIGNED, Demos, StandIns
from seawall.gateway.objects import Meta, Object
from seawall.gateway.resources.core import EndpointSliceSpec, SecretSpec, ServicePort, ServiceSpec
from seawall.kit.secret import Secret

NOW = datetime.datetime(2031, 2, 3, tzinfo=datetime.UTC)


def _service(**annotations: str) -> Object:
    meta = Meta(name="catalog", namespace="shop", annotations=annotations)
    return Object(kind="Service", meta=meta, spec=ServiceSpec(ports=(ServicePort(name="http", port=80),)))


def _secret(spec: SecretSpec, **annotations: str) -> Object:
    return Object(kind="Secret", meta=Meta(name="cert", namespace="shop", annotations=annotations), spec=spec)


def test_a_service_that_asks_gets_an_endpoint_slice() -> None:
    service = _service(**{DEMO: "true"})

    put, remove = StandIns().fill([service], [], {service.key: 4711}, NOW)

    assert remove == []
    assert put[0] == service
    assert put[1].meta.labels == {"kubernetes.io/service-name": "catalog"}
    assert isinstance(put[1].spec, EndpointSliceSpec)
    assert [(port.name, port.port) for port in put[1].spec.ports] == [("http", 4711)]


def test_the_slice_goes_when_nobody_asks_any_more() -> None:
    service = _service(**{DEMO: "true"})
    filled = StandIns()
    put, _ = filled.fill([service], [], {}, NOW)

    _, by_edit = filled.fill([_service()], [], {}, NOW)
    filled.fill([service], [], {}, NOW)
    _, by_removal = filled.fill([], [service.key], {}, NOW)

    assert by_edit == [put[1].key]
    assert by_removal == [service.key, put[1].key]


def test_a_secret_that_asks_gets_a_certificate_and_keeps_it() -> None:
    secret = _secret(SecretSpec(), **{SELF_SIGNED: "shop.example, *.shop.example"})
    filled = StandIns()

    (first,), _ = filled.fill([secret], [], {}, NOW)
    (second,), _ = filled.fill([secret], [], {}, NOW)

    assert first == second
    assert isinstance(first.spec, SecretSpec)
    certificate = x509.load_pem_x509_certificate(first.spec.data["tls.crt"].reveal())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example", "*.shop.example"]


def test_a_secret_with_a_certificate_of_its_own_is_left_alone() -> None:
    secret = _secret(SecretSpec(data={"tls.crt": Secret(b"mine")}), **{SELF_SIGNED: "shop.example"})

    assert StandIns().fill([secret], [], {}, NOW) == ([secret], [])


def test_demo_backends_open_and_close_with_their_services() -> None:
    async def run() -> tuple[int, bool]:
        service = _service(**{DEMO: "true"})
        async with Demos() as demos, httpx.AsyncClient() as client:
            await demos.follow([service], [])
            url = f"http://127.0.0.1:{demos.ports[service.key]}/"
            status = (await client.get(url)).status_code
            await demos.follow([_service()], [])
            return status, bool(demos.ports)

    assert asyncio.run(run()) == (200, False)
