// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, INodeRegistry, StakeTree, vm} from "./Base.t.sol";

/// @notice What only the market may do: lock, release, slash. And the draw that it asks for.
contract NodeRegistryMarketTest is Base {
    address[] private _two;

    function setUp() public override {
        super.setUp();
        _two.push(workers[0]);
        _two.push(address(0)); // a vacant seat
        _two.push(workers[1]);
    }

    function _penalties(uint256 a, uint256 b, uint256 c) private pure returns (uint256[] memory p) {
        p = new uint256[](3);
        (p[0], p[1], p[2]) = (a, b, c);
    }

    /// NODE-5
    function test_lock_and_release__not_the_market__reverts() public {
        address[3] memory callers = [stranger, owner, workers[0]];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory expected =
                abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotMarket.selector, callers[i], address(market));
            vm.startPrank(callers[i]);
            vm.expectRevert(expected);
            nodes.lock(_two, 1);
            vm.expectRevert(expected);
            nodes.release(_two, 0, _penalties(0, 0, 0));
            vm.stopPrank();
        }
    }

    /// NODE-5, DRAW-5
    function test_lock__seats__lock_and_pass_over_vacancies() public {
        vm.startPrank(address(market));
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakesLocked(_two, 2 ether);
        nodes.lock(_two, 2 ether);
        nodes.lock(_two, 1 ether);
        vm.assertEq(nodes.node(workers[0]).locked, 3 ether);
        vm.assertEq(nodes.node(workers[1]).locked, 3 ether);
        vm.assertEq(nodes.node(address(0)).locked, 0);
        vm.assertEq(nodes.node(workers[0]).stake, _stake(0));
    }

    /// NODE-5: locked stake is never above stake.
    function test_lock__more_than_free__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 1 ether);
        uint256 free = _stake(0) - 1 ether;
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotEnoughFree.selector, workers[0], free, free + 1)
        );
        nodes.lock(_two, uint96(free + 1));
        nodes.lock(_two, uint96(free));
        vm.assertEq(nodes.node(workers[0]).locked, _stake(0));
    }

    /// NODE-5, MONEY-1, MONEY-5: what is slashed leaves for the market with the call.
    function test_release__penalties__slash_and_send() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether);
        uint256 epoch = nodes.epochOf(block.number);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakesReleased(_two, 2 ether);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeSlashed(workers[1], 2 ether, _stake(1) - 2 ether);
        uint256 slashed = nodes.release(_two, 2 ether, _penalties(0, 5, 2 ether)); // 5 for nobody
        vm.assertEq(slashed, 2 ether);
        vm.assertEq(address(market).balance, 2 ether);
        vm.assertEq(nodes.node(workers[0]).stake, _stake(0));
        vm.assertEq(nodes.node(workers[1]).stake, _stake(1) - 2 ether);
        vm.assertEq(uint256(nodes.node(workers[0]).locked) + nodes.node(workers[1]).locked, 0);
        vm.assertEq(nodes.weightAt(workers[1], epoch), _stake(1) / 1 gwei);
        vm.assertEq(nodes.weightAt(workers[1], epoch + 1), (_stake(1) - 2 ether) / 1 gwei);
    }

    /// NODE-5: a job never takes more than it locked.
    function test_release__penalty_above_the_lock__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.NodeRegistry_PenaltyTooLarge.selector, workers[0], uint256(2 ether + 1), uint256(2 ether)
            )
        );
        nodes.release(_two, 2 ether, _penalties(2 ether + 1, 0, 0));
    }

    /// NODE-5: nothing is released that was not locked.
    function test_release__never_locked__reverts() public {
        vm.startPrank(address(market));
        nodes.lock(_two, 2 ether);
        vm.expectRevert();
        nodes.release(_two, 2 ether + 1, _penalties(0, 0, 0));
    }

    /// MONEY-1: slashed money that the market does not take stays staked.
    function test_release__market_takes_no_money__reverts() public {
        vm.prank(address(market));
        nodes.lock(_two, 2 ether);
        vm.etch(address(market), hex"5f5ffd"); // revert with nothing
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_TransferFailed.selector, address(market), uint256(1))
        );
        vm.prank(address(market));
        nodes.release(_two, 2 ether, _penalties(1, 0, 0));
    }

    /// DRAW-4, DRAW-5: weights ignore locks; a seat whose worker is busy stays empty and the others keep theirs.
    function testFuzz_draw__some_busy__their_seats_stay_empty_and_no_other_moves(bytes32 seed, uint8 busy) public {
        uint256 epoch = nodes.epochOf(block.number);
        address[] memory free = nodes.draw(seed, 4, epoch, uint96(LOCK));
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (busy & (1 << i) == 0) continue;
            address[] memory one = new address[](1);
            one[0] = workers[i];
            vm.prank(address(market));
            nodes.lock(one, uint96(_stake(i) - LOCK + 1));
        }
        address[] memory drawn = nodes.draw(seed, 4, epoch, uint96(LOCK));
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
