"""A certificate authority of one's own."""

import datetime
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509

from seawall.agent.intake import Trust
from seawall.app.pki import CERTIFICATE_DAYS, create_authority, create_signing_key, issue
from seawall.app.signer import load_signing_key
from seawall.kit.errors import ConfigError
from seawall.server.tls import ReloadingIdentity, TlsFiles, peer_names, read_identity
from tests.support.edge import settings

NOW = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_authority(tmp_path / "pki", NOW)
    return tmp_path / "pki"


def files_of(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(
        authority=str(folder / "ca.crt"), certificate=str(folder / f"{name}.crt"), key=str(folder / f"{name}.key")
    )


def test_keys_are_for_their_owner_only(folder: Path) -> None:
    issue(folder, "edge", "e1", NOW)

    assert [stat.S_IMODE(file.stat().st_mode) for file in sorted(folder.glob("*.key"))] == [0o600] * 3
    certificates = ["ca.crt", "ca.key", "edge-e1.crt", "edge-e1.key"]
    assert sorted(file.name for file in folder.iterdir()) == ["bundle.key", "bundle.pub", *certificates]


def test_an_edge_is_a_client_of_its_name_for_thirty_days(folder: Path) -> None:
    issued = issue(folder, "edge", "e1", NOW)

    certificate = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    assert certificate.not_valid_after_utc - NOW == datetime.timedelta(days=CERTIFICATE_DAYS)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in usage] == ["clientAuth"]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://seawall/edge/e1"]


def test_a_control_plane_is_a_server_on_its_hosts(folder: Path) -> None:
    issued = issue(folder, "control", "c1", NOW, hosts=["control.example.com", "192.0.2.7", "2001:db8::7"])

    certificate = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["control.example.com"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::7"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(issued.authority.read_bytes()))


def test_nothing_is_overwritten_unasked(folder: Path) -> None:
    before = issue(folder, "edge", "e1", NOW).certificate.read_bytes()

    with pytest.raises(ConfigError, match="exists already"):
        issue(folder, "edge", "e1", NOW)
    with pytest.raises(ConfigError, match="worthless"):
        create_authority(folder, NOW)

    assert (folder / "edge-e1.crt").read_bytes() == before
    assert issue(folder, "edge", "e1", NOW, replaces=True).certificate.read_bytes() != before


def trusted(folder: Path) -> frozenset[str]:
    """What an edge trusts that was given the file."""
    return Trust(settings(folder, trust_file=str(folder / "bundle.pub"))).keys()


def test_an_edge_is_pointed_to_the_key_whose_orders_it_obeys(folder: Path) -> None:
    assert issue(folder, "edge", "e1", NOW).trust == folder / "bundle.pub"
    assert issue(folder, "control", "c1", NOW, hosts=["127.0.0.1"]).trust is None

    assert trusted(folder) == {load_signing_key(folder / "bundle.key").public}


def test_a_signing_key_is_replaced_while_both_are_trusted(folder: Path) -> None:
    first = load_signing_key(folder / "bundle.key").public
    made = create_signing_key(folder)

    assert (made.key, stat.S_IMODE(made.key.stat().st_mode)) == (folder / "bundle-next.key", 0o600)
    assert load_signing_key(folder / "bundle.key").public == first
    assert trusted(folder) == {first, made.public}
    with pytest.raises(ConfigError, match="the key to use next"):
        create_signing_key(folder)

    made.key.replace(folder / "bundle.key")
    third = create_signing_key(folder)
    assert trusted(folder) == {made.public, third.public}


def test_a_signing_key_outlives_an_authority_that_is_made_anew(folder: Path) -> None:
    before = (folder / "bundle.key").read_bytes()
    (folder / "ca.crt").unlink()
    (folder / "ca.key").unlink()

    create_authority(folder, NOW)

    assert (folder / "bundle.key").read_bytes() == before


def test_a_signing_key_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "bundle.key").chmod(0o644)

    with pytest.raises(ConfigError, match="others may read the signing key"):
        load_signing_key(folder / "bundle.key")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_signing_key(folder / "none.key")
    (folder / "ca.key").replace(folder / "other.key")
    with pytest.raises(ConfigError, match="holds no Ed25519 key"):
        load_signing_key(folder / "other.key")


@pytest.mark.parametrize("name", ["", "E1", "a/b", "../x", "-a", "a" * 64, "a b"])
def test_a_name_that_is_none_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        issue(folder, "edge", name, NOW)


def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must say under which names"):
        issue(folder, "control", "c1", NOW)
    with pytest.raises(ConfigError, match="no server's"):
        issue(folder, "edge", "e1", NOW, hosts=["a"])
    with pytest.raises(ConfigError, match="0 days"):
        issue(folder, "edge", "e1", NOW, days=0)
    with pytest.raises(ConfigError, match="pki init"):
        issue(tmp_path / "nowhere", "edge", "e1", NOW)
    with pytest.raises(ConfigError, match="expired on 2041"):
        issue(folder, "edge", "e1", NOW + datetime.timedelta(days=4000))


def test_an_authority_whose_key_is_anothers_is_refused(folder: Path, tmp_path: Path) -> None:
    create_authority(tmp_path / "other", NOW)
    shutil.copy(tmp_path / "other/ca.key", folder / "ca.key")

    with pytest.raises(ConfigError, match="is not the key of"):
        issue(folder, "edge", "e1", NOW)


def test_an_identity_is_read_and_its_age_known(folder: Path) -> None:
    issue(folder, "edge", "e1", NOW)

    identity = read_identity(files_of(folder, "edge-e1"))

    assert "***" in repr(identity)
    assert identity.complaint(NOW + datetime.timedelta(days=19)) == ""
    assert "expires on 2031-06-05" in identity.complaint(NOW + datetime.timedelta(days=21))
    assert "expired on 2031-06-05" in identity.complaint(NOW + datetime.timedelta(days=31))


def test_files_that_are_wrong_are_named(folder: Path) -> None:
    issue(folder, "edge", "e1", NOW)
    issue(folder, "edge", "e2", NOW)
    good = files_of(folder, "edge-e1")

    with pytest.raises(ConfigError, match=r"none\.key cannot be read"):
        read_identity(TlsFiles(authority=good.authority, certificate=good.certificate, key=str(folder / "none.key")))
    with pytest.raises(ConfigError, match=r"edge-e2\.key is not the key of"):
        read_identity(TlsFiles(authority=good.authority, certificate=good.certificate, key=str(folder / "edge-e2.key")))
    with pytest.raises(ConfigError, match=r"ca\.key holds no certificate"):
        read_identity(TlsFiles(authority=str(folder / "ca.key"), certificate=good.certificate, key=good.key))
    with pytest.raises(ConfigError, match=r"edge-e1\.crt holds no unencrypted private key"):
        read_identity(TlsFiles(authority=good.authority, certificate=good.certificate, key=good.certificate))


def test_renewed_files_are_picked_up_and_half_written_ones_are_not(folder: Path) -> None:
    issue(folder, "edge", "e1", NOW)
    issue(folder, "edge", "e2", NOW)
    identity = ReloadingIdentity(files_of(folder, "edge-e1"))
    first = identity.current()

    key = (folder / "edge-e1.key").read_bytes()
    shutil.copy(folder / "edge-e2.key", folder / "edge-e1.key")
    assert identity.current() is first
    (folder / "edge-e1.key").write_bytes(key)
    assert identity.current().certificate == first.certificate

    issue(folder, "edge", "e1", NOW, replaces=True)
    assert identity.current().certificate == (folder / "edge-e1.crt").read_bytes() != first.certificate


def test_a_control_plane_speaks_for_no_edge() -> None:
    control = {"x509_common_name": [b"e1"], "x509_subject_alternative_name": [b"spiffe://seawall/control/e1", b"e1"]}
    edge = {"x509_common_name": [b"e1"], "x509_subject_alternative_name": [b"spiffe://seawall/edge/e1"]}
    foreign = {"x509_common_name": [b"e1"], "x509_subject_alternative_name": [b"e1.example.com"]}

    assert peer_names(control) == frozenset()
    assert peer_names(edge) == {"e1"}
    assert peer_names(foreign) == {"e1", "e1.example.com"}
    assert peer_names({}) == frozenset()
