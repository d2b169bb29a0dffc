"""Nonces, licences, documents and the folder of a broker, one by one."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from support.brokers import NOW, PASSWORD, PKI, broker_key, sealed_package
from support.enclaves import OWNER, WORKER, Ticking, version_of
from support.pki import ALGORITHM, ORDER, sequence, tlv

from cloister.attestation.collateral import transcribe
from cloister.attestation.development_documents import DocumentShape
from cloister.broker.documents import DocumentMemory
from cloister.broker.errors import BadLicence, BrokerStateBroken, Reason, Refused
from cloister.broker.licences import Licence
from cloister.broker.nonces import LIFETIME, Nonces
from cloister.broker.store import BrokerStore, read_public_key
from cloister.domain.errors import InvalidInput
from cloister.sealing.deposits import BadDeposit, deposit_share
from cloister.sealing.errors import SealError
from cloister.storage.errors import KeyfileCorrupt, KeyfileExists, KeyfileMissing, WrongPassword
from cloister.storage.keyfile import LIGHT, write_keyfile

# ------------------------------------------------------------------ nonces


def test_nonces__use__once_and_in_time():
    clock = Ticking()
    nonces = Nonces(clock)
    first, second, third = (nonces.new() for _ in range(3))
    nonces.use(first)
    with pytest.raises(Refused, match="used already"):
        nonces.use(first)
    clock.seconds = LIFETIME - 1
    nonces.use(second)
    clock.seconds = LIFETIME
    with pytest.raises(Refused, match="two minutes"):
        nonces.use(third)


def test_nonces__flood__keeps_a_bounded_number_and_the_newest():
    nonces = Nonces(Ticking(), most=4)
    old = nonces.new()
    new = [nonces.new() for _ in range(4)]
    assert len(nonces._ends) == 4
    with pytest.raises(Refused):
        nonces.use(old)
    for nonce in new:
        nonces.use(nonce)


def test_nonces__expired__are_swept_out():
    clock = Ticking()
    nonces = Nonces(clock)
    for _ in range(5):
        nonces.new()
    clock.seconds = LIFETIME
    nonces.new()
    assert len(nonces._ends) == 1


def test_nonces__random__is_asked_for_32_bytes():
    assert Nonces(Ticking(), random=bytes).new() == bytes(32)


# ------------------------------------------------------------------ licences


def tier(**changes):
    return {"name": "t", "workers": "any", "releases": None, "from": 0, "until": None} | changes


def chosen(tiers, used=0, now=100):
    return Licence.from_json(json.dumps(tiers)).choose(WORKER, lambda _: used, now).name


def test_licence__first_tier_that_allows_it__counts():
    assert chosen([tier(name="a"), tier(name="b")]) == "a"
    assert chosen([tier(name="a", releases=1), tier(name="b")], used=0) == "a"
    assert chosen([tier(name="a", releases=1), tier(name="b")], used=1) == "b"
    assert chosen([tier(name="a", workers=[OWNER]), tier(name="b", workers=[OWNER, WORKER.lower()])]) == "b"
    assert chosen([tier(name="a", until=100), tier(name="b")]) == "b"
    assert chosen([tier(name="a", **{"from": 101}), tier(name="b")]) == "b"


def test_licence__first_and_last_second__are_the_beginning_and_before_the_end():
    assert chosen([tier(**{"from": 100}, until=101)]) == "t"
    for now in (99, 101):
        with pytest.raises(Refused) as refused:
            chosen([tier(**{"from": 100}, until=101)], now=now)
        assert refused.value.reason is Reason.LICENCE


def test_licence__written_and_read__is_the_same():
    licence = Licence.from_json(json.dumps([tier(name="a", workers=[OWNER], releases=3, until=9), tier(name="b")]))
    assert Licence.from_json(licence.to_json()) == licence


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        [1],
        [{}],
        [tier(extra=1)],
        [tier(name="")],
        [tier(name="a\n")],
        [tier(name=1)],
        [tier(name="x" * 65)],
        [tier(workers=[])],
        [tier(workers="all")],
        [tier(workers=None)],
        [tier(workers=["0x00"])],
        [tier(workers=[1])],
        [tier(workers=[WORKER[2:]])],
        [tier(workers=[WORKER.swapcase().replace("X", "x")])],
        [tier(releases=-1)],
        [tier(releases=True)],
        [tier(releases=1.5)],
        [tier(releases="1")],
        [tier(**{"from": None})],
        [tier(**{"from": -1})],
        [tier(until=0)],
        [tier(**{"from": 5}, until=5)],
        [tier(until="never")],
        [tier(until=2**60)],
        [tier(), tier()],
        [tier(name=str(n)) for n in range(65)],
    ],
)
def test_licence__anything_that_is_none__is_refused(content):
    with pytest.raises(BadLicence):
        Licence.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[" + " " * (1 << 20) + "]"])
def test_licence__text_that_is_no_json__is_refused(text):
    with pytest.raises(BadLicence):
        Licence.from_json(text)


# ------------------------------------------------------------------ documents: ATT-8


def documents(now=NOW, **shape):
    return PKI.collateral_json(now, shape=DocumentShape(**shape))


def test_documents__any_that_is_older__is_refused_and_named(tmp_path):
    """Each of the four is looked at by itself: a mixture of new and old ones is how a host would try."""
    new, old = json.loads(documents(NOW + 60)), json.loads(documents(NOW))
    for names, told in [
        (("tcb_info", "tcb_info_signature"), "TCB info"),
        (("qe_identity", "qe_identity_signature"), "QE identity"),
        (("root_ca_crl",), "revocation list"),
        (("pck_crl",), "revocation list"),
    ]:
        memory = DocumentMemory.load(tmp_path / f"{names[0]}.json")
        memory.admit(json.dumps(new))
        memory.admit(json.dumps(new))
        with pytest.raises(Refused, match=told) as refused:
            memory.admit(json.dumps(new | {name: old[name] for name in names}))
        assert refused.value.reason is Reason.COLLATERAL


def test_documents__lower_evaluation_number__is_refused_however_new(tmp_path):
    memory = DocumentMemory.load(tmp_path / "documents.json")
    memory.admit(documents(evaluation=17))
    with pytest.raises(Refused, match="TCB info"):
        memory.admit(documents(NOW + 60, evaluation=16))
    memory.admit(documents(NOW + 60, evaluation=18))


def test_documents__refused__are_not_remembered_in_part(tmp_path):
    memory = DocumentMemory.load(tmp_path / "documents.json")
    memory.admit(documents(NOW))
    mixed = json.loads(documents(NOW + 60)) | {"pck_crl": json.loads(documents(NOW - 60))["pck_crl"]}
    with pytest.raises(Refused):
        memory.admit(json.dumps(mixed))
    memory.admit(documents(NOW))


def test_documents__another_certificate_of_the_same_ca__does_not_hide_an_old_list(tmp_path):
    """An ECDSA signature has a twin: with it a certificate has another hash, and holds as before."""
    memory = DocumentMemory.load(tmp_path / "documents.json")
    memory.admit(documents(NOW + 60))
    new, old = json.loads(documents(NOW + 60)), json.loads(documents(NOW))
    ca, root = x509.load_pem_x509_certificates(old["pck_crl_issuer_chain"].encode())
    r, s = decode_dss_signature(ca.signature)
    signature = encode_dss_signature(r, ORDER - s)
    twin = x509.load_der_x509_certificate(
        sequence(ca.tbs_certificate_bytes, ALGORITHM, tlv(3, bytes(1) + signature)),
    )
    twin.verify_directly_issued_by(root)
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in (twin, root)).decode()
    mixed = json.dumps(new | {"pck_crl": old["pck_crl"], "pck_crl_issuer_chain": chain})
    assert transcribe(mixed).ca != transcribe(json.dumps(new)).ca
    with pytest.raises(Refused, match="revocation list"):
        memory.admit(mixed)


def test_documents__restart__remembers(tmp_path):
    DocumentMemory.load(tmp_path / "documents.json").admit(documents(NOW + 60))
    with pytest.raises(Refused):
        DocumentMemory.load(tmp_path / "documents.json").admit(documents(NOW))


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1]}', '{"a": ["x", "y"]}'])
def test_documents__file_that_is_damaged__stops_the_broker(tmp_path, text):
    (tmp_path / "documents.json").write_text(text)
    with pytest.raises(BrokerStateBroken):
        DocumentMemory.load(tmp_path / "documents.json")


# ------------------------------------------------------------------ the folder


@pytest.fixture
def store(tmp_path):
    return BrokerStore(tmp_path / "broker", kdf=LIGHT)


def test_store__key__opens_again_and_is_never_overwritten(store):
    key = store.create_key(PASSWORD)
    assert store.load_key(PASSWORD) == key
    assert read_public_key(store.public_key_file) == key.public
    assert (store.folder / "key.json").stat().st_mode & 0o077 == 0
    with pytest.raises(KeyfileExists):
        store.create_key(PASSWORD)
    store.public_key_file.unlink()  # as a crash between the two files leaves it
    assert store.load_key(PASSWORD) == key
    assert read_public_key(store.public_key_file) == key.public
    with pytest.raises(WrongPassword):
        store.load_key("other")
    assert key.private.hex() not in repr(key)


def test_store__no_key_or_no_password__says_what_to_do(store):
    with pytest.raises(KeyfileMissing, match="cloister broker init"):
        store.load_key(PASSWORD)
    with pytest.raises(InvalidInput):
        store.create_key("")


def test_store__key_file_of_another_purpose__is_refused(store):
    write_keyfile(store.folder / "key.json", bytes(range(32)), PASSWORD, LIGHT, note={"broker": "0x00"})
    with pytest.raises(KeyfileCorrupt):
        store.load_key(PASSWORD)


def test_store__import__checks_key_manifest_and_commitment(store):
    """SEAL-1"""
    sealed, key = sealed_package(), broker_key(1)
    with pytest.raises(SealError, match="does not open"):
        store.import_share(broker_key(2), sealed.deposits[0], sealed.manifest_bytes)
    other = sealed_package(1, 1)
    with pytest.raises(BadDeposit, match="another manifest"):
        store.import_share(key, sealed.deposits[0], other.manifest_bytes)
    assert not (store.folder / "shares").exists()
    for _ in range(2):
        assert store.import_share(key, sealed.deposits[0], sealed.manifest_bytes).name == "breast-cancer"
    assert store.share(sealed.digest) == sealed.deposits[0]
    assert store.share(other.digest) is None


def test_store__second_share_of_a_model__is_refused(store):
    sealed, key = sealed_package(), broker_key(1)
    store.import_share(key, sealed.deposits[0], sealed.manifest_bytes)
    second = deposit_share(sealed.deposits[1].open(broker_key(2)), sealed.digest, key.public)
    with pytest.raises(InvalidInput, match="holds share 1"):
        store.import_share(key, second, sealed.manifest_bytes)
    assert store.share(sealed.digest) == sealed.deposits[0]


def test_store__share_of_another_model_under_this_ones_name__is_noticed(store):
    one, other, key = sealed_package(), sealed_package(1, 1), broker_key(1)
    for sealed in (one, other):
        store.import_share(key, sealed.deposits[0], sealed.manifest_bytes)
    first, second = (store.folder / "shares" / f"{sealed.digest.hex()}.json" for sealed in (one, other))
    second.replace(first)
    with pytest.raises(BrokerStateBroken, match="another model"):
        store.share(one.digest)


def test_store__licences__by_version(store):
    version = version_of(sealed_package().manifest_bytes)
    assert store.licence(version) is None
    licence = Licence.from_json(json.dumps([tier()]))
    store.put_licence(version, licence)
    assert store.licence(version) == licence


@pytest.mark.parametrize("text", ["", "0x00", "x" * 5000])
def test_public_key__file_that_is_none__is_refused(tmp_path, text):
    (tmp_path / "key.txt").write_text(text)
    with pytest.raises(InvalidInput, match="public key"):
        read_public_key(tmp_path / "key.txt")
    with pytest.raises(InvalidInput, match="No such file"):
        read_public_key(tmp_path / "absent.txt")
