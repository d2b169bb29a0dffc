// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Sessions} from "../../contracts/Sessions.sol";
import {
    AttestedWorkers,
    ICurrencies,
    INodeRegistry,
    ISessions,
    Order,
    Session,
    SessionId,
    SessionsBase,
    vm
} from "./SessionsBase.t.sol";

contract SessionsOpenTest is SessionsBase {
    function _openRaw(address worker_, address signer, address key, uint96 price, uint256 nonce) private {
        vm.prank(requester);
        sessions.open{value: AMOUNT}(worker_, signer, key, address(0), price, AMOUNT, nonce);
    }

    /// SESS-1, SESS-3
    function test_open__attested_worker__keeps_what_was_agreed() public view {
        Session memory s = sessions.session(id);
        vm.assertEq(s.requester, requester);
        vm.assertEq(s.worker, worker);
        vm.assertEq(s.signer, vm.addr(SIGNER));
        vm.assertEq(s.key, vm.addr(KEY));
        vm.assertEq(s.token, address(0));
        vm.assertEq(s.price, PRICE);
        vm.assertEq(s.reserved, AMOUNT);
        vm.assertEq(s.bond, BOND);
        vm.assertEq(address(sessions).balance, AMOUNT);
    }

    /// SESS-1
    function test_id__each_part__changes_it() public {
        bytes32 expected = keccak256(abi.encode(block.chainid, address(sessions), requester, worker, uint256(1)));
        vm.assertEq(SessionId.unwrap(id), expected);
        vm.chainId(block.chainid + 1);
        vm.assertTrue(SessionId.unwrap(sessions.sessionId(requester, worker, 1)) != expected);
    }

    /// SESS-1
    function test_open__same_nonce__reverts() public {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_AlreadyOpen.selector, id));
        sessions.open{value: AMOUNT}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, 1);
    }

    /// SESS-1: nor after it is closed, or its orders would count again.
    function test_open__same_nonce_after_close__reverts() public {
        _announce();
        vm.warp(block.timestamp + DELAY);
        sessions.close(id);
        nodes.set(worker, vm.addr(SIGNER), uint40(block.timestamp + 1 days));
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_AlreadyOpen.selector, id));
        sessions.open{value: AMOUNT}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, 1);
    }

    /// SESS-2
    function test_open__expired_attestation__reverts() public {
        uint40 until = uint40(block.timestamp - 1);
        nodes.set(worker, vm.addr(SIGNER), until);
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotAttested.selector, worker, until));
        sessions.open{value: AMOUNT}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, 2);
    }

    /// SESS-2: the registry keeps 1 for a revoked one.
    function test_open__revoked_or_never_attested__reverts() public {
        for (uint40 until = 0; until < 2; ++until) {
            nodes.set(worker, vm.addr(SIGNER), until);
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotAttested.selector, worker, until));
            sessions.open{value: AMOUNT}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, 2);
        }
    }

    /// SESS-2: the worker has put another key in the place of the one that the requester judged.
    function test_open__another_signer__reverts() public {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongSigner.selector, worker, vm.addr(STRANGER)));
        sessions.open{value: AMOUNT}(worker, vm.addr(STRANGER), vm.addr(KEY), address(0), PRICE, AMOUNT, 2);
    }

    /// SESS-3
    function test_open__wrong_value__reverts() public {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongValue.selector, AMOUNT - 1, AMOUNT));
        sessions.open{value: AMOUNT - 1}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, 2);
    }

    /// SESS-3
    function test_open__zero_price_or_key__reverts() public {
        vm.expectRevert(_error(ISessions.Sessions_ZeroPrice.selector));
        _openRaw(worker, vm.addr(SIGNER), vm.addr(KEY), 0, 2);
        vm.expectRevert(_error(ISessions.Sessions_ZeroKey.selector));
        _openRaw(worker, vm.addr(SIGNER), address(0), PRICE, 2);
    }

    /// SESS-3
    function test_topUp__by_anybody__adds_to_the_deposit() public {
        vm.prank(stranger);
        sessions.topUp{value: 5 * uint256(PRICE)}(id, 5 * PRICE);
        vm.assertEq(sessions.session(id).reserved, AMOUNT + 5 * PRICE);
    }

    /// SESS-3
    function test_topUp__wrong_value__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongValue.selector, 0, 5));
        sessions.topUp(id, 5);
    }

    /// SESS-3
    function test_topUp__too_much__reverts() public {
        uint96 most = type(uint96).max;
        vm.deal(stranger, most);
        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(ISessions.Sessions_AmountTooLarge.selector, uint256(AMOUNT) + most, most)
        );
        sessions.topUp{value: most}(id, most);
    }

    /// SESS-1
    function test_calls__unknown_session__revert() public {
        SessionId none = SessionId.wrap(keccak256("none"));
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_NotOpen.selector, none);
        vm.expectRevert(expected);
        sessions.topUp(none, 0);
        vm.expectRevert(expected);
        sessions.announceClose(none);
        vm.expectRevert(expected);
        sessions.close(none);
        Order memory o = _order(1);
        vm.expectRevert(expected);
        sessions.settle(none, o, "", 0);
        vm.expectRevert(expected);
        sessions.demand(none, 1, 1);
    }

    /// SESS-16: the delay must be longer than the longest settlement.
    function test_deploy__bad_parameters__reverts() public {
        ISessions.Parameters[6] memory bad;
        for (uint256 i = 0; i < bad.length; ++i) {
            bad[i] = _parameters();
        }
        bad[0].withdrawDelay = CHALLENGE + 2 * ANSWER;
        (bad[1].challengeWindow, bad[2].answerWindow, bad[3].bondJobs, bad[4].demandDeposit) = (0, 0, 0, 0);
        bad[5].withdrawDelay = 0;
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(_error(ISessions.Sessions_BadParameters.selector));
            new Sessions(INodeRegistry(address(nodes)), ICurrencies(address(rates)), bad[i]);
        }
        vm.expectRevert(_error(ISessions.Sessions_BadParameters.selector));
        new Sessions(INodeRegistry(stranger), ICurrencies(address(rates)), _parameters());
        vm.expectRevert(_error(ISessions.Sessions_BadParameters.selector));
        new Sessions(INodeRegistry(address(nodes)), ICurrencies(stranger), _parameters());
        ISessions.Parameters memory tight = _parameters();
        tight.withdrawDelay = CHALLENGE + 2 * ANSWER + 1;
        vm.assertEq(
            new Sessions(INodeRegistry(address(nodes)), ICurrencies(address(rates)), tight).parameters().withdrawDelay,
            tight.withdrawDelay
        );
    }

    /// SESS-4: wallets show what they sign (EIP-5267).
    function test_eip712Domain__is_the_one_that_is_signed_for() public view {
        (, string memory name, string memory version, uint256 chain, address contract_,,) = sessions.eip712Domain();
        vm.assertEq(name, "Cloister");
        vm.assertEq(version, "1");
        vm.assertEq(chain, block.chainid);
        vm.assertEq(contract_, address(sessions));
    }
}
