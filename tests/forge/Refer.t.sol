// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Brief,
    IJobs,
    INodeRegistry,
    Job,
    JobId,
    JobLib,
    Level,
    Offer,
    RefundReason,
    Request,
    State,
    Ticket,
    VersionId,
    vm
} from "./Base.t.sol";
import {DisputeBase} from "./DisputeBase.t.sol";

/// @notice Where no proof can come: a larger committee decides.
contract ReferTest is DisputeBase {
    Request private _request7;

    function setUp() public override {
        super.setUp();
        _request7 = _referee(_default());
    }

    function _expectNoReferee() private {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoReferee.selector, id));
    }

    // ------------------------------------------------------------------------------------------------ the call

    /// CHAL-8: a settled result is challenged with the bond, and the referee's escrow comes with it.
    function test_refer__settled__is_a_challenge_and_a_job() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId expected = _jobId(_request7);
        vm.warp(block.timestamp + 60);
        vm.expectEmit(address(market));
        emit IJobs.ResultChallenged(id, requester, BOND, uint40(block.timestamp + DISPUTE_WINDOW));
        vm.expectEmit(address(market));
        emit IJobs.JobRequested(
            expected,
            requester,
            version,
            _request7,
            uint40(block.number + SEED_DELAY),
            uint40(block.timestamp + DELIVER_WINDOW)
        );
        vm.expectEmit(address(market));
        emit IJobs.RefereeCalled(id, expected, uint40(block.timestamp + DISPUTE_WINDOW));
        JobId referee = _refer(_request7, BOND);
        vm.assertEq(JobId.unwrap(referee), JobId.unwrap(expected));
        vm.assertEq(JobId.unwrap(market.refereeOf(id)), JobId.unwrap(expected));
        _assertState(State.Challenged);
        Job memory j = market.job(referee);
        vm.assertTrue(j.state == State.Open);
        vm.assertEq(j.flags, JobLib.FINAL);
        _assertBooks(BOND + 7 * uint256(PRICE));
    }

    /// CHAL-2, CHAL-8: a split vote is referred without a bond: nobody was paid.
    function test_refer__split_vote__costs_no_bond() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        vm.warp(block.timestamp + DISPUTE_WINDOW); // the last second
        _refer(_request7, 0);
        _assertState(State.Disputed);
        vm.assertEq(market.job(id).deadline, block.timestamp + DISPUTE_WINDOW);
        _assertBooks(10 * uint256(PRICE));
    }

    /// JOB-1, CHAL-8
    function test_refer__other_payment__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        uint256 escrow = 7 * uint256(PRICE);
        for (uint256 bond = 0; bond < BOND; bond += BOND - 1) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongDeposit.selector, bond, BOND));
            vm.prank(requester);
            market.refer{value: escrow + bond}(t, b, _request7);
        }
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, escrow - 1, escrow));
        vm.prank(requester);
        market.refer{value: escrow - 1}(t, b, _request7);
        _assertState(State.Settled);
        // More is a larger bond.
        _refer(_request7, 5 * BOND);
        _assertBooks(escrow + 5 * BOND);
    }

    /// CHAL-2: in a split vote there is no bond, and nothing else is taken.
    function test_refer__split_vote_and_other_payment__reverts() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        uint256 escrow = 7 * uint256(PRICE);
        uint256[4] memory sent = [0, escrow - 1, escrow + 1, escrow + BOND];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, sent[i], escrow));
            vm.prank(requester);
            market.refer{value: sent[i]}(t, b, _request7);
        }
    }

    /// CHAL-8: nobody else can hand a committee the input.
    function test_refer__by_another__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        address[2] memory who = [stranger, committee[2]];
        for (uint256 i = 0; i < 2; ++i) {
            vm.deal(who[i], 1 ether);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, who[i], requester));
            vm.prank(who[i]);
            market.refer{value: 7 * uint256(PRICE) + BOND}(t, b, _request7);
        }
    }

    /// CHAL-8: the referee's job is the requester's, too.
    function test_refer__referee_in_anothers_name__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        _request7.terms.requester = stranger;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, requester, stranger));
        _call(_request7, BOND);
    }

    /// CHAL-8: where a proof can come, it decides, and no majority.
    function test_refer__verifier_in_the_terms__reverts() public {
        _voted(WRONG, WRONG, PROVEN);
        Request memory r = _referee(_defaultVerified());
        _expectNoReferee();
        _call(r, BOND);
        _ready(_defaultProved2());
        _prove();
        _expectNoReferee();
        _call(r, BOND);
    }

    function _defaultProved2() private view returns (Request memory r) {
        r = _defaultProved();
        r.brief.nonce = 2;
    }

    /// CHAL-14
    function test_refer__inexact__reverts() public {
        Request memory r = _default();
        r.terms.version = _publishProvable(stranger, verifierId, Offer(PRICE, 0, true));
        _ready(r);
        _vote(RIGHT, RIGHT, WRONG);
        Request memory larger = _referee(r);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        _call(larger, BOND);
    }

    /// CHAL-8: once, whatever the way.
    function test_refer__twice__reverts() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        _refer(_request7, 0);
        _request7.brief.nonce += 1;
        _expectNoReferee();
        _call(_request7, 0);
        Request memory r = _default();
        r.brief.nonce = 2;
        _ready(r);
        _vote(WRONG, WRONG, RIGHT);
        _refer(_other(1), BOND);
        Request memory again = _other(2);
        _expectWrongState(State.Challenged);
        _call(again, BOND);
    }

    function _other(uint256 n) private view returns (Request memory r) {
        r = _referee(_default());
        r.brief.nonce += 100 + n;
    }

    /// CHAL-1, CHAL-8: to the last second.
    function test_refer__around_the_deadlines__in_time_or_late() public {
        for (uint256 way = 0; way < 2; ++way) {
            uint256 snapshot = vm.snapshotState();
            _votedAlone(WRONG, way == 0 ? WRONG : OTHER, RIGHT);
            uint256 stake = way == 0 ? BOND : 0;
            uint256 deadline = market.job(id).deadline;
            _expectTooLate(deadline);
            _call(_request7, stake);
            vm.warp(deadline);
            _call(_request7, stake);
            vm.assertTrue(JobId.unwrap(market.refereeOf(id)) != 0);
            vm.revertToState(snapshot);
        }
    }

    /// CHAL-8: the same question, to more workers.
    function test_refer__another_question_or_too_few_seats__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        VersionId another = _publishProvable(stranger, verifierId);
        for (uint256 i = 0; i < 10; ++i) {
            Request memory r = _referee(_default());
            if (i == 0) (r.terms.level, r.terms.seats, r.terms.quorum) = (Level.Attested, 1, 1);
            if (i == 1) (r.terms.level, r.terms.version) = (Level.Proved, provable);
            if (i == 2) (r.terms.seats, r.terms.quorum) = (6, 4);
            if (i == 3) (r.terms.verifier, r.terms.version) = (verifierId, provable);
            if (i == 4) r.terms.version = another;
            if (i == 5) r.brief.inputCommitment = keccak256("another input");
            if (i == 6) r.brief.ciphertextHash = keccak256("another ciphertext");
            if (i == 7) r.brief.ciphertextSize += 1;
            if (i == 8) r.brief.responseKey = keccak256("another key");
            if (i == 9) (r.terms.seats, r.terms.quorum) = (3, 2);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadReferee.selector, id));
            _call(r, BOND);
        }
        // What may differ: nonce, secret, price, quorum, seats above the least.
        Request memory fine = _priced(_referee(_default()), 2 * uint96(PRICE));
        (fine.terms.seats, fine.terms.quorum, fine.brief.secretHash) = (9, 7, keccak256("another secret"));
        _call(fine, BOND);
    }

    /// JOB-3, JOB-37: it is a request like any other besides.
    function test_refer__invalid_request__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        _request7.terms.quorum = 3;
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, uint256(7), uint256(3), uint256(15))
        );
        _call(_request7, BOND);
        _request7.terms.quorum = 4;
        _request7.brief.worker = workers[0];
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongHire.selector, workers[0]));
        _call(_request7, BOND);
        _request7.brief.worker = address(0);
        _request7.terms.pricePerSeat -= 1;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_PriceChanged.selector, PRICE - 1, PRICE));
        _call(_request7, BOND);
    }

    /// CHAL-8: no committee that the requester knows already decides: the job is new.
    function test_refer__job_posted_before__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId disputed = id;
        JobId posted = _request(_request7);
        _select(disputed);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyRequested.selector, posted));
        _call(_request7, BOND);
    }

    /// CHAL-8: min(15, 2k + 1) seats.
    function test_refer__every_size__needs_twice_as_many_and_one() public {
        for (uint8 k = 2; k <= 8; ++k) {
            uint256 snapshot = vm.snapshotState();
            Request memory r = _default();
            (r.terms.seats, r.terms.quorum) = (k, k);
            _ready(r);
            for (uint256 i = 0; i < k; ++i) {
                _commit(i, i == 0 ? WRONG : RIGHT);
            }
            for (uint256 i = 0; i < k; ++i) {
                _reveal(i, i == 0 ? WRONG : RIGHT);
            }
            _assertState(State.Disputed);
            uint8 least = k < 7 ? 2 * k + 1 : 15;
            Request memory larger = _referee(_default());
            (larger.terms.seats, larger.terms.quorum) = (least - 1, least - 1);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadReferee.selector, id));
            _call(larger, 0);
            (larger.terms.seats, larger.terms.quorum) = (least, least);
            _call(larger, 0);
            vm.revertToState(snapshot);
        }
    }

    /// JOB-2
    function test_refer__other_brief_or_ticket__reverts() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        b.inputCommitment = keccak256("another input");
        _request7.brief.inputCommitment = b.inputCommitment;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongBrief.selector, keccak256(abi.encode(b)), t.brief));
        vm.prank(requester);
        market.refer{value: 7 * uint256(PRICE) + BOND}(t, b, _request7);
        t.keys = 0;
        vm.expectRevert(_wrongCommittee(t));
        vm.prank(requester);
        market.refer{value: 7 * uint256(PRICE) + BOND}(t, b, _request7);
    }

    // ------------------------------------------------------------------------------------------------ what comes of it

    /// CHAL-6: the challenged seats were right: they share the bond, and the outvoted one loses.
    function test_refer__same_result__costs_the_bond() public {
        _votedAlone(RIGHT, RIGHT, WRONG);
        JobId referee = _refer(_request7, BOND);
        _play(referee, _request7, 7, RIGHT, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.ResultUpheld(id);
        _resolve();
        vm.assertTrue(market.isFinal(id));
        vm.assertEq(market.result(id), RIGHT);
        _assertLosses(0, 0, WRONG_PENALTY);
        vm.assertEq(_creditOfJob(0), PRICE + BOND / 2);
        vm.assertEq(_creditOfJob(1), PRICE + BOND / 2);
        vm.assertEq(_credit(requester), PRICE);
        _assertVerdict();
    }

    /// @dev What a seat has from this job; it may have a referee's seat, too.
    function _creditOfJob(uint256 seat) private view returns (uint256) {
        uint256 all = _credit(committee[seat]);
        address[] memory referees = _ticket(market.refereeOf(id)).committee;
        for (uint256 i = 0; i < referees.length; ++i) {
            if (referees[i] == committee[seat]) all -= PRICE;
        }
        return all;
    }

    /// CHAL-6, MONEY-3: what cannot be divided among the seats is burned.
    function test_refer__same_result_and_an_odd_bond__burns_the_rest() public {
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (7, 4);
        _ready(r);
        for (uint256 i = 0; i < 7; ++i) {
            _commit(i, RIGHT);
        }
        for (uint256 i = 0; i < 7; ++i) {
            _reveal(i, RIGHT);
        }
        vm.assertTrue(BOND % 7 != 0);
        Request memory larger = _referee(r);
        JobId referee = _refer(larger, BOND);
        _play(referee, larger, 15, RIGHT, RIGHT);
        _resolve();
        for (uint256 i = 0; i < 7; ++i) {
            vm.assertEq(_creditOfJob(i), PRICE + BOND / 7);
        }
        vm.assertEq(_credit(burn), BOND % 7);
        _assertVerdict();
    }

    /// CHAL-5, CHAL-8: another result: the requester gets back what it paid wrong seats and the referees, and its bond.
    function test_refer__another_result__overturns() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId referee = _refer(_request7, BOND);
        _play(referee, _request7, 7, RIGHT, RIGHT);
        uint256 before = _credit(requester);
        vm.expectEmit(address(market));
        emit IJobs.ResultOverturned(id, RIGHT, 4, 3);
        _resolve();
        vm.assertEq(market.result(id), RIGHT);
        vm.assertTrue(market.isFinal(id));
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, 0);
        vm.assertEq(_creditOfJob(2), PRICE);
        vm.assertEq(_creditOfJob(0), PRICE);
        // Half of the slash is five prices: two for its seats, one for the right seat, and two of the seven it paid referees.
        vm.assertEq(_credit(requester) - before, BOND + 4 * uint256(PRICE));
        vm.assertEq(_credit(burn), WRONG_PENALTY);
        _assertVerdict();
    }

    /// CHAL-5, CHAL-13: with enough slashed it has back what it paid, and not more.
    function test_refer__three_wrong_seats__pay_for_the_referees() public {
        _votedAlone(WRONG, WRONG, WRONG);
        JobId referee = _refer(_request7, BOND);
        _play(referee, _request7, 4, RIGHT, RIGHT);
        uint256 before = _credit(requester);
        _resolve();
        // Half is seven and a half prices: three for its seats, four and a half for the referees.
        vm.assertEq(_credit(requester) - before, BOND + 75 * uint256(PRICE) / 10);
        vm.assertEq(_slashed(), 3 * WRONG_PENALTY);
        _assertVerdict();
        // Three seats and seven referees cost ten prices; it is no richer for the wrong answer.
        vm.assertLe(_credit(requester), ESCROW + 7 * uint256(PRICE) + BOND, "gained");
    }

    /// CHAL-2, CHAL-8: a split vote is decided; the right seat is paid from the escrow.
    function test_refer__split_vote__pays_the_right_seat() public {
        _votedAlone(WRONG, RIGHT, OTHER);
        JobId referee = _refer(_request7, 0);
        _play(referee, _request7, 7, RIGHT, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, RIGHT, 2, uint40(block.timestamp));
        _resolve();
        vm.assertEq(_creditOfJob(1), PRICE);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        // Two seats unpaid; half of the slash is five prices, all of them for the referees.
        vm.assertEq(_credit(requester), 7 * uint256(PRICE));
        vm.assertEq(_credit(burn), WRONG_PENALTY);
        _assertVerdict();
    }

    /// CHAL-3, CHAL-8: an output that nobody revealed.
    function test_refer__split_vote_nobody_right__all_lose() public {
        _votedAlone(WRONG, OTHER, bytes32(uint256(5)));
        JobId referee = _refer(_request7, 0);
        _play(referee, _request7, 7, RIGHT, RIGHT);
        _resolve();
        vm.assertEq(market.result(id), RIGHT);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        vm.assertEq(_slashed(), 3 * WRONG_PENALTY);
        _assertVerdict();
    }

    /// CHAL-1, CHAL-8: a referee's word is the last: outvoted referees lose at once, and nobody refers or challenges it.
    function test_refer__referees_result__is_final_at_once() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId referee = _refer(_request7, BOND);
        _play(referee, _request7, 4, RIGHT, WRONG);
        vm.assertTrue(market.isFinal(referee));
        vm.assertEq(market.job(referee).dissenting, 0);
        vm.assertEq(_slashed(), 3 * WRONG_PENALTY);
        JobId disputed = id;
        _select(referee);
        Request memory larger = _other(3);
        (larger.terms.seats, larger.terms.quorum) = (15, 8);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        _call(larger, BOND);
        _expectWrongState(State.Settled);
        _resolve();
        _select(disputed);
        _resolve();
        _assertVerdict();
    }

    /// CHAL-8: the verdict waits for the referees, even beyond the dispute's deadline, and anybody can end theirs.
    function test_refer__undecided__waits() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId referee = _refer(_request7, BOND);
        uint256 decideBy = market.job(referee).deadline;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_RefereeUndecided.selector, referee, decideBy));
        _resolve();
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_RefereeUndecided.selector, referee, decideBy));
        market.resolve(_ticket());
        vm.warp(uint256(market.job(id).deadline) + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_RefereeUndecided.selector, referee, decideBy));
        _resolve();
        vm.prank(stranger);
        market.close(_ticket(referee));
        _resolve();
        vm.assertTrue(market.isFinal(id));
    }

    /// CHAL-8: the requester never delivered, so the seats have its bond, and the outvoted one loses as it would have.
    function test_refer__never_delivered__costs_the_bond() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId referee = _refer(_request7, BOND);
        vm.warp(uint256(market.job(referee).deadline) + 1);
        market.close(_ticket(referee));
        vm.expectEmit(address(market));
        emit IJobs.ResultUpheld(id);
        _resolve();
        vm.assertEq(market.result(id), WRONG);
        vm.assertEq(_credit(committee[0]), PRICE + BOND / 2);
        vm.assertEq(_credit(committee[1]), PRICE + BOND / 2);
        _assertLosses(0, 0, WRONG_PENALTY);
        uint256 fee = 7 * FEE;
        vm.assertEq(_credit(requester), PRICE + 7 * uint256(PRICE) - fee);
        vm.assertEq(_credit(burn), WRONG_PENALTY + fee);
        _assertVerdict();
    }

    /// CHAL-8: the requester delivered, and too few could be drawn: that is nobody's fault.
    function test_refer__too_few_referees_drawn__returns_the_bond() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId disputed = id;
        JobId referee = _refer(_request7, BOND);
        address[] memory one = new address[](1);
        for (uint256 i = 0; i < workers.length; ++i) {
            one[0] = workers[i];
            uint96 free = nodes.node(workers[i]).stake - nodes.node(workers[i]).locked;
            vm.prank(address(market));
            nodes.lock(one, free / 1 gwei * 1 gwei, uint40(block.timestamp + LOCK_PERIOD));
        }
        _select(referee);
        _deliver(_request7, _seedBlock(market.job(referee).moment), _draw(_request7));
        vm.assertTrue(market.job(referee).state == State.Refunded);
        _select(disputed);
        uint256 before = _credit(requester);
        _resolve();
        vm.assertEq(_credit(requester), before + BOND);
        vm.assertTrue(market.isFinal(id));
    }

    /// CHAL-8: referees without a quorum say nothing; it is nobody's fault, and the result stands.
    function test_refer__referees_split__stands_and_returns_the_bond() public {
        _votedAlone(WRONG, WRONG, RIGHT);
        JobId referee = _refer(_request7, BOND);
        _request7.terms.quorum = 4;
        _play(referee, _request7, 3, RIGHT, WRONG); // three and four
        vm.assertTrue(market.job(referee).state == State.Settled);
        _resolve();
        vm.assertEq(market.result(id), WRONG);
        _request7 = _other(9);
        _request7.terms.quorum = 5;
        Request memory r = _default();
        r.brief.nonce = 2;
        _ready(r);
        _vote(WRONG, WRONG, RIGHT);
        uint256 held = _credit(requester);
        uint256 before = _slashed();
        referee = _refer(_request7, BOND);
        _play(referee, _request7, 4, RIGHT, WRONG);
        vm.assertTrue(market.job(referee).state == State.Refunded);
        _resolve();
        vm.assertEq(market.result(id), WRONG);
        vm.assertTrue(market.isFinal(id));
        vm.assertEq(_credit(requester) - held, 7 * uint256(PRICE) + BOND);
        vm.assertEq(_slashed() - before, WRONG_PENALTY); // the outvoted seat
        _assertVerdict();
    }

    /// CHAL-7, CHAL-8: and a split vote stays split.
    function test_refer__split_vote_and_no_referee_result__refunds() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        JobId referee = _refer(_request7, 0);
        vm.warp(uint256(market.job(referee).deadline) + 1);
        market.close(_ticket(referee));
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        _resolve();
        vm.assertEq(_slashed(), 0);
        vm.assertEq(_credit(requester), ESCROW + 7 * uint256(PRICE) - 7 * FEE);
        _seatsFree(true, true, true);
        _assertVerdict();
    }

    /// NODE-5, JOB-10: the slash finds the stake even if all takes as long as it can.
    function test_refer__as_late_as_can_be__still_slashes() public {
        _request();
        vm.warp(market.job(id).deadline);
        _deliver();
        vm.prank(committee[0]);
        nodes.announceExit();
        vm.warp(market.job(id).deadline);
        _demand(0);
        vm.warp(market.job(id).deadline);
        _publish();
        vm.warp(market.job(id).deadline);
        _commitAll(WRONG, WRONG, WRONG);
        vm.warp(market.job(id).deadline);
        _revealAll(WRONG, WRONG, WRONG);
        vm.warp(market.job(id).deadline);
        _nextEpoch();
        JobId referee = _refer(_request7, BOND);
        vm.warp(market.job(referee).deadline);
        JobId disputed = id;
        _select(referee);
        _deliver(_request7);
        vm.warp(market.job(id).deadline);
        _demand(0);
        vm.warp(market.job(id).deadline);
        _publish();
        vm.warp(market.job(id).deadline);
        for (uint256 i = 0; i < 7; ++i) {
            _commit(i, RIGHT);
        }
        vm.warp(market.job(id).deadline);
        for (uint256 i = 0; i < 7; ++i) {
            _reveal(i, RIGHT);
        }
        _select(disputed);
        vm.assertLe(block.timestamp, market.job(id).deadline, "a referee's job fits");
        vm.warp(market.job(id).deadline);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertGe(_locked(committee[i]), LOCK, "still locked");
        }
        bytes memory locked = abi.encodeWithSelector(
            INodeRegistry.NodeRegistry_TooEarly.selector, block.timestamp, nodes.node(committee[0]).exitAt
        );
        vm.expectRevert(locked);
        vm.prank(committee[0]);
        nodes.withdraw();
        _resolve();
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        _assertVerdict();
    }

    function _call(Request memory r, uint256 stake) private {
        uint256 payment = uint256(r.terms.seats) * r.terms.pricePerSeat + stake;
        vm.prank(requester);
        market.refer{value: payment}(_ticket(), _brief(), r);
    }
}
