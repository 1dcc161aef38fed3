"""Rules for our own Backend.

Pure. Each is ours, so none quotes the API; those for names in certificates are BackendTLSPolicy's.
"""

from seawall.gateway.resources.backends import BackendEndpoint, BackendSpec, BackendTlsSettings
from seawall.gateway.rules.names import is_address
from seawall.gateway.rules.policies import SUBJECT_ALT_NAME
from seawall.gateway.rules.rule import Finding, Findings, run


def backend(spec: BackendSpec, findings: Findings) -> None:
    for index, endpoint in enumerate(spec.endpoints):
        _endpoint(endpoint, f"$.spec.endpoints[{index}]", findings)
    if spec.tls is not None:
        _tls(spec, spec.tls, findings)


def _endpoint(endpoint: BackendEndpoint, at: str, findings: Findings) -> None:
    if (endpoint.hostname is None) == (endpoint.ip is None):
        message = "An endpoint needs either hostname or ip."
        findings.append(Finding(path=at, message=message, hint="Give just one of the two."))
    if endpoint.hostname is not None and is_address(endpoint.hostname):
        message = f"{endpoint.hostname!r} is an IP address, not a host name."
        findings.append(Finding(path=f"{at}.hostname", message=message, hint="Write it as ip."))
    if endpoint.ip is not None and not is_address(endpoint.ip):
        message = f"{endpoint.ip!r} is no IP address."
        findings.append(Finding(path=f"{at}.ip", message=message, hint="Write a host name as hostname."))


def _tls(spec: BackendSpec, tls: BackendTlsSettings, findings: Findings) -> None:
    if spec.protocol == "UDP":
        message = "A backend with protocol UDP must not have tls."
        findings.append(Finding(path="$.spec.tls", message=message, hint="Remove tls, or change the protocol."))
    # Guessing one of several names would fail for the others, and an address says nothing about the name.
    hostnames = {endpoint.hostname for endpoint in spec.endpoints}
    if tls.hostname is None and (len(hostnames) != 1 or None in hostnames):
        message = "The endpoints do not have one common hostname, so the name to verify is unknown."
        findings.append(Finding(path="$.spec.tls", message=message, hint="Add tls.hostname."))
    if tls.hostname is not None and is_address(tls.hostname):
        message = f"{tls.hostname!r} is an IP address, not a host name."
        findings.append(Finding(path="$.spec.tls.hostname", message=message, hint="Name the host in the certificate."))
    if tls.ca_certificate_refs and tls.well_known_ca_certificates is not None:
        message = "caCertificateRefs and wellKnownCACertificates exclude each other."
        hint = "Remove one of the two."
        findings.append(Finding(path="$.spec.tls.wellKnownCACertificates", message=message, hint=hint))
    for index, name in enumerate(tls.subject_alt_names):
        run(SUBJECT_ALT_NAME, name, f"$.spec.tls.subjectAltNames[{index}]", findings)
