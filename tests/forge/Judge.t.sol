// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {Brief, IJobs, Job, JobId, Offer, RefundReason, Request, State, Ticket, VersionId, vm} from "./Base.t.sol";
import {DisputeBase} from "./DisputeBase.t.sol";
import {Rogue} from "./utils/Rogue.sol";

/// @notice A proof of an output, and everything that it decides.
contract JudgeTest is DisputeBase {
    // ------------------------------------------------------------------------------------------------ in the challenge window

    /// CHAL-3, CHAL-5: one proof against any majority, without a challenge and without a bond.
    function test_judge__unanimous_and_wrong__one_proof_overturns() public {
        _voted(WRONG, WRONG, WRONG);
        vm.expectEmit(address(market));
        emit IJobs.JobProved(id, prover, MASKED);
        vm.expectEmit(address(market));
        emit IJobs.ResultOverturned(id, PROVEN, 0, 7);
        _judgeBy(prover);
        _assertState(State.Settled);
        vm.assertEq(market.result(id), PROVEN);
        vm.assertTrue(market.isFinal(id));
        Job memory j = market.job(id);
        vm.assertEq(uint256(j.revealed) + j.dissenting, 0);
        vm.assertEq(j.deadline, block.timestamp);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        _assertCredits(PRICE, PRICE, PRICE);
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(_credit(prover), BOND);
        vm.assertEq(_credit(burn), 3 * WRONG_PENALTY - ESCROW - BOND);
        _seatsFree(true, true, true);
        _assertVerdict();
    }

    /// CHAL-5: who was outvoted and right gets what it was not paid.
    function test_judge__minority_was_right__is_paid_and_the_majority_slashed() public {
        _voted(WRONG, WRONG, PROVEN);
        _judgeBy(prover);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, 0);
        _assertCredits(PRICE, PRICE, PRICE);
        vm.assertEq(_credit(requester), ESCROW); // one seat unpaid, two made good
        vm.assertEq(market.job(id).lead, 2);
        vm.assertEq(market.job(id).revealed, 4);
        _seatsFree(true, true, false);
        _assertVerdict();
        _expectWrongState(State.Settled);
        _resolve();
    }

    /// JOB-20, CHAL-3: the first revealed output lost the vote, and is proved: its seats are right, all of them.
    function test_judge__first_output_lost_the_vote__its_seats_are_right() public {
        Request memory r = _defaultVerified();
        (r.terms.seats, r.terms.quorum) = (5, 3);
        _ready(r);
        bytes32[5] memory votes = [PROVEN, WRONG, PROVEN, WRONG, WRONG];
        for (uint256 i = 0; i < 5; ++i) {
            _commit(i, votes[i]);
        }
        for (uint256 i = 0; i < 5; ++i) {
            _reveal(i, votes[i]);
        }
        vm.assertEq(market.result(id), WRONG);
        vm.assertEq(market.job(id).lead, 1);
        vm.assertEq(market.job(id).dissenting, 5);
        vm.expectEmit(address(market));
        emit IJobs.ResultOverturned(id, PROVEN, 5, 26);
        _judgeBy(prover);
        vm.assertEq(market.result(id), PROVEN);
        for (uint256 i = 0; i < 5; ++i) {
            vm.assertEq(_loss(committee[i]), votes[i] == WRONG ? WRONG_PENALTY : 0);
            vm.assertEq(_credit(committee[i]), PRICE);
        }
        // Two seats it never paid, three it has back.
        vm.assertEq(_credit(requester), 5 * uint256(PRICE));
        _assertVerdict();
    }

    /// CHAL-3: without a challenge a proof of the result decides nothing, and pays nobody.
    function test_judge__the_result_itself__reverts() public {
        _voted(PROVEN, PROVEN, WRONG);
        bytes memory proof = _proof(id, prover);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NothingToDecide.selector, id));
        _judge(prover, proof);
    }

    /// CHAL-3: to the last second of each window.
    function test_judge__around_the_deadlines__in_time_or_late() public {
        for (uint256 way = 0; way < 3; ++way) {
            uint256 snapshot = vm.snapshotState();
            _voted(WRONG, way == 2 ? OTHER : WRONG, way == 2 ? PROVEN : WRONG);
            if (way == 1) _challengeBy(challenger);
            uint256 deadline = market.job(id).deadline;
            bytes memory proof = _proof(id, prover);
            _expectTooLate(deadline);
            _judge(prover, proof);
            vm.warp(deadline);
            _judge(prover, proof);
            vm.assertEq(market.result(id), PROVEN);
            vm.revertToState(snapshot);
        }
    }

    // ------------------------------------------------------------------------------------------------ a split vote

    /// CHAL-2, CHAL-3, CHAL-5: nobody was paid yet, so the right seat's pay comes from the escrow.
    function test_judge__split_vote__pays_the_right_seat_from_the_escrow() public {
        _voted(WRONG, PROVEN, OTHER);
        _assertState(State.Disputed);
        _assertBooks(ESCROW);
        vm.expectEmit(address(market));
        emit IJobs.ResultOverturned(id, PROVEN, 2, 5);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, PROVEN, 2, uint40(block.timestamp));
        _judgeBy(prover);
        _assertState(State.Settled);
        vm.assertTrue(market.isFinal(id));
        _assertCredits(0, PRICE, 0);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        vm.assertEq(_credit(requester), 2 * uint256(PRICE));
        vm.assertEq(_credit(prover), BOND);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY - BOND);
        vm.assertEq(market.reputation(committee[1]), 6666); // paid, so praised
        _seatsFree(true, false, true);
        _assertVerdict();
    }

    /// CHAL-3: an output that nobody revealed: all who revealed are wrong, and the requester pays nobody.
    function test_judge__split_vote_nobody_right__all_lose() public {
        _voted(WRONG, RIGHT, OTHER);
        _judgeBy(prover);
        vm.assertEq(market.result(id), PROVEN);
        vm.assertEq(market.job(id).lead, 0);
        _assertCredits(0, 0, 0);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
        _assertVerdict();
    }

    /// CHAL-2, JOB-22: one output is revealed and the others hide: the one is proved by its own seat, which is paid.
    function test_judge__others_hid__the_only_seat_is_paid() public {
        _ready(_defaultVerified());
        _commitAll(WRONG, PROVEN, WRONG);
        _reveal(1, PROVEN);
        _lapse();
        _close();
        _assertState(State.Disputed);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        _judgeBy(committee[1]);
        _assertLosses(WRONG_PENALTY, 0, WRONG_PENALTY);
        vm.assertEq(_credit(committee[1]), PRICE); // nothing was slashed now, so there is nothing to reward with
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY);
        vm.assertEq(_credit(requester), 2 * uint256(PRICE));
        _assertVerdict();
    }

    /// CHAL-2, JOB-16: seats that refused are out of it.
    function test_judge__refused_and_silent_seats__are_left_alone() public {
        Request memory r = _defaultVerified();
        (r.terms.seats, r.terms.quorum) = (5, 3);
        _ready(r);
        _refuse(0);
        _commit(1, WRONG);
        _commit(2, PROVEN);
        _commit(3, OTHER);
        _lapse(); // seat 4 is silent
        _reveal(1, WRONG);
        _reveal(2, PROVEN);
        _reveal(3, OTHER);
        _assertState(State.Disputed);
        vm.assertEq(_loss(committee[4]), SILENT_PENALTY);
        _judgeBy(prover);
        vm.assertEq(_loss(committee[0]), 0);
        vm.assertEq(_loss(committee[1]), WRONG_PENALTY);
        vm.assertEq(_loss(committee[2]), 0);
        vm.assertEq(_loss(committee[3]), WRONG_PENALTY);
        vm.assertEq(_loss(committee[4]), SILENT_PENALTY);
        vm.assertEq(_credit(committee[2]), PRICE);
        vm.assertEq(_credit(requester), 4 * uint256(PRICE));
        _assertVerdict();
    }

    /// MODEL-10, JOB-20: the right seat's pay is less by the owner's share, which the owner has.
    function test_judge__split_vote_with_an_owners_share__pays_both() public {
        VersionId shared = _publishProvable(stranger, verifierId, Offer(PRICE, 50, false));
        Request memory r = _defaultVerified();
        (r.terms.version, r.terms.ownerPercent) = (shared, 50);
        _ready(r);
        _vote(WRONG, PROVEN, OTHER);
        vm.assertEq(market.fees(shared, COIN), 0);
        _judgeBy(prover);
        _assertCredits(0, PRICE / 2, 0);
        vm.assertEq(market.fees(shared, COIN), PRICE / 2);
        market.collect(shared, COIN);
        _assertVerdict();
    }

    // ------------------------------------------------------------------------------------------------ wrong calls

    /// CHAL-3, CHAL-8
    function test_judge__no_verifier__reverts() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        bytes memory proof = _proof(id, prover);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoVerifier.selector, id));
        _judge(prover, proof);
    }

    /// CHAL-1: a proved result is not judged again.
    function test_judge__final__reverts() public {
        _ready(_defaultProved());
        _prove();
        bytes memory proof = _proof(id, prover, "other words");
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        vm.prank(prover);
        market.judge(t, b, _opening(), "other words", proof);
        _voted(WRONG, WRONG, WRONG);
        _judgeBy(prover);
        proof = _proof(id, prover, "other words");
        t = _ticket();
        b = _brief();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_ResultFinal.selector, id));
        vm.prank(prover);
        market.judge(t, b, _opening(), "other words", proof);
    }

    /// JOB-26, CHAL-11: the input is the one that the request bound.
    function test_judge__another_input_pad_or_binding__reverts() public {
        _voted(WRONG, WRONG, WRONG);
        bytes32[3][4] memory given =
            [[WRONG, INPUT, PAD], [BINDING, WRONG, PAD], [BINDING, INPUT, WRONG], [BINDING, PAD, INPUT]];
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        for (uint256 i = 0; i < given.length; ++i) {
            (bytes32 binding, bytes32 input, bytes32 pad) = (given[i][0], given[i][1], given[i][2]);
            bytes32 bound = keccak256(abi.encode(binding, keccak256(abi.encode(input, pad))));
            bytes memory proof = verifier.proofOf(
                CIRCUIT,
                WEIGHTS,
                input,
                keccak256(abi.encode(2, pad, keccak256(MASKED))),
                keccak256(abi.encode(block.chainid, address(market), id, prover))
            );
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongInput.selector, bound, b.inputCommitment));
            vm.prank(prover);
            market.judge(t, b, IJobs.InputOpening(binding, input, pad), MASKED, proof);
        }
        b.inputCommitment = keccak256(abi.encode(WRONG, keccak256(abi.encode(INPUT, PAD))));
        bytes32 brief = keccak256(abi.encode(b));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongBrief.selector, brief, t.brief));
        vm.prank(prover);
        market.judge(t, b, IJobs.InputOpening(WRONG, INPUT, PAD), MASKED, "");
    }

    /// CHAL-3, JOB-28: a proof copied from the mempool pays nobody but whom it was made for.
    function test_judge__copied_proof__is_worth_nothing() public {
        _voted(WRONG, WRONG, WRONG);
        bytes memory proof = _proof(id, prover);
        address[3] memory thieves = [stranger, committee[0], requester];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_InvalidProof.selector, id, abi.encode(false)));
            _judge(thieves[i], proof);
        }
        _judge(prover, proof);
        vm.assertEq(_credit(prover), BOND);
    }

    /// JOB-28: of another job, of another market, of other words, too long.
    function test_judge__proof_of_something_else__reverts() public {
        _voted(WRONG, WRONG, WRONG);
        bytes[4] memory proofs;
        proofs[0] = _proof(JobId.wrap(keccak256("another job")), prover);
        proofs[1] = _proof(id, prover, "other words");
        proofs[2] = verifier.proofOf(
            CIRCUIT, WEIGHTS, INPUT, PROVEN, keccak256(abi.encode(block.chainid, address(nodes), id, prover))
        );
        proofs[3] = bytes.concat(_proof(id, prover), hex"00");
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_InvalidProof.selector, id, abi.encode(false)));
            _judge(prover, proofs[i]);
        }
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_MaskedTooLong.selector, uint256(8193), uint256(8192)));
        vm.prank(prover);
        market.judge(t, b, _opening(), new bytes(8193), "");
    }

    /// JOB-12
    function test_judge__other_committee_or_keys__reverts() public {
        _voted(WRONG, PROVEN, WRONG);
        Brief memory b = _brief();
        // Whoever is named in a right seat's place would be paid for it.
        address[] memory forged = committee;
        forged[1] = stranger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        bytes memory proof = _proof(id, stranger);
        vm.expectRevert(expected);
        vm.prank(stranger);
        market.judge(shown, b, _opening(), MASKED, proof);
        // And in a wrong seat's place would lose its stake for it.
        forged = committee;
        (forged[0], forged[2]) = (workers[0] == forged[0] ? workers[1] : workers[0], forged[2]);
        (shown, expected) = _forged(forged);
        vm.expectRevert(expected);
        vm.prank(stranger);
        market.judge(shown, b, _opening(), MASKED, proof);
    }

    /// VERIFIER-3, CHAL-10
    function test_judge__verifier_removed__reverts_and_the_result_stays() public {
        _voted(WRONG, PROVEN, WRONG);
        _removeVerifier();
        bytes memory proof = _proof(id, prover);
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        _judge(prover, proof);
        _lapse();
        vm.assertEq(market.result(id), WRONG);
        vm.assertTrue(market.isFinal(id));
    }

    /// CHAL-7, VERIFIER-3: in a split vote it means that nobody loses.
    function test_judge__verifier_removed_in_a_split_vote__refunds() public {
        _voted(WRONG, PROVEN, OTHER);
        _removeVerifier();
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        _resolve();
        vm.assertEq(_slashed(), 0);
        vm.assertEq(_credit(requester), ESCROW);
        _seatsFree(true, true, true);
        _assertVerdict();
    }

    /// VERIFIER-4: whatever a verifier does, only this call fails.
    function test_judge__verifier_goes_rogue__only_the_call_fails() public {
        _voted(WRONG, WRONG, PROVEN);
        vm.etch(address(verifier), address(new Rogue()).code);
        Rogue rogue = Rogue(address(verifier));
        bytes memory before = abi.encode(market.job(id), address(market).balance);
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        for (uint256 i = uint256(Rogue.Mode.No); i <= uint256(Rogue.Mode.Writes); ++i) {
            rogue.set(Rogue.Mode(i), address(0), abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, 2, 1));
            vm.expectPartialRevert(IJobs.JobMarket_InvalidProof.selector);
            vm.prank(prover);
            market.judge{gas: 16_000_000}(t, b, _opening(), MASKED, "");
            vm.assertEq(abi.encode(market.job(id), address(market).balance), before);
        }
        // While it is asked it can do nothing else.
        rogue.set(Rogue.Mode.CallsBack, address(market), abi.encodeCall(market.withdraw, (committee[0], COIN)));
        vm.prank(prover);
        market.judge(t, b, _opening(), MASKED, "");
        vm.assertEq(_credit(committee[0]), PRICE);
    }

    // ------------------------------------------------------------------------------------------------ every vote and way

    /// What a vote and a way of doubting it should come to, in plain numbers.
    struct Expected {
        uint256[3] credits;
        uint256[3] losses;
        uint256 requester;
        uint256 challenger;
        uint256 prover;
        bool refunded;
    }

    /// CHAL-2, CHAL-3, CHAL-5, CHAL-6, CHAL-7, CHAL-9, CHAL-13, MONEY-1, MONEY-3: all 27 votes on three outputs, in all orders of
    /// revealing, times five ways to go on.
    function test_verdict__every_vote_and_nobody_doubts__as_the_rules_say() public {
        _everyVote(0);
    }

    function test_verdict__every_vote_and_a_proof__as_the_rules_say() public {
        _everyVote(1);
    }

    function test_verdict__every_vote_challenge_and_proof__as_the_rules_say() public {
        _everyVote(2);
    }

    function test_verdict__every_vote_and_a_challenge__as_the_rules_say() public {
        _everyVote(3);
    }

    function test_verdict__every_vote_challenge_and_no_verifier__as_the_rules_say() public {
        _everyVote(4);
    }

    function _everyVote(uint256 way) private {
        for (uint256 n = 0; n < 27 * 6; ++n) {
            uint256 snapshot = vm.snapshotState();
            this.verdict(way * 27 * 6 + n);
            vm.revertToState(snapshot);
        }
    }

    function verdict(uint256 n) external {
        bytes32[3] memory outputs = [PROVEN, WRONG, OTHER];
        bytes32[3] memory votes = [outputs[n % 3], outputs[n / 3 % 3], outputs[n / 9 % 3]];
        uint8[3][6] memory orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        uint8[3] memory order = orders[n / 27 % 6];
        uint256 way = n / 27 / 6;
        _ready(_defaultVerified());
        _commitAll(votes[0], votes[1], votes[2]);
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(order[i], votes[order[i]]);
        }
        // 0 nobody doubts, 1 somebody proves, 2 challenge and proof, 3 challenge and no proof, 4 challenge and no verifier
        bool settled = market.job(id).state == State.Settled;
        if (way > 1 && settled) _challengeBy(challenger);
        if (way == 4) _removeVerifier();
        if ((way == 1 && (!settled || market.result(id) != PROVEN)) || way == 2) _judgeBy(prover);
        _lapse();
        if (market.job(id).state != State.Settled || market.job(id).dissenting != 0) _resolve();
        _compareVerdict(_expectVerdict(votes, way), n);
    }

    function _expectVerdict(bytes32[3] memory votes, uint256 way) private pure returns (Expected memory e) {
        bytes32 winner = 0;
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 k = 0; k < i; ++k) {
                if (votes[i] == votes[k]) winner = votes[i];
            }
        }
        bool proved = way == 1 || way == 2;
        e.requester = ESCROW;
        if (winner == 0) {
            e.refunded = !proved;
            if (!proved) return e;
        }
        uint256 paid = 0;
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 paidFor = winner == 0 ? PROVEN : winner;
            if (votes[i] == paidFor) {
                e.credits[i] = PRICE;
                ++paid;
            }
        }
        e.requester -= paid * PRICE;
        bool overturned = proved && winner != PROVEN;
        bool unproved = way == 3 && winner != 0;
        uint256 slashed = 0;
        for (uint256 i = 0; i < 3; ++i) {
            bool wrong = unproved ? votes[i] == winner : votes[i] != (proved ? PROVEN : winner);
            if (way == 4 && winner != 0) wrong = false;
            if (wrong) e.losses[i] = WRONG_PENALTY;
            if (wrong) slashed += WRONG_PENALTY;
        }
        if (way == 2 && winner == PROVEN) e.prover = BOND;
        if (way == 4 && winner != 0) e.challenger = BOND;
        if (!overturned && !unproved) return e;
        // Half a slash is five prices, so in a vote of three it is enough for everybody.
        if (winner != 0) e.requester += paid * PRICE;
        for (uint256 i = 0; i < 3; ++i) {
            if (winner != 0 && overturned && votes[i] == PROVEN) e.credits[i] = PRICE;
        }
        if (overturned) e.prover = BOND;
        if (way > 1 && winner != 0) e.challenger = 2 * BOND;
        e.refunded = unproved;
    }

    function _compareVerdict(Expected memory e, uint256 n) private view {
        string memory label = string.concat("combination ", vm.toString(n));
        vm.assertEq(uint256(market.job(id).state), uint256(e.refunded ? State.Refunded : State.Settled), label);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_credit(committee[i]), e.credits[i], label);
            vm.assertEq(_loss(committee[i]), e.losses[i], label);
        }
        vm.assertEq(_credit(requester), e.requester, label);
        vm.assertEq(_credit(challenger), e.challenger, label);
        vm.assertEq(_credit(prover), e.prover, label);
        _assertVerdict();
        if (!e.refunded) vm.assertTrue(market.isFinal(id), label);
    }

    function _judge(address by, bytes memory proof) private {
        vm.prank(by);
        market.judge(_ticket(), _brief(), _opening(), MASKED, proof);
    }
}
