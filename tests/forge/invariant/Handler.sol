// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IEnclaves, Job, JobId, Node, Request, State, vm} from "../Base.t.sol";
import {EnclaveBase} from "../EnclaveBase.t.sol";

/// @notice Plays all roles at random, each call a legal step of somebody, honest or not. Keeps lists of what exists, so
///         that the invariants can add up the contracts' own state; keeps no sums of its own.
contract Handler is EnclaveBase {
    struct Posted {
        JobId id;
        Request request;
        address requester;
        address[] committee;
        address demander;
        /// What each seat committed to and has not revealed.
        bytes32[] outputs;
        /// Each seat's signing key at the delivery.
        uint256[] keys;
        /// Hash of the job's record once it had ended.
        bytes32 epitaph;
    }

    uint256 private constant MOST_WORKERS = 12;
    uint256 private constant MOST_LIVE = 4;

    Posted[] private _posted;
    /// Signing keys that replaced the one of the registration, and those before.
    mapping(address => uint256) private _keys;
    mapping(address => uint256) private _formerKeys;
    mapping(address => uint256) private _replacedAt;
    mapping(address => uint256) private _revokedAt;
    uint256[] private _live;
    uint256 public calls;
    address[] public accounts;
    /// Times that each thing happened: states reached, reasons, steps.
    mapping(string => uint256) public seen;

    constructor() {
        super.setUp();
        for (uint256 i = 0; i < WORKERS; ++i) {
            accounts.push(workers[i]);
        }
        accounts.push(requester);
        accounts.push(stranger);
        accounts.push(burn);
        vm.deal(stranger, 1000 ether);
    }

    function setUp() public override {}

    // ------------------------------------------------------------------------------------------------ actions

    /// @dev The fuzzer likes zeros and ends of ranges; with these alone few jobs would come to a good end.
    function _shuffle(uint256 entropy) private returns (uint256) {
        return uint256(keccak256(abi.encode(entropy, ++calls)));
    }

    function post(uint256 entropy) external {
        if (_live.length >= MOST_LIVE) return progress(entropy);
        entropy = _shuffle(entropy);
        Request memory r = _default();
        r.nonce = _posted.length;
        r.seats = uint8(2 + entropy % 4);
        r.quorum = uint8(r.seats / 2 + 1 + (entropy >> 8) % (r.seats - r.seats / 2));
        if (entropy >> 32 & 3 == 0) {
            r = _defaultProved();
            r.nonce = _posted.length;
        }
        if (entropy >> 34 & 1 == 0 && entropy >> 32 & 3 != 0) r.version = closed;
        if (entropy >> 35 & 1 == 0 && entropy >> 32 & 3 != 0) {
            r = _defaultAttested();
            r.nonce = _posted.length;
        }
        r.pricePerSeat = uint96(models.priceOf(r.version));
        if (entropy >> 16 & 7 == 0) r.ciphertextSize = 1 << 20;
        address who = entropy >> 24 & 1 == 0 ? requester : stranger;
        uint256 escrow = uint256(r.seats) * r.pricePerSeat;
        vm.deal(who, who.balance + escrow);
        vm.prank(who);
        JobId given = market.request{value: escrow}(r);
        _live.push(_posted.length);
        Posted storage p = _posted.push();
        (p.id, p.request, p.requester) = (given, r, who);
        ++seen["posted"];
    }

    /// @dev The next step of some live job. Most draws of `entropy` are honest, so that jobs come to their end.
    function progress(uint256 entropy) public {
        if (_live.length == 0) return;
        entropy = _shuffle(entropy);
        uint256 index = _live[(entropy >> 8) % _live.length];
        Posted storage p = _posted[index];
        Job memory j = market.job(p.id);
        uint256 dice = (entropy >> 32) % 100;
        if (j.state == State.Open) _open(p, j, dice);
        else if (j.state == State.Ready) _readyStep(p, j, dice, entropy >> 64);
        else if (j.state == State.Demanded) _demandedStep(p, j, dice);
        else if (j.state == State.Committed) _committedStep(p, j, dice, entropy >> 64);
        _bury(p);
    }

    /// @dev What an enclave's host does next; now and then its platform is revoked, or its place vacated.
    function attend(uint256 entropy) external {
        entropy = _shuffle(entropy);
        address worker = workers[entropy % workers.length];
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
            _attest(worker);
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
            _register(worker, MINIMUM_STAKE + (entropy >> 16) % 50 ether);
            ++seen["registered"];
        } else if (act < 3 && n.exitAt == 0) {
            uint256 amount = (entropy >> 16) % 5 ether;
            vm.deal(worker, worker.balance + amount);
            vm.prank(worker);
            nodes.topUp{value: amount}();
            ++seen["topped up"];
        } else if (act == 3 && n.exitAt == 0 && entropy >> 16 & 3 == 0) {
            vm.prank(worker);
            nodes.announceExit();
            ++seen["exiting"];
        } else if (act == 4 && n.exitAt == 0) {
            _replaceKeys(worker, n, entropy);
        } else if (n.exitAt != 0 && n.stake == 0) {
            _register(worker, MINIMUM_STAKE + (entropy >> 16) % 50 ether);
            _replaced(worker, _signingKey(worker), false);
            ++seen["came back"];
        } else if (n.exitAt != 0 && n.locked == 0) {
            if (block.timestamp < n.exitAt) vm.warp(n.exitAt);
            vm.prank(worker);
            nodes.withdraw();
            ++seen["left"];
        }
    }

    /// ENC-9: not while the signer before the present one may still be owed for. Without a job under way none is.
    function _replaceKeys(address worker, Node memory n, uint256 entropy) private {
        uint256 key = entropy >> 2 | 1;
        bool owed = _replacedAt[worker] != 0 && block.timestamp <= _replacedAt[worker] + EXIT_DELAY && n.locked != 0;
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
        address account = accounts[_shuffle(entropy) % accounts.length];
        if (market.credit(account) == 0) return;
        market.withdraw(account);
        ++seen["paid out"];
    }

    function changePrice(uint256 entropy) external {
        vm.prank(owner);
        models.setPrice(version, uint72(1 + _shuffle(entropy) % (5 * uint256(PRICE))));
    }

    /// @dev The steward gives up the verifier; another comes, and with it another version by another owner.
    function changeVerifier(uint256 entropy) external {
        if (_shuffle(entropy) % 4 != 0) return;
        vm.startPrank(steward);
        verifiers.remove(verifierId);
        verifierId = verifiers.add(verifier);
        vm.stopPrank();
        provable = _publishProvable(vm.addr(uint256(keccak256(abi.encode("owner", verifierId)))), verifierId);
        ++seen["verifier removed"];
    }

    // ------------------------------------------------------------------------------------------------ steps

    function _open(Posted storage p, Job memory j, uint256 dice) private {
        uint256 requestEpoch = (j.seedBlock - SEED_DELAY) / EPOCH;
        bool lapsed = block.timestamp > j.deadline;
        // `_seedBlock` may move the chain past the end of the request's memory.
        bool forgotten = block.number > j.seedBlock + 250 || block.number / EPOCH > requestEpoch + 1;
        if (lapsed || forgotten || dice < 4) {
            if (!lapsed) vm.warp(uint256(j.deadline) + 1);
            address[] memory none = new address[](0);
            market.close(p.id, none);
            ++seen["not delivered"];
            return;
        }
        bytes memory header = _seedBlock(j.seedBlock);
        address[] memory drawn = j.flags & 16 == 0 ? _draw(p.id, j.seats) : _drawFor(p.id, j);
        vm.prank(p.requester);
        market.deliver(p.request, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
        p.committee = drawn;
        p.outputs = new bytes32[](drawn.length);
        p.keys = new uint256[](drawn.length);
        for (uint256 i = 0; i < drawn.length; ++i) {
            if (drawn[i] == address(0)) ++seen["vacant"];
            // In the second of a replacement in mid-job the replaced key counts.
            p.keys[i] = _replacedAt[drawn[i]] == block.timestamp ? _formerKeys[drawn[i]] : _signingKey(drawn[i]);
        }
        ++seen[market.job(p.id).state == State.Ready ? "ready" : "committee too small"];
    }

    function _readyStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private {
        uint256 seats = p.committee.length;
        uint256 seat = entropy % seats;
        if (block.timestamp > j.deadline) {
            uint256 commits = _bits(j.committed);
            if (commits >= j.quorum && block.timestamp <= uint256(j.deadline) + REVEAL_WINDOW && dice < 80) {
                while (p.outputs[seat] == 0) {
                    seat = (seat + 1) % seats;
                }
                _revealSeat(p, seat);
                ++seen["revealed after the window"];
                return;
            }
            uint256 end = uint256(j.deadline) + (commits >= j.quorum ? REVEAL_WINDOW : 0);
            if (block.timestamp <= end) vm.warp(end + 1);
            if (j.flags & 4 != 0) return _closeUnproved(p, j);
            market.close(p.id, p.committee);
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
        if (dice < 80 && j.flags & 8 != 0) {
            _answerStep(p, j, worker, entropy >> 8);
        } else if (dice < 88 && j.flags & 4 != 0) {
            _proveStep(p, worker, entropy >> 8);
        } else if (dice < 88 && j.flags & 8 == 0) {
            // One in eleven computes something else.
            bytes32 output = entropy >> 8 & 15 == 0 ? WRONG : (entropy >> 8 & 31 == 1 ? OTHER : RIGHT);
            bytes32 commitment = _commitment(p.id, worker, output);
            vm.prank(worker);
            market.commit(p.id, p.committee, commitment);
            p.outputs[seat] = output;
            ++seen["committed"];
        } else if (dice < 92) {
            _refuseStep(p, j, seat, entropy >> 8);
            ++seen["refused"];
        } else if (dice < 97 && j.flags & 3 == 0) {
            vm.deal(worker, worker.balance + DEPOSIT);
            vm.prank(worker);
            market.demand{value: DEPOSIT}(p.id, p.committee);
            p.demander = worker;
            ++seen["demanded"];
        } else {
            vm.warp(uint256(j.deadline) + 1);
        }
    }

    function _drawFor(JobId of_, Job memory j) private view returns (address[] memory) {
        bytes32 seed = keccak256(abi.encode(of_, _mixHash(j.seedBlock), SECRET));
        uint40 end = uint40(block.timestamp + 2 * COMMIT_WINDOW + PUBLISH_WINDOW);
        return nodes.drawEnrolled(
            seed,
            j.seats,
            (j.seedBlock - SEED_DELAY) / EPOCH,
            j.lockEach,
            IEnclaves.Eligibility(closed, 1, j.deadline - DELIVER_WINDOW, end + REVEAL_WINDOW, end)
        );
    }

    /// SIG-1, ENC-5: only the signer of the delivery counts, and none after a revocation.
    function _answerStep(Posted storage p, Job memory j, address worker, uint256 entropy) private {
        bool forged = entropy % 8 == 0;
        bool revoked = _revokedAt[worker] >= j.deliveredAt;
        bytes memory signature = _sign(p.keys[0] + (forged ? 1 : 0), _resultDigest(p.id, RIGHT, "sealed"));
        bytes memory call = abi.encodeCall(market.answer, (p.id, p.committee, RIGHT, "sealed", signature));
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
        id = p.id;
        bytes memory signature =
            entropy >> 8 & 3 == 0 ? bytes("") : _sign(p.keys[seat], _refusalDigest(worker, key, reason));
        bool charged = signature.length != 0 && j.flags & 16 != 0 && (reason == 1 || reason == 4 || reason == 5);
        uint256 before = market.credit(worker);
        vm.prank(worker);
        market.refuse(p.id, p.committee, reason, key, signature);
        uint256 fee = charged ? uint256(j.pricePerSeat) * FAULT_BPS / 10_000 : 0;
        vm.assertEq(market.credit(worker) - before, fee, "SIG-2: the fee");
        if (charged) ++seen["charged"];
    }

    /// JOB-27, JOB-28, VERIFIER-3: only a proof for this worker and job counts, and only while the verifier is listed.
    function _proveStep(Posted storage p, address worker, uint256 entropy) private {
        uint256 kind = entropy % 8;
        bytes memory proof = _proof(kind == 0 ? JobId.wrap(0) : p.id, kind == 1 ? stranger : worker);
        bool removed = _unlisted(p.request);
        uint256 key = kind == 2 ? p.keys[0] + 1 : p.keys[0];
        bytes memory signature = _sign(key, _resultDigest(p.id, _provedOutput(), MASKED));
        bytes memory call =
            abi.encodeCall(market.prove, (p.request, p.requester, p.committee, _opening(), MASKED, proof, signature));
        vm.prank(worker);
        (bool done,) = address(market).call(call);
        vm.assertTrue(done == (kind > 2 && !removed), "JOB-28, SIG-1: a proof");
        if (done) ++seen["proved"];
        else if (!removed) ++seen["not proved"];
        else vm.warp(uint256(market.job(p.id).deadline) + 1);
    }

    /// JOB-19, JOB-31: what silence costs.
    function _closeUnproved(Posted storage p, Job memory j) private {
        address worker = p.committee[0];
        uint256 stake = nodes.node(worker).stake;
        bool excused = _unlisted(p.request) || j.flags & 2 != 0;
        market.close(p.id, p.committee);
        uint256 loss = excused ? 0 : uint256(j.lockEach) * SILENT_BPS / 10_000;
        vm.assertEq(stake - nodes.node(worker).stake, loss, "JOB-31: penalty");
        ++seen[excused ? "closed unproved and excused" : "closed unproved"];
    }

    function _unlisted(Request memory r) private view returns (bool) {
        (uint32 number,,) = models.circuitOf(r.version);
        return verifiers.isRemoved(number);
    }

    function _demandedStep(Posted storage p, Job memory j, uint256 dice) private {
        if (block.timestamp <= j.deadline && dice < 75) {
            vm.prank(stranger);
            market.publish(p.request, p.requester, CIPHERTEXT);
            ++seen["published"];
        } else {
            if (block.timestamp <= j.deadline) vm.warp(uint256(j.deadline) + 1);
            market.close(p.id, p.committee);
            ++seen["unpublished"];
        }
    }

    function _committedStep(Posted storage p, Job memory j, uint256 dice, uint256 entropy) private {
        if (block.timestamp > j.deadline || dice < 4) {
            if (block.timestamp <= j.deadline) vm.warp(uint256(j.deadline) + 1);
            market.close(p.id, p.committee);
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
        market.reveal(p.id, p.committee, output, _salt(worker), "sealed", signature);
        ++seen["revealed"];
    }

    function _bury(Posted storage p) private {
        Job memory j = market.job(p.id);
        if (j.state != State.Settled && j.state != State.Refunded) return;
        p.epitaph = keccak256(abi.encode(j));
        for (uint256 i = 0; i < _live.length; ++i) {
            if (JobId.unwrap(_posted[_live[i]].id) != JobId.unwrap(p.id)) continue;
            _live[i] = _live[_live.length - 1];
            _live.pop();
            break;
        }
        ++seen[j.state == State.Settled ? "settled" : "refunded"];
    }

    function _bits(uint16 mask) private pure returns (uint256 n) {
        for (; mask != 0; mask >>= 1) {
            n += mask & 1;
        }
    }

    // ------------------------------------------------------------------------------------------------ invariants

    /// MONEY-1, to the wei, from the contracts' own records.
    function checkMoney() external view {
        uint256 owed = 0;
        for (uint256 i = 0; i < _posted.length; ++i) {
            Job memory j = market.job(_posted[i].id);
            if (j.state == State.Settled || j.state == State.Refunded) continue;
            owed += uint256(j.seats) * j.pricePerSeat;
            owed -= _bits(j.charged) * (uint256(j.pricePerSeat) * FAULT_BPS / 10_000);
            if (j.state == State.Demanded) owed += DEPOSIT;
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            owed += market.credit(accounts[i]);
        }
        vm.assertEq(address(market).balance, owed, "MONEY-1: market");
        uint256 stakes = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            stakes += nodes.node(workers[i]).stake;
        }
        vm.assertEq(address(nodes).balance, stakes, "MONEY-1: registry");
    }

    /// NODE-5, JOB-10: what is locked is what live jobs lock, and never above the stake.
    function checkLocks() external view {
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 locked = 0;
            for (uint256 k = 0; k < _live.length; ++k) {
                Posted storage p = _posted[_live[k]];
                for (uint256 seat = 0; seat < p.committee.length; ++seat) {
                    if (p.committee[seat] == workers[i]) locked += market.job(p.id).lockEach;
                }
            }
            Node memory n = nodes.node(workers[i]);
            vm.assertEq(n.locked, locked, "NODE-5: locked");
            vm.assertLe(n.locked, n.stake, "NODE-5: locked above stake");
        }
    }

    /// DRAW-2, NODE-3, NODE-6: the tree holds what stakes say, in total and for each.
    function checkTree() external view {
        uint256 next = block.number / EPOCH + 1;
        for (uint256 epoch = next - 2; epoch <= next; ++epoch) {
            uint256 sum = 0;
            for (uint256 i = 0; i < workers.length; ++i) {
                sum += nodes.weightAt(workers[i], epoch);
            }
            vm.assertEq(nodes.totalWeightAt(epoch), sum, "DRAW-2: total");
        }
        for (uint256 i = 0; i < workers.length; ++i) {
            Node memory n = nodes.node(workers[i]);
            uint256 expected = n.exitAt != 0 || n.stake < MINIMUM_STAKE ? 0 : n.stake / 1 gwei;
            vm.assertEq(nodes.weightAt(workers[i], next), expected, "NODE-6: weight");
        }
    }

    /// MONEY-4, JOB-24: an ended job stays as it ended, and nobody ends it again.
    function checkEnded() external {
        for (uint256 i = 0; i < _posted.length; ++i) {
            Posted storage p = _posted[i];
            if (p.epitaph == 0) continue;
            vm.assertEq(keccak256(abi.encode(market.job(p.id))), p.epitaph, "MONEY-4: record changed");
            if (i + 3 < _posted.length) continue; // the call that follows costs time: the latest ones will do
            (bool ok,) = address(market).call(abi.encodeCall(market.close, (p.id, p.committee)));
            vm.assertFalse(ok, "MONEY-4: ended twice");
        }
    }

    /// JOB-24, MONEY-1, MONEY-2, NODE-3: whatever happened, all jobs can be ended and all money leaves.
    function windUp() external {
        uint256 guard = 0;
        while (_live.length != 0) {
            Posted storage p = _posted[_live[0]];
            vm.warp(uint256(market.job(p.id).deadline) + REVEAL_WINDOW + 1);
            market.close(p.id, p.committee);
            _bury(p);
            vm.assertLt(++guard, 100, "JOB-24: a job does not end");
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (market.credit(accounts[i]) != 0) market.withdraw(accounts[i]);
        }
        vm.assertEq(address(market).balance, 0, "MONEY-1: money left in the market");
        for (uint256 i = 0; i < workers.length; ++i) {
            if (nodes.node(workers[i]).exitAt != 0) continue;
            vm.prank(workers[i]);
            nodes.announceExit();
        }
        vm.warp(block.timestamp + EXIT_DELAY);
        for (uint256 i = 0; i < workers.length; ++i) {
            if (nodes.node(workers[i]).stake == 0) continue;
            vm.prank(workers[i]);
            nodes.withdraw();
        }
        vm.assertEq(address(nodes).balance, 0, "MONEY-1: stake left in the registry");
    }
}
