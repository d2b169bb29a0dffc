"""One chain for all tests of clients and workers; each starts from a snapshot of it."""

import shutil

import pytest
from support.town import FIRST_WORKER, WORKERS, Town

from cloister.devnet.anvil import start_anvil
from cloister.storage.blobs import BlobStore, BlobStores


@pytest.fixture(scope="session")
def foundation(tmp_path_factory):
    """Built once; every test starts from a copy of its folder and a snapshot of its chain."""
    folder = tmp_path_factory.mktemp("town")
    with start_anvil(0, 0) as node:
        town = Town(folder, node)
        for journal in town.journals.values():
            journal.close()
        yield town


@pytest.fixture
def town(foundation, tmp_path):
    snapshot = foundation.node.control("evm_snapshot")
    copy = tmp_path / "town"
    shutil.copytree(foundation.folder, copy)
    foundation_folder, foundation.folder = foundation.folder, copy
    foundation.blobs = BlobStores([BlobStore(str(copy / "blobs"), max_size=1 << 26)])
    indices = range(FIRST_WORKER, FIRST_WORKER + WORKERS)
    foundation.journals = {index: foundation.journal(index) for index in indices}
    foundation.active = []
    foundation.trusted = foundation.deployment.verifier
    yield foundation
    for journal in foundation.journals.values():
        journal.close()
    foundation.folder = foundation_folder
    foundation.node.control("evm_revert", snapshot)
    foundation.node.control("anvil_dropAllTransactions")
