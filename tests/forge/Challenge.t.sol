// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {
    IJobs,
    INodeRegistry,
    Job,
    JobId,
    JobLib,
    Offer,
    RefundReason,
    Request,
    State,
    Ticket,
    VersionId,
    vm
} from "./Base.t.sol";
import {DisputeBase} from "./DisputeBase.t.sol";

/// @notice A settled result that somebody doubts, and what the bond does.
contract ChallengeTest is DisputeBase {
    // ------------------------------------------------------------------------------------------------ the call

    /// CHAL-1
    function test_challenge__settled__waits_for_a_proof() public {
        _voted(WRONG, WRONG, WRONG);
        vm.warp(block.timestamp + 60);
        vm.expectEmit(address(market));
        emit IJobs.ResultChallenged(id, challenger, BOND, uint40(block.timestamp + DISPUTE_WINDOW));
        _challengeBy(challenger);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Challenged);
        vm.assertEq(j.deadline, block.timestamp + DISPUTE_WINDOW);
        vm.assertFalse(market.isFinal(id));
        _assertBooks(BOND);
        // Pay stays paid: the stake answers for it.
        _assertCredits(PRICE, PRICE, PRICE);
        market.withdraw(committee[0], COIN);
        _seatsFree(false, false, false);
    }

    /// CHAL-1: whoever has the bond, a party to the job or not.
    function test_challenge__by_anybody__is_taken() public {
        _ready(_defaultVerified());
        address[4] memory who = [requester, committee[0], owner, stranger];
        _vote(WRONG, WRONG, WRONG);
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _challengeBy(who[i]);
            _assertState(State.Challenged);
            vm.revertToState(snapshot);
        }
    }

    /// CHAL-1: to the last second of the window.
    function test_challenge__around_the_deadline__in_time_or_late() public {
        _voted(WRONG, WRONG, WRONG);
        uint256 deadline = market.job(id).deadline;
        vm.assertEq(deadline, block.timestamp + CHALLENGE_WINDOW);
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        _expectTooLate(deadline);
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
        vm.assertTrue(market.isFinal(id));
        vm.warp(deadline);
        vm.assertFalse(market.isFinal(id));
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
        _assertState(State.Challenged);
    }

    /// CHAL-1: once per result; the second waits for the first, and after the verdict there is nothing to challenge.
    function test_challenge__twice__reverts() public {
        _voted(PROVEN, PROVEN, PROVEN);
        _challengeBy(challenger);
        vm.deal(stranger, BOND);
        Ticket memory t = _ticket();
        _expectWrongState(State.Challenged);
        vm.prank(stranger);
        market.challenge{value: BOND}(t);
        _judgeBy(prover);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        vm.prank(stranger);
        market.challenge{value: BOND}(t);
    }

    /// CHAL-1, CHAL-4
    function test_challenge__less_than_the_bond__reverts() public {
        _voted(WRONG, WRONG, WRONG);
        vm.assertEq(market.bond(), BOND);
        uint256[2] memory sent = [uint256(0), BOND - 1];
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        for (uint256 i = 0; i < sent.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongDeposit.selector, sent[i], BOND));
            vm.prank(challenger);
            market.challenge{value: sent[i]}(t);
        }
    }

    /// CHAL-4, CHAL-5: the base fee moves until a call is mined, so more is taken, and comes back; it earns no more.
    function test_challenge__more_than_the_bond__comes_back() public {
        _voted(WRONG, WRONG, WRONG);
        vm.deal(challenger, 1 ether);
        Ticket memory t = _ticket();
        vm.expectEmit(address(market));
        emit IJobs.ResultChallenged(id, challenger, 1 ether, uint40(block.timestamp + DISPUTE_WINDOW));
        vm.prank(challenger);
        market.challenge{value: 1 ether}(t);
        _assertBooks(1 ether);
        _lapse();
        _resolve();
        vm.assertEq(_credit(challenger), 1 ether + BOND);
        _assertVerdict();
    }

    /// CHAL-6: and all of it is lost if the result stands.
    function test_challenge__more_than_the_bond__is_the_provers() public {
        _voted(PROVEN, PROVEN, PROVEN);
        vm.deal(challenger, 1 ether);
        Ticket memory t = _ticket();
        vm.prank(challenger);
        market.challenge{value: 1 ether}(t);
        _judgeBy(prover);
        vm.assertEq(_credit(prover), 1 ether);
        _assertVerdict();
    }

    /// CHAL-4: it follows the base fee up to the bound, and no further.
    function test_bond__any_base_fee__is_one_and_a_half_proofs() public {
        uint64[6] memory fees = [uint64(0), 1, 1 gwei, MAX_BASE_FEE - 1, MAX_BASE_FEE, 1000 gwei];
        for (uint256 i = 0; i < fees.length; ++i) {
            vm.fee(fees[i]);
            uint256 counted = fees[i] < MAX_BASE_FEE ? fees[i] : MAX_BASE_FEE;
            vm.assertEq(market.bond(), (counted * PROOF_GAS + PROVING_FEE) * 3 / 2);
        }
    }

    /// CHAL-1, CHAL-8: where no proof can come only referees decide, and they are the requester's to call.
    function test_challenge__no_verifier__reverts() public {
        _votedAlone(WRONG, WRONG, WRONG);
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoVerifier.selector, id));
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
    }

    /// CHAL-10
    function test_challenge__verifier_removed__reverts() public {
        _voted(WRONG, WRONG, WRONG);
        _removeVerifier();
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_VerifierRemoved.selector, verifierId));
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
    }

    /// CHAL-1: a proved result is final in the second in which it is proved.
    function test_challenge__proved__reverts() public {
        _ready(_defaultProved());
        _prove();
        vm.assertTrue(market.isFinal(id));
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
    }

    /// CHAL-1, CHAL-14: nobody shows by another output that floating point was wrong.
    function test_challenge__inexact__is_final_at_once() public {
        VersionId floats = _publishProvable(stranger, verifierId, Offer(PRICE, 0, true));
        Request memory r = _default();
        r.terms.version = floats;
        _ready(r);
        _vote(RIGHT, WRONG, RIGHT);
        vm.assertTrue(market.isFinal(id));
        vm.assertEq(market.job(id).dissenting, 0);
        _assertCredits(PRICE, 0, PRICE);
        _assertLosses(0, 0, 0);
        _seatsFree(false, true, false);
        vm.deal(challenger, BOND);
        Ticket memory t = _ticket();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        vm.prank(challenger);
        market.challenge{value: BOND}(t);
        vm.assertEq(market.reputation(committee[1]), 5000);
    }

    /// CHAL-14, CHAL-2: and a split vote of such a job ends at once, with nobody slashed.
    function test_settle__inexact_split_vote__refunds_at_once() public {
        VersionId floats = _publishProvable(stranger, verifierId, Offer(PRICE, 0, true));
        Request memory r = _default();
        r.terms.version = floats;
        _ready(r);
        _commitAll(RIGHT, WRONG, OTHER);
        _reveal(0, RIGHT);
        _reveal(1, WRONG);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        _reveal(2, OTHER);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), ESCROW);
        _seatsFree(true, true, true);
    }

    /// JOB-2, JOB-12
    function test_challenge__other_ticket__reverts() public {
        _voted(WRONG, WRONG, WRONG);
        vm.deal(challenger, BOND);
        address[] memory forged = committee;
        forged[0] = challenger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        vm.prank(challenger);
        market.challenge{value: BOND}(shown);
        shown = _ticket();
        shown.keys = keccak256("other keys");
        vm.expectRevert(_wrongCommittee(shown));
        vm.prank(challenger);
        market.challenge{value: BOND}(shown);
        shown = _ticket();
        shown.terms.verifier = 0;
        JobId none = JobId.wrap(keccak256(abi.encode(block.chainid, address(market), shown.terms, shown.brief)));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, none));
        vm.prank(challenger);
        market.challenge{value: BOND}(shown);
    }

    // ------------------------------------------------------------------------------------------------ what comes of it

    /// CHAL-6: the result stands; who proved it has the bond.
    function test_challenge__result_proved__costs_the_challenger_its_bond() public {
        _voted(PROVEN, PROVEN, PROVEN);
        _challengeBy(challenger);
        vm.expectEmit(address(market));
        emit IJobs.JobProved(id, prover, MASKED);
        vm.expectEmit(address(market));
        emit IJobs.ResultUpheld(id);
        _judgeBy(prover);
        vm.assertTrue(market.isFinal(id));
        vm.assertEq(market.result(id), PROVEN);
        vm.assertEq(_credit(prover), BOND);
        vm.assertEq(_credit(challenger), 0);
        _assertCredits(PRICE, PRICE, PRICE);
        _assertLosses(0, 0, 0);
        vm.assertEq(_slashed(), 0);
        _assertVerdict();
        vm.assertEq(market.job(id).flags & JobLib.FINAL, JobLib.FINAL);
    }

    /// CHAL-6, CHAL-9: with the verdict outvoted seats are known to be wrong.
    function test_challenge__result_proved__outvoted_seats_lose_at_once() public {
        _voted(PROVEN, WRONG, PROVEN);
        _challengeBy(challenger);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeSlashed(committee[1], WRONG_PENALTY, nodes.node(committee[1]).stake - WRONG_PENALTY);
        _judgeBy(committee[0]);
        _assertLosses(0, WRONG_PENALTY, 0);
        vm.assertEq(_credit(committee[0]), PRICE + BOND);
        vm.assertEq(_credit(burn), WRONG_PENALTY);
        _seatsFree(false, true, false);
        _assertVerdict();
        _expectWrongState(State.Settled);
        _resolve();
    }

    /// CHAL-5, CHAL-7: silence of those who have the input and the model is an answer.
    function test_challenge__nobody_proves__the_agreeing_lose() public {
        _voted(WRONG, OTHER, WRONG);
        uint256 income = _credit(requester); // of the seat that was not paid
        _challengeBy(challenger);
        uint256 deadline = market.job(id).deadline;
        _expectTooEarly(deadline);
        _resolve();
        vm.warp(deadline + 1);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NotProved);
        _resolve();
        _assertState(State.Refunded);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        vm.assertEq(_credit(requester), income + 2 * uint256(PRICE));
        vm.assertEq(_credit(challenger), 2 * BOND);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY - 2 * uint256(PRICE) - BOND);
        // Who was paid stays paid, and who was outvoted is not known to be wrong.
        _assertCredits(PRICE, 0, PRICE);
        _seatsFree(true, true, true);
        vm.assertEq(market.reputation(committee[0]), 2857); // one good, four bad, one of each to begin with
        _assertVerdict();
        _expectWrongState(State.Refunded);
        _resolve();
        _expectWrongState(State.Refunded);
        _close();
    }

    /// CHAL-5, CHAL-7, CHAL-13: a requester that challenges its own job is made whole and gets a bond's worth, out of half.
    function test_challenge__by_the_requester__gains_no_more_than_a_bond() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(requester);
        _lapse();
        _resolve();
        vm.assertEq(_credit(requester), ESCROW + 2 * BOND);
        vm.assertEq(_slashed(), 3 * WRONG_PENALTY);
        _assertVerdict();
    }

    /// CHAL-5: in this order, as far as half of the slash goes.
    function test_challenge__dear_bond__is_rewarded_with_what_is_left() public {
        _voted(WRONG, OTHER, WRONG);
        vm.fee(1000 gwei); // the bound
        uint256 bond = (uint256(MAX_BASE_FEE) * PROOF_GAS + PROVING_FEE) * 3 / 2;
        vm.assertGt(bond, WRONG_PENALTY - 2 * uint256(PRICE), "more than there is");
        vm.deal(challenger, bond);
        Ticket memory t = _ticket();
        vm.prank(challenger);
        market.challenge{value: bond}(t);
        _lapse();
        uint256 before = _credit(requester);
        _resolve();
        vm.assertEq(_credit(requester) - before, 2 * uint256(PRICE));
        vm.assertEq(_credit(challenger), bond + WRONG_PENALTY - 2 * uint256(PRICE));
        vm.assertEq(_credit(burn), WRONG_PENALTY);
        _assertVerdict();
    }

    /// CHAL-4: the bond of the challenge comes back, whatever one costs by then.
    function test_challenge__base_fee_moves__the_same_bond_comes_back() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(challenger);
        vm.fee(15 gwei);
        _lapse();
        _resolve();
        vm.assertEq(_credit(challenger), 2 * BOND);
        _assertVerdict();
    }

    /// CHAL-5: the reward is a bond's worth as bonds are then, where that is less.
    function test_challenge__base_fee_falls__the_reward_falls_with_it() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(challenger);
        vm.fee(0);
        _lapse();
        _resolve();
        vm.assertEq(_credit(challenger), BOND + uint256(PROVING_FEE) * 3 / 2);
        _assertVerdict();
    }

    /// CHAL-10, VERIFIER-3: nobody can prove any more, and nobody is to blame for it.
    function test_challenge__verifier_removed_meanwhile__stands_and_costs_nobody() public {
        _voted(WRONG, OTHER, WRONG);
        _challengeBy(challenger);
        _removeVerifier();
        bytes memory proof = _proof(id, prover);
        Ticket memory t = _ticket();
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        vm.prank(prover);
        market.judge(t, _brief(), _opening(), MASKED, proof);
        _expectTooEarly(market.job(id).deadline);
        _resolve();
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.ResultUpheld(id);
        _resolve();
        vm.assertTrue(market.isFinal(id));
        vm.assertEq(market.result(id), WRONG);
        vm.assertEq(_credit(challenger), BOND);
        vm.assertEq(_slashed(), 0);
        _assertVerdict();
    }

    /// CHAL-10: even one that is removed in the second of the resolution.
    function test_challenge__verifier_removed_after_the_deadline__stands() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(challenger);
        _lapse();
        _removeVerifier();
        _resolve();
        vm.assertEq(_slashed(), 0);
        vm.assertEq(_credit(challenger), BOND);
        _assertVerdict();
    }

    /// CHAL-3, CHAL-5: another output is proved: the challenger and whoever proved it are paid, and the requester is whole.
    function test_challenge__another_output_proved__overturns() public {
        _voted(WRONG, PROVEN, WRONG);
        _challengeBy(challenger);
        vm.expectEmit(address(market));
        emit IJobs.ResultOverturned(id, PROVEN, 2, 5);
        _judgeBy(prover);
        _assertState(State.Settled);
        vm.assertEq(market.result(id), PROVEN);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        _assertCredits(PRICE, PRICE, PRICE);
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(_credit(challenger), 2 * BOND);
        vm.assertEq(_credit(prover), BOND);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY - 3 * uint256(PRICE) - 2 * BOND);
        _assertVerdict();
    }

    /// CHAL-3: one and the same.
    function test_challenge__by_whoever_proves__is_paid_for_both() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(challenger);
        _judgeBy(challenger);
        vm.assertEq(_credit(challenger), 3 * BOND);
        vm.assertEq(_credit(requester), ESCROW);
        _assertVerdict();
    }

    /// MONEY-6, CHAL-6: seats that challenge their own wrong result, to have nobody else do it, are found out all the same.
    function test_challenge__by_the_wrong_seats__hides_nothing() public {
        _voted(WRONG, WRONG, WRONG);
        _challengeBy(committee[0]);
        _judgeBy(prover);
        vm.assertEq(market.result(id), PROVEN);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        _assertVerdict();
    }

    /// MODEL-10: what the owner earned stays the owner's; the requester has back all that it paid.
    function test_challenge__owners_share__stays_paid() public {
        VersionId shared = _publishProvable(stranger, verifierId, Offer(PRICE, 30, false));
        Request memory r = _defaultVerified();
        (r.terms.version, r.terms.ownerPercent) = (shared, 30);
        _ready(r);
        _vote(WRONG, WRONG, WRONG);
        uint256 share = uint256(PRICE) * 30 / 100;
        _assertCredits(PRICE - share, PRICE - share, PRICE - share);
        vm.assertEq(market.fees(shared, COIN), 3 * share);
        _challengeBy(challenger);
        _lapse();
        _resolve();
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(market.fees(shared, COIN), 3 * share);
        market.collect(shared, COIN);
        vm.assertEq(_credit(stranger), 3 * share);
        _assertVerdict();
    }
}
