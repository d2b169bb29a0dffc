// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence, Report, TcbStatus} from "../../contracts/types/Evidence.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {Base, IEnclaves, Level, Request, VersionId, vm} from "./Base.t.sol";

/// @notice The steps of an attested worker. `_report` is of a sound enclave on a machine of its own.
abstract contract EnclaveBase is Base {
    bytes32 internal constant CODE = keccak256("an enclave");
    bytes32 internal constant OLDER_CODE = keccak256("the enclave before");

    /// @dev A version with a policy, which admits both codes, two statuses and no development evidence.
    VersionId internal closed;
    mapping(address => Evidence) internal evidence;

    function setUp() public virtual override {
        super.setUp();
        vm.prank(owner);
        closed = models.publish(keccak256("closed"), _policy(), _offer(), "");
    }

    function _policy() internal pure returns (Policy memory p) {
        p.measurements = new bytes32[](2);
        (p.measurements[0], p.measurements[1]) = CODE < OLDER_CODE ? (CODE, OLDER_CODE) : (OLDER_CODE, CODE);
        p.statuses = 3;
    }

    function _defaultAttested() internal view returns (Request memory r) {
        r = _default();
        (r.terms.version, r.terms.level, r.terms.seats, r.terms.quorum) = (closed, Level.Attested, 1, 1);
    }

    function _hpke(address worker) internal view virtual returns (bytes32) {
        return keccak256(abi.encode("hpke", worker));
    }

    function _challenge() internal returns (bytes32 hash) {
        hash = keccak256(abi.encode("block", block.number - 1));
        vm.setBlockhash(block.number - 1, hash);
    }

    function _bound(address worker, bytes32 key, address signer) internal view returns (bytes32) {
        return sha256(
            abi.encode(
                keccak256("cloister/1/report-data"), block.chainid, address(nodes), worker, key, signer, bytes32(0)
            )
        );
    }

    function _report(address worker) internal returns (Report memory r) {
        r.measurement = CODE;
        r.platform = keccak256(abi.encode("platform", worker));
        r.status = TcbStatus.UpToDate;
        r.validUntil = uint40(block.timestamp + 30 days);
        r.binding = _bound(worker, _hpke(worker), _signer(worker));
        r.challenge = _challenge();
    }

    function _attest(address worker) internal {
        _attest(worker, _report(worker));
    }

    function _attest(address worker, Report memory r) internal {
        _attestKeys(worker, _hpke(worker), _signer(worker), r);
        evidence[worker] = Evidence(r.measurement, r.platform, r.status, r.development, nodes.node(worker).keyEpoch);
        vm.roll(block.number + 1);
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _attestKeys(address worker, bytes32 key, address signer, Report memory r) internal {
        _attestRaw(worker, key, signer, r, uint40(block.number - 1));
    }

    function _attestRaw(address worker, bytes32 key, address signer, Report memory r, uint40 challenge) internal {
        Evidence memory previous = evidence[worker];
        vm.prank(worker);
        nodes.attest(key, signer, abi.encode(r), r.platform, challenge, previous);
    }

    function _prompt(address worker) internal {
        uint32 epoch = nodes.promptKey(worker).epoch + 1;
        _promptRaw(
            worker, epoch, keccak256(abi.encode("prompt", worker, epoch)), uint40(block.timestamp + PROMPT_LIFETIME)
        );
    }

    function _promptRaw(address worker, uint32 epoch, bytes32 key, uint40 end) internal {
        bytes memory signature = _sign(_signingKey(worker), _promptDigest(worker, epoch, key, end));
        vm.prank(worker);
        nodes.postPromptKey(key, end, signature);
    }

    function _promptDigest(address worker, uint32 epoch, bytes32 key, uint40 end) internal view returns (bytes32) {
        bytes32 kind = keccak256("PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)");
        return _typed(address(nodes), keccak256(abi.encode(kind, worker, epoch, key, end)));
    }

    function _enrol(address worker) internal {
        bytes memory signature = _enrolment(worker, closed, nodes.node(worker).keyEpoch);
        _enrolRaw(worker, closed, _policy(), signature);
    }

    function _enrolRaw(address worker, VersionId of_, Policy memory policy, bytes memory signature) internal {
        Evidence memory e = evidence[worker];
        vm.prank(worker);
        nodes.enrol(of_, policy, e, signature);
    }

    function _enrolment(address worker, VersionId of_, uint32 keyEpoch) internal view returns (bytes memory) {
        return _sign(_signingKey(worker), _enrolmentDigest(address(nodes), worker, of_, keyEpoch));
    }

    function _enrolmentDigest(address registry, address worker, VersionId of_, uint32 keyEpoch)
        internal
        view
        returns (bytes32)
    {
        bytes32 kind = keccak256("Enrolment(address worker,bytes32 version,uint32 keyEpoch)");
        return _typed(registry, keccak256(abi.encode(kind, worker, of_, keyEpoch)));
    }

    function _refusalDigest(address worker, bytes32 sealedKey, uint8 reason) internal view returns (bytes32) {
        bytes32 kind = keccak256("Refusal(bytes32 job,address worker,bytes32 sealedKey,uint8 reason)");
        return _typed(address(market), keccak256(abi.encode(kind, id, worker, sealedKey, reason)));
    }

    /// @dev All workers, from the next epoch on, in which the chain is then.
    function _enrolAll() internal {
        for (uint256 i = 0; i < workers.length; ++i) {
            _attest(workers[i]);
            _prompt(workers[i]);
            _enrol(workers[i]);
        }
        _nextEpoch();
    }

    function _eligibility() internal view returns (IEnclaves.Eligibility memory) {
        uint40 end = uint40(block.timestamp + 2 * COMMIT_WINDOW + PUBLISH_WINDOW);
        return IEnclaves.Eligibility(closed, 1, uint40(block.timestamp), end + REVEAL_WINDOW, end);
    }

    /// @dev Requests and delivers a job for the version with a policy to whom the contract draws.
    function _readyEnrolled(Request memory r) internal {
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = _seedBlock(seedBlock);
        bytes32 seed = keccak256(abi.encode(id, _mixHash(seedBlock), SECRET));
        uint256 epoch = (seedBlock - SEED_DELAY) / EPOCH;
        _deliver(r, header, nodes.drawEnrolled(seed, r.terms.seats, epoch, r.terms.lockEach, _eligibility()));
    }
}
