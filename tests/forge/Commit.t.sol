// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, Job, JobId, Level, Request, State, Ticket, vm} from "./Base.t.sol";

contract CommitTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
    }

    /// JOB-12
    function test_commit__first__is_recorded() public {
        bytes32 commitment = _commitment(id, committee[1], RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.OutputCommitted(id, committee[1], commitment);
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
        emit IJobs.RevealsOpened(id, uint40(block.timestamp + REVEAL_WINDOW));
        _commit(1, RIGHT);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Committed);
        vm.assertEq(j.committed, 7);
        vm.assertEq(j.deadline, block.timestamp + REVEAL_WINDOW);
    }

    /// JOB-12
    function test_commit__twice__reverts() public {
        _commit(0, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyCommitted.selector, committee[0]));
        _commit(0, WRONG);
    }

    /// JOB-12, JOB-16
    function test_commit__after_refusal__reverts() public {
        _refuse(0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_Excused.selector, committee[0]));
        _commit(0, RIGHT);
    }

    /// JOB-12
    function test_commit__not_seated__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.commit(_ticket(), RIGHT);
    }

    /// JOB-12: the fourth worker, staked but not drawn.
    function test_commit__undrawn_worker__reverts() public {
        for (uint256 i = 0; i < WORKERS; ++i) {
            address w = workers[i];
            if (w == committee[0] || w == committee[1] || w == committee[2]) continue;
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, w));
            vm.prank(w);
            market.commit(_ticket(), RIGHT);
        }
    }

    /// JOB-12: a forged committee seats nobody.
    function test_commit__other_committee__reverts() public {
        address[] memory forged = committee;
        forged[0] = stranger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        vm.prank(stranger);
        market.commit(shown, RIGHT);
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
            (Ticket memory shown, bytes memory expected) = _forged(forged[i]);
            vm.expectRevert(expected);
            vm.prank(committee[0]);
            market.commit(shown, RIGHT);
        }
    }

    /// JOB-12: the deadline itself is in time, the second after is not.
    function test_commit__around_the_deadline__in_time_or_late() public {
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        _commit(0, RIGHT);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _commit(1, RIGHT);
    }

    /// JOB-2: any other terms, and any other brief, are another job's.
    function test_commit__other_terms_or_brief__is_an_unknown_job() public {
        for (uint256 i = 0; i < 11; ++i) {
            Ticket memory t = _ticket();
            if (i == 0) t.terms.requester = stranger;
            if (i == 1) t.terms.version = provable;
            if (i == 2) t.terms.level = Level.Attested;
            if (i == 3) t.terms.seats = 2;
            if (i == 4) t.terms.quorum = 3;
            if (i == 5) t.terms.verifier = verifierId;
            if (i == 6) t.terms.ownerPercent = 1;
            if (i == 7) t.terms.token = stranger;
            if (i == 8) t.terms.pricePerSeat += 1;
            if (i == 9) t.terms.lockEach -= 1 gwei;
            if (i == 10) t.brief = keccak256("another brief");
            JobId none = JobId.wrap(keccak256(abi.encode(block.chainid, address(market), t.terms, t.brief)));
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, none));
            vm.prank(committee[0]);
            market.commit(t, RIGHT);
        }
    }

    /// JOB-12: the keys are fixed with the committee.
    function test_commit__other_keys__reverts() public {
        Ticket memory t = _ticket();
        t.keys = keccak256("other keys");
        vm.expectRevert(_wrongCommittee(t));
        vm.prank(committee[0]);
        market.commit(t, RIGHT);
    }

    /// JOB-12: before the delivery nobody has a seat, whatever the ticket says.
    function test_commit__open_job__names_the_state() public {
        Request memory r = _default();
        r.brief.nonce = 2;
        address[] memory before = committee;
        _request(r);
        Ticket memory t = _ticket();
        (t.committee, t.keys) = (before, _ticket(_jobId(_default())).keys);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Open));
        vm.prank(before[0]);
        market.commit(t, RIGHT);
    }
}
