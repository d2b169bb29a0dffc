// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Currencies} from "../../contracts/Currencies.sol";
import {Disputes} from "../../contracts/Disputes.sol";
import {JobMarket} from "../../contracts/JobMarket.sol";
import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/NodeRegistry.sol";
import {Upkeep} from "../../contracts/Upkeep.sol";
import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {ICurrencies} from "../../contracts/interfaces/ICurrencies.sol";
import {IEnclaves} from "../../contracts/interfaces/IEnclaves.sol";
import {IJobMarket, IResultConsumer} from "../../contracts/interfaces/IJobMarket.sol";
import {IJobs} from "../../contracts/interfaces/IJobs.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {BlockHeader} from "../../contracts/libraries/BlockHeader.sol";
import {StakeTree} from "../../contracts/libraries/StakeTree.sol";
import {MockQuoteVerifier} from "../../contracts/mocks/MockQuoteVerifier.sol";
import {MockVerifier} from "../../contracts/mocks/MockVerifier.sol";
import {ProofVerifiers} from "../../contracts/proofs/ProofVerifiers.sol";
import {JobId, VersionId} from "../../contracts/types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "../../contracts/types/Job.sol";
import {Node} from "../../contracts/types/Node.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {Brief, Level, Request, Terms, Ticket} from "../../contracts/types/Request.sol";
import {Offer} from "../../contracts/types/Version.sol";
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
    uint32 internal constant CHALLENGE_WINDOW = 60 minutes;
    uint32 internal constant DISPUTE_WINDOW = 4 hours;
    uint32 internal constant STAKE_RATIO = 10;
    uint16 internal constant SILENT_BPS = 1000;
    uint16 internal constant WRONG_BPS = 5000;
    uint16 internal constant FAULT_BPS = 2000;
    uint16 internal constant CHECK_BPS = 2500;
    uint96 internal constant DEPOSIT = 0.003 ether;
    uint32 internal constant PROOF_GAS = 1_000_000;
    uint64 internal constant MAX_BASE_FEE = 20 gwei;
    uint96 internal constant PROVING_FEE = 0.001 ether;
    uint64 internal constant BASE_FEE = 1 gwei;
    uint256 internal constant BOND = (uint256(BASE_FEE) * PROOF_GAS + PROVING_FEE) * 3 / 2;

    address internal constant COIN = address(0);
    uint72 internal constant PRICE = 0.01 ether;
    uint96 internal constant LOCK = uint96(PRICE) * STAKE_RATIO;
    uint256 internal constant ESCROW = 3 * uint256(PRICE);
    uint256 internal constant SILENT_PENALTY = uint256(LOCK) * SILENT_BPS / 10_000;
    uint256 internal constant WRONG_PENALTY = uint256(LOCK) * WRONG_BPS / 10_000;

    uint32 internal constant ATTESTATION_PERIOD = 1 days;
    uint32 internal constant PROMPT_LIFETIME = 12 hours;
    uint32 internal constant IDENTITIES = 2;
    uint32 internal constant LOCK_PERIOD = 5 hours;
    uint256 internal constant CURRENCY_DELAY = 7 days;

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
    Currencies internal currencies;
    /// @dev All its parts answer at this address.
    IJobMarket internal market;
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
    mapping(JobId => Ticket) private _tickets;
    mapping(JobId => Brief) private _briefs;

    function setUp() public virtual {
        vm.roll(1000);
        vm.warp(1_700_000_000);
        vm.fee(BASE_FEE);
        (nodes, models, market) = _deploy(_parameters());
        vm.prank(owner);
        version = models.publish(keccak256("manifest"), _open(), _offer(), "file:///model");
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

    function _parameters() internal pure returns (IJobs.Parameters memory) {
        return IJobs.Parameters({
            seedDelay: SEED_DELAY,
            deliverWindow: DELIVER_WINDOW,
            commitWindow: COMMIT_WINDOW,
            revealWindow: REVEAL_WINDOW,
            publishWindow: PUBLISH_WINDOW,
            challengeWindow: CHALLENGE_WINDOW,
            disputeWindow: DISPUTE_WINDOW,
            stakeRatio: STAKE_RATIO,
            silentBps: SILENT_BPS,
            wrongBps: WRONG_BPS,
            faultBps: FAULT_BPS,
            checkBps: CHECK_BPS,
            demandDeposit: DEPOSIT,
            proofGas: PROOF_GAS,
            maxBaseFee: MAX_BASE_FEE,
            provingFee: PROVING_FEE
        });
    }

    function _limits() internal pure returns (IEnclaves.Limits memory) {
        return IEnclaves.Limits(ATTESTATION_PERIOD, PROMPT_LIFETIME, IDENTITIES, LOCK_PERIOD);
    }

    /// @dev Nothing for the owner: a seat's pay is the price.
    function _offer() internal pure returns (Offer memory) {
        return Offer(PRICE, 0, false);
    }

    /// @dev The policy of an open version.
    function _open() internal pure returns (Policy memory none) {}

    /// @dev AGREED(3, 2), without a verifier.
    function _default() internal view returns (Request memory r) {
        r.terms = Terms({
            requester: requester,
            version: version,
            level: Level.Agreed,
            seats: 3,
            quorum: 2,
            verifier: 0,
            ownerPercent: 0,
            token: COIN,
            pricePerSeat: PRICE,
            lockEach: LOCK
        });
        r.brief = Brief({
            nonce: 1,
            inputCommitment: keccak256("input"),
            ciphertextHash: ciphertextHash,
            ciphertextSize: uint32(CIPHERTEXT.length),
            responseKey: keccak256("response key"),
            secretHash: keccak256(abi.encode(SECRET)),
            worker: address(0),
            reputation: 0,
            consumer: address(0),
            consumerGas: 0
        });
    }

    /// @dev AGREED(3, 2) for the version with a circuit: a proof decides.
    function _defaultVerified() internal view returns (Request memory r) {
        r = _default();
        (r.terms.version, r.terms.verifier) = (provable, verifierId);
        r.brief.inputCommitment = keccak256(abi.encode(BINDING, keccak256(abi.encode(INPUT, PAD))));
    }

    /// @dev PROVED.
    function _defaultProved() internal view returns (Request memory r) {
        r = _defaultVerified();
        (r.terms.level, r.terms.seats, r.terms.quorum) = (Level.Proved, 1, 1);
    }

    /// @dev For a request that a worker is hired with.
    function _hired(Request memory r, address worker) internal pure returns (Request memory) {
        (r.brief.worker, r.brief.secretHash) = (worker, 0);
        return r;
    }

    /// @dev A larger committee on the same input; of another secret, as it must have.
    function _referee(Request memory r) internal pure returns (Request memory) {
        uint8 seats = r.terms.seats < 7 ? 2 * r.terms.seats + 1 : 15;
        (r.terms.level, r.terms.seats, r.terms.quorum) = (Level.Agreed, seats, seats / 2 + 1);
        r.terms.verifier = 0;
        r.brief.worker = address(0);
        r.brief.nonce += 1_000_000;
        r.brief.secretHash = keccak256(abi.encode(SECRET));
        return r;
    }

    function _worker(uint256 i) internal pure returns (address) {
        return vm.addr(uint256(keccak256(abi.encode("worker", i))));
    }

    /// @dev Unequal on purpose.
    function _stake(uint256 i) internal pure returns (uint256) {
        return (i + 1) * 7 ether + i * i * 1 gwei;
    }

    // ------------------------------------------------------------------------------------------------ deployment

    /// @dev All but the lists of verifiers and currencies and the judge of quotes, of which the first call makes one each.
    function _deploy(IJobs.Parameters memory p) internal returns (NodeRegistry n, ModelRegistry m, IJobMarket j) {
        if (address(verifiers) == address(0)) verifiers = new ProofVerifiers();
        if (address(quotes) == address(0)) quotes = new MockQuoteVerifier();
        if (address(currencies) == address(0)) currencies = new Currencies(steward, CURRENCY_DELAY);
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 4);
        m = new ModelRegistry(verifiers);
        n = new NodeRegistry(predicted, EPOCH, EXIT_DELAY, MINIMUM_STAKE, m, quotes, _limits());
        j = _deployMarket(n, m, p);
    }

    /// @dev The market alone, whose address is that of the third contract from now on.
    function _deployMarket(NodeRegistry n, ModelRegistry m, IJobs.Parameters memory p) internal returns (IJobMarket) {
        Disputes disputes = new Disputes(n, m, currencies, p);
        Upkeep upkeep = new Upkeep(n, m, currencies, p);
        return IJobMarket(address(new JobMarket(n, m, currencies, p, disputes, upkeep)));
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
        return _publishProvable(by, number, _offer());
    }

    function _publishProvable(address by, uint32 number, Offer memory offer) internal returns (VersionId made) {
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, WEIGHTS);
        bytes32 hash = sha256(manifest);
        vm.startPrank(by);
        made = models.publish(hash, _open(), offer, "file:///provable");
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

    /// @dev By whom the terms name. The job becomes the present one.
    function _request(Request memory r) internal returns (JobId posted) {
        uint256 payment = r.terms.token == COIN ? _escrow(r) : 0;
        vm.prank(r.terms.requester);
        posted = market.request{value: payment}(r);
        _remember(posted, r);
    }

    /// @dev Posts the job for the worker that its brief names. The job becomes the present one.
    function _hire(Request memory r) internal returns (JobId posted) {
        address[] memory one = new address[](1);
        one[0] = r.brief.worker;
        uint256 payment = r.terms.token == COIN ? _escrow(r) : 0;
        vm.prank(r.terms.requester);
        posted = market.hire{value: payment}(r, _sealedKeys(one));
        _remember(posted, r);
        _seat(posted, one);
    }

    function _escrow(Request memory r) internal pure returns (uint256) {
        return uint256(r.terms.seats) * r.terms.pricePerSeat;
    }

    /// @dev Another price, and the stake that goes with it. In coins.
    function _priced(Request memory r, uint96 price) internal pure returns (Request memory) {
        (r.terms.pricePerSeat, r.terms.lockEach) = (price, uint96((uint256(price) * STAKE_RATIO + 1e9 - 1) / 1e9 * 1e9));
        return r;
    }

    /// @dev The id as docs/spec/protocol.md tells it (JOB-2), without a call, which would use up a prank.
    function _jobId(Request memory r) internal view returns (JobId) {
        return
            JobId.wrap(keccak256(abi.encode(block.chainid, address(market), r.terms, keccak256(abi.encode(r.brief)))));
    }

    /// @dev The ticket of the present job.
    function _ticket() internal view returns (Ticket memory) {
        return _tickets[id];
    }

    function _ticket(JobId of_) internal view returns (Ticket memory) {
        return _tickets[of_];
    }

    /// @dev A ticket that shows another committee, and what the market says to it.
    function _forged(address[] memory shown) internal view returns (Ticket memory t, bytes memory expected) {
        t = _tickets[id];
        t.committee = shown;
        expected = _wrongCommittee(t);
    }

    function _wrongCommittee(Ticket memory shown) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IJobs.JobMarket_WrongCommittee.selector, _tag(shown), _tag(_tickets[id]));
    }

    function _tag(Ticket memory t) internal view returns (bytes12) {
        JobId of_ = JobId.wrap(keccak256(abi.encode(block.chainid, address(market), t.terms, t.brief)));
        return bytes12(keccak256(abi.encode(of_, t.keys, t.committee)));
    }

    /// @dev The brief of the present job.
    function _brief() internal view returns (Brief memory) {
        return _briefs[id];
    }

    function _brief(JobId of_) internal view returns (Brief memory) {
        return _briefs[of_];
    }

    /// @dev The ticket of a job before its delivery.
    function _undelivered(Request memory r) internal pure returns (Ticket memory) {
        return Ticket(r.terms, keccak256(abi.encode(r.brief)), new address[](0), 0);
    }

    /// @dev Makes a posted job the present one.
    function _remember(JobId posted, Request memory r) internal {
        id = posted;
        _tickets[posted] = _undelivered(r);
        _briefs[posted] = r.brief;
    }

    /// @dev Makes a job that was posted before the present one.
    function _select(JobId posted) internal {
        id = posted;
        committee = _tickets[posted].committee;
    }

    /// @dev Notes who was drawn for a job.
    function _seat(JobId posted, address[] memory drawn) internal {
        _tickets[posted].committee = drawn;
        _tickets[posted].keys = keccak256(_sealedKeys(drawn));
        committee = drawn;
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
        JobId posted = _jobId(r);
        bytes memory header = _seedBlock(market.job(posted).moment);
        _deliver(r, header, _draw(r));
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _deliver(Request memory r, bytes memory header, address[] memory drawn) internal {
        vm.prank(r.terms.requester);
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
        _seat(_jobId(r), drawn);
    }

    /// @dev The draw as docs/spec/commitments.md tells it: leaves not drawn yet, end to end in leaf order.
    function _draw(Request memory r) internal view returns (address[] memory drawn) {
        JobId posted = _jobId(r);
        uint256 seedBlock = market.job(posted).moment;
        bytes32 seed = keccak256(abi.encode(posted, _mixHash(seedBlock), SECRET));
        drawn = _sample(seed, r.terms.seats, (seedBlock - SEED_DELAY) / EPOCH, r.terms.lockEach);
        for (uint256 i = 0; i < drawn.length; ++i) {
            if (drawn[i] != address(0) && market.reputation(drawn[i]) < r.brief.reputation) drawn[i] = address(0);
        }
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
        uint32[] memory operators = new uint32[](seats);
        uint256 seat = 0;
        for (uint256 looked = 0; looked < seats + 16 && seat < seats; ++looked) {
            uint256 leaf = _pick(weights, uint256(keccak256(abi.encode(seed, looked))));
            if (leaf == count) break;
            weights[leaf] = 0;
            address worker = nodes.workerAt(leaf);
            Node memory n = nodes.node(worker);
            if (n.operator != 0 && _among(operators, n.operator)) continue;
            operators[seat] = n.operator;
            if (n.stake >= n.locked + lockEach) drawn[seat] = worker;
            ++seat;
        }
    }

    /// @dev The leaf at a point of all weights end to end; their number if all are zero.
    function _pick(uint256[] memory weights, uint256 point) private pure returns (uint256 leaf) {
        uint256 total = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            total += weights[i];
        }
        if (total == 0) return weights.length;
        point %= total;
        while (point >= weights[leaf]) {
            point -= weights[leaf++];
        }
    }

    function _among(uint32[] memory numbers, uint32 number) private pure returns (bool) {
        for (uint256 i = 0; i < numbers.length; ++i) {
            if (numbers[i] == number) return true;
        }
        return false;
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
        market.commit(_ticket(), commitment);
    }

    function _commitAll(bytes32 a, bytes32 b, bytes32 c) internal {
        _commit(0, a);
        _commit(1, b);
        _commit(2, c);
    }

    function _reveal(uint256 seat, bytes32 output) internal {
        bytes memory signature = _result(committee[seat], output, hex"5ea1ed");
        vm.prank(committee[seat]);
        market.reveal(_ticket(), output, _salt(committee[seat]), hex"5ea1ed", signature);
    }

    function _revealAll(bytes32 a, bytes32 b, bytes32 c) internal {
        _reveal(0, a);
        _reveal(1, b);
        _reveal(2, c);
    }

    /// @dev Takes the present job from its delivery to what its votes make of it.
    function _vote(bytes32 a, bytes32 b, bytes32 c) internal {
        _commitAll(a, b, c);
        _revealAll(a, b, c);
    }

    /// @dev What `prover` would have to send for job `posted` of `market`.
    function _proof(JobId posted, address prover) internal view returns (bytes memory) {
        return _proof(posted, prover, MASKED);
    }

    function _proof(JobId posted, address prover, bytes memory masked) internal view returns (bytes memory) {
        return verifier.proofOf(
            CIRCUIT,
            WEIGHTS,
            INPUT,
            _provedOutput(masked),
            keccak256(abi.encode(block.chainid, address(market), posted, prover))
        );
    }

    function _provedOutput() internal pure returns (bytes32) {
        return _provedOutput(MASKED);
    }

    function _provedOutput(bytes memory masked) internal pure returns (bytes32) {
        return keccak256(abi.encode(uint256(2), PAD, keccak256(masked)));
    }

    function _prove() internal {
        _prove(_brief(), _proof(id, committee[0]));
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _prove(Brief memory brief, bytes memory proof) internal {
        bytes memory signature = _result(committee[0], _provedOutput(), MASKED);
        vm.prank(committee[0]);
        market.prove(_ticket(), brief, _opening(), MASKED, proof, signature);
    }

    function _opening() internal pure returns (IJobs.InputOpening memory) {
        return IJobs.InputOpening(BINDING, INPUT, PAD);
    }

    function _refuse(uint256 seat) internal {
        vm.prank(committee[seat]);
        market.refuse(_ticket(), 1, "", "");
    }

    function _demand(uint256 seat) internal {
        vm.deal(committee[seat], committee[seat].balance + DEPOSIT);
        vm.prank(committee[seat]);
        market.demand{value: DEPOSIT}(_ticket());
    }

    function _publish() internal {
        vm.prank(stranger);
        market.publish(_ticket(), _brief(), CIPHERTEXT);
    }

    function _close() internal {
        vm.prank(stranger);
        market.close(_ticket());
    }

    function _challengeBy(address by) internal {
        vm.deal(by, by.balance + BOND);
        vm.prank(by);
        market.challenge{value: BOND}(_ticket());
    }

    /// @dev Proves the output behind MASKED.
    function _judgeBy(address by) internal {
        _judgeBy(by, MASKED);
    }

    function _judgeBy(address by, bytes memory masked) internal {
        bytes memory proof = _proof(id, by, masked);
        vm.prank(by);
        market.judge(_ticket(), _brief(), _opening(), masked, proof);
    }

    /// @dev Posts the referee's job and stays at the present one. By the requester; `stake` is the bond, or 0 in a split vote.
    function _refer(Request memory referee, uint256 stake) internal returns (JobId posted) {
        JobId disputed = id;
        vm.prank(requester);
        posted = market.refer{value: _escrow(referee) + stake}(_ticket(), _brief(), referee);
        _remember(posted, referee);
        _select(disputed);
    }

    function _resolve() internal {
        vm.prank(stranger);
        market.resolve(_ticket());
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
        vm.assertEq(_credit(committee[0]), a, "credit of seat 0");
        vm.assertEq(_credit(committee[1]), b, "credit of seat 1");
        vm.assertEq(_credit(committee[2]), c, "credit of seat 2");
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

    /// @dev MONEY-1 when no job is open.
    function _assertAllSettled() internal view {
        uint256 stakes = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            stakes += nodes.node(workers[i]).stake;
        }
        vm.assertEq(address(nodes).balance, stakes, "registry");
        vm.assertEq(address(market).balance, _allCredits(), "market");
    }

    /// @dev Coins that the market owes the account.
    function _credit(address account) internal view returns (uint256) {
        return market.credit(account, COIN);
    }

    function _locked(address worker) internal view returns (uint256) {
        return nodes.node(worker).locked;
    }

    function _allCredits() internal view returns (uint256 sum) {
        sum = _credit(requester) + _credit(burn) + _credit(stranger) + _credit(owner) + market.fees(version, COIN)
            + market.fees(provable, COIN);
        for (uint256 i = 0; i < workers.length; ++i) {
            sum += _credit(workers[i]);
        }
    }
}
