// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IEnclaves, INodeRegistry, MockQuoteVerifier, ModelRegistry, Node, NodeRegistry, vm} from "./Base.t.sol";

/// @notice Registering, topping up, replacing keys.
contract NodeRegistryMembershipTest is Base {
    address private immutable _new = vm.addr(77);
    string private constant URL = "https://new.example";
    bytes32 private constant KEY = keccak256("key");

    function setUp() public override {
        super.setUp();
        vm.deal(_new, 1000 ether);
    }

    function _join(uint256 value) private {
        vm.prank(_new);
        nodes.register{value: value}(URL, KEY, address(7));
    }

    /// NODE-1, DRAW-3
    function test_register__new_worker__counts_from_the_next_epoch() public {
        uint256 epoch = nodes.epochOf(block.number);
        uint256 total = nodes.totalWeightAt(epoch);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.NodeRegistered(_new, 4, URL, KEY, address(7));
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeAdded(_new, 5 ether, 5 ether);
        _join(5 ether);

        Node memory n = nodes.node(_new);
        vm.assertEq(n.stake, 5 ether);
        vm.assertEq(uint256(n.locked) + n.keyEpoch + n.exitAt, 0);
        vm.assertEq(n.leaf, 5);
        vm.assertEq(n.hpkeKey, KEY);
        vm.assertEq(n.signer, address(7));
        vm.assertEq(n.endpoint, URL);
        vm.assertEq(nodes.workerAt(4), _new);
        vm.assertEq(nodes.workerCount(), 5);
        vm.assertEq(nodes.weightAt(_new, epoch), 0);
        vm.assertEq(nodes.weightAt(_new, epoch + 1), 5 gwei);
        vm.assertEq(nodes.totalWeightAt(epoch), total);
        vm.assertEq(nodes.totalWeightAt(epoch + 1), total + 5 gwei);
    }

    /// NODE-1
    function test_register__twice__reverts() public {
        _join(5 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, _new));
        _join(5 ether);
    }

    /// NODE-1: not even with the whole stake slashed away.
    function test_register__slashed_to_zero__reverts() public {
        _join(5 ether);
        _slash(_new, 5 ether);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, _new));
        _join(5 ether);
    }

    /// NODE-1
    function test_register__stake_at_the_minimum__decides() public {
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeTooSmall.selector, MINIMUM_STAKE - 1, MINIMUM_STAKE)
        );
        _join(MINIMUM_STAKE - 1);
        _join(MINIMUM_STAKE);
    }

    /// NODE-1
    function test_register__zero_keys__revert() public {
        vm.startPrank(_new);
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        nodes.register{value: 5 ether}(URL, 0, address(7));
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        nodes.register{value: 5 ether}(URL, KEY, address(0));
    }

    function test_register__endpoint__at_most_256_bytes() public {
        vm.startPrank(_new);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_EndpointTooLong.selector, uint256(257), uint256(256))
        );
        nodes.register{value: 5 ether}(string(new bytes(257)), KEY, address(7));
        nodes.register{value: 5 ether}(string(new bytes(256)), KEY, address(7));
    }

    /// NODE-1: more than 96 bits is refused, not cut off.
    function test_register_and_top_up__stake_above_96_bits__reverts() public {
        uint256 most = type(uint96).max;
        vm.deal(_new, most + 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeTooLarge.selector, most + 1, most));
        _join(most + 1);
        _join(most);
        vm.deal(_new, 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_StakeTooLarge.selector, most + 1, most));
        vm.prank(_new);
        nodes.topUp{value: 1}();
    }

    /// DRAW-3
    function test_topUp__more_stake__counts_from_the_next_epoch() public {
        uint256 epoch = nodes.epochOf(block.number);
        vm.deal(workers[0], 3 ether);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakeAdded(workers[0], 3 ether, _stake(0) + 3 ether);
        vm.prank(workers[0]);
        nodes.topUp{value: 3 ether}();
        vm.assertEq(nodes.node(workers[0]).stake, _stake(0) + 3 ether);
        vm.assertEq(nodes.weightAt(workers[0], epoch), _stake(0) / 1 gwei);
        vm.assertEq(nodes.weightAt(workers[0], epoch + 1), (_stake(0) + 3 ether) / 1 gwei);
    }

    /// NODE-6
    function test_topUp__slashed_below_the_minimum__is_drawn_again() public {
        _slash(workers[0], uint96(_stake(0) - MINIMUM_STAKE + 1));
        uint256 epoch = nodes.epochOf(block.number);
        vm.assertEq(nodes.weightAt(workers[0], epoch + 1), 0);
        vm.deal(workers[0], 1);
        vm.prank(workers[0]);
        nodes.topUp{value: 1}();
        vm.assertEq(nodes.weightAt(workers[0], epoch + 1), MINIMUM_STAKE / 1 gwei);
    }

    /// NODE-6: exactly the minimum still counts.
    function test_slash__to_the_minimum__still_counts() public {
        _slash(workers[0], uint96(_stake(0) - MINIMUM_STAKE));
        vm.assertEq(nodes.weightAt(workers[0], nodes.epochOf(block.number) + 1), MINIMUM_STAKE / 1 gwei);
    }

    function _slash(address worker, uint96 amount) private {
        address[] memory one = new address[](1);
        uint256[] memory penalties = new uint256[](1);
        (one[0], penalties[0]) = (worker, amount);
        vm.startPrank(address(market));
        nodes.lock(one, amount, uint40(block.timestamp));
        nodes.release(one, amount, uint40(block.timestamp), penalties);
        vm.stopPrank();
    }

    /// NODE-1
    function test_strangers__every_worker_function__reverts() public {
        bytes memory expected = abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotRegistered.selector, stranger);
        vm.deal(stranger, 1 ether);
        vm.startPrank(stranger);
        vm.expectRevert(expected);
        nodes.topUp{value: 1 ether}();
        vm.expectRevert(expected);
        nodes.replaceKeys(KEY, address(1));
        vm.expectRevert(expected);
        nodes.setEndpoint(URL);
        vm.expectRevert(expected);
        nodes.announceExit();
        vm.expectRevert(expected);
        nodes.withdraw();
    }

    /// NODE-2
    function test_replaceKeys__new_keys__raise_the_epoch() public {
        vm.expectEmit(address(nodes));
        emit INodeRegistry.KeysReplaced(workers[0], 1, KEY, address(9));
        vm.prank(workers[0]);
        nodes.replaceKeys(KEY, address(9));
        Node memory n = nodes.node(workers[0]);
        vm.assertEq(n.keyEpoch, 1);
        vm.assertEq(n.hpkeKey, KEY);
        vm.assertEq(n.signer, address(9));
    }

    /// NODE-1, NODE-2
    function test_replaceKeys__zero_keys__revert() public {
        vm.startPrank(workers[0]);
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        nodes.replaceKeys(0, address(9));
        vm.expectRevert(INodeRegistry.NodeRegistry_ZeroKey.selector);
        nodes.replaceKeys(KEY, address(0));
    }

    function test_setEndpoint__new_url__is_stored_up_to_256_bytes() public {
        vm.startPrank(workers[0]);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.EndpointChanged(workers[0], URL);
        nodes.setEndpoint(URL);
        vm.assertEq(nodes.node(workers[0]).endpoint, URL);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_EndpointTooLong.selector, uint256(257), uint256(256))
        );
        nodes.setEndpoint(string(new bytes(257)));
    }

    /// DEP-2
    function test_deploy__parameters__are_kept_and_checked() public {
        vm.assertEq(nodes.market(), address(market));
        vm.assertEq(nodes.epochLength(), EPOCH);
        vm.assertEq(nodes.exitDelay(), EXIT_DELAY);
        vm.assertEq(nodes.minimumStake(), MINIMUM_STAKE);
        vm.assertEq(nodes.MAX_ENDPOINT(), 256);
        vm.assertEq(nodes.epochOf(EPOCH - 1), 0);
        vm.assertEq(nodes.epochOf(EPOCH), 1);
        address m = address(market);
        bytes4 expected = INodeRegistry.NodeRegistry_BadParameters.selector;
        vm.expectRevert(expected);
        new NodeRegistry(address(0), EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, 0, EXIT_DELAY, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, EPOCH, 0, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, EPOCH, uint256(type(uint32).max) + 1, MINIMUM_STAKE, models, quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, EPOCH, EXIT_DELAY, 1 gwei - 1, models, quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, EPOCH, EXIT_DELAY, MINIMUM_STAKE, ModelRegistry(stranger), quotes, _limits());
        vm.expectRevert(expected);
        new NodeRegistry(m, EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, MockQuoteVerifier(stranger), _limits());
        for (uint256 i = 0; i < 4; ++i) {
            IEnclaves.Limits memory l = _limits();
            if (i == 0) l.attestationPeriod = 0;
            if (i == 1) l.promptLifetime = 0;
            if (i == 2) l.identitiesPerPlatform = 0;
            if (i == 3) l.lockPeriod = 0;
            vm.expectRevert(expected);
            new NodeRegistry(m, EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, quotes, l);
        }
        new NodeRegistry(m, 1, type(uint32).max, 1 gwei, models, quotes, _limits());
        vm.assertEq(address(nodes.models()), address(models));
        vm.assertEq(address(nodes.quotes()), address(quotes));
        vm.assertEq(keccak256(abi.encode(nodes.limits())), keccak256(abi.encode(_limits())));
    }

    /// NODE-6: a stake without a whole gwei more weighs what its gwei weigh.
    function testFuzz_weight__any_stake__is_its_whole_gwei(uint96 stake) public {
        if (stake < MINIMUM_STAKE) stake += uint96(MINIMUM_STAKE);
        vm.deal(_new, stake);
        _join(stake);
        vm.assertEq(nodes.weightAt(_new, nodes.epochOf(block.number) + 1), uint256(stake) / 1e9);
    }
}
