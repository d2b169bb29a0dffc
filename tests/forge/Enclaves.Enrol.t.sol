// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence, Report, TcbStatus} from "../../contracts/types/Evidence.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {IEnclaves, IModelRegistry, INodeRegistry, VersionId, vm} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice Prompt keys, enrolments and their end, and the digests that chain and Python share.
contract EnclavesEnrolTest is EnclaveBase {
    address private _w;

    function setUp() public override {
        super.setUp();
        _w = workers[0];
        _attest(_w);
    }

    function _wrongSigner(address worker) private {
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_WrongSignature.selector, address(0), _signer(worker)));
    }

    /// ENC-6
    function test_postPromptKey__signed__is_stored_and_counts_up() public {
        uint40 end = uint40(block.timestamp + PROMPT_LIFETIME);
        vm.expectEmit(address(nodes));
        emit IEnclaves.PromptKeyPosted(_w, 1, CODE, end);
        _promptRaw(_w, 1, CODE, end);
        _promptRaw(_w, 2, OLDER_CODE, end);
        IEnclaves.PromptKey memory p = nodes.promptKey(_w);
        vm.assertEq(p.key, OLDER_CODE);
        vm.assertEq(p.epoch, 2);
        vm.assertEq(p.expiresAt, end);
    }

    /// ENC-6: else a drawn worker could be in the draw or not, block by block, and no `deliver` would name the right committee.
    function test_postPromptKey__ends_before_the_last__reverts_until_the_keys_change() public {
        uint40 end = uint40(block.timestamp + 1 hours);
        _promptRaw(_w, 1, CODE, end);
        uint256 latest = block.timestamp + PROMPT_LIFETIME;
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_PromptLifetime.selector, end - 1, end, latest));
        _promptRaw(_w, 2, CODE, end - 1);
        vm.warp(end + 1); // what is over binds nobody
        _promptRaw(_w, 2, CODE, end + 2);
        address signer = _signer(_w);
        vm.prank(_w);
        nodes.replaceKeys(keccak256("new"), signer);
        _promptRaw(_w, 3, CODE, end + 2);
    }

    /// ENC-6
    function test_postPromptKey__lifetime__is_more_than_nothing_and_at_most_the_limit() public {
        uint256 latest = block.timestamp + PROMPT_LIFETIME;
        uint256[2] memory ends = [block.timestamp, latest + 1];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(IEnclaves.Enclaves_PromptLifetime.selector, ends[i], block.timestamp + 1, latest)
            );
            _promptRaw(_w, 1, CODE, uint40(ends[i]));
        }
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        _promptRaw(_w, 1, 0, uint40(latest));
    }

    /// ENC-6: one key, one epoch, one worker, one form.
    function test_postPromptKey__other_signature__reverts() public {
        uint40 end = uint40(block.timestamp + 1 hours);
        bytes[6] memory wrong;
        wrong[0] = _sign(_signingKey(_w), _promptDigest(_w, 2, CODE, end));
        wrong[1] = _sign(_signingKey(_w), _promptDigest(workers[1], 1, CODE, end));
        wrong[2] = _sign(_signingKey(_w), _promptDigest(_w, 1, OLDER_CODE, end));
        wrong[3] = _sign(_signingKey(_w), _promptDigest(_w, 1, CODE, end - 1));
        wrong[4] = _sign(_signingKey(workers[1]), _promptDigest(_w, 1, CODE, end));
        wrong[5] = _high(_sign(_signingKey(_w), _promptDigest(_w, 1, CODE, end)));
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectRevert();
            vm.prank(_w);
            nodes.postPromptKey(CODE, end, wrong[i]);
        }
        bytes memory right = _sign(_signingKey(_w), _promptDigest(_w, 1, CODE, end));
        bytes[3] memory malformed = [bytes(""), bytes.concat(right, hex"00"), wrong[5]];
        for (uint256 i = 0; i < 3; ++i) {
            _wrongSigner(_w);
            vm.prank(_w);
            nodes.postPromptKey(CODE, end, malformed[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotRegistered.selector, stranger));
        vm.prank(stranger);
        nodes.postPromptKey(CODE, end, right);
        vm.prank(_w);
        nodes.postPromptKey(CODE, end, right);
    }

    /// @dev The other signature of the same digest.
    function _high(bytes memory signature) private pure returns (bytes memory) {
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        (bytes32 r, uint256 s, uint8 v) = (0, 0, 0);
        assembly {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
        return abi.encodePacked(r, order - s, v == 27 ? 28 : 27);
    }

    /// ENC-7
    function test_enrol__admitted__counts_from_the_next_epoch() public {
        uint32 next = uint32(nodes.epochOf(block.number) + 1);
        vm.expectEmit(address(nodes));
        emit IEnclaves.WorkerEnrolled(_w, closed, 1, next);
        _enrol(_w);
        IEnclaves.Enrolment memory e = nodes.enrolment(closed, _w);
        vm.assertEq(bytes32(e.evidenceTag), bytes32(bytes20(evidence[_w].hash())));
        vm.assertEq(e.policyRevision, 1);
        vm.assertEq(e.since, next);
        vm.assertEq(e.lapsed, 0);
        // Once more changes nothing, whenever.
        _nextEpoch();
        _enrol(_w);
        vm.assertEq(nodes.enrolment(closed, _w).since, next);
        vm.assertEq(nodes.enrolment(closed, _w).lapsed, 0);
    }

    /// ENC-7: under other evidence it begins anew, and what was before is remembered as ended.
    function test_enrol__other_evidence__begins_anew() public {
        _enrol(_w);
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        Report memory r = _report(_w);
        r.measurement = OLDER_CODE;
        _attest(_w, r);
        _enrol(_w);
        IEnclaves.Enrolment memory e = nodes.enrolment(closed, _w);
        vm.assertEq(e.since, epoch + 1);
        vm.assertEq(e.lapsed, epoch);
        // Twice within an epoch: the first one of them never counted.
        r = _report(_w);
        _attest(_w, r);
        _enrol(_w);
        vm.assertEq(nodes.enrolment(closed, _w).lapsed, epoch);
    }

    /// ENC-7
    function test_enrol__not_attested_or_lapsed__reverts() public {
        bytes memory notAttested = abi.encodeWithSelector(IEnclaves.Enclaves_NotAttested.selector, workers[1]);
        vm.expectRevert(notAttested);
        _enrolRaw(workers[1], closed, _policy(), "");
        uint256 until = nodes.attestation(_w).until;
        bytes memory signature = _enrolment(_w, closed, 0);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_NotAttested.selector, _w));
        _enrolRaw(_w, closed, _policy(), signature);
        vm.warp(until);
        _enrolRaw(_w, closed, _policy(), signature);
    }

    /// ENC-7, ENC-8
    function test_enrol__open_unknown_or_other_policy__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_OpenVersion.selector, version));
        _enrolRaw(_w, version, _policy(), "");
        VersionId none = VersionId.wrap(0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none));
        _enrolRaw(_w, none, _policy(), "");
        Policy memory wider = _policy();
        wider.statuses = 255;
        vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_WrongPolicy.selector, wider.hash(), _policy().hash()));
        _enrolRaw(_w, closed, wider, "");
    }

    /// ENC-7
    function test_enrol__not_admitted__reverts() public {
        for (uint256 i = 0; i < 3; ++i) {
            Report memory r = _report(_w);
            if (i == 0) r.measurement = keccak256("other code");
            if (i == 1) r.status = TcbStatus.OutOfDate;
            if (i == 2) r.development = true;
            _attest(_w, r);
            vm.expectRevert(abi.encodeWithSelector(IEnclaves.Enclaves_NotAdmitted.selector, _w, closed));
            _enrolRaw(_w, closed, _policy(), "");
        }
    }

    /// ENC-7
    function test_enrol__other_evidence_or_signature__reverts() public {
        bytes memory signature = _enrolment(_w, closed, 1);
        vm.expectRevert();
        _enrolRaw(_w, closed, _policy(), signature);
        _wrongSigner(_w);
        _enrolRaw(_w, closed, _policy(), "");
        bytes memory other = _enrolment(_w, version, 0);
        vm.expectRevert();
        _enrolRaw(_w, closed, _policy(), other);
        Evidence memory right = evidence[_w];
        evidence[_w].keyEpoch = 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaves.Enclaves_WrongEvidence.selector, bytes24(evidence[_w].hash()), bytes24(right.hash())
            )
        );
        _enrolRaw(_w, closed, _policy(), "");
    }

    /// ENC-13: an enrolment that holds is nobody's to end; one that does not is struck by anybody, from the next epoch on.
    function test_strike__void_enrolment__is_ended_and_no_other() public {
        bytes memory still = abi.encodeWithSelector(IEnclaves.Enclaves_StillEnrolled.selector, _w, closed);
        vm.expectRevert(still);
        nodes.strike(closed, _w);
        _enrol(_w);
        _nextEpoch();
        vm.expectRevert(still);
        nodes.strike(closed, _w);
        uint256 epoch = nodes.epochOf(block.number);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 snapshot = vm.snapshotState();
            if (i == 0) vm.warp(uint256(nodes.attestation(_w).until) + 1);
            if (i == 1) {
                Report memory r = _report(_w);
                r.status = TcbStatus.SWHardeningNeeded;
                _attest(_w, r);
            }
            if (i == 2) {
                vm.prank(_w);
                nodes.replaceKeys(CODE, address(9));
            }
            if (i == 3) {
                Policy memory narrower = _policy();
                narrower.statuses = 1;
                vm.prank(owner);
                models.narrowPolicy(closed, _policy(), narrower);
            }
            vm.expectEmit(address(nodes));
            emit IEnclaves.EnrolmentStruck(_w, closed);
            vm.prank(stranger);
            nodes.strike(closed, _w);
            vm.assertEq(nodes.enrolment(closed, _w).since, 0);
            vm.assertEq(nodes.enrolment(closed, _w).lapsed, epoch);
            vm.expectRevert(still);
            nodes.strike(closed, _w);
            vm.revertToState(snapshot);
        }
    }

    /// ENC-13: struck before it ever counted, it leaves no trace.
    function test_strike__before_it_counted__leaves_nothing() public {
        _enrol(_w);
        vm.warp(uint256(nodes.attestation(_w).until) + 1);
        nodes.strike(closed, _w);
        vm.assertEq(nodes.enrolment(closed, _w).since, 0);
        vm.assertEq(nodes.enrolment(closed, _w).lapsed, 0);
    }

    /// The digests of offchain/cloister/domain: typed.py and attested.py gave these values for these arguments.
    function test_digests__of_python__equal() public {
        vm.chainId(31337);
        address registry = address(bytes20(hex"1111111111111111111111111111111111111111"));
        address worker = address(bytes20(hex"2222222222222222222222222222222222222222"));
        address place = address(bytes20(hex"3333333333333333333333333333333333333333"));
        bytes32 prompt = keccak256("PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)");
        vm.assertEq(
            _typed(registry, keccak256(abi.encode(prompt, worker, 3, _all(0xcc), 1_800_000_000))),
            0x002b0db4f3e8ff71099f061e2b7826b167e09568bce4276e4db7242c197dd71a
        );
        vm.assertEq(
            _enrolmentDigest(registry, worker, VersionId.wrap(_all(0xdd)), 4),
            0xf069efabaccd0954723f5e7be982f6b9634f32de58c134bd72051640982453e0
        );
        bytes32 result = keccak256("Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput)");
        vm.assertEq(
            _typed(place, keccak256(abi.encode(result, _all(0xaa), 0, _all(0xbb), keccak256("sealed")))),
            0xbb802155652f7f266deb1c2d42a08e48174cd8c41d98c6a4fcb61f91b276a81e
        );
        bytes32 refusal = keccak256("Refusal(bytes32 job,address worker,bytes32 sealedKey,uint8 reason)");
        bytes memory sealedKey = new bytes(80);
        for (uint256 i = 0; i < 80; ++i) {
            sealedKey[i] = 0x07;
        }
        vm.assertEq(
            _typed(place, keccak256(abi.encode(refusal, _all(0xaa), worker, keccak256(sealedKey), 5))),
            0x02a1fe426e5e5b5c66a62818551bc81c0c9f96e6741b225d561a3e70c50bca29
        );
        vm.assertEq(
            sha256(
                abi.encode(keccak256("cloister/1/report-data"), 31337, registry, worker, _all(0xcc), place, bytes32(0))
            ),
            0xf2a5a2b5a23e84857cd6393ff24793c625d18b0a417efbe3a9358b967d347e67
        );
        vm.assertEq(
            Evidence(_all(1), _all(2), TcbStatus.OutOfDate, true, 9).hash(),
            0x321fcb822214ed946069809ed8951561ad926135a687c1fd3ee00869d2e25a48
        );
        Policy memory policy = _policy();
        (policy.measurements[0], policy.measurements[1], policy.development) = (_all(1), _all(2), true);
        vm.assertEq(policy.hash(), 0xae51f17ecd82d4aa3610b50965cc96707a75189181d326351ed570d46be0ec2e);
    }

    function _all(uint8 b) private pure returns (bytes32 word) {
        for (uint256 i = 0; i < 32; ++i) {
            word |= bytes32(uint256(b)) << 8 * i;
        }
    }
}
