// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobMarket} from "../../contracts/JobMarket.sol";
import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/NodeRegistry.sol";
import {IEnclaves} from "../../contracts/interfaces/IEnclaves.sol";
import {IJobMarket} from "../../contracts/interfaces/IJobMarket.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {BlockHeader} from "../../contracts/libraries/BlockHeader.sol";
import {StakeTree} from "../../contracts/libraries/StakeTree.sol";
import {MockQuoteVerifier} from "../../contracts/mocks/MockQuoteVerifier.sol";
import {MockVerifier} from "../../contracts/mocks/MockVerifier.sol";
import {ProofVerifiers} from "../../contracts/proofs/ProofVerifiers.sol";
import {JobId, VersionId} from "../../contracts/types/Ids.sol";
import {Job, RefundReason, State} from "../../contracts/types/Job.sol";
import {Node} from "../../contracts/types/Node.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {Level, Request} from "../../contracts/types/Request.sol";
import {Header} from "./utils/Header.sol";
import {Hex} from "./utils/Hex.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Actors, defaults and the steps of a job for all tests. A test that needs a default changed says so itself.
abstract contract Base {
    uint256 internal constant EPOCH = 100;
    uint256 internal constant EXIT_DELAY = 1 days;
    uint256 internal constant MINIMUM_STAKE = 1 ether;

    uint16 internal constant SEED_DELAY = 2;
    uint32 internal constant DELIVER_WINDOW = 60 minutes;
    uint32 internal constant COMMIT_WINDOW = 30 minutes;
    uint32 internal constant REVEAL_WINDOW = 20 minutes;
    uint32 internal constant PUBLISH_WINDOW = 40 minutes;
    uint32 internal constant STAKE_RATIO = 10;
    uint16 internal constant SILENT_BPS = 1000;
    uint16 internal constant WRONG_BPS = 5000;
    uint16 internal constant FAULT_BPS = 2000;
    uint96 internal constant DEPOSIT = 0.003 ether;

    uint72 internal constant PRICE = 0.01 ether;
    uint256 internal constant LOCK = uint256(PRICE) * STAKE_RATIO;
    uint256 internal constant ESCROW = 3 * uint256(PRICE);
    uint256 internal constant SILENT_PENALTY = LOCK * SILENT_BPS / 10_000;
    uint256 internal constant WRONG_PENALTY = LOCK * WRONG_BPS / 10_000;

    uint32 internal constant ATTESTATION_PERIOD = 1 days;
    uint32 internal constant PROMPT_LIFETIME = 12 hours;
    uint32 internal constant IDENTITIES = 2;

    bytes32 internal constant SECRET = keccak256("seed secret");
    bytes internal constant CIPHERTEXT = "an input that nobody reads";
    // Computed here: a call of the precompile later would use up an expectRevert or a prank.
    bytes32 internal immutable ciphertextHash = sha256(CIPHERTEXT);
    bytes32 internal constant RIGHT = keccak256("the right output");
    bytes32 internal constant WRONG = keccak256("a wrong output");
    bytes32 internal constant OTHER = keccak256("another wrong output");
    uint256 internal constant WORKERS = 4;

    bytes internal constant DESCRIPTOR = "a circuit";
    bytes32 internal constant CIRCUIT = keccak256(DESCRIPTOR);
    bytes32 internal constant WEIGHTS = keccak256("points of the weights");
    bytes32 internal constant BINDING = keccak256("binding of the input");
    bytes32 internal constant INPUT =
        keccak256(abi.encode(uint256(1), uint256(0), keccak256("points of the input"), bytes32(0)));
    bytes32 internal constant PAD = keccak256("points of the pad");
    bytes internal constant MASKED = "the words of an output, each plus a word of the pad";

    ProofVerifiers internal verifiers;
    MockQuoteVerifier internal quotes;
    MockVerifier internal verifier;
    uint32 internal verifierId;
    NodeRegistry internal nodes;
    ModelRegistry internal models;
    JobMarket internal market;
    VersionId internal version;
    /// @dev A version with a circuit.
    VersionId internal provable;

    address internal immutable owner = vm.addr(uint256(keccak256("owner")));
    address internal immutable requester = vm.addr(uint256(keccak256("requester")));
    address internal immutable steward = vm.addr(uint256(keccak256("steward")));
    address internal immutable stranger = vm.addr(uint256(keccak256("stranger")));
    address internal immutable burn = 0x000000000000000000000000000000000000dEaD;
    address[] internal workers;

    // The job of most tests.
    JobId internal id;
    address[] internal committee;

    function setUp() public virtual {
        vm.roll(1000);
        vm.warp(1_700_000_000);
        (nodes, models, market) = _deploy(_parameters());
        vm.prank(owner);
        version = models.publish(keccak256("manifest"), _open(), PRICE, "file:///model");
        verifier = new MockVerifier();
        vm.prank(steward);
        verifierId = verifiers.add(verifier);
        provable = _publishProvable(owner, verifierId);
        for (uint256 i = 0; i < WORKERS; ++i) {
            workers.push(_worker(i));
            _register(_worker(i), _stake(i));
        }
        vm.deal(requester, 1000 ether);
        _nextEpoch();
    }

    // ------------------------------------------------------------------------------------------------ defaults

    function _parameters() internal pure returns (IJobMarket.Parameters memory) {
        return IJobMarket.Parameters({
            seedDelay: SEED_DELAY,
            deliverWindow: DELIVER_WINDOW,
            commitWindow: COMMIT_WINDOW,
            revealWindow: REVEAL_WINDOW,
            publishWindow: PUBLISH_WINDOW,
            stakeRatio: STAKE_RATIO,
            silentBps: SILENT_BPS,
            wrongBps: WRONG_BPS,
            faultBps: FAULT_BPS,
            demandDeposit: DEPOSIT
        });
    }

    function _limits() internal pure returns (IEnclaves.Limits memory) {
        return IEnclaves.Limits(ATTESTATION_PERIOD, PROMPT_LIFETIME, IDENTITIES);
    }

    /// @dev The policy of an open version.
    function _open() internal pure returns (Policy memory none) {}

    /// @dev AGREED(3, 2).
    function _default() internal view returns (Request memory) {
        return Request({
            nonce: 1,
            version: version,
            level: Level.Agreed,
            seats: 3,
            quorum: 2,
            pricePerSeat: PRICE,
            inputCommitment: keccak256("input"),
            ciphertextHash: ciphertextHash,
            ciphertextSize: uint32(CIPHERTEXT.length),
            responseKey: keccak256("response key"),
            secretHash: keccak256(abi.encode(SECRET))
        });
    }

    /// @dev PROVED.
    function _defaultProved() internal view returns (Request memory r) {
        r = _default();
        (r.version, r.level, r.seats, r.quorum) = (provable, Level.Proved, 1, 1);
        r.inputCommitment = keccak256(abi.encode(BINDING, keccak256(abi.encode(INPUT, PAD))));
    }

    function _worker(uint256 i) internal pure returns (address) {
        return vm.addr(uint256(keccak256(abi.encode("worker", i))));
    }

    /// @dev Unequal on purpose.
    function _stake(uint256 i) internal pure returns (uint256) {
        return (i + 1) * 7 ether + i * i * 1 gwei;
    }

    // ------------------------------------------------------------------------------------------------ deployment

    /// @dev All but the list of verifiers and the judge of quotes, of which the first call makes one each.
    function _deploy(IJobMarket.Parameters memory p) internal returns (NodeRegistry n, ModelRegistry m, JobMarket j) {
        if (address(verifiers) == address(0)) verifiers = new ProofVerifiers();
        if (address(quotes) == address(0)) quotes = new MockQuoteVerifier();
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        m = new ModelRegistry(verifiers);
        n = new NodeRegistry(predicted, EPOCH, EXIT_DELAY, MINIMUM_STAKE, m, quotes, _limits());
        j = new JobMarket(n, m, p);
    }

    /// @dev A manifest with the member that `registerCircuit` looks for, and where it begins.
    function _manifest(bytes32 circuit, bytes32 weights) internal pure returns (bytes memory manifest, uint256 offset) {
        bytes memory head = '{"arithmetic":{"f":8}';
        bytes memory tail = ',"format":"cloister-model/1"}';
        return (bytes.concat(head, _member(circuit, weights), tail), head.length);
    }

    function _member(bytes32 circuit, bytes32 weights) internal pure returns (bytes memory) {
        return
            bytes.concat(',"circuit":{"descriptor":"', Hex.digits(circuit), '","weights":"', Hex.digits(weights), '"}');
    }

    function _publishProvable(address by, uint32 number) internal returns (VersionId made) {
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, WEIGHTS);
        bytes32 hash = sha256(manifest);
        vm.startPrank(by);
        made = models.publish(hash, _open(), PRICE, "file:///provable");
        models.registerCircuit(
            made, number, manifest, offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof(made, CIRCUIT, WEIGHTS)
        );
        vm.stopPrank();
    }

    function _weightsProof(VersionId of_, bytes32 circuit, bytes32 weights) internal view returns (bytes memory) {
        bytes32 context = keccak256(abi.encode(block.chainid, address(models), of_));
        return verifier.weightsProofOf(circuit, weights, context);
    }

    function _register(address worker, uint256 stake) internal {
        vm.deal(worker, worker.balance + stake);
        vm.prank(worker);
        nodes.register{value: stake}("https://worker.example", keccak256(abi.encode("hpke", worker)), _signer(worker));
    }

    /// @dev The key behind the signer with which a worker registers.
    function _signingKey(address worker) internal view virtual returns (uint256) {
        return uint256(keccak256(abi.encode("signer", worker))) >> 1;
    }

    function _signer(address worker) internal view returns (address) {
        return vm.addr(_signingKey(worker));
    }

    function _nextEpoch() internal {
        vm.roll((block.number / EPOCH + 1) * EPOCH);
    }

    // ------------------------------------------------------------------------------------------------ steps of a job

    function _request() internal returns (JobId) {
        return _request(_default());
    }

    function _request(Request memory r) internal returns (JobId posted) {
        vm.prank(requester);
        posted = market.request{value: uint256(r.seats) * r.pricePerSeat}(r);
        id = posted;
    }

    /// @dev Goes to the block after the seed block, whose header becomes known.
    function _seedBlock(uint256 number) internal returns (bytes memory header) {
        header = Header.encode(number, _mixHash(number));
        if (block.number <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header));
    }

    function _mixHash(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("randao", number));
    }

    function _deliver() internal {
        _deliver(_default());
    }

    function _deliver(Request memory r) internal {
        JobId posted = market.jobId(r, requester);
        bytes memory header = _seedBlock(market.job(posted).seedBlock);
        address[] memory drawn = _draw(posted, r.seats);
        bytes memory keys = _sealedKeys(drawn);
        vm.prank(requester);
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), keys);
        committee = drawn;
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _deliver(Request memory r, bytes memory header, address[] memory drawn) internal {
        vm.prank(requester);
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
    }

    /// @dev The draw as docs/spec/commitments.md tells it: leaves not drawn yet, end to end in leaf order.
    function _draw(JobId posted, uint256 seats) internal view returns (address[] memory drawn) {
        Job memory j = market.job(posted);
        bytes32 seed = keccak256(abi.encode(posted, _mixHash(j.seedBlock), SECRET));
        return _sample(seed, seats, (j.seedBlock - SEED_DELAY) / EPOCH, j.lockEach);
    }

    function _sample(bytes32 seed, uint256 seats, uint256 epoch, uint256 lockEach)
        internal
        view
        returns (address[] memory drawn)
    {
        uint256 count = nodes.workerCount();
        uint256[] memory weights = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            weights[i] = nodes.weightAt(nodes.workerAt(i), epoch);
        }
        drawn = new address[](seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            uint256 total = 0;
            for (uint256 i = 0; i < count; ++i) {
                total += weights[i];
            }
            if (total == 0) break;
            uint256 point = uint256(keccak256(abi.encode(seed, seat))) % total;
            uint256 leaf = 0;
            while (point >= weights[leaf]) {
                point -= weights[leaf++];
            }
            weights[leaf] = 0;
            address worker = nodes.workerAt(leaf);
            Node memory n = nodes.node(worker);
            if (n.stake - n.locked >= lockEach) drawn[seat] = worker;
        }
    }

    function _sealedKeys(address[] memory drawn) internal pure returns (bytes memory keys) {
        for (uint256 i = 0; i < drawn.length; ++i) {
            if (drawn[i] == address(0)) continue;
            bytes32 word = keccak256(abi.encode("sealed", drawn[i]));
            keys = abi.encodePacked(keys, word, word, bytes16(word));
        }
    }

    /// @dev Requests and delivers the default job.
    function _ready() internal {
        _ready(_default());
    }

    function _ready(Request memory r) internal {
        _request(r);
        _deliver(r);
    }

    function _salt(address worker) internal pure returns (bytes32) {
        return keccak256(abi.encode("salt", worker));
    }

    function _commitment(JobId posted, address worker, bytes32 output) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(market), posted, uint256(0), worker, output, _salt(worker)));
    }

    function _commit(uint256 seat, bytes32 output) internal {
        address worker = committee[seat];
        bytes32 commitment = _commitment(id, worker, output);
        vm.prank(worker);
        market.commit(id, committee, commitment);
    }

    function _commitAll(bytes32 a, bytes32 b, bytes32 c) internal {
        _commit(0, a);
        _commit(1, b);
        _commit(2, c);
    }

    function _reveal(uint256 seat, bytes32 output) internal {
        bytes memory signature = _result(committee[seat], output, hex"5ea1ed");
        vm.prank(committee[seat]);
        market.reveal(id, committee, output, _salt(committee[seat]), hex"5ea1ed", signature);
    }

    /// @dev What `worker` would have to send for job `posted` of `market`.
    function _proof(JobId posted, address worker) internal view returns (bytes memory) {
        return verifier.proofOf(
            CIRCUIT,
            WEIGHTS,
            INPUT,
            _provedOutput(),
            keccak256(abi.encode(block.chainid, address(market), posted, worker))
        );
    }

    function _provedOutput() internal pure returns (bytes32) {
        return keccak256(abi.encode(uint256(2), PAD, keccak256(MASKED)));
    }

    function _prove() internal {
        _prove(_defaultProved(), _proof(id, committee[0]));
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _prove(Request memory r, bytes memory proof) internal {
        bytes memory signature = _result(committee[0], _provedOutput(), MASKED);
        vm.prank(committee[0]);
        market.prove(r, requester, committee, _opening(), MASKED, proof, signature);
    }

    function _opening() internal pure returns (IJobMarket.InputOpening memory) {
        return IJobMarket.InputOpening(BINDING, INPUT, PAD);
    }

    function _refuse(uint256 seat) internal {
        vm.prank(committee[seat]);
        market.refuse(id, committee, 1, 0, "");
    }

    function _demand(uint256 seat) internal {
        vm.deal(committee[seat], committee[seat].balance + DEPOSIT);
        vm.prank(committee[seat]);
        market.demand{value: DEPOSIT}(id, committee);
    }

    function _publish() internal {
        _publish(_default());
    }

    function _publish(Request memory r) internal {
        vm.prank(stranger);
        market.publish(r, requester, CIPHERTEXT);
    }

    function _close() internal {
        vm.prank(stranger);
        market.close(id, committee);
    }

    // ------------------------------------------------------------------------------------------------ signatures

    /// @dev An EIP-712 digest, made here without the contracts.
    function _typed(address contract_, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cloister"),
                keccak256("1"),
                block.chainid,
                contract_
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _resultDigest(JobId of_, bytes32 output, bytes memory sealedOutput) internal view returns (bytes32) {
        bytes32 kind = keccak256("Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput)");
        return _typed(address(market), keccak256(abi.encode(kind, of_, 0, output, keccak256(sealedOutput))));
    }

    /// @dev What the enclave of `worker` signs for the present job.
    function _result(address worker, bytes32 output, bytes memory sealedOutput) internal view returns (bytes memory) {
        return _sign(_signingKey(worker), _resultDigest(id, output, sealedOutput));
    }

    /// @dev Passes the present deadline by one second.
    function _lapse() internal {
        vm.warp(uint256(market.job(id).deadline) + 1);
    }

    // ------------------------------------------------------------------------------------------------ assertions

    function _assertState(State expected) internal view {
        vm.assertEq(uint256(market.job(id).state), uint256(expected), "state");
    }

    function _assertCredits(uint256 a, uint256 b, uint256 c) internal view {
        vm.assertEq(market.credit(committee[0]), a, "credit of seat 0");
        vm.assertEq(market.credit(committee[1]), b, "credit of seat 1");
        vm.assertEq(market.credit(committee[2]), c, "credit of seat 2");
    }

    /// @dev What each seat has lost of the stake that it registered with.
    function _assertLosses(uint256 a, uint256 b, uint256 c) internal view {
        vm.assertEq(_loss(committee[0]), a, "loss of seat 0");
        vm.assertEq(_loss(committee[1]), b, "loss of seat 1");
        vm.assertEq(_loss(committee[2]), c, "loss of seat 2");
    }

    function _loss(address worker) internal view returns (uint256) {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (workers[i] == worker) return _stake(i) - nodes.node(worker).stake;
        }
        revert("not a worker");
    }

    /// @dev MONEY-1 when no job is open and no worker's stake is locked.
    function _assertAllSettled() internal view {
        uint256 stakes = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            Node memory n = nodes.node(workers[i]);
            stakes += n.stake;
            vm.assertEq(n.locked, 0, "locked after the end");
        }
        vm.assertEq(address(nodes).balance, stakes, "registry");
        vm.assertEq(address(market).balance, _allCredits(), "market");
    }

    function _allCredits() internal view returns (uint256 sum) {
        sum = market.credit(requester) + market.credit(burn) + market.credit(stranger);
        for (uint256 i = 0; i < workers.length; ++i) {
            sum += market.credit(workers[i]);
        }
    }
}
