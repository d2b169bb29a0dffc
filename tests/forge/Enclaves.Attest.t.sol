// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence, Report, TcbStatus} from "../../contracts/types/Evidence.sol";
import {IEnclaves, INodeRegistry, MockQuoteVerifier, Node, vm} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice Attesting, ending and revoking attestations, places on platforms.
contract EnclavesAttestTest is EnclaveBase {
    address private _w;
    uint40 private _until;

    function setUp() public override {
        super.setUp();
        _w = workers[0];
    }

    function _expect(bytes4 selector, uint256 a, uint256 b) private {
        vm.expectRevert(abi.encodeWithSelector(selector, a, b));
    }

    function _vacate(address worker, Evidence memory e) private {
        vm.prank(stranger);
        nodes.vacate(worker, e);
    }

    /// ENC-1, ENC-3, ENC-4
    function test_attest__first__stores_evidence_and_takes_a_place() public {
        Report memory r = _report(_w);
        Evidence memory e = Evidence(CODE, r.platform, TcbStatus.UpToDate, false, 0);
        uint40 until = uint40(block.timestamp + ATTESTATION_PERIOD);
        vm.expectEmit(address(nodes));
        emit IEnclaves.WorkerAttested(_w, e, until);
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
        IEnclaves.Attestation memory a = nodes.attestation(_w);
        vm.assertEq(a.evidenceTag, bytes24(e.hash()));
        vm.assertEq(a.until, until);
        vm.assertEq(a.challengeBlock, block.number - 1);
        vm.assertEq(quotes.places(r.platform), 1);
        vm.assertEq(nodes.node(_w).keyEpoch, 0);
    }

    /// ENC-3
    function test_attest__report_valid_for_less_than_the_period__ends_with_the_report() public {
        Report memory r = _report(_w);
        r.validUntil = uint40(block.timestamp + 1);
        _attest(_w, r);
        vm.assertEq(nodes.attestation(_w).until, r.validUntil);
        r = _report(_w);
        r.validUntil = uint40(block.timestamp);
        _expect(IEnclaves.Enclaves_Expired.selector, block.timestamp, block.timestamp);
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ATT-*: the judge's refusal is passed on.
    function test_attest__quote_refused__reverts() public {
        quotes.setRefuses(true);
        Report memory r = _report(_w);
        vm.expectRevert(MockQuoteVerifier.MockQuoteVerifier_Refused.selector);
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ENC-1
    function test_attest__challenge_block__is_mined_recent_and_new() public {
        Report memory r = _report(_w);
        uint256 n = block.number;
        _expect(IEnclaves.Enclaves_ChallengeTooOld.selector, n, n);
        _attestRaw(_w, _hpke(_w), _signer(_w), r, uint40(n));
        _expect(IEnclaves.Enclaves_ChallengeTooOld.selector, n - 257, n);
        _attestRaw(_w, _hpke(_w), _signer(_w), r, uint40(n - 257));
        r.challenge = keccak256("old");
        vm.setBlockhash(n - 256, r.challenge);
        _attestRaw(_w, _hpke(_w), _signer(_w), r, uint40(n - 256));
        _expect(IEnclaves.Enclaves_ChallengeUsed.selector, n - 256, n - 256);
        _attestRaw(_w, _hpke(_w), _signer(_w), r, uint40(n - 256));
    }

    /// ENC-1
    function test_attest__challenge_of_another_block__reverts() public {
        Report memory r = _report(_w);
        bytes32 right = r.challenge;
        r.challenge = keccak256("another block");
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_WrongChallenge.selector, r.challenge, right));
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ENC-1: each part of the binding.
    function test_attest__other_binding__reverts() public {
        bytes32 right = _bound(_w, _hpke(_w), _signer(_w));
        for (uint256 i = 0; i < 6; ++i) {
            Report memory r = _report(_w);
            if (i == 0) r.binding = _bound(workers[1], _hpke(_w), _signer(_w));
            if (i == 1) r.binding = _bound(_w, _hpke(workers[1]), _signer(_w));
            if (i == 2) r.binding = _bound(_w, _hpke(_w), _signer(workers[1]));
            if (i == 3) r.binding = _part(block.chainid + 1, address(nodes), 0);
            if (i == 4) r.binding = _part(block.chainid, address(market), 0);
            if (i == 5) r.binding = _part(block.chainid, address(nodes), keccak256("gpu"));
            vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_WrongBinding.selector, r.binding, right));
            _attestKeys(_w, _hpke(_w), _signer(_w), r);
        }
        vm.assertEq(_part(block.chainid, address(nodes), 0), right);
    }

    function _part(uint256 chain, address registry, bytes32 gpu) private view returns (bytes32) {
        return sha256(abi.encode(keccak256("cloister/1/report-data"), chain, registry, _w, _hpke(_w), _signer(_w), gpu));
    }

    /// NODE-1, NODE-3
    function test_attest__stranger_exiting_or_zero_keys__reverts() public {
        Report memory r = _report(stranger);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotRegistered.selector, stranger));
        _attestKeys(stranger, _hpke(stranger), _signer(stranger), r);
        r = _report(_w);
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        _attestKeys(_w, 0, _signer(_w), r);
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        _attestKeys(_w, _hpke(_w), address(0), r);
        vm.prank(_w);
        nodes.announceExit();
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.NodeRegistry_Exiting.selector, _w, uint40(block.timestamp + EXIT_DELAY)
            )
        );
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ENC-2: other keys replace the registered ones, whichever of them differs.
    function test_attest__other_keys__replace_the_registered_ones() public {
        bytes32 key = keccak256("of the enclave");
        Report memory r = _report(_w);
        r.binding = _bound(_w, key, _signer(_w));
        vm.expectEmit(address(nodes));
        emit INodeRegistry.KeysReplaced(_w, 1, key, _signer(_w));
        _attestKeys(_w, key, _signer(_w), r);
        vm.roll(block.number + 1);
        vm.assertEq(nodes.node(_w).hpkeKey, key);
        evidence[_w] = Evidence(CODE, r.platform, TcbStatus.UpToDate, false, 1);
        vm.assertEq(nodes.attestation(_w).evidenceTag, bytes24(evidence[_w].hash()));

        r = _report(_w);
        r.binding = _bound(_w, key, address(99));
        _attestKeys(_w, key, address(99), r);
        Node memory n = nodes.node(_w);
        vm.assertEq(n.signer, address(99));
        vm.assertEq(n.keyEpoch, 2);
    }

    /// ENC-2: to the last second nothing changes; a second later the key epoch does.
    function test_attest__again_around_the_end__raises_the_epoch_after_it_only() public {
        _attest(_w);
        uint256 until = nodes.attestation(_w).until;
        bytes24 tag = nodes.attestation(_w).evidenceTag;
        vm.warp(until);
        evidence[stranger] = evidence[_w];
        delete evidence[_w]; // not needed while it is the same
        _attest(_w);
        vm.assertEq(nodes.attestation(_w).evidenceTag, tag);
        vm.assertEq(nodes.node(_w).keyEpoch, 0);
        vm.warp(uint256(nodes.attestation(_w).until) + 1);
        _attest(_w);
        vm.assertEq(nodes.node(_w).keyEpoch, 1);
        vm.assertEq(quotes.places(evidence[_w].platform), 1);
    }

    /// ENC-3
    function test_replaceKeys__attested__ends_it_and_the_prompt_key() public {
        _attest(_w);
        _prompt(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("new"), address(9));
        vm.assertEq(nodes.attestation(_w).until, 0);
        vm.assertEq(nodes.promptKey(_w).expiresAt, 0);
        vm.assertEq(nodes.promptKey(_w).epoch, 1);
    }

    /// ENC-4: a changed status or measurement keeps the place, another platform moves it.
    function test_attest__evidence_changes__moves_with_the_platform_only() public {
        _attest(_w);
        bytes32 home = evidence[_w].platform;
        Report memory r = _report(_w);
        r.status = TcbStatus.SWHardeningNeeded;
        _attest(_w, r);
        vm.assertEq(quotes.places(home), 1);
        r = _report(_w);
        r.platform = keccak256("elsewhere");
        _attest(_w, r);
        vm.assertEq(quotes.places(home), 0);
        vm.assertEq(quotes.places(r.platform), 1);
    }

    /// ENC-4
    function test_attest__other_evidence_without_the_last__reverts() public {
        _attest(_w);
        Report memory r = _report(_w);
        r.status = TcbStatus.SWHardeningNeeded;
        Evidence memory right = evidence[_w];
        evidence[_w].measurement = OLDER_CODE;
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaves.Enclaves_WrongEvidence.selector, bytes24(evidence[_w].hash()), bytes24(right.hash())
            )
        );
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ENC-4
    function test_attest__platform_full__reverts_until_a_place_is_vacated() public {
        bytes32 machine = keccak256("one machine");
        for (uint256 i = 0; i < 3; ++i) {
            Report memory r = _report(workers[i]);
            r.platform = machine;
            if (i == IDENTITIES) {
                vm.expectRevert(abi.encodeWithSelector(MockQuoteVerifier.MockQuoteVerifier_Full.selector, machine));
                _attestKeys(workers[i], _hpke(workers[i]), _signer(workers[i]), r);
                vm.warp(uint256(nodes.attestation(workers[0]).until) + 1);
                _vacate(workers[0], evidence[workers[0]]);
                r.validUntil = uint40(block.timestamp + 1 days);
            }
            _attest(workers[i], r);
        }
        vm.assertEq(quotes.places(machine), 2);
    }

    /// ENC-4
    function test_vacate__around_the_end__frees_the_place_after_it_only() public {
        _attest(_w);
        Evidence memory e = evidence[_w];
        uint256 until = nodes.attestation(_w).until;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_StillAttested.selector, _w, until));
        _vacate(_w, e);
        vm.warp(until + 1);
        vm.expectEmit(address(nodes));
        emit IEnclaves.PlaceVacated(_w, e.platform);
        _vacate(_w, e);
        vm.assertEq(quotes.places(e.platform), 0);
        vm.assertEq(nodes.attestation(_w).evidenceTag, 0);
        vm.assertEq(nodes.attestation(_w).until, until);
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaves.Enclaves_WrongEvidence.selector, bytes24(e.hash()), bytes24(0))
        );
        _vacate(_w, e);
    }

    /// ENC-4: who has left gives its place back at once; who only announced it does not.
    function test_vacate__worker_left__frees_the_place() public {
        vm.warp(block.timestamp + 1);
        _attest(_w);
        vm.prank(_w);
        nodes.announceExit();
        Evidence memory e = evidence[_w];
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaves.Enclaves_StillAttested.selector, _w, nodes.attestation(_w).until)
        );
        _vacate(_w, e);
        vm.warp(block.timestamp + EXIT_DELAY);
        vm.prank(_w);
        nodes.withdraw();
        vm.assertGe(nodes.attestation(_w).until, block.timestamp, "still live");
        _vacate(_w, e);
        vm.assertEq(quotes.places(e.platform), 0);
    }

    /// ENC-5
    function test_revoke__platform_revoked__voids_the_attestation_once() public {
        _attest(_w);
        Evidence memory e = evidence[_w];
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_NotRevoked.selector, _w));
        nodes.revoke(_w, e, e.platform);
        quotes.setRevoked(keccak256("another"), true);
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_NotRevoked.selector, _w));
        nodes.revoke(_w, e, keccak256("another"));

        quotes.setRevoked(e.platform, true);
        vm.expectEmit(address(nodes));
        emit IEnclaves.AttestationRevoked(_w, e.platform);
        vm.prank(stranger);
        nodes.revoke(_w, e, e.platform);
        vm.assertEq(nodes.attestation(_w).until, 1);
        vm.assertEq(nodes.revokedAt(_w), block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_NotRevoked.selector, _w));
        nodes.revoke(_w, e, e.platform);
        e.status = TcbStatus.OutOfDate;
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaves.Enclaves_WrongEvidence.selector, bytes24(e.hash()), bytes24(evidence[_w].hash())
            )
        );
        nodes.revoke(_w, e, e.platform);
    }

    /// ENC-1: what `blockhash` says of a block that a chain remembers no longer can be quoted by anybody.
    function test_attest__chain_that_forgot_the_block__reverts() public {
        Report memory r = _report(_w);
        vm.setBlockhash(block.number - 1, 0);
        r.challenge = 0;
        _expect(IEnclaves.Enclaves_ChallengeTooOld.selector, block.number - 1, block.number);
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
    }

    /// ENC-9: without a job under way there is nothing that the replaced key could sign for.
    function test_signs__replaced_while_nothing_is_locked__is_the_new_one_at_once() public {
        _lock(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("a"), address(9));
        _release(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("b"), address(10));
        vm.assertTrue(nodes.signs(_w, address(10), block.timestamp));
        vm.assertFalse(nodes.signs(_w, address(9), block.timestamp));
        vm.assertFalse(nodes.signs(_w, _signer(_w), block.timestamp));
        _lock(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("c"), address(11)); // the first in this job
        vm.assertTrue(nodes.signs(_w, address(10), block.timestamp));
        vm.assertTrue(nodes.signs(_w, address(11), block.timestamp + 1));
    }

    function _lock(address worker) private {
        address[] memory one = new address[](1);
        one[0] = worker;
        _until = uint40(block.timestamp);
        vm.prank(address(market));
        nodes.lock(one, 1 gwei, _until);
    }

    function _release(address worker) private {
        address[] memory one = new address[](1);
        one[0] = worker;
        vm.prank(address(market));
        nodes.release(one, 1 gwei, _until, new uint256[](1));
    }

    /// ENC-9
    function test_signs__around_a_replacement__is_the_signer_of_that_second() public {
        address before = _signer(_w);
        uint256 time = block.timestamp;
        _lock(_w);
        vm.assertTrue(nodes.signs(_w, before, time));
        vm.assertFalse(nodes.signs(_w, stranger, time));
        vm.assertFalse(nodes.signs(_w, address(0), time));
        vm.assertFalse(nodes.signs(stranger, address(0), time));
        vm.prank(_w);
        nodes.replaceKeys(keccak256("new"), address(9));
        vm.assertTrue(nodes.signs(_w, before, time));
        vm.assertFalse(nodes.signs(_w, address(9), time));
        vm.assertTrue(nodes.signs(_w, address(9), time + 1));
        vm.assertFalse(nodes.signs(_w, before, time + 1));
    }

    /// ENC-9: a lock whose period is over is none, without anybody's call.
    function test_replaceKeys__lock_came_free_by_itself__owes_nothing() public {
        _lock(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("a"), address(9));
        vm.warp((block.timestamp / LOCK_PERIOD + 1) * LOCK_PERIOD - 1);
        vm.expectPartialRevert(IEnclaves.Enclaves_SignerOwed.selector);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("b"), address(10));
        vm.warp(block.timestamp + 1);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("b"), address(10));
        vm.assertTrue(nodes.signs(_w, address(10), block.timestamp));
    }

    /// ENC-9: to the last second in which a job can be answered, while stake is locked.
    function test_replaceKeys__signer_owed_and_stake_locked__reverts() public {
        vm.prank(_w);
        nodes.replaceKeys(keccak256("a"), address(9)); // nothing is locked
        _lock(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("b"), address(10));
        uint256 owed = block.timestamp + LOCK_PERIOD;
        vm.warp(owed);
        _lock(_w); // by another job
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_SignerOwed.selector, _w, owed));
        vm.prank(_w);
        nodes.replaceKeys(keccak256("c"), address(11));
        Report memory r = _report(_w);
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_SignerOwed.selector, _w, owed));
        _attestKeys(_w, _hpke(_w), _signer(_w), r);
        vm.warp(owed + 1);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("c"), address(11));
    }
}

/// @notice What attesting costs beyond base fee, calldata and judge, which is a mock here.
contract EnclavesGasTest is EnclaveBase {
    function setUp() public override {
        super.setUp();
        _attest(workers[1]);
    }

    function test_attest__first__gas() public {
        vm.assertLt(_gas(workers[0], _report(workers[0])), 80_000, "first");
    }

    function test_attest__again__gas() public {
        vm.assertLt(_gas(workers[1], _report(workers[1])), 35_000, "again");
    }

    function _gas(address worker, Report memory r) private returns (uint256) {
        bytes memory quote = bytes.concat(abi.encode(r), new bytes(1252 - 224));
        bytes memory call = abi.encodeCall(
            nodes.attest,
            (_hpke(worker), _signer(worker), quote, r.platform, uint40(block.number - 1), evidence[worker])
        );
        vm.prank(worker);
        uint256 before = gasleft();
        (bool done,) = address(nodes).call(call);
        uint256 used = before - gasleft();
        vm.assertTrue(done);
        return used;
    }
}
