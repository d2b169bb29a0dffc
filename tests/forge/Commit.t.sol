// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobMarket, Job, JobId, Request, State, vm} from "./Base.t.sol";

contract CommitTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
    }

    /// JOB-12
    function test_commit__first__is_recorded() public {
        bytes32 commitment = _commitment(id, committee[1], RIGHT);
        vm.expectEmit(address(market));
        emit IJobMarket.OutputCommitted(id, committee[1], commitment);
        _commit(1, RIGHT);
        Job memory j = market.job(id);
        vm.assertEq(j.committed, 2);
        vm.assertTrue(j.state == State.Ready);
    }

    /// JOB-14
    function test_commit__last__opens_reveals() public {
        _commit(2, RIGHT);
        _commit(0, RIGHT);
        vm.warp(block.timestamp + 77);
        vm.expectEmit(address(market));
        emit IJobMarket.RevealsOpened(id, uint40(block.timestamp + REVEAL_WINDOW));
        _commit(1, RIGHT);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Committed);
        vm.assertEq(j.committed, 7);
        vm.assertEq(j.deadline, block.timestamp + REVEAL_WINDOW);
    }

    /// JOB-12
    function test_commit__twice__reverts() public {
        _commit(0, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_AlreadyCommitted.selector, committee[0]));
        _commit(0, WRONG);
    }

    /// JOB-12, JOB-16
    function test_commit__after_refusal__reverts() public {
        _refuse(0);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_Excused.selector, committee[0]));
        _commit(0, RIGHT);
    }

    /// JOB-12
    function test_commit__not_seated__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.commit(id, committee, RIGHT);
    }

    /// JOB-12: the fourth worker, staked but not drawn.
    function test_commit__undrawn_worker__reverts() public {
        for (uint256 i = 0; i < WORKERS; ++i) {
            address w = workers[i];
            if (w == committee[0] || w == committee[1] || w == committee[2]) continue;
            vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_NotSeated.selector, w));
            vm.prank(w);
            market.commit(id, committee, RIGHT);
        }
    }

    /// JOB-12: a forged committee seats nobody.
    function test_commit__other_committee__reverts() public {
        address[] memory forged = committee;
        forged[0] = stranger;
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.JobMarket_WrongCommittee.selector,
                keccak256(abi.encode(forged)),
                keccak256(abi.encode(committee))
            )
        );
        vm.prank(stranger);
        market.commit(id, forged, RIGHT);
    }

    /// JOB-12: the committee in another order, shorter, longer, empty.
    function test_commit__reordered_or_resized_committee__reverts() public {
        address[][] memory forged = new address[][](4);
        forged[0] = new address[](3);
        (forged[0][0], forged[0][1], forged[0][2]) = (committee[1], committee[0], committee[2]);
        forged[1] = new address[](2);
        (forged[1][0], forged[1][1]) = (committee[0], committee[1]);
        forged[2] = new address[](4);
        (forged[2][0], forged[2][1], forged[2][2]) = (committee[0], committee[1], committee[2]);
        forged[3] = new address[](0);
        for (uint256 i = 0; i < forged.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IJobMarket.JobMarket_WrongCommittee.selector,
                    keccak256(abi.encode(forged[i])),
                    keccak256(abi.encode(committee))
                )
            );
            vm.prank(committee[0]);
            market.commit(id, forged[i], RIGHT);
        }
    }

    /// JOB-12: the deadline itself is in time, the second after is not.
    function test_commit__around_the_deadline__in_time_or_late() public {
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        _commit(0, RIGHT);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_TooLate.selector, deadline + 1, deadline));
        _commit(1, RIGHT);
    }

    function test_commit__unknown_job__reverts() public {
        JobId none = JobId.wrap(keccak256("none"));
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, none));
        market.commit(none, committee, RIGHT);
    }
}
