// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {
    Base,
    IJobMarket,
    IModelRegistry,
    Job,
    JobId,
    JobMarket,
    Level,
    ModelRegistry,
    NodeRegistry,
    Request,
    State,
    VersionId,
    vm
} from "./Base.t.sol";

contract RequestTest is Base {
    function _post(Request memory r, uint256 value) private returns (JobId) {
        vm.prank(requester);
        return market.request{value: value}(r);
    }

    /// JOB-1, JOB-2, JOB-5
    function test_request__default__opens_job() public {
        Request memory r = _default();
        JobId expected = JobId.wrap(keccak256(abi.encode(block.chainid, address(market), requester, r)));
        vm.expectEmit(address(market));
        emit IJobMarket.JobRequested(
            expected, requester, version, r, uint40(block.number + SEED_DELAY), uint40(block.timestamp + DELIVER_WINDOW)
        );
        JobId given = _post(r, ESCROW);

        vm.assertEq(JobId.unwrap(given), JobId.unwrap(expected));
        vm.assertEq(JobId.unwrap(market.jobId(r, requester)), JobId.unwrap(expected));
        vm.assertEq(address(market).balance, ESCROW);
        Job memory j = market.job(given);
        vm.assertTrue(j.state == State.Open);
        vm.assertEq(j.seats, 3);
        vm.assertEq(j.quorum, 2);
        vm.assertEq(j.flags, 0);
        vm.assertEq(uint256(j.committed) + j.revealed + j.excused, 0);
        vm.assertEq(j.deadline, block.timestamp + DELIVER_WINDOW);
        vm.assertEq(j.seedBlock, block.number + SEED_DELAY);
        vm.assertEq(j.pricePerSeat, PRICE);
        vm.assertEq(j.requester, requester);
        vm.assertEq(j.lockEach, LOCK);
        vm.assertEq(j.digest, 0);
    }

    /// JOB-1
    function testFuzz_request__wrong_payment__reverts(uint256 value) public {
        value %= 10 * ESCROW;
        vm.assume(value != ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_WrongPayment.selector, value, ESCROW));
        _post(_default(), value);
    }

    /// JOB-1, MODEL-2
    function test_request__price_changed__reverts() public {
        vm.prank(owner);
        models.setPrice(version, PRICE + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_PriceChanged.selector, PRICE, PRICE + 1));
        _post(_default(), ESCROW);
    }

    /// MODEL-2
    function test_request__deprecated_version__reverts() public {
        vm.prank(owner);
        models.deprecate(version);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, version));
        _post(_default(), ESCROW);
    }

    /// MODEL-1
    function test_request__unknown_version__reverts() public {
        Request memory r = _default();
        r.version = VersionId.wrap(keccak256("nothing"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, r.version));
        _post(r, ESCROW);
    }

    /// JOB-4
    function test_request__other_levels__revert() public {
        Request memory r = _default();
        r.level = Level.Split;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_LevelNotAvailable.selector, r.level));
        _post(r, ESCROW);
    }

    /// JOB-3: every pair of seats and quorum that 8 bits hold near the bounds, and a few beyond.
    function test_request__every_committee__accepted_iff_valid() public {
        for (uint256 seats = 0; seats <= 18; ++seats) {
            for (uint256 quorum = 0; quorum <= 18; ++quorum) {
                _tryCommittee(seats, quorum);
            }
        }
        _tryCommittee(255, 255);
        _tryCommittee(255, 128);
        _tryCommittee(3, 255);
        _tryCommittee(3, 129); // 2 x 129 is 2 in 8 bits
    }

    function _tryCommittee(uint256 seats, uint256 quorum) private {
        Request memory r = _default();
        (r.seats, r.quorum) = (uint8(seats), uint8(quorum));
        if (!(2 <= seats && seats <= 15 && quorum <= seats && 2 * quorum > seats)) {
            vm.expectRevert(
                abi.encodeWithSelector(IJobMarket.JobMarket_BadCommittee.selector, seats, quorum, uint256(15))
            );
        }
        _post(r, seats * PRICE);
    }

    /// JOB-2
    function test_request__twice__reverts() public {
        JobId posted = _post(_default(), ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_AlreadyRequested.selector, posted));
        _post(_default(), ESCROW);
    }

    /// JOB-2: not even after the job has ended.
    function test_request__again_after_refund__reverts() public {
        _post(_default(), ESCROW);
        id = market.jobId(_default(), requester);
        _lapse();
        _close();
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_AlreadyRequested.selector, id));
        _post(_default(), ESCROW);
    }

    /// JOB-2
    function test_request__same_by_another__is_another_job() public {
        JobId first = _post(_default(), ESCROW);
        vm.deal(stranger, ESCROW);
        vm.prank(stranger);
        JobId second = market.request{value: ESCROW}(_default());
        vm.assertTrue(JobId.unwrap(first) != JobId.unwrap(second));
        vm.assertEq(market.job(second).requester, stranger);
    }

    /// JOB-2
    function test_job_id__any_field_chain_or_market_changed__changes() public {
        bytes32[14] memory ids;
        for (uint256 i = 0; i < 14; ++i) {
            Request memory r = _default();
            JobMarket where = market;
            if (i == 1) r.nonce = 2;
            if (i == 2) r.version = VersionId.wrap(0);
            if (i == 3) r.level = Level.Proved;
            if (i == 4) r.seats = 4;
            if (i == 5) r.quorum = 3;
            if (i == 6) r.pricePerSeat = 1;
            if (i == 7) r.inputCommitment = 0;
            if (i == 8) r.ciphertextHash = 0;
            if (i == 9) r.ciphertextSize = 0;
            if (i == 10) r.responseKey = 0;
            if (i == 11) r.secretHash = 0;
            if (i == 12) vm.chainId(block.chainid + 1);
            if (i == 13) (,, where) = _deploy(_parameters());
            ids[i] = JobId.unwrap(where.jobId(r, requester));
            if (i == 12) vm.chainId(block.chainid - 1);
            for (uint256 k = 0; k < i; ++k) {
                vm.assertTrue(ids[i] != ids[k]);
            }
        }
    }

    /// JOB-19
    function test_request__large_ciphertext__is_unpublishable() public {
        Request memory r = _default();
        r.ciphertextSize = 65536;
        vm.assertEq(market.job(_post(r, ESCROW)).flags, 0);
        r.ciphertextSize = 65537;
        vm.assertEq(market.job(_post(r, ESCROW)).flags, 2);
    }

    /// JOB-10: a stake that 80 bits cannot hold is refused, not cut off.
    function test_request__lock_above_80_bits__reverts() public {
        IJobMarket.Parameters memory p = _parameters();
        p.stakeRatio = type(uint32).max;
        (, ModelRegistry m, JobMarket j) = _deploy(p);
        vm.prank(owner);
        m.publish(keccak256("dear"), _open(), type(uint72).max, "");
        Request memory r = _default();
        r.version = m.versionId(owner, keccak256("dear"));
        r.pricePerSeat = type(uint72).max;
        vm.deal(requester, 3 * uint256(type(uint72).max));
        uint256 lock = uint256(type(uint72).max) * type(uint32).max;
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 80, lock));
        vm.prank(requester);
        j.request{value: 3 * uint256(type(uint72).max)}(r);
    }

    /// MONEY-5
    function test_receive__not_from_registry__reverts() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool ok, bytes memory answer) = address(market).call{value: 1}("");
        vm.assertFalse(ok);
        vm.assertEq(answer, abi.encodeWithSelector(IJobMarket.JobMarket_NotRegistry.selector, stranger));
        vm.deal(address(nodes), address(nodes).balance + 1);
        vm.prank(address(nodes));
        (ok,) = address(market).call{value: 1}("");
        vm.assertTrue(ok);
    }
}

contract DeploymentTest is Base {
    function _refused(IJobMarket.Parameters memory p) private {
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        NodeRegistry n = new NodeRegistry(predicted, EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(IJobMarket.JobMarket_BadParameters.selector);
        new JobMarket(n, models, p);
    }

    /// DEP-2
    function test_parameters__deployed__are_those_given() public view {
        vm.assertEq(abi.encode(market.parameters()), abi.encode(_parameters()));
        vm.assertEq(address(market.nodes()), address(nodes));
        vm.assertEq(address(market.models()), address(models));
        vm.assertEq(address(market.verifiers()), address(verifiers));
        vm.assertEq(market.MAX_SEATS(), 15);
        vm.assertEq(market.SEALED_KEY(), 80);
        vm.assertEq(market.MAX_SEALED_OUTPUT(), 1072);
        vm.assertEq(market.MAX_PUBLISHED(), 65536);
        vm.assertEq(market.BURN(), burn);
    }

    /// DEP-1
    function test_deploy__registry_names_another_market__reverts() public {
        vm.expectRevert(IJobMarket.JobMarket_BadParameters.selector);
        new JobMarket(nodes, models, _parameters());
    }

    /// DEP-1
    function test_deploy__no_model_registry__reverts() public {
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        NodeRegistry n = new NodeRegistry(predicted, EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(IJobMarket.JobMarket_BadParameters.selector);
        new JobMarket(n, ModelRegistry(stranger), _parameters());
    }

    /// DEP-3
    function test_deploy__each_bad_parameter__reverts() public {
        for (uint256 i = 0; i < 10; ++i) {
            IJobMarket.Parameters memory p = _parameters();
            if (i == 0) p.seedDelay = 0;
            if (i == 1) p.deliverWindow = 0;
            if (i == 2) p.commitWindow = 0;
            if (i == 3) p.revealWindow = 0;
            if (i == 4) p.publishWindow = 0;
            if (i == 5) p.stakeRatio = 0;
            if (i == 6) p.silentBps = p.wrongBps;
            if (i == 7) p.wrongBps = 10_001;
            if (i == 8) p.faultBps = 0;
            if (i == 9) p.faultBps = 10_001;
            _refused(p);
        }
    }

    /// DEP-3: at the bounds.
    function test_deploy__extreme_parameters__accepted() public {
        IJobMarket.Parameters memory p = _parameters();
        (p.silentBps, p.wrongBps, p.faultBps, p.demandDeposit) = (9999, 10_000, 10_000, 0);
        _deploy(p);
    }

    /// NODE-4
    function test_deploy__exit_delay__must_exceed_longest_job() public {
        uint256 life = DELIVER_WINDOW + 2 * COMMIT_WINDOW + PUBLISH_WINDOW + REVEAL_WINDOW;
        IJobMarket.Parameters memory p = _parameters();
        p.deliverWindow += uint32(EXIT_DELAY - life - 1);
        _deploy(p);
        p.deliverWindow += 1;
        _refused(p);
    }
}
