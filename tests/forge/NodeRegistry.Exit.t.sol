// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, INodeRegistry, Node, vm} from "./Base.t.sol";

/// @notice Announcing an exit, withdrawing, coming back.
contract NodeRegistryExitTest is Base {
    function _announce(uint256 i) private {
        vm.prank(workers[i]);
        nodes.announceExit();
    }

    function _withdraw(uint256 i) private {
        vm.prank(workers[i]);
        nodes.withdraw();
    }

    function _lock(address worker, uint96 amount, uint40 until) private {
        address[] memory one = new address[](1);
        one[0] = worker;
        vm.prank(address(market));
        nodes.lock(one, amount, until);
    }

    /// NODE-3
    function test_announceExit__worker__enters_no_later_draw() public {
        uint256 epoch = nodes.epochOf(block.number);
        uint256 total = nodes.totalWeightAt(epoch);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.ExitAnnounced(workers[1], uint40(block.timestamp + EXIT_DELAY));
        _announce(1);
        vm.assertEq(nodes.node(workers[1]).exitAt, block.timestamp + EXIT_DELAY);
        vm.assertEq(nodes.weightAt(workers[1], epoch), _stake(1) / 1 gwei);
        vm.assertEq(nodes.weightAt(workers[1], epoch + 1), 0);
        vm.assertEq(nodes.totalWeightAt(epoch), total);
        vm.assertEq(nodes.totalWeightAt(epoch + 1), total - _stake(1) / 1 gwei);
    }

    /// NODE-3: nothing undoes or prolongs an exit.
    function test_exiting_worker__every_function__reverts() public {
        _announce(1);
        bytes memory expected = abi.encodeWithSelector(
            INodeRegistry.NodeRegistry_Exiting.selector, workers[1], uint40(block.timestamp + EXIT_DELAY)
        );
        vm.deal(workers[1], 10 ether);
        vm.startPrank(workers[1]);
        vm.expectRevert(expected);
        nodes.announceExit();
        vm.expectRevert(expected);
        nodes.topUp{value: 1 ether}();
        vm.expectRevert(expected);
        nodes.replaceKeys(bytes32(uint256(1)), address(1));
        vm.expectRevert(expected);
        nodes.setEndpoint("");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, workers[1]));
        nodes.register{value: 1 ether}("", bytes32(uint256(1)), address(1));
    }

    /// NODE-3
    function test_withdraw__before_and_at_the_end_of_the_delay__decides() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotExiting.selector, workers[2]));
        _withdraw(2);
        _announce(2);
        uint256 exitAt = nodes.node(workers[2]).exitAt;
        vm.warp(exitAt - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_TooEarly.selector, exitAt - 1, exitAt));
        _withdraw(2);
        vm.warp(exitAt);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeWithdrawn(workers[2], _stake(2));
        _withdraw(2);
        vm.assertEq(workers[2].balance, _stake(2));
        vm.assertEq(nodes.node(workers[2]).stake, 0);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotRegistered.selector, workers[2]));
        _withdraw(2);
    }

    /// NODE-3, NODE-5
    function test_withdraw__locked__reverts() public {
        _announce(2);
        uint256 exitAt = nodes.node(workers[2]).exitAt;
        vm.warp(exitAt);
        _lock(workers[2], 1 gwei, uint40(exitAt));
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeLocked.selector, workers[2], uint256(1 gwei))
        );
        _withdraw(2);
        uint256 free = (exitAt / LOCK_PERIOD + 1) * LOCK_PERIOD;
        vm.warp(free - 1);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeLocked.selector, workers[2], uint256(1 gwei))
        );
        _withdraw(2);
        vm.warp(free);
        _withdraw(2);
        vm.assertEq(workers[2].balance, _stake(2));
    }

    /// NODE-1, NODE-2, DRAW-3
    function test_register__after_withdrawal__returns_to_its_leaf_with_new_keys() public {
        _announce(2);
        vm.warp(nodes.node(workers[2]).exitAt);
        _withdraw(2);
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        _register(workers[2], 9 ether);
        Node memory n = nodes.node(workers[2]);
        vm.assertEq(n.leaf, 3);
        vm.assertEq(n.keyEpoch, 1);
        vm.assertEq(n.exitAt, 0);
        vm.assertEq(n.stake, 9 ether);
        vm.assertEq(nodes.workerCount(), WORKERS);
        vm.assertEq(nodes.workerAt(2), workers[2]);
        vm.assertEq(nodes.weightAt(workers[2], epoch), 0);
        vm.assertEq(nodes.weightAt(workers[2], epoch + 1), 9 gwei);
    }
}
