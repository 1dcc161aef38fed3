"""Stand-ins: what a manifest may ask Seawall itself to provide, so that an example needs nothing else.

Makes keys; opens demo backends. Two annotations, both for trials and examples, never added by themselves:

    kind: Service   seawall.dev/demo: "true"                    a demo backend (`app.demo`) serves it, and an
                                                                EndpointSlice leads there
    kind: Secret    seawall.dev/self-signed: "shop.example"     a self-signed certificate for these hosts (comma-
                                                                separated) is made up, new at each start

No private key has to lie in a repository, and no second program has to run.
"""

import contextlib
import datetime
from collections.abc import Iterable, Mapping

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seawall.app.demo import DemoBackend
from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Meta, Object
from seawall.gateway.resources.core import (
    SERVICE_NAME_LABEL,
    EndpointSliceSpec,
    SecretSpec,
    ServiceSpec,
    SliceEndpoint,
    SlicePort,
)
from seawall.kit.secret import Secret

DEMO = "seawall.dev/demo"
SELF_SIGNED = "seawall.dev/self-signed"
Certificate = dict[str, Secret]
_LIFETIME = datetime.timedelta(days=90)
_CLOCK_SKEW = datetime.timedelta(hours=1)


class Demos:
    """The demo backends that run; use it with `async with`. Without that it opens none, and `ports` stays empty."""

    def __init__(self) -> None:
        self.ports: dict[ObjectKey, int] = {}
        self._open: dict[ObjectKey, contextlib.AsyncExitStack] = {}

    async def __aenter__(self) -> "Demos":
        return self

    async def __aexit__(self, *_: object) -> None:
        for key in tuple(self._open):
            await self._close(key)

    async def follow(self, put: Iterable[Object], remove: Iterable[ObjectKey]) -> None:
        """Open and close backends as Services ask for them."""
        for key in remove:
            await self._close(key)
        for obj in put:
            if _asks_demo(obj) and obj.key not in self._open:
                stack = contextlib.AsyncExitStack()
                backend = DemoBackend(obj.meta.namespace, obj.meta.name)
                self.ports[obj.key] = await stack.enter_async_context(backend.serving())
                self._open[obj.key] = stack
            elif not _asks_demo(obj):
                await self._close(obj.key)

    async def _close(self, key: ObjectKey) -> None:
        self.ports.pop(key, None)
        if (stack := self._open.pop(key, None)) is not None:
            await stack.aclose()


class StandIns:
    """Adds to what the source says what its annotations ask for. Remembers what it added, so that it can go again."""

    def __init__(self, certificates: dict[tuple[ObjectKey, str], Certificate] | None = None) -> None:
        """`certificates` are kept there: whoever brings the same ones gets the same ones."""
        self._slices: dict[ObjectKey, ObjectKey] = {}
        self.certificates = {} if certificates is None else certificates

    def fill(
        self,
        put: Iterable[Object],
        remove: Iterable[ObjectKey],
        ports: Mapping[ObjectKey, int],
        now: datetime.datetime,
    ) -> tuple[list[Object], list[ObjectKey]]:
        """Return what to put and what to remove, stand-ins included.

        Args:
            ports: of the demo backends that run; for one that does not, the Service's own port stands in.
        """
        puts: list[Object] = []
        removes = list(remove)
        removes += [self._slices.pop(key) for key in remove if key in self._slices]
        for obj in put:
            puts.append(self._with_certificate(obj, now))
            if _asks_demo(obj):
                endpoints = _endpoints(obj, ports.get(obj.key))
                self._slices[obj.key] = endpoints.key
                puts.append(endpoints)
            elif obj.key in self._slices:
                removes.append(self._slices.pop(obj.key))
        return puts, removes

    def _with_certificate(self, obj: Object, now: datetime.datetime) -> Object:
        hosts = obj.meta.annotations.get(SELF_SIGNED, "")
        if not hosts or not isinstance(obj.spec, SecretSpec) or "tls.crt" in obj.spec.data:
            return obj
        wanted = (obj.key, hosts)
        if wanted not in self.certificates:
            names = [name.strip() for name in hosts.split(",") if name.strip()]
            self.certificates[wanted] = self_signed(names, now)
        spec = msgspec.structs.replace(
            obj.spec, type="kubernetes.io/tls", data={**obj.spec.data, **self.certificates[wanted]}
        )
        return msgspec.structs.replace(obj, spec=spec)


def self_signed(hosts: list[str], now: datetime.datetime) -> dict[str, Secret]:
    """Make a key and a certificate that nobody trusts, as the data of a TLS Secret."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return {
        "tls.crt": Secret(certificate.public_bytes(serialization.Encoding.PEM)),
        "tls.key": Secret(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        ),
    }


def _asks_demo(obj: Object) -> bool:
    return isinstance(obj.spec, ServiceSpec) and obj.meta.annotations.get(DEMO) == "true"


def _endpoints(service: Object, port: int | None) -> Object:
    """Lead the Service to its demo backend."""
    assert isinstance(service.spec, ServiceSpec)
    meta = Meta(
        name=f"{service.meta.name}-demo",
        namespace=service.meta.namespace,
        labels={SERVICE_NAME_LABEL: service.meta.name},
        created=service.meta.created,
    )
    ports = tuple(SlicePort(name=one.name, port=port or one.port) for one in service.spec.ports)
    spec = EndpointSliceSpec(address_type="IPv4", endpoints=(SliceEndpoint(addresses=("127.0.0.1",)),), ports=ports)
    return Object(kind="EndpointSlice", meta=meta, spec=spec)
