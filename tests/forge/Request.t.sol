// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Base,
    Disputes,
    ICurrencies,
    IEnclaves,
    IJobMarket,
    IJobs,
    IModelRegistry,
    Job,
    JobId,
    JobLib,
    JobMarket,
    Level,
    ModelRegistry,
    Offer,
    Request,
    State,
    Upkeep,
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
        JobId expected =
            JobId.wrap(keccak256(abi.encode(block.chainid, address(market), r.terms, keccak256(abi.encode(r.brief)))));
        vm.expectEmit(address(market));
        emit IJobs.JobRequested(
            expected, requester, version, r, uint40(block.number + SEED_DELAY), uint40(block.timestamp + DELIVER_WINDOW)
        );
        JobId given = _post(r, ESCROW);

        vm.assertEq(JobId.unwrap(given), JobId.unwrap(expected));
        vm.assertEq(JobId.unwrap(market.jobId(r)), JobId.unwrap(expected));
        vm.assertEq(address(market).balance, ESCROW);
        Job memory j = market.job(given);
        vm.assertTrue(j.state == State.Open);
        vm.assertEq(j.flags, 0);
        vm.assertEq(uint256(j.committed) + j.revealed + j.dissenting + j.excused + j.charged + j.lead, 0);
        vm.assertEq(j.deadline, block.timestamp + DELIVER_WINDOW);
        vm.assertEq(j.moment, block.number + SEED_DELAY);
        vm.assertEq(bytes32(j.tag), 0);
    }

    /// JOB-2: the terms name who posts, and nobody posts for another.
    function test_request__in_anothers_name__reverts() public {
        vm.deal(stranger, ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, stranger, requester));
        vm.prank(stranger);
        market.request{value: ESCROW}(_default());
    }

    /// MODEL-10: the owner's share is what the version says: a requester can neither lower it nor have workers pay more.
    function test_request__other_owner_percent__reverts() public {
        vm.prank(owner);
        VersionId shared = models.publish(keccak256("shared"), _open(), Offer(PRICE, 20, false), "");
        Request memory r = _default();
        r.terms.version = shared;
        for (uint8 given = 19; given <= 21; ++given) {
            r.terms.ownerPercent = given;
            if (given != 20) {
                vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongOwnerPercent.selector, given, uint256(20)));
            }
            _post(r, ESCROW);
        }
    }

    /// JOB-10: the lock is what the market makes of the price, to the gwei.
    function test_request__other_lock__reverts() public {
        uint96[4] memory locks = [uint96(0), LOCK - 1, LOCK + 1, LOCK + 1 gwei];
        for (uint256 i = 0; i < locks.length; ++i) {
            Request memory r = _default();
            r.terms.lockEach = locks[i];
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLock.selector, locks[i], uint256(LOCK)));
            _post(r, ESCROW);
        }
    }

    /// JOB-10: rounded up to whole gweis, never down.
    function testFuzz_lockFor__any_price__is_the_least_gwei_that_covers_it(uint72 price) public view {
        uint256 lock = market.lockFor(price, COIN);
        vm.assertEq(lock % 1 gwei, 0);
        vm.assertGe(lock, uint256(price) * STAKE_RATIO, "covers");
        vm.assertLt(lock, uint256(price) * STAKE_RATIO + 1 gwei, "and no more");
    }

    /// JOB-1: a bid above the price is taken, escrowed and, if the seats agree, paid.
    function test_request__more_than_the_price__is_a_bid() public {
        Request memory r = _priced(_default(), 3 * uint96(PRICE) + 7);
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        _assertCredits(3 * uint256(PRICE) + 7, 3 * uint256(PRICE) + 7, 3 * uint256(PRICE) + 7);
        vm.assertEq(_locked(committee[0]), 30 * uint256(PRICE) + 1 gwei);
        _assertAllSettled();
    }

    /// JOB-1: the verifier is none, or the version's; another one's word would be worth nothing.
    function test_request__other_verifier__reverts() public {
        vm.prank(stranger);
        uint32 other = verifiers.add(verifier);
        Request memory r = _defaultVerified();
        r.terms.verifier = other;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, other, verifierId));
        _post(r, ESCROW);
        r = _default();
        r.terms.verifier = verifierId;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, verifierId, uint32(0)));
        _post(r, ESCROW);
        _post(_defaultVerified(), ESCROW);
    }

    /// CHAL-14: where equal work can give unequal outputs, no proof says that another one is wrong.
    function test_request__inexact_version_with_a_verifier__reverts() public {
        VersionId floats = _publishProvable(stranger, verifierId, Offer(PRICE, 0, true));
        Request memory r = _defaultVerified();
        r.terms.version = floats;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, verifierId, verifierId));
        _post(r, ESCROW);
        r.terms.verifier = 0;
        vm.assertEq(market.job(_post(r, ESCROW)).flags, JobLib.INEXACT | JobLib.FINAL);
    }

    /// VERIFIER-3
    function test_request__removed_verifier__reverts() public {
        vm.prank(steward);
        verifiers.remove(verifierId);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_VerifierRemoved.selector, verifierId));
        _post(_defaultVerified(), ESCROW);
    }

    /// CUR-1, MODEL-3: a token that the owner does not sell for, or that no steward has listed.
    function test_request__token_without_price_or_rate__reverts() public {
        address token = address(verifier); // any contract
        Request memory r = _default();
        r.terms.token = token;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, version, token));
        _post(r, 0);
        vm.prank(owner);
        models.setTokenPrice(version, token, PRICE);
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotListed.selector, token));
        _post(r, 0);
    }

    /// JOB-37: who names a worker hires it.
    function test_request__brief_names_a_worker__reverts() public {
        Request memory r = _default();
        r.brief.worker = workers[0];
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongHire.selector, workers[0]));
        _post(r, ESCROW);
    }

    /// JOB-1
    function testFuzz_request__wrong_payment__reverts(uint256 value) public {
        value %= 10 * ESCROW;
        vm.assume(value != ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, value, ESCROW));
        _post(_default(), value);
    }

    /// JOB-1, MODEL-2
    function test_request__price_changed__reverts() public {
        vm.prank(owner);
        models.setPrice(version, PRICE + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_PriceChanged.selector, PRICE, PRICE + 1));
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
        r.terms.version = VersionId.wrap(keccak256("nothing"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, r.terms.version));
        _post(r, ESCROW);
    }

    /// JOB-4
    function test_request__other_levels__revert() public {
        Request memory r = _default();
        r.terms.level = Level.Split;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_LevelNotAvailable.selector, r.terms.level));
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
        (r.terms.seats, r.terms.quorum) = (uint8(seats), uint8(quorum));
        if (!(2 <= seats && seats <= 15 && quorum <= seats && 2 * quorum > seats)) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, seats, quorum, uint256(15)));
        }
        _post(r, seats * PRICE);
    }

    /// JOB-2
    function test_request__twice__reverts() public {
        JobId posted = _post(_default(), ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyRequested.selector, posted));
        _post(_default(), ESCROW);
    }

    /// JOB-2: not even after the job has ended.
    function test_request__again_after_refund__reverts() public {
        _post(_default(), ESCROW);
        _remember(_jobId(_default()), _default());
        _lapse();
        _close();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyRequested.selector, id));
        _post(_default(), ESCROW);
    }

    /// JOB-2
    function test_request__same_by_another__is_another_job() public {
        JobId first = _post(_default(), ESCROW);
        vm.deal(stranger, ESCROW);
        Request memory r = _default();
        r.terms.requester = stranger;
        vm.prank(stranger);
        JobId second = market.request{value: ESCROW}(r);
        vm.assertTrue(JobId.unwrap(first) != JobId.unwrap(second));
        vm.assertTrue(market.job(second).state == State.Open);
    }

    /// JOB-2
    function test_job_id__any_field_chain_or_market_changed__changes() public {
        bytes32[23] memory ids;
        for (uint256 i = 0; i < 23; ++i) {
            Request memory r = _default();
            IJobMarket where = market;
            if (i == 1) r.brief.nonce = 2;
            if (i == 2) r.terms.version = VersionId.wrap(0);
            if (i == 3) r.terms.level = Level.Proved;
            if (i == 4) r.terms.seats = 4;
            if (i == 5) r.terms.quorum = 3;
            if (i == 6) r.terms.pricePerSeat = 1;
            if (i == 7) r.brief.inputCommitment = 0;
            if (i == 8) r.brief.ciphertextHash = 0;
            if (i == 9) r.brief.ciphertextSize = 0;
            if (i == 10) r.brief.responseKey = 0;
            if (i == 11) r.brief.secretHash = 0;
            if (i == 12) vm.chainId(block.chainid + 1);
            if (i == 13) (,, where) = _deploy(_parameters());
            if (i == 14) r.terms.requester = stranger;
            if (i == 15) r.terms.verifier = 1;
            if (i == 16) r.terms.ownerPercent = 1;
            if (i == 17) r.terms.token = stranger;
            if (i == 18) r.terms.lockEach = 1;
            if (i == 19) r.brief.worker = stranger;
            if (i == 20) r.brief.reputation = 1;
            if (i == 21) r.brief.consumer = stranger;
            if (i == 22) r.brief.consumerGas = 1;
            ids[i] = JobId.unwrap(where.jobId(r));
            if (i == 12) vm.chainId(block.chainid - 1);
            for (uint256 k = 0; k < i; ++k) {
                vm.assertTrue(ids[i] != ids[k]);
            }
        }
    }

    /// JOB-19
    function test_request__large_ciphertext__is_unpublishable() public {
        Request memory r = _default();
        r.brief.ciphertextSize = 65536;
        vm.assertEq(market.job(_post(r, ESCROW)).flags, 0);
        r.brief.ciphertextSize = 65537;
        vm.assertEq(market.job(_post(r, ESCROW)).flags, 2);
    }

    /// JOB-10: a stake that 96 bits cannot hold is refused, not cut off.
    function test_request__lock_above_96_bits__reverts() public {
        IJobs.Parameters memory p = _parameters();
        (p.stakeRatio, p.faultBps) = (3981, 10_000);
        (, ModelRegistry m, IJobMarket j) = _deploy(p);
        vm.prank(owner);
        m.publish(keccak256("dear"), _open(), Offer(type(uint72).max, 0, false), "");
        Request memory r = _default();
        r.terms.version = m.versionId(owner, keccak256("dear"));
        uint96 price = type(uint96).max;
        uint256 lock = (uint256(price) * p.stakeRatio + 1 gwei - 1) / 1 gwei * 1 gwei;
        (r.terms.pricePerSeat, r.terms.lockEach) = (price, uint96(lock));
        vm.deal(requester, 3 * uint256(price));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLock.selector, uint96(lock), lock));
        vm.prank(requester);
        j.request{value: 3 * uint256(price)}(r);
    }

    /// MONEY-5
    function test_receive__not_from_registry__reverts() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool ok, bytes memory answer) = address(market).call{value: 1}("");
        vm.assertFalse(ok);
        vm.assertEq(answer, abi.encodeWithSelector(IJobs.JobMarket_NotRegistry.selector, stranger));
        vm.deal(address(nodes), address(nodes).balance + 1);
        vm.prank(address(nodes));
        (ok,) = address(market).call{value: 1}("");
        vm.assertTrue(ok);
    }
}

contract DeploymentTest is Base {
    function _refused(IJobs.Parameters memory p, uint256 rule) private {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, rule));
        new Disputes(nodes, models, currencies, p);
    }

    function _accepted(IJobs.Parameters memory p) private {
        new Disputes(nodes, models, currencies, p);
    }

    /// DEP-2
    function test_parameters__deployed__are_those_given() public view {
        vm.assertEq(abi.encode(market.parameters()), abi.encode(_parameters()));
        vm.assertEq(address(market.nodes()), address(nodes));
        vm.assertEq(address(market.models()), address(models));
        vm.assertEq(address(market.verifiers()), address(verifiers));
        vm.assertEq(address(market.currencies()), address(currencies));
        JobMarket m = JobMarket(payable(address(market)));
        vm.assertEq(m.MAX_SEATS(), 15);
        vm.assertEq(m.SEALED_KEY(), 80);
        vm.assertEq(m.MAX_SEALED_OUTPUT(), 1072);
        vm.assertEq(m.MAX_PUBLISHED(), 65536);
        vm.assertEq(m.MAX_MASKED(), 8192);
        vm.assertEq(market.BURN(), burn);
    }

    /// DEP-1
    function test_deploy__registry_names_another_market__reverts() public {
        IJobs.Parameters memory p = _parameters();
        Disputes d = new Disputes(nodes, models, currencies, p);
        Upkeep u = new Upkeep(nodes, models, currencies, p);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, uint256(1)));
        new JobMarket(nodes, models, currencies, p, d, u);
    }

    /// DEP-1
    function test_deploy__no_model_registry_or_currencies__reverts() public {
        IJobs.Parameters memory p = _parameters();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, uint256(1)));
        new Disputes(nodes, ModelRegistry(stranger), currencies, p);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, uint256(1)));
        new Disputes(nodes, models, ICurrencies(stranger), p);
    }

    /// DEP-3
    function test_deploy__each_bad_parameter__reverts() public {
        for (uint256 i = 0; i < 12; ++i) {
            IJobs.Parameters memory p = _parameters();
            if (i == 0) p.seedDelay = 0;
            if (i == 1) p.deliverWindow = 0;
            if (i == 2) p.commitWindow = 0;
            if (i == 3) p.revealWindow = 0;
            if (i == 4) p.publishWindow = 0;
            if (i == 5) p.challengeWindow = 0;
            if (i == 6) p.stakeRatio = 0;
            if (i == 7) p.silentBps = p.wrongBps;
            if (i == 8) p.wrongBps = 10_001;
            if (i == 9) p.faultBps = 0;
            if (i == 10) p.faultBps = 10_001;
            if (i == 11) p.checkBps = 10_001;
            _refused(p, i < 7 ? 2 : i < 11 ? 3 : 7);
        }
    }

    /// DEP-3: at the bounds.
    function test_deploy__extreme_parameters__accepted() public {
        IJobs.Parameters memory p = _parameters();
        (p.silentBps, p.wrongBps, p.faultBps, p.checkBps, p.demandDeposit) = (9999, 10_000, 10_000, 10_000, 0);
        (p.proofGas, p.maxBaseFee, p.provingFee) = (0, 0, 0);
        _deploy(p);
    }

    /// NODE-4
    function test_deploy__exit_delay__must_exceed_longest_job() public {
        IJobs.Parameters memory p = _parameters();
        uint256 longest =
            2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW + REVEAL_WINDOW + CHALLENGE_WINDOW + 2 * DISPUTE_WINDOW;
        for (uint256 over = 0; over < 2; ++over) {
            uint256 delay = p.deliverWindow + longest + 1 - over;
            vm.mockCall(address(nodes), abi.encodeCall(nodes.exitDelay, ()), abi.encode(delay));
            over == 0 ? _accepted(p) : _refused(p, 4);
        }
    }

    /// NODE-5: three periods outlast the longest job, and one a replaced signer's.
    function test_deploy__lock_period__must_fit_the_jobs() public {
        IJobs.Parameters memory p = _parameters();
        uint256 life = 2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW + REVEAL_WINDOW;
        uint256 longest = life + CHALLENGE_WINDOW + 2 * DISPUTE_WINDOW;
        vm.assertEq(longest % 3, 0);
        _withPeriod(longest / 3);
        _accepted(p);
        _withPeriod(longest / 3 - 1);
        _refused(p, 5);
        // A dispute window so short that the second bound is the higher one breaks rule 6 too, so 5 is told first.
        p.disputeWindow = 1;
        p.challengeWindow = 1;
        _withPeriod(life - 1);
        _refused(p, 5);
        _withPeriod(life);
        _refused(p, 6);
    }

    function _withPeriod(uint256 period) private {
        IEnclaves.Limits memory l = _limits();
        l.lockPeriod = uint32(period);
        vm.mockCall(address(nodes), abi.encodeCall(nodes.limits, ()), abi.encode(l));
    }

    /// CHAL-8: a referee's job fits into a dispute.
    function test_deploy__dispute_window__holds_a_referee() public {
        IJobs.Parameters memory p = _parameters();
        p.disputeWindow = DELIVER_WINDOW + 2 * COMMIT_WINDOW + PUBLISH_WINDOW + REVEAL_WINDOW;
        _accepted(p);
        p.disputeWindow -= 1;
        _refused(p, 6);
    }

    /// ECON-1: at the given chance of being found out a wrong answer must not pay.
    function test_deploy__chance_of_a_check__must_deter() public {
        IJobs.Parameters memory p = _parameters();
        // ratio x wrong = 5 prices, and the pay is kept: found out more than once in five.
        p.checkBps = 2001;
        _accepted(p);
        p.checkBps = 2000;
        _refused(p, 7);
    }

    /// ECON-2
    function test_deploy__wrong_penalty__is_five_prices_at_least() public {
        IJobs.Parameters memory p = _parameters();
        p.checkBps = 5000;
        p.wrongBps = 4999;
        _refused(p, 8);
        (p.stakeRatio, p.wrongBps) = (5, 10_000);
        _accepted(p);
        p.stakeRatio = 4;
        _refused(p, 8);
    }

    /// ECON-3: whoever has stake locked for a year has lost a fifth of it.
    function test_deploy__fault_fee__makes_locks_cost() public {
        IJobs.Parameters memory p = _parameters();
        uint256 longest =
            2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW + REVEAL_WINDOW + CHALLENGE_WINDOW + 2 * DISPUTE_WINDOW;
        p.stakeRatio = 1000;
        p.faultBps = uint16((1000 * longest * 2000 + 365 days - 1) / 365 days);
        _accepted(p);
        p.faultBps -= 1;
        _refused(p, 9);
    }
}
