// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Report} from "../../../contracts/types/Evidence.sol";
import {
    Brief,
    IEnclaves,
    IJobs,
    Job,
    JobId,
    JobLib,
    Level,
    Node,
    Offer,
    Request,
    State,
    Ticket,
    VersionId,
    vm
} from "../Base.t.sol";
import {EnclaveBase} from "../EnclaveBase.t.sol";

/// @notice A plain currency.
contract Money is ERC20("Money", "M") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Plays all roles at random, each call a legal step of somebody, honest or not. Keeps lists of what exists, so
///         that the invariants can add up the contracts' own state; keeps no sums of its own but of what was staked.
abstract contract Handler is EnclaveBase {
    struct Posted {
        JobId id;
        Request request;
        address[] committee;
        /// What each seat committed to and has not revealed.
        bytes32[] outputs;
        /// Each seat's signing key at the delivery.
        uint256[] keys;
        /// What the delivery fixed.
        bytes12 tag;
        uint256 bond;
        /// The state after the last step.
        State state;
        uint8 flags;
        /// Once nobody can challenge it: the result.
        bytes32 result;
        /// Second to which the seats' stake is locked.
        uint256 until;
        /// The posted job that this one decides about, plus one.
        uint256 decides;
        /// Hash of the job's record once it had ended.
        bytes32 epitaph;
    }

    bytes32 internal constant PROVEN = keccak256(abi.encode(uint256(2), PAD, keccak256(MASKED)));
    uint256 private constant MOST_WORKERS = 12;
    uint256 private constant MOST_LIVE = 5;

    Posted[] internal _posted;
    mapping(JobId => uint256) internal _indexOf;
    /// Signing keys that replaced the one of the registration, and those before.
    mapping(address => uint256) private _keys;
    mapping(address => uint256) private _formerKeys;
    mapping(address => uint256) private _replacedAt;
    mapping(address => uint256) private _revokedAt;
    uint256[] internal _live;
    uint256 public calls;
    address[] public accounts;
    VersionId[] internal _versions;
    Money internal _money;
    VersionId internal _shared;
    VersionId internal _floats;
    /// Everything ever staked less everything withdrawn.
    uint256 internal _staked;
    address internal immutable _prover = vm.addr(uint256(keccak256("prover")));
    /// Times that each thing happened: states reached, reasons, steps.
    mapping(string => uint256) public seen;

    constructor() {
        super.setUp();
        _money = new Money();
        vm.prank(steward);
        currencies.announce(address(_money), 0.5 ether);
        vm.warp(block.timestamp + CURRENCY_DELAY);
        vm.startPrank(stranger);
        _shared = models.publish(keccak256("shared"), _open(), Offer(PRICE, 20, false), "");
        models.setTokenPrice(_shared, address(_money), PRICE);
        _floats = models.publish(keccak256("floats"), _open(), Offer(PRICE, 0, true), "");
        vm.stopPrank();
        _versions.push(version);
        _versions.push(closed);
        _versions.push(provable);
        _versions.push(_shared);
        _versions.push(_floats);
        for (uint256 i = 0; i < WORKERS; ++i) {
            accounts.push(workers[i]);
            _staked += _stake(i);
        }
        accounts.push(requester);
        accounts.push(stranger);
        accounts.push(burn);
        accounts.push(owner);
        accounts.push(_prover);
        _fund(requester);
        _fund(stranger);
    }

    function setUp() public override {}

    function _fund(address who) private {
        _money.mint(who, 1_000_000 ether);
        vm.prank(who);
        _money.approve(address(market), type(uint256).max);
    }

    // ------------------------------------------------------------------------------------------------ actions

    /// @dev The fuzzer likes zeros and ends of ranges; with these alone few jobs would come to a good end.
    function _shuffle(uint256 entropy) private returns (uint256) {
        return uint256(keccak256(abi.encode(entropy, ++calls)));
    }

    function post(uint256 entropy) external {
        if (_live.length >= MOST_LIVE) return progress(entropy);
        entropy = _shuffle(entropy);
        Request memory r = _someRequest(entropy);
        if (entropy >> 16 & 7 == 0) r.brief.ciphertextSize = 1 << 20;
        if (entropy >> 40 & 7 == 0) r.brief.reputation = 4000;
        if (entropy >> 43 & 3 == 0) (r.brief.consumer, r.brief.consumerGas) = (address(_money), 50_000);
        _price(r, entropy >> 48 & 3 == 0 ? 12_345 : 0);
        uint256 value = r.terms.token == COIN ? _escrow(r) : 0;
        vm.deal(r.terms.requester, r.terms.requester.balance + value);
        vm.prank(r.terms.requester);
        JobId given = market.request{value: value}(r);
        _enter(given, r);
        ++seen["posted"];
        if (r.terms.token != COIN) ++seen["posted in a token"];
    }

    /// @dev Of any level, for a version of any kind.
    function _someRequest(uint256 entropy) private view returns (Request memory r) {
        uint256 kind = entropy >> 32 & 7;
        if (kind == 0) r = _defaultProved();
        else if (kind == 1) r = _defaultAttested();
        else if (kind < 5) r = _defaultVerified();
        else r = _default();
        if (kind == 6) r.terms.version = closed;
        if (kind == 7) {
            r.terms.version = entropy >> 36 & 3 == 0 ? _floats : _shared;
            if (entropy >> 38 & 1 == 0 && entropy >> 36 & 3 != 0) r.terms.token = address(_money);
        }
        r.brief.nonce = _posted.length;
        if (r.terms.level == Level.Agreed) {
            r.terms.seats = uint8(2 + entropy % 4);
            r.terms.quorum = uint8(r.terms.seats / 2 + 1 + (entropy >> 8) % (r.terms.seats - r.terms.seats / 2));
        }
        r.terms.requester = entropy >> 24 & 1 == 0 ? requester : stranger;
    }

    /// @dev The present terms of the version, and a bid on top.
    function _price(Request memory r, uint96 bid) private view {
        (Offer memory offer,) = models.offerOf(r.terms.version, r.terms.token);
        r.terms.pricePerSeat = offer.price + bid;
        r.terms.ownerPercent = offer.ownerPercent;
        r.terms.lockEach = uint96(market.lockFor(r.terms.pricePerSeat, r.terms.token));
    }

    function _enter(JobId given, Request memory r) private {
        _live.push(_posted.length);
        _indexOf[given] = _posted.length;
        Posted storage p = _posted.push();
        (p.id, p.request) = (given, r);
        _remember(given, r);
        p.flags = market.job(given).flags;
        p.state = State.Open;
    }

    /// JOB-37: whoever can take it is hired, whoever cannot is not.
    function hire(uint256 entropy) external {
        if (_live.length >= MOST_LIVE) return progress(entropy);
        entropy = _shuffle(entropy);
        Request memory r = entropy & 1 == 0 ? _defaultProved() : _defaultAttested();
        r.brief.nonce = _posted.length;
        address worker = workers[(entropy >> 8) % workers.length];
        r = _hired(r, worker);
        _price(r, 0);
        vm.deal(requester, requester.balance + r.terms.pricePerSeat);
        address[] memory one = new address[](1);
        one[0] = worker;
        vm.prank(requester);
        try market.hire{value: r.terms.pricePerSeat}(r, _sealedKeys(one)) returns (JobId given) {
            _enter(given, r);
            Posted storage p = _posted[_posted.length - 1];
            p.state = State.Ready;
            _seated(p, one);
            ++seen["hired"];
        } catch {
            ++seen["not hired"];
        }
    }

    function _seated(Posted storage p, address[] memory drawn) private {
        id = p.id;
        _seat(p.id, drawn);
        p.committee = drawn;
        p.outputs = new bytes32[](drawn.length);
        p.keys = new uint256[](drawn.length);
        p.tag = market.job(p.id).tag;
        p.until = block.timestamp + 2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW + DISPUTE_WINDOW;
        if (p.request.terms.level != Level.Proved) p.until += REVEAL_WINDOW + CHALLENGE_WINDOW + DISPUTE_WINDOW;
        for (uint256 i = 0; i < drawn.length; ++i) {
            if (drawn[i] == address(0)) ++seen["vacant"];
            // In the second of a replacement in mid-job the replaced key counts.
            p.keys[i] = _replacedAt[drawn[i]] == block.timestamp ? _formerKeys[drawn[i]] : _signingKey(drawn[i]);
        }
        _checkCommittee(p);
    }

    /// DRAW-4, DRAW-8, DRAW-9, ENC-10: nobody twice, no operator twice, no machine twice, and only enrolled workers.
    function _checkCommittee(Posted storage p) private view {
        bool enrolled = market.job(p.id).flags & JobLib.ENROLLED != 0;
        for (uint256 i = 0; i < p.committee.length; ++i) {
            address a = p.committee[i];
            if (a == address(0)) continue;
            vm.assertGe(nodes.node(a).stake, nodes.node(a).locked, "DRAW-5: the lock is covered");
            uint32 operator = nodes.node(a).operator;
            if (enrolled) {
                vm.assertGe(nodes.attestation(a).until, block.timestamp, "ENC-10: attested");
                vm.assertGt(nodes.enrolment(p.request.terms.version, a).since, 0, "ENC-10: enrolled");
            }
            for (uint256 k = 0; k < i; ++k) {
                address b = p.committee[k];
                vm.assertTrue(a != b, "DRAW-4: a seat twice");
                if (b == address(0)) continue;
                vm.assertTrue(operator == 0 || operator != nodes.node(b).operator, "DRAW-8: an operator twice");
                if (enrolled) vm.assertTrue(evidence[a].platform != evidence[b].platform, "DRAW-9: a machine twice");
            }
        }
    }

    /// @dev The next step of some live job. Most draws of `entropy` are honest, so that jobs come to their end.
    function progress(uint256 entropy) public {
        if (_live.length == 0) return;
        entropy = _shuffle(entropy);
        _step(_live[(entropy >> 8) % _live.length], entropy);
    }

    function _step(uint256 index, uint256 entropy) private {
        Posted storage p = _posted[index];
        id = p.id;
        Job memory j = market.job(p.id);
        uint256 dice = (entropy >> 32) % 100;
        (uint256 stakes, uint256 burned) = (address(nodes).balance, _burned());
        bool verdict = _play(p, j, dice, entropy >> 64);
        _checkSlash(j, stakes - address(nodes).balance, _burned() - burned, verdict);
        _checkTransition(p);
        _bury(p);
    }

    /// @return verdict whether a proof or referees decided, or nobody proved
    function _play(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private returns (bool verdict) {
        if (j.state == State.Open) _open(p, j, dice);
        else if (j.state == State.Ready) _readyStep(p, j, dice, entropy);
        else if (j.state == State.Demanded) _demandedStep(p, j, dice);
        else if (j.state == State.Committed) _committedStep(p, j, dice, entropy);
        else if (j.state == State.Settled) return _settledStep(p, j, dice, entropy);
        else if (j.state == State.Disputed) return _disputedStep(p, j, dice, entropy);
        else if (j.state == State.Challenged) return _challengedStep(p, j, dice, entropy);
    }

    function _burned() private view returns (uint256) {
        return _credit(burn) + burn.balance;
    }

    /// MONEY-6, CHAL-13: a slash without a verdict is burned whole, and half of any other at least.
    function _checkSlash(Job memory j, uint256 slashed, uint256 burned, bool verdict) private {
        if (slashed == 0) return;
        if (verdict) {
            vm.assertGe(2 * burned, slashed, "CHAL-13: half of a slash");
            ++seen["slashed by a verdict"];
        } else {
            vm.assertEq(burned, slashed, "MONEY-6: a slash is burned");
            vm.assertTrue(j.state != State.Open, "MONEY-6: nobody was locked");
        }
    }

    /// @dev The transitions of docs/spec/protocol.md, one bit per next state.
    function _checkTransition(Posted storage p) private {
        uint16[9] memory next = [
            uint16(1 << 1), // None: Open
            1 << 1 | 1 << 2 | 1 << 6, // Open: Ready, Refunded
            1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7, // Ready
            1 << 3 | 1 << 2 | 1 << 6, // Demanded: Ready, Refunded
            1 << 4 | 1 << 5 | 1 << 6 | 1 << 7, // Committed
            1 << 5 | 1 << 8, // Settled: Challenged
            1 << 6, // Refunded
            1 << 7 | 1 << 5 | 1 << 6, // Disputed: Settled, Refunded
            1 << 8 | 1 << 5 | 1 << 6 // Challenged: Settled, Refunded
        ];
        State state = market.job(p.id).state;
        vm.assertTrue(next[uint256(p.state)] >> uint256(state) & 1 == 1, "JOB-24: a step that there is not");
        if (p.state == State.Settled && state == State.Challenged) ++seen["challenged"];
        if (state == State.Disputed && p.state != State.Disputed) ++seen["disputed"];
        p.state = state;
    }

    /// @dev What an enclave's host does next; now and then its platform is revoked, or its place vacated.
    function attend(uint256 entropy) external {
        entropy = _shuffle(entropy);
        uint256 index = entropy % workers.length;
        address worker = workers[index];
        if (nodes.node(worker).exitAt != 0) return;
        uint256 until = nodes.attestation(worker).until;
        if (entropy >> 16 & 15 == 0 && until > block.timestamp) {
            bytes32 platform = evidence[worker].platform;
            quotes.setRevoked(platform, true);
            nodes.revoke(worker, evidence[worker], platform);
            quotes.setRevoked(platform, false);
            _revokedAt[worker] = block.timestamp;
            ++seen["revoked"];
        } else if (entropy >> 20 & 3 == 0 && until < block.timestamp && nodes.attestation(worker).evidenceTag != 0) {
            nodes.vacate(worker, evidence[worker]);
            delete evidence[worker];
            ++seen["vacated"];
        } else if (until < block.timestamp + 6 hours || entropy >> 24 & 7 == 0) {
            vm.roll(block.number + 1);
            Report memory r = _report(worker);
            // Workers 0 and 1 share a machine, and so do 6 and 7.
            if (index % 6 == 1) r.platform = keccak256(abi.encode("platform", workers[index - 1]));
            _attest(worker, r);
            ++seen[until == 0 ? "attested" : "attested again"];
        } else if (nodes.promptKey(worker).expiresAt < block.timestamp + 6 hours) {
            _prompt(worker);
        } else {
            _enrol(worker);
            ++seen["enrolled"];
        }
    }

    function _signingKey(address worker) internal view override returns (uint256) {
        return _keys[worker] == 0 ? super._signingKey(worker) : _keys[worker];
    }

    function _hpke(address worker) internal view override returns (bytes32) {
        return nodes.node(worker).hpkeKey;
    }

    function wait(uint256 entropy) external {
        entropy = _shuffle(entropy);
        vm.warp(block.timestamp + entropy % (COMMIT_WINDOW / 2));
        vm.roll(block.number + (entropy >> 32) % 20);
        vm.fee((entropy >> 64) % 40 gwei);
    }

    function changeStake(uint256 entropy) external {
        entropy = _shuffle(entropy);
        uint256 act = entropy % 8;
        address worker = workers[(entropy >> 8) % workers.length];
        Node memory n = nodes.node(worker);
        if (act == 0 && workers.length < MOST_WORKERS) {
            worker = _worker(workers.length);
            workers.push(worker);
            accounts.push(worker);
            if (entropy >> 80 & 1 == 0) _join(worker, entropy >> 81 & 1);
            _registerWith(worker, MINIMUM_STAKE + (entropy >> 16) % 50 ether);
            ++seen["registered"];
        } else if (act < 3 && n.exitAt == 0) {
            uint256 amount = (entropy >> 16) % 5 ether;
            vm.deal(worker, worker.balance + amount);
            vm.prank(worker);
            nodes.topUp{value: amount}();
            _staked += amount;
            ++seen["topped up"];
        } else if (act == 3 && n.exitAt == 0 && entropy >> 16 & 3 == 0) {
            vm.prank(worker);
            nodes.announceExit();
            ++seen["exiting"];
        } else if (act == 4 && n.exitAt == 0) {
            _replaceKeys(worker, n, entropy);
        } else if (n.exitAt != 0 && n.stake == 0) {
            if (block.timestamp >= n.exitAt && entropy >> 80 & 1 == 0) _join(worker, entropy >> 81 & 1);
            _registerWith(worker, MINIMUM_STAKE + (entropy >> 16) % 50 ether);
            _replaced(worker, _signingKey(worker), false);
            ++seen["came back"];
        } else if (n.exitAt != 0 && n.locked == 0) {
            if (block.timestamp < n.exitAt) vm.warp(n.exitAt);
            vm.prank(worker);
            nodes.withdraw();
            _staked -= n.stake;
            ++seen["left"];
        }
    }

    function _registerWith(address worker, uint256 stake) private {
        _register(worker, stake);
        _staked += stake;
    }

    /// @dev One of two operators.
    function _join(address worker, uint256 number) private {
        uint256 key = uint256(keccak256(abi.encode("operator", number)));
        bytes32 kind = keccak256("Membership(address worker,address operator)");
        bytes32 digest = _typed(address(nodes), keccak256(abi.encode(kind, worker, vm.addr(key))));
        bytes memory signature = _sign(key, digest);
        vm.prank(worker);
        nodes.join(vm.addr(key), signature);
        ++seen["joined"];
    }

    /// ENC-9: not while the signer before the present one may still be owed for. Without a job under way none is.
    function _replaceKeys(address worker, Node memory n, uint256 entropy) private {
        uint256 key = entropy >> 2 | 1;
        bool owed = _replacedAt[worker] != 0 && block.timestamp <= _replacedAt[worker] + LOCK_PERIOD && n.locked != 0;
        bytes memory call = abi.encodeCall(nodes.replaceKeys, (keccak256(abi.encode(entropy)), vm.addr(key)));
        vm.prank(worker);
        (bool done,) = address(nodes).call(call);
        vm.assertTrue(done == !owed, "ENC-9: replaced keys");
        if (done) _replaced(worker, key, n.locked != 0);
        ++seen[done ? "keys replaced" : "keys owed"];
    }

    function _replaced(address worker, uint256 key, bool busy) private {
        (_formerKeys[worker], _keys[worker]) = (_signingKey(worker), key);
        _replacedAt[worker] = busy ? block.timestamp : 0;
    }

    function payOut(uint256 entropy) external {
        entropy = _shuffle(entropy);
        address account = accounts[entropy % accounts.length];
        address token = entropy >> 64 & 1 == 0 ? COIN : address(_money);
        if (market.credit(account, token) != 0) {
            market.withdraw(account, token);
            ++seen["paid out"];
        }
        VersionId some = _versions[(entropy >> 65) % _versions.length];
        if (market.fees(some, token) == 0) return;
        market.collect(some, token);
        ++seen["collected"];
    }

    function changePrice(uint256 entropy) external {
        vm.prank(owner);
        models.setPrice(version, uint72(1 + _shuffle(entropy) % (5 * uint256(PRICE))));
    }

    /// @dev The steward gives up the verifier; another comes, and with it another version by another owner.
    function changeVerifier(uint256 entropy) external {
        if (_shuffle(entropy) % 8 == 0) _changeVerifier();
    }

    function _changeVerifier() private {
        vm.startPrank(steward);
        verifiers.remove(verifierId);
        verifierId = verifiers.add(verifier);
        vm.stopPrank();
        address next = vm.addr(uint256(keccak256(abi.encode("owner", verifierId))));
        provable = _publishProvable(next, verifierId, Offer(PRICE, 10, false));
        _versions.push(provable);
        accounts.push(next);
        ++seen["verifier removed"];
    }

    // ------------------------------------------------------------------------------------------------ steps

    function _open(Posted storage p, Job memory j, uint256 dice) private {
        uint256 requestEpoch = (j.moment - SEED_DELAY) / EPOCH;
        bool lapsed = block.timestamp > j.deadline;
        // `_seedBlock` may move the chain past the end of the request's memory.
        bool forgotten = block.number > j.moment + 250 || block.number / EPOCH > requestEpoch + 1;
        if (lapsed || forgotten || dice < 4) {
            if (!lapsed) vm.warp(uint256(j.deadline) + 1);
            market.close(_ticket());
            ++seen["not delivered"];
            return;
        }
        bytes memory header = _seedBlock(j.moment);
        Request memory r = p.request;
        address[] memory drawn = j.flags & JobLib.ENROLLED == 0 ? _draw(r) : _drawFor(p, j);
        _deliver(r, header, drawn);
        if (market.job(p.id).state != State.Ready) {
            p.committee = drawn;
            ++seen["committee too small"];
            return;
        }
        _seated(p, drawn);
        ++seen["ready"];
    }

    function _readyStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private {
        uint256 seats = p.committee.length;
        uint256 seat = entropy % seats;
        uint256 quorum = p.request.terms.quorum;
        if (block.timestamp > j.deadline) {
            uint256 commits = _bits(j.committed);
            if (commits >= quorum && block.timestamp <= uint256(j.deadline) + REVEAL_WINDOW && dice < 80) {
                while (p.outputs[seat] == 0) {
                    seat = (seat + 1) % seats;
                }
                _revealSeat(p, seat);
                ++seen["revealed after the window"];
                return;
            }
            uint256 end = uint256(j.deadline) + (commits >= quorum ? REVEAL_WINDOW : 0);
            if (block.timestamp <= end) vm.warp(end + 1);
            if (p.request.terms.level == Level.Proved) return _closeUnproved(p, j);
            market.close(_ticket());
            ++seen["closed from ready"];
            return;
        }
        uint256 open = 0;
        for (; open < seats; ++open) {
            if ((j.committed | j.excused) & (1 << seat) == 0) break;
            seat = (seat + 1) % seats;
        }
        vm.assertLt(open, seats, "a ready job without an open seat");
        address worker = p.committee[seat];
        Level level = p.request.terms.level;
        if (dice < 80 && level == Level.Attested) {
            _answerStep(p, j, worker, entropy >> 8);
        } else if (dice < 88 && level == Level.Proved) {
            _proveStep(p, worker, entropy >> 8);
        } else if (dice < 88 && level == Level.Agreed) {
            bytes32 output = _output(p, entropy >> 8);
            bytes32 commitment = _commitment(p.id, worker, output);
            vm.prank(worker);
            market.commit(_ticket(), commitment);
            p.outputs[seat] = output;
            ++seen["committed"];
        } else if (dice < 92) {
            _refuseStep(p, j, seat, entropy >> 8);
            ++seen["refused"];
        } else if (dice < 97 && j.flags & (JobLib.PUBLISHED | JobLib.UNPUBLISHABLE) == 0) {
            vm.deal(worker, worker.balance + DEPOSIT);
            vm.prank(worker);
            market.demand{value: DEPOSIT}(_ticket());
            ++seen["demanded"];
        } else {
            vm.warp(uint256(j.deadline) + 1);
        }
    }

    /// @dev One in five computes something else; and in every fifth job most seats agree to.
    function _output(Posted storage p, uint256 entropy) private view returns (bytes32) {
        uint256 dice = entropy % 20;
        if (dice < 3) return WRONG;
        if (dice == 3) return OTHER;
        if (dice < 16 && uint256(JobId.unwrap(p.id)) % 5 == 0) return WRONG;
        return p.request.terms.verifier == 0 ? RIGHT : PROVEN;
    }

    function _drawFor(Posted storage p, Job memory j) private view returns (address[] memory drawn) {
        bytes32 seed = keccak256(abi.encode(p.id, _mixHash(j.moment), SECRET));
        uint40 end = uint40(block.timestamp + 2 * COMMIT_WINDOW + PUBLISH_WINDOW);
        drawn = nodes.drawEnrolled(
            seed,
            p.request.terms.seats,
            (j.moment - SEED_DELAY) / EPOCH,
            p.request.terms.lockEach,
            IEnclaves.Eligibility(
                p.request.terms.version, 1, uint40(j.deadline - DELIVER_WINDOW), end + REVEAL_WINDOW, end
            )
        );
        for (uint256 i = 0; i < drawn.length; ++i) {
            if (market.reputation(drawn[i]) < p.request.brief.reputation) drawn[i] = address(0);
        }
    }

    /// SIG-1, ENC-5: only the signer of the delivery counts, and none after a revocation.
    function _answerStep(Posted storage p, Job memory j, address worker, uint256 entropy) private {
        bool forged = entropy % 8 == 0;
        bool revoked = _revokedAt[worker] >= j.moment;
        bytes32 output = _output(p, entropy >> 8);
        bytes memory signature = _sign(p.keys[0] + (forged ? 1 : 0), _resultDigest(p.id, output, "sealed"));
        bytes memory call = abi.encodeCall(market.answer, (_ticket(), output, "sealed", signature));
        vm.prank(worker);
        (bool done,) = address(market).call(call);
        vm.assertTrue(done == (!forged && !revoked), "SIG-1: an answer");
        if (done) ++seen["answered"];
        else if (revoked) vm.warp(uint256(j.deadline) + 1);
    }

    /// SIG-2
    function _refuseStep(Posted storage p, Job memory j, uint256 seat, uint256 entropy) private {
        address worker = p.committee[seat];
        uint8 reason = [uint8(1), 4, 5, 7][entropy % 4];
        address[] memory one = new address[](1);
        one[0] = worker;
        bytes32 key = keccak256(_sealedKeys(one));
        bytes memory signature =
            entropy >> 8 & 3 == 0 ? bytes("") : _sign(p.keys[seat], _refusalDigest(worker, key, reason));
        bool charged =
            signature.length != 0 && j.flags & JobLib.ENROLLED != 0 && (reason == 1 || reason == 4 || reason == 5);
        address token = p.request.terms.token;
        uint256 before = market.credit(worker, token);
        bytes memory keys = _sealedKeys(p.committee);
        vm.prank(worker);
        market.refuse(_ticket(), reason, keys, signature);
        uint256 fee = charged ? uint256(p.request.terms.pricePerSeat) * FAULT_BPS / 10_000 : 0;
        vm.assertEq(market.credit(worker, token) - before, fee, "SIG-2: the fee");
        if (charged) ++seen["charged"];
    }

    /// JOB-27, JOB-28, VERIFIER-3: only a proof for this worker and job counts, and only while the verifier is listed.
    function _proveStep(Posted storage p, address worker, uint256 entropy) private {
        uint256 kind = entropy % 8;
        bytes memory proof = _proof(kind == 0 ? JobId.wrap(0) : p.id, kind == 1 ? stranger : worker);
        bool removed = _unlisted(p.request);
        bytes memory call =
            abi.encodeCall(market.prove, (_ticket(), p.request.brief, _opening(), MASKED, proof, bytes("")));
        vm.prank(worker);
        (bool done,) = address(market).call(call);
        vm.assertTrue(done == (kind > 1 && !removed), "JOB-28: a proof");
        if (done) ++seen["proved"];
        else if (!removed) ++seen["not proved"];
        else vm.warp(uint256(market.job(p.id).deadline) + 1);
    }

    /// JOB-19, JOB-31: what silence costs.
    function _closeUnproved(Posted storage p, Job memory j) private {
        address worker = p.committee[0];
        uint256 stake = nodes.node(worker).stake;
        bool excused = _unlisted(p.request) || j.flags & JobLib.UNPUBLISHABLE != 0;
        market.close(_ticket());
        uint256 loss = excused ? 0 : uint256(p.request.terms.lockEach) * SILENT_BPS / 10_000;
        vm.assertEq(stake - nodes.node(worker).stake, loss, "JOB-31: penalty");
        ++seen[excused ? "closed unproved and excused" : "closed unproved"];
    }

    function _unlisted(Request memory r) private view returns (bool) {
        return verifiers.isRemoved(r.terms.verifier);
    }

    function _demandedStep(Posted storage p, Job memory j, uint256 dice) private {
        if (block.timestamp <= j.deadline && dice < 75) {
            vm.prank(stranger);
            market.publish(_ticket(), p.request.brief, CIPHERTEXT);
            ++seen["published"];
        } else {
            if (block.timestamp <= j.deadline) vm.warp(uint256(j.deadline) + 1);
            market.close(_ticket());
            ++seen["unpublished"];
        }
    }

    function _committedStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private {
        if (block.timestamp > j.deadline || dice < 4) {
            if (block.timestamp <= j.deadline) vm.warp(uint256(j.deadline) + 1);
            market.close(_ticket());
            ++seen["closed from committed"];
            return;
        }
        uint256 seat = entropy % p.committee.length;
        while (p.outputs[seat] == 0) {
            seat = (seat + 1) % p.committee.length;
        }
        _revealSeat(p, seat);
    }

    function _revealSeat(Posted storage p, uint256 seat) private {
        address worker = p.committee[seat];
        bytes32 output = p.outputs[seat];
        p.outputs[seat] = 0;
        bytes memory signature = _sign(p.keys[seat], _resultDigest(p.id, output, "sealed"));
        vm.prank(worker);
        market.reveal(_ticket(), output, _salt(worker), "sealed", signature);
        ++seen["revealed"];
    }

    /// CHAL-1, CHAL-3, CHAL-9
    function _settledStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private returns (bool) {
        if (block.timestamp > j.deadline) {
            if (j.dissenting != 0) {
                market.resolve(_ticket());
                ++seen["outvoted"];
            }
            return false;
        }
        if (j.flags & JobLib.FINAL != 0) return false;
        bool listed = p.request.terms.verifier != 0 && !_unlisted(p.request);
        if (listed && dice < 35) {
            // The base fee may move: more is taken, and comes back.
            p.bond = market.bond() + (entropy & 1) * 0.01 ether;
            vm.deal(stranger, stranger.balance + p.bond);
            vm.prank(stranger);
            market.challenge{value: p.bond}(_ticket());
        } else if (listed && dice < 65) {
            bool another = market.result(p.id) != PROVEN;
            _judgeStep(p, another);
            return another;
        } else if (p.request.terms.verifier == 0 && dice < 50) {
            _referStep(p, entropy, market.bond() + (entropy >> 1 & 1) * 0.01 ether);
        } else if (dice >= 80) {
            vm.warp(uint256(j.deadline) + 1);
        }
        return false;
    }

    function _judgeStep(Posted storage p, bool expected) private {
        bytes memory proof = _proof(p.id, _prover);
        bytes memory call = abi.encodeCall(market.judge, (_ticket(), p.request.brief, _opening(), MASKED, proof));
        vm.prank(_prover);
        (bool done,) = address(market).call(call);
        vm.assertTrue(done == expected, "CHAL-3: a proof decides");
        if (done) ++seen[p.state == State.Settled ? "overturned by a proof" : "judged"];
        if (done) vm.assertEq(market.result(p.id), PROVEN, "CHAL-3: what was proved is the result");
    }

    /// @dev Posts the referee's job.
    function _referStep(Posted storage p, uint256 entropy, uint256 stake) private {
        Request memory r = p.request;
        r = _referee(r);
        r.brief.nonce = 1_000_000 + _posted.length;
        (r.brief.reputation, r.brief.consumer) = (0, entropy & 1 == 0 ? address(0) : address(1));
        _price(r, 0);
        uint256 value = stake + (r.terms.token == COIN ? _escrow(r) : 0);
        address by = r.terms.requester;
        vm.deal(by, by.balance + value);
        Ticket memory t = _ticket();
        vm.prank(by);
        JobId given = market.refer{value: value}(t, p.request.brief, r);
        p.bond = stake;
        uint256 decided = _indexOf[p.id];
        _enter(given, r);
        _posted[_posted.length - 1].decides = decided + 1;
        ++seen["referred"];
    }

    /// CHAL-2, CHAL-7, CHAL-8
    function _disputedStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private returns (bool) {
        if (JobId.unwrap(market.refereeOf(p.id)) != 0) return _refereed(p, entropy);
        if (block.timestamp <= j.deadline) {
            bool listed = p.request.terms.verifier != 0 && !_unlisted(p.request);
            if (listed && dice < 60) {
                _judgeStep(p, true);
                return true;
            }
            if (p.request.terms.verifier == 0 && dice < 60) {
                _referStep(p, entropy, 0);
                return false;
            }
            if (p.request.terms.verifier == 0 && dice < 80) {
                vm.prank(p.request.terms.requester);
                market.resolve(_ticket());
                ++seen["given up"];
                return false;
            }
            vm.warp(uint256(j.deadline) + 1);
        }
        market.resolve(_ticket());
        ++seen["undecided"];
        return false;
    }

    /// @dev The referee's job goes on, or has ended and decides.
    function _refereed(Posted storage p, uint256 entropy) private returns (bool) {
        JobId referee = market.refereeOf(p.id);
        State state = market.job(referee).state;
        if (state != State.Settled && state != State.Refunded) {
            (bool ok,) = address(market).call(abi.encodeCall(market.resolve, (_ticket())));
            vm.assertFalse(ok, "CHAL-8: decided before the referees");
            _step(_indexOf[referee], uint256(keccak256(abi.encode(entropy))));
            id = p.id;
            return false;
        }
        bytes32 said = state == State.Settled ? market.result(referee) : bytes32(0);
        bool paid = p.state == State.Challenged;
        market.resolve(_ticket());
        if (said != 0) vm.assertEq(market.result(p.id), said, "CHAL-8: what referees found is the result");
        else if (!paid) vm.assertTrue(market.job(p.id).state == State.Refunded, "CHAL-8: a split vote stays split");
        ++seen[said == 0 ? "referees undecided" : "decided by referees"];
        return true;
    }

    /// CHAL-6, CHAL-7, CHAL-10
    function _challengedStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private returns (bool) {
        if (JobId.unwrap(market.refereeOf(p.id)) != 0) return _refereed(p, entropy);
        bool removed = _unlisted(p.request);
        if (block.timestamp <= j.deadline) {
            if (!removed && dice < 50) {
                _judgeStep(p, true);
                return true;
            }
            if (dice < 60) return false;
            if (!removed && dice >= 80) {
                _changeVerifier();
                removed = true;
            }
            vm.warp(uint256(j.deadline) + 1);
        }
        market.resolve(_ticket());
        vm.assertTrue(
            market.job(p.id).state == (removed ? State.Settled : State.Refunded), "CHAL-7, CHAL-10: nobody proved it"
        );
        ++seen[removed ? "verifier gone" : "unproved"];
        return true;
    }

    /// @dev Whether nothing can happen to a job any more.
    function _over(Posted storage p) internal view returns (bool) {
        Job memory j = market.job(p.id);
        return j.state == State.Refunded || (j.state == State.Settled && j.dissenting == 0 && market.isFinal(p.id));
    }

    function _bury(Posted storage p) internal {
        if (p.epitaph != 0 || !_over(p)) return;
        Job memory j = market.job(p.id);
        p.epitaph = keccak256(abi.encode(j));
        for (uint256 i = 0; i < _live.length; ++i) {
            if (JobId.unwrap(_posted[_live[i]].id) != JobId.unwrap(p.id)) continue;
            _live[i] = _live[_live.length - 1];
            _live.pop();
            break;
        }
        if (j.state == State.Settled) p.result = market.result(p.id);
        ++seen[j.state == State.Settled ? "settled" : "refunded"];
        if (j.state != State.Settled || p.request.brief.consumer == address(0)) return;
        market.notify(_ticket(p.id), p.request.brief);
        ++seen["notified"];
    }

    function _bits(uint256 mask) internal pure returns (uint256 n) {
        for (; mask != 0; mask >>= 1) {
            n += mask & 1;
        }
    }
}
