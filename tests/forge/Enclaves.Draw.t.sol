// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Report, TcbStatus} from "../../contracts/types/Evidence.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {IEnclaves, vm} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice Who is drawn for a version with a policy.
contract EnclavesDrawTest is EnclaveBase {
    enum Kind {
        Ready,
        NeverEnrolled,
        EnrolledThisEpoch,
        LapsedBefore,
        StruckBefore,
        LapsesInTheJob,
        PromptTooShort,
        KeysReplaced,
        Revoked,
        EnrolledAnew,
        OtherEvidence
    }

    uint256 private constant MANY = 24;
    uint256 private constant SEATS = 3;
    bytes32 private constant SEED = keccak256("a seed");

    mapping(address => Kind) private _kinds;
    uint40 private _requestedAt;
    uint256 private _epoch;

    /// @dev Whether ENC-11 passes over such a worker; what is neither this nor Ready is vacant.
    function _passed(Kind kind) private pure returns (bool) {
        return kind > Kind.Ready && kind <= Kind.StruckBefore;
    }

    function _drawEnrolled(bytes32 seed, uint256 seats) private view returns (address[] memory) {
        IEnclaves.Eligibility memory e = _eligibility();
        e.requestedAt = _requestedAt;
        return nodes.drawEnrolled(seed, seats, _epoch, LOCK, e);
    }

    /// @dev What the draw must give, from the plain draw of everybody and the kinds.
    function _expected(bytes32 seed, uint256 seats) private view returns (address[] memory seated) {
        address[] memory all = nodes.draw(seed, seats + 16, _epoch, 0);
        seated = new address[](seats);
        uint256 seat = 0;
        for (uint256 i = 0; i < all.length && seat < seats && all[i] != address(0); ++i) {
            Kind kind = _kinds[all[i]];
            if (_passed(kind)) continue;
            if (kind == Kind.Ready) seated[seat] = all[i];
            ++seat;
        }
    }

    /// @dev Brings every worker to what its kind says, by the time of a request in this second.
    function _populate(uint256 entropy, uint256 strangeOutOf16) private {
        for (uint256 i = workers.length; i < MANY; ++i) {
            workers.push(_worker(i));
            _register(_worker(i), 5 ether);
        }
        _nextEpoch();
        for (uint256 i = 0; i < MANY; ++i) {
            bool strange = entropy >> (8 * i) & 15 < strangeOutOf16;
            _kinds[workers[i]] = strange ? Kind(1 + uint256(keccak256(abi.encode(entropy, i))) % 10) : Kind.Ready;
            _before(workers[i], _kinds[workers[i]]);
        }
        vm.warp(block.timestamp + 100);
        for (uint256 i = 0; i < MANY; ++i) {
            if (_kinds[workers[i]] == Kind.StruckBefore) nodes.strike(closed, workers[i]);
        }
        _nextEpoch();
        _nextEpoch();
        (_requestedAt, _epoch) = (uint40(block.timestamp), nodes.epochOf(block.number));
        for (uint256 i = 0; i < MANY; ++i) {
            _after(workers[i], _kinds[workers[i]]);
        }
    }

    function _before(address worker, Kind kind) private {
        Report memory r = _report(worker);
        if (kind == Kind.LapsedBefore || kind == Kind.StruckBefore) r.validUntil = uint40(block.timestamp + 99);
        if (kind == Kind.LapsesInTheJob) {
            r.validUntil = _eligibility().attestedUntil + 100 - 1;
        }
        _attest(worker, r);
        if (kind == Kind.PromptTooShort) _promptRaw(worker, 1, CODE, _eligibility().promptUntil + 100 - 1);
        else _prompt(worker);
        if (kind != Kind.NeverEnrolled && kind != Kind.EnrolledThisEpoch) _enrol(worker);
    }

    function _after(address worker, Kind kind) private {
        if (kind == Kind.EnrolledThisEpoch) _enrol(worker);
        if (kind == Kind.KeysReplaced) {
            vm.prank(worker);
            nodes.replaceKeys(CODE, address(9));
        }
        if (kind == Kind.Revoked) {
            bytes32 platform = evidence[worker].platform;
            quotes.setRevoked(platform, true);
            nodes.revoke(worker, evidence[worker], platform);
        }
        if (kind == Kind.EnrolledAnew || kind == Kind.OtherEvidence) {
            Report memory r = _report(worker);
            r.status = TcbStatus.SWHardeningNeeded;
            _attest(worker, r);
            if (kind == Kind.EnrolledAnew) _enrol(worker);
        }
    }

    /// forge-config: default.fuzz.runs = 100
    /// DRAW-7, ENC-7, ENC-10, ENC-11, ENC-12: whatever happened to whom.
    function testFuzz_drawEnrolled__any_workers__seats_the_eligible(uint256 entropy, uint8 strange) public {
        _populate(entropy, strange % 17);
        for (uint256 i = 0; i < 8; ++i) {
            bytes32 seed = keccak256(abi.encode(entropy, i));
            for (uint256 seats = 1; seats <= 5; seats += 2) {
                vm.assertEq(_drawEnrolled(seed, seats), _expected(seed, seats));
            }
        }
    }

    /// forge-config: default.fuzz.runs = 100
    /// ENC-11, ENC-12: what a worker does after the request empties seats and fills none.
    function testFuzz_drawEnrolled__worker_acts_after_the_request__seats_nobody_else(uint256 entropy, uint8 strange)
        public
    {
        _populate(entropy, strange % 17);
        bytes32 seed = keccak256(abi.encode(entropy));
        address[] memory before = _drawEnrolled(seed, SEATS);
        vm.warp(block.timestamp + 1);
        address worker = workers[entropy % MANY];
        _act(worker, entropy >> 8);
        if (entropy >> 200 & 1 == 0) _act(worker, entropy >> 16);
        if (entropy >> 201 & 1 == 0) _act(worker, entropy >> 24);
        // The draw comes in the same second, or in the next epoch.
        if (entropy >> 202 & 1 == 0) _nextEpoch();
        address[] memory later = _drawEnrolled(seed, SEATS);
        for (uint256 i = 0; i < SEATS; ++i) {
            // A ready worker whose prompt key was too short posts another: it takes its own seat, which it had given up.
            if (later[i] == address(0) || later[i] == worker && !_passed(_kinds[worker])) continue;
            bool held = false;
            for (uint256 k = 0; k < SEATS; ++k) {
                held = held || before[k] == later[i];
            }
            vm.assertTrue(held, "somebody was seated who was not");
        }
    }

    function _act(address worker, uint256 act) private {
        act %= 8;
        if (nodes.node(worker).exitAt != 0) return;
        bool live = nodes.attestation(worker).until >= block.timestamp;
        bool keys = nodes.node(worker).signer == _signer(worker);
        if (act == 0 && keys) _attest(worker);
        if (act == 1 && keys) _prompt(worker);
        if (act == 2 && keys && live && _kinds[worker] != Kind.Revoked) _enrol(worker);
        if (act == 3) {
            vm.prank(worker);
            nodes.replaceKeys(OLDER_CODE, address(10));
        }
        if (act == 4 && nodes.attestation(worker).until != 1 && nodes.attestation(worker).evidenceTag != 0) {
            quotes.setRevoked(evidence[worker].platform, true);
            nodes.revoke(worker, evidence[worker], evidence[worker].platform);
        }
        if (act == 5 && !live && nodes.attestation(worker).evidenceTag != 0) {
            nodes.vacate(worker, evidence[worker]);
            delete evidence[worker];
        }
        if (act == 6) {
            (bool done,) = address(nodes).call(abi.encodeCall(nodes.strike, (closed, worker)));
            done;
        }
        if (act == 7) {
            vm.prank(worker);
            nodes.announceExit();
            vm.prank(worker);
            (bool done,) = address(nodes).call(abi.encodeCall(nodes.withdraw, ()));
            done;
        }
    }

    /// ENC-12
    function test_drawEnrolled__all_enrolled__is_the_plain_draw() public {
        _populate(0, 0);
        for (uint256 i = 0; i < 20; ++i) {
            bytes32 seed = keccak256(abi.encode(i));
            vm.assertEq(_drawEnrolled(seed, 4), nodes.draw(seed, 4, _epoch, LOCK));
        }
    }

    /// ENC-11: among 24 workers of whom one is enrolled it is found if it is among the first 17, never after.
    function test_drawEnrolled__one_enrolled__found_within_16_more() public {
        _populate(0, 0);
        vm.warp(uint256(nodes.attestation(workers[0]).until) + 1);
        address only = workers[23];
        _attest(only);
        _prompt(only);
        _enrol(only);
        _nextEpoch();
        (_requestedAt, _epoch) = (uint40(block.timestamp), nodes.epochOf(block.number));
        uint256 found = 0;
        for (uint256 i = 0; i < 60; ++i) {
            bytes32 seed = keccak256(abi.encode(i));
            address[] memory all = nodes.draw(seed, 17, _epoch, 0);
            bool near = false;
            for (uint256 k = 0; k < 17; ++k) {
                near = near || all[k] == only;
            }
            vm.assertEq(_drawEnrolled(seed, 1)[0], near ? only : address(0));
            if (near) ++found;
        }
        vm.assertGt(found, 0, "never");
        vm.assertLt(found, 60, "always");
    }

    /// ENC-10, ENC-11, DRAW-5: each bound, to the second and the wei.
    function test_drawEnrolled__bounds__decide() public {
        _populate(0, 0);
        address first = nodes.draw(SEED, 1, _epoch, 0)[0];
        uint40 until = nodes.attestation(first).until;
        uint40 prompt = nodes.promptKey(first).expiresAt;
        uint96 free = nodes.node(first).stake;
        IEnclaves.Eligibility memory e = IEnclaves.Eligibility(closed, 1, _requestedAt, until, prompt);
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], first);
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free + 1, e)[0], address(0));
        e.attestedUntil += 1;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], address(0));
        e.attestedUntil -= 1;
        e.promptUntil += 1;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], address(0));
        e.promptUntil -= 1;
        e.policyRevision = 2;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], address(0));
        e.policyRevision = 1;
        e.requestedAt = until;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], first);
        e.requestedAt = until + 1;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], address(0)); // so are all others
        e.requestedAt = _requestedAt;
        e.version = version;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, free, e)[0], address(0));
    }

    /// ENC-8, ENC-13: who is excluded by a narrower policy keeps seats vacant until somebody strikes it, and for one epoch more.
    function test_drawEnrolled__excluded_by_a_narrower_policy__vacant_until_struck() public {
        _populate(0, 0);
        address first = nodes.draw(SEED, 1, _epoch, 0)[0];
        Policy memory narrower = _policy();
        narrower.statuses = 1;
        vm.prank(owner);
        models.narrowPolicy(closed, _policy(), narrower);
        for (uint256 i = 0; i < MANY; ++i) {
            if (workers[i] == first) continue;
            bytes memory signature = _enrolment(workers[i], closed, 0);
            _enrolRaw(workers[i], closed, narrower, signature);
        }
        nodes.strike(closed, first);
        IEnclaves.Eligibility memory e = _eligibility();
        e.policyRevision = 2;
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, 0, e)[0], address(0));
        _nextEpoch();
        e = _eligibility();
        e.policyRevision = 2;
        _epoch = nodes.epochOf(block.number);
        address[] memory two = nodes.draw(SEED, 2, _epoch, 0);
        vm.assertEq(two[0], first);
        vm.assertEq(nodes.drawEnrolled(SEED, 1, _epoch, 0, e)[0], two[1]);
    }
}
