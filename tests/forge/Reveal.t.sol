// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, INodeRegistry, Job, RefundReason, Request, State, Ticket, vm} from "./Base.t.sol";

contract RevealTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
    }

    /// JOB-15
    function test_reveal__own_commitment__is_recorded() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.OutputRevealed(id, committee[1], RIGHT, hex"5ea1ed");
        _reveal(1, RIGHT);
        Job memory j = market.job(id);
        vm.assertEq(j.revealed, 2);
        vm.assertTrue(j.state == State.Committed);
    }

    /// JOB-15, JOB-20, MONEY-2
    function test_reveal__last__settles() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, RIGHT, 7, uint40(block.timestamp + CHALLENGE_WINDOW));
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectEmit(address(market));
            emit IJobs.Credited(committee[i], id, COIN, PRICE);
        }
        _reveal(2, RIGHT);
        vm.assertEq(market.result(id), RIGHT);
        _assertCredits(PRICE, PRICE, PRICE);
        _assertAllSettled();
    }

    /// JOB-20, JOB-21, MONEY-3, MONEY-6, CHAL-9: unpaid at once, slashed when nobody can show any more that it was right.
    function test_reveal__one_disagrees__is_unpaid_and_slashed_after_the_window() public {
        _commitAll(RIGHT, WRONG, RIGHT);
        _reveal(0, RIGHT);
        _reveal(2, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, RIGHT, 5, uint40(block.timestamp + CHALLENGE_WINDOW));
        _reveal(1, WRONG);
        _assertCredits(PRICE, 0, PRICE);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), PRICE);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, deadline, deadline));
        _resolve();
        vm.warp(deadline + 1);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeSlashed(committee[1], WRONG_PENALTY, _stakeAfter(committee[1], WRONG_PENALTY));
        _resolve();
        _assertCredits(PRICE, 0, PRICE);
        _assertLosses(0, WRONG_PENALTY, 0);
        vm.assertEq(_locked(committee[1]), 0);
        vm.assertTrue(market.isFinal(id));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Settled));
        _resolve();
        vm.assertEq(_credit(burn), WRONG_PENALTY);
        _assertAllSettled();
    }

    function _stakeAfter(address worker, uint256 penalty) private view returns (uint256) {
        return nodes.node(worker).stake - penalty;
    }

    /// JOB-22, CHAL-2: the requester, which alone could go on, need not wait for itself.
    function test_reveal__no_quorum__is_disputed_then_refunded_whole() public {
        _commitAll(RIGHT, WRONG, OTHER);
        _reveal(0, RIGHT);
        _reveal(1, WRONG);
        vm.expectEmit(address(market));
        emit IJobs.JobDisputed(id, uint40(block.timestamp + DISPUTE_WINDOW));
        _reveal(2, OTHER);
        _assertState(State.Disputed);
        _assertCredits(0, 0, 0);
        vm.assertEq(_credit(requester), 0);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        vm.prank(requester);
        market.resolve(_ticket());
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), 0);
        }
        _assertState(State.Refunded);
        _assertCredits(0, 0, 0);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), ESCROW);
        _assertAllSettled();
    }

    /// JOB-14: before every seat has committed, while the window is open, nobody reveals.
    function test_reveal__while_others_may_commit__reverts() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        vm.warp(market.job(id).deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Ready));
        _reveal(0, RIGHT);
    }

    /// JOB-14: with q commitments the end of the commit window opens the reveals, which last a full window from there.
    function test_reveal__commit_window_over_with_quorum__opens() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        uint256 commitBy = market.job(id).deadline;
        vm.warp(commitBy + REVEAL_WINDOW);
        vm.expectEmit(address(market));
        emit IJobs.RevealsOpened(id, uint40(commitBy + REVEAL_WINDOW));
        _reveal(0, RIGHT);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Committed);
        vm.assertEq(j.deadline, commitBy + REVEAL_WINDOW);
        _reveal(1, RIGHT);
        _assertState(State.Settled);
        _assertLosses(0, 0, SILENT_PENALTY);
    }

    /// JOB-15
    function test_reveal__commit_window_over__late_reveal_reverts() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        uint256 deadline = market.job(id).deadline + REVEAL_WINDOW;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _reveal(0, RIGHT);
    }

    /// JOB-14, JOB-23
    function test_reveal__commit_window_over_without_quorum__reverts() public {
        _commit(0, RIGHT);
        _lapse();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Ready));
        _reveal(0, RIGHT);
    }

    /// JOB-15
    function test_reveal__around_the_deadline__in_time_or_late() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        _reveal(0, RIGHT);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _reveal(1, RIGHT);
    }

    /// JOB-15
    function test_reveal__twice__reverts() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        _reveal(0, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyRevealed.selector, committee[0]));
        _reveal(0, RIGHT);
    }

    /// JOB-15
    function test_reveal__never_committed__reverts() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotCommitted.selector, committee[2]));
        _reveal(2, RIGHT);
    }

    /// JOB-15
    function test_reveal__refused_seat__reverts() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _refuse(2);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotCommitted.selector, committee[2]));
        _reveal(2, RIGHT);
    }

    /// JOB-15
    function test_reveal__stranger__reverts() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), "", "");
    }

    /// JOB-15
    function test_reveal__other_committee__reverts() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        address[] memory forged = committee;
        forged[0] = stranger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        vm.prank(stranger);
        market.reveal(shown, RIGHT, _salt(committee[0]), "", "");
    }

    /// JOB-11: another output, another salt, another worker's opening: none opens the commitment.
    function test_reveal__wrong_opening__reverts() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        _expectWrongOpening(WRONG, _salt(committee[0]));
        _expectWrongOpening(RIGHT, _salt(committee[1]));
        _expectWrongOpening(RIGHT, 0);
    }

    function _expectWrongOpening(bytes32 output, bytes32 salt) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobs.JobMarket_WrongOpening.selector,
                keccak256(abi.encode(block.chainid, address(market), id, uint256(0), committee[0], output, salt)),
                _commitment(id, committee[0], RIGHT)
            )
        );
        vm.prank(committee[0]);
        market.reveal(_ticket(), output, salt, "", "");
    }

    /// JOB-15: zero would read as a seat that revealed nothing.
    function test_reveal__zero_output__reverts() public {
        _commitAll(0, RIGHT, RIGHT);
        vm.expectRevert(IJobs.JobMarket_ZeroOutput.selector);
        _reveal(0, 0);
    }

    function test_reveal__sealed_output__at_most_1072_bytes() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_SealedOutputTooLong.selector, uint256(1073), uint256(1072))
        );
        vm.prank(committee[0]);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), new bytes(1073), "");
        vm.prank(committee[0]);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), new bytes(1072), "");
    }

    /// JOB-11: what one seat commits is worthless to another.
    function test_reveal__copied_commitment__cannot_be_opened() public {
        bytes32 copied = _commitment(id, committee[0], RIGHT);
        _commit(0, RIGHT);
        vm.prank(committee[1]);
        market.commit(_ticket(), copied);
        _commit(2, RIGHT);
        _reveal(0, RIGHT);
        bytes32 opened = keccak256(
            abi.encode(block.chainid, address(market), id, uint256(0), committee[1], RIGHT, _salt(committee[0]))
        );
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongOpening.selector, opened, copied));
        vm.prank(committee[1]);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), "", "");
        // The copier loses as one that hides its output.
        _reveal(2, RIGHT);
        _lapse();
        _close();
        _assertLosses(0, WRONG_PENALTY, 0);
    }

    /// JOB-11: a commitment for another chain, market, job or round opens nothing here.
    function test_reveal__replayed_commitment__cannot_be_opened() public {
        bytes32 salt = _salt(committee[0]);
        bytes32 otherJob = keccak256("another job");
        bytes32[4] memory replayed = [
            keccak256(abi.encode(block.chainid + 1, address(market), id, uint256(0), committee[0], RIGHT, salt)),
            keccak256(abi.encode(block.chainid, address(nodes), id, uint256(0), committee[0], RIGHT, salt)),
            keccak256(abi.encode(block.chainid, address(market), otherJob, uint256(0), committee[0], RIGHT, salt)),
            keccak256(abi.encode(block.chainid, address(market), id, uint256(1), committee[0], RIGHT, salt))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(committee[0]);
            market.commit(_ticket(), replayed[i]);
            _commit(1, RIGHT);
            _commit(2, RIGHT);
            vm.expectRevert(
                abi.encodeWithSelector(
                    IJobs.JobMarket_WrongOpening.selector, _commitment(id, committee[0], RIGHT), replayed[i]
                )
            );
            _reveal(0, RIGHT);
            vm.revertToState(snapshot);
        }
    }

    /// SIG-1: nobody attested to a worker of an open version, so no signature is asked for and none is looked at.
    function test_reveal__open_version__takes_any_signature() public {
        _commitAll(RIGHT, RIGHT, RIGHT);
        bytes[3] memory signatures = [bytes(""), "nonsense", new bytes(65)];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(committee[i]);
            market.reveal(_ticket(), RIGHT, _salt(committee[i]), hex"5ea1ed", signatures[i]);
        }
        _assertCredits(PRICE, PRICE, PRICE);
    }

    /// JOB-20: whichever seat reveals first, and whatever it reveals, the quorum's output wins.
    function test_reveal__every_order_and_minority__the_quorum_wins() public {
        uint8[3][6] memory orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for (uint256 minority = 0; minority < 3; ++minority) {
            for (uint256 o = 0; o < 6; ++o) {
                uint256 snapshot = vm.snapshotState();
                for (uint256 i = 0; i < 3; ++i) {
                    _commit(i, i == minority ? WRONG : RIGHT);
                }
                for (uint256 i = 0; i < 3; ++i) {
                    _reveal(orders[o][i], orders[o][i] == minority ? WRONG : RIGHT);
                }
                vm.assertEq(market.result(id), RIGHT);
                Job memory j = market.job(id);
                vm.assertEq(j.dissenting, 1 << minority);
                vm.assertTrue(j.lead != minority);
                for (uint256 i = 0; i < 3; ++i) {
                    vm.assertEq(_credit(committee[i]), i == minority ? 0 : PRICE);
                }
                _lapse();
                _resolve();
                vm.assertEq(market.result(id), RIGHT);
                for (uint256 i = 0; i < 3; ++i) {
                    vm.assertEq(_loss(committee[i]), i == minority ? WRONG_PENALTY : 0);
                }
                vm.revertToState(snapshot);
            }
        }
    }

    /// JOB-2, JOB-11: on a chain with another id, openings bind that id.
    function test_reveal__another_chain__binds_its_id() public {
        vm.chainId(7);
        Request memory r = _default();
        r.brief.nonce = 2;
        _ready(r);
        _commitAll(RIGHT, RIGHT, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
        _assertState(State.Settled);
    }
}
