// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakeLocksLib} from "../../contracts/types/StakeLocks.sol";
import {Base, IEnclaves, INodeRegistry, StakeTree, vm} from "./Base.t.sol";

/// @notice What only the market may do: lock, hire, release, slash. And the draw that it asks for.
contract NodeRegistryMarketTest is Base {
    address[] private _two;
    uint40 private _until;

    function setUp() public override {
        super.setUp();
        _two.push(workers[0]);
        _two.push(address(0)); // a vacant seat
        _two.push(workers[1]);
        _until = uint40(block.timestamp);
    }

    function _penalties(uint256 a, uint256 b, uint256 c) private pure returns (uint256[] memory p) {
        p = new uint256[](3);
        (p[0], p[1], p[2]) = (a, b, c);
    }

    /// @dev First second of the period after that of `time`.
    function _periodAfter(uint256 time) private pure returns (uint256) {
        return (time / LOCK_PERIOD + 1) * LOCK_PERIOD;
    }

    /// NODE-5
    function test_lock_hire_and_release__not_the_market__reverts() public {
        address[4] memory callers = [stranger, owner, workers[0], steward];
        IEnclaves.Eligibility memory none;
        for (uint256 i = 0; i < callers.length; ++i) {
            bytes memory expected =
                abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotMarket.selector, callers[i], address(market));
            vm.startPrank(callers[i]);
            vm.expectRevert(expected);
            nodes.lock(_two, 1 gwei, _until);
            vm.expectRevert(expected);
            nodes.hire(workers[0], 1 gwei, _until);
            vm.expectRevert(expected);
            nodes.hireEnrolled(workers[0], 1 gwei, _until, none);
            vm.expectRevert(expected);
            nodes.release(_two, 0, _until, _penalties(0, 0, 0));
            vm.stopPrank();
        }
    }

    /// NODE-5, DRAW-5
    function test_lock__seats__lock_and_pass_over_vacancies() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether, _until);
        nodes.lock(_two, 1 ether, _until + LOCK_PERIOD);
        vm.assertEq(nodes.node(workers[0]).locked, 3 ether);
        vm.assertEq(nodes.node(workers[1]).locked, 3 ether);
        vm.assertEq(nodes.node(address(0)).locked, 0);
        vm.assertEq(nodes.node(workers[0]).stake, _stake(0));
    }

    /// NODE-5: a lock holds to its second at least, to the end of that second's period at most, and nobody need call.
    function testFuzz_lock__as_time_passes__comes_free_by_itself(uint32 ahead) public {
        uint256 until = block.timestamp + ahead % (3 * LOCK_PERIOD);
        vm.prank(address(market));
        nodes.lock(_two, 2 ether, uint40(until));
        vm.warp(until);
        vm.assertEq(nodes.node(workers[0]).locked, 2 ether);
        vm.warp(_periodAfter(until) - 1);
        vm.assertEq(nodes.node(workers[0]).locked, 2 ether);
        vm.warp(_periodAfter(until));
        vm.assertEq(nodes.node(workers[0]).locked, 0);
        vm.assertEq(nodes.draw(SECRET, 4, nodes.epochOf(block.number), uint96(_stake(0))).length, 4);
    }

    /// NODE-5: a lock that the four periods cannot hold is refused, not cut short.
    function test_lock__beyond_the_fourth_period__reverts() public {
        uint256 period = block.timestamp / LOCK_PERIOD;
        uint40 beyond = uint40((period + 4) * LOCK_PERIOD);
        vm.startPrank(address(market));
        vm.expectRevert(abi.encodeWithSelector(StakeLocksLib.StakeLocks_TooFar.selector, period + 4, period + 3));
        nodes.lock(_two, 1 gwei, beyond);
        nodes.lock(_two, 1 gwei, beyond - 1);
        vm.assertEq(nodes.node(workers[0]).locked, 1 gwei);
    }

    /// NODE-5: locked stake is never above stake when it is locked.
    function test_lock__more_than_free__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 1 ether, _until);
        uint96 free = uint96(_stake(0)) - 1 ether;
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotEnoughFree.selector, workers[0], free, free + 1 gwei)
        );
        nodes.lock(_two, free + 1 gwei, _until);
        nodes.lock(_two, free, _until);
        vm.assertEq(nodes.node(workers[0]).locked, _stake(0));
    }

    /// JOB-37: whom nobody drew must be able to take the job.
    function test_hire__stranger_leaving_or_busy__reverts() public {
        vm.startPrank(address(market));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotHireable.selector, stranger));
        nodes.hire(stranger, 1 gwei, _until);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotHireable.selector, address(0)));
        nodes.hire(address(0), 1 gwei, _until);
        uint96 all = uint96(_stake(0));
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotEnoughFree.selector, workers[0], all, all + 1 gwei)
        );
        nodes.hire(workers[0], all + 1 gwei, _until);
        nodes.hire(workers[0], all, _until);
        vm.assertEq(nodes.node(workers[0]).locked, all);
        vm.stopPrank();
        vm.prank(workers[1]);
        nodes.announceExit();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotHireable.selector, workers[1]));
        vm.prank(address(market));
        nodes.hire(workers[1], 1 gwei, _until);
    }

    /// NODE-5, MONEY-1, MONEY-5: what is slashed leaves for the market with the call.
    function test_release__penalties__slash_and_send() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether, _until);
        uint256 epoch = nodes.epochOf(block.number);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeSlashed(workers[1], 2 ether, _stake(1) - 2 ether);
        uint256 slashed = nodes.release(_two, 2 ether, _until, _penalties(0, 5, 2 ether)); // 5 for nobody
        vm.assertEq(slashed, 2 ether);
        vm.assertEq(address(market).balance, 2 ether);
        vm.assertEq(nodes.node(workers[0]).stake, _stake(0));
        vm.assertEq(nodes.node(workers[1]).stake, _stake(1) - 2 ether);
        vm.assertEq(uint256(nodes.node(workers[0]).locked) + nodes.node(workers[1]).locked, 0);
        vm.assertEq(nodes.weightAt(workers[1], epoch), _stake(1) / 1 gwei);
        vm.assertEq(nodes.weightAt(workers[1], epoch + 1), (_stake(1) - 2 ether) / 1 gwei);
    }

    /// NODE-5: after the lock's time there is nothing left to release, and locks of other jobs stay.
    function test_release__late__frees_no_other_lock_and_slashes_still() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether, _until);
        vm.warp(_periodAfter(_until));
        nodes.lock(_two, 1 ether, uint40(block.timestamp));
        nodes.release(_two, 2 ether, _until, _penalties(0, 0, 2 ether));
        vm.assertEq(nodes.node(workers[0]).locked, 1 ether);
        vm.assertEq(nodes.node(workers[1]).locked, 1 ether);
        vm.assertEq(nodes.node(workers[1]).stake, _stake(1) - 2 ether);
    }

    /// NODE-5: a job never takes more than it locked.
    function test_release__penalty_above_the_lock__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether, _until);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.NodeRegistry_PenaltyTooLarge.selector, workers[0], uint256(2 ether + 1), uint256(2 ether)
            )
        );
        nodes.release(_two, 2 ether, _until, _penalties(2 ether + 1, 0, 0));
    }

    /// NODE-5, MONEY-1: stake that other slashes took first is not taken twice, and a worker with more locked than staked has
    /// nothing free.
    function test_release__less_stake_than_the_penalty__takes_what_is_left() public {
        uint96 most = uint96(_stake(0) / 1 gwei) * 1 gwei;
        address[] memory one = new address[](1);
        one[0] = workers[0];
        uint256[] memory penalty = new uint256[](1);
        vm.startPrank(address(market));
        nodes.lock(one, most, _until);
        vm.warp(_periodAfter(_until));
        nodes.lock(one, most, uint40(block.timestamp));
        penalty[0] = most - 1 ether;
        vm.assertEq(nodes.release(one, most, _until, penalty), most - 1 ether);
        uint256 left = _stake(0) - most + 1 ether;
        vm.assertEq(nodes.node(workers[0]).stake, left);
        vm.assertEq(nodes.node(workers[0]).locked, most);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotEnoughFree.selector, workers[0], uint256(0), 1 gwei)
        );
        nodes.lock(one, 1 gwei, uint40(block.timestamp));
        penalty[0] = most;
        vm.assertEq(nodes.release(one, most, uint40(block.timestamp), penalty), left);
        vm.assertEq(nodes.node(workers[0]).stake, 0);
        vm.assertEq(nodes.node(workers[0]).locked, 0);
    }

    /// NODE-5: nothing is released that was not locked.
    function test_release__never_locked__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether, _until);
        vm.expectRevert();
        nodes.release(_two, 2 ether + 1 gwei, _until, _penalties(0, 0, 0));
    }

    /// MONEY-1: slashed money that the market does not take stays staked.
    function test_release__market_takes_no_money__reverts() public {
        vm.prank(address(market));
        nodes.lock(_two, 2 ether, _until);
        vm.etch(address(market), hex"5f5ffd"); // revert with nothing
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_TransferFailed.selector, address(market), uint256(1))
        );
        vm.prank(address(market));
        nodes.release(_two, 2 ether, _until, _penalties(1, 0, 0));
    }

    /// DRAW-4, DRAW-5: weights ignore locks; a seat whose worker is busy stays empty and the others keep theirs.
    function testFuzz_draw__some_busy__their_seats_stay_empty_and_no_other_moves(bytes32 seed, uint8 busy) public {
        uint256 epoch = nodes.epochOf(block.number);
        address[] memory free = nodes.draw(seed, 4, epoch, LOCK);
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (busy & (1 << i) == 0) continue;
            address[] memory one = new address[](1);
            one[0] = workers[i];
            vm.prank(address(market));
            nodes.lock(one, uint96(_stake(i)) - LOCK + 1 gwei, _until);
        }
        address[] memory drawn = nodes.draw(seed, 4, epoch, LOCK);
        for (uint256 seat = 0; seat < 4; ++seat) {
            bool isBusy = false;
            for (uint256 i = 0; i < WORKERS; ++i) {
                if (workers[i] == free[seat] && busy & (1 << i) != 0) isBusy = true;
            }
            vm.assertEq(drawn[seat], isBusy ? address(0) : free[seat]);
        }
        vm.assertEq(drawn, _sample(seed, 4, epoch, LOCK));
    }

    /// DRAW-2: the registry answers for the present epoch and the one before; older weights are forgotten.
    function test_draw__older_epochs__revert_once_forgotten() public {
        uint256 epoch = nodes.epochOf(block.number);
        address[] memory now_ = nodes.draw(SECRET, 3, epoch, 1);
        _nextEpoch();
        vm.prank(workers[3]);
        nodes.announceExit();
        vm.assertEq(nodes.draw(SECRET, 3, epoch, 1), now_);
        _nextEpoch();
        vm.deal(workers[0], 1 ether);
        vm.prank(workers[0]);
        nodes.topUp{value: 1 ether}();
        vm.expectRevert(abi.encodeWithSelector(StakeTree.StakeTree_Forgotten.selector, epoch, epoch + 1));
        nodes.draw(SECRET, 3, epoch, 1);
    }

    function test_weightAt__unknown_worker__is_zero() public view {
        vm.assertEq(nodes.weightAt(stranger, 5), 0);
    }
}
