// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISessions, Order, Session, SessionId, SessionsBase, Settlement, vm} from "./SessionsBase.t.sol";

/// @notice An account that takes back what it signed.
contract Denier {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return 0xffffffff;
    }
}

contract SessionsSettleTest is SessionsBase {
    bytes32 private constant ROOT = keccak256("a root");

    function _expect(bytes memory expected, Order memory o, bytes memory signature) private {
        vm.prank(worker);
        vm.expectRevert(expected);
        sessions.settle{value: BOND}(id, o, signature, ROOT);
    }

    /// SESS-5, SESS-7
    function test_settle__last_of_many__takes_them_all_and_the_bond() public {
        _settleRoot(7, ROOT);
        Session memory s = sessions.session(id);
        vm.assertEq(s.settled, 7);
        vm.assertEq(s.reserved, AMOUNT - 7 * PRICE);
        Settlement memory m = sessions.settlement(id, 1);
        vm.assertEq(m.root, ROOT);
        vm.assertEq(m.count, 7);
        vm.assertEq(m.demandUntil, block.timestamp + CHALLENGE);
        vm.assertEq(address(sessions).balance, AMOUNT + BOND);
    }

    /// SESS-5: settlements stand side by side.
    function test_settle__again_with_later_orders__takes_the_rest() public {
        _settleRoot(3, ROOT);
        _settleRoot(5, keccak256("another"));
        vm.assertEq(sessions.settlement(id, 1).count, 3);
        vm.assertEq(sessions.settlement(id, 4).count, 2);
        vm.assertEq(sessions.session(id).reserved, AMOUNT - 5 * PRICE);
    }

    /// SESS-5: twice the same, or an older order.
    function test_settle__settled_order__reverts() public {
        _settleRoot(3, ROOT);
        for (uint32 i = 3; i != 0; --i) {
            Order memory o = _order(i);
            _expect(abi.encodeWithSelector(ISessions.Sessions_AlreadySettled.selector, i, 3), o, _signed(KEY, o));
        }
        Order memory zero = _order(0);
        _expect(abi.encodeWithSelector(ISessions.Sessions_AlreadySettled.selector, 0, 3), zero, _signed(KEY, zero));
    }

    /// SESS-5: paid and deleted, a settlement does not come back.
    function test_settle__paid_order__reverts() public {
        _settle(3);
        vm.warp(block.timestamp + CHALLENGE + 1);
        sessions.pay(id, 1);
        Order memory o = _order(3);
        _expect(abi.encodeWithSelector(ISessions.Sessions_AlreadySettled.selector, 3, 3), o, _signed(KEY, o));
    }

    /// SESS-5
    function test_settle__foreign_worker__reverts() public {
        Order memory o = _order(1);
        bytes memory signature = _signed(KEY, o);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotWorker.selector, stranger, worker));
        sessions.settle{value: BOND}(id, o, signature, ROOT);
    }

    /// SESS-4: too much, too little (the total of a gap, or one that decreases).
    function test_settle__wrong_total__reverts() public {
        _settleRoot(2, ROOT);
        uint128[4] memory totals = [4 * uint128(PRICE) + 1, 4 * uint128(PRICE) - 1, 2 * uint128(PRICE), 0];
        for (uint256 i = 0; i < totals.length; ++i) {
            Order memory o = _order(4);
            o.total = totals[i];
            _expect(
                abi.encodeWithSelector(ISessions.Sessions_WrongTotal.selector, totals[i], 4 * uint256(PRICE)),
                o,
                _signed(KEY, o)
            );
        }
    }

    /// SESS-5: the next settlement begins where the last ended, so a gap cannot be paid for.
    function test_settle__skipped_orders__are_counted_and_can_be_demanded() public {
        _settleRoot(2, ROOT);
        _settleRoot(9, ROOT);
        vm.assertEq(sessions.settlement(id, 3).count, 7);
        _demand(3, 5);
    }

    /// SESS-5
    function test_settle__more_than_the_deposit__reverts() public {
        uint32 sequence = uint32(AMOUNT / PRICE) + 1;
        Order memory o = _order(sequence);
        _expect(
            abi.encodeWithSelector(ISessions.Sessions_DepositTooSmall.selector, AMOUNT, uint256(AMOUNT) + PRICE),
            o,
            _signed(KEY, o)
        );
        _settleRoot(sequence - 1, ROOT);
        vm.assertEq(sessions.session(id).reserved, 0);
    }

    /// SESS-4: an order of one session is nothing in another one of the same parties.
    function test_settle__order_of_another_session__reverts() public {
        SessionId other = _open(2);
        Order memory o = _order(1);
        bytes memory signature = _signed(KEY, o);
        vm.prank(worker);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_OtherSession.selector, id, other));
        sessions.settle{value: BOND}(other, o, signature, ROOT);
        o.session = other;
        vm.prank(worker);
        vm.expectPartialRevert(ISessions.Sessions_WrongOrderSignature.selector);
        sessions.settle{value: BOND}(other, o, signature, ROOT);
    }

    /// SESS-4
    function test_settle__order_signed_for_another_chain_or_contract__reverts() public {
        Order memory o = _order(1);
        bytes32 hash = _orderHash(o);
        bytes[3] memory foreign = [
            _sign(KEY, _typed(address(sessions), block.chainid + 1, hash)),
            _sign(KEY, _typed(address(nodes), block.chainid, hash)),
            _sign(KEY, hash)
        ];
        for (uint256 i = 0; i < foreign.length; ++i) {
            vm.prank(worker);
            vm.expectPartialRevert(ISessions.Sessions_WrongOrderSignature.selector);
            sessions.settle{value: BOND}(id, o, foreign[i], ROOT);
        }
    }

    /// SESS-4: the same chain after a fork that took another id.
    function test_settle__after_a_fork__order_of_the_other_branch_reverts() public {
        Order memory o = _order(1);
        bytes memory signature = _signed(KEY, o);
        vm.chainId(block.chainid + 1);
        vm.prank(worker);
        vm.expectPartialRevert(ISessions.Sessions_WrongOrderSignature.selector);
        sessions.settle{value: BOND}(id, o, signature, ROOT);
    }

    /// SESS-4, SESS-6: every field, and who signed.
    function test_settle__altered_order_or_other_key__reverts() public {
        Order memory signed = _order(2);
        bytes memory signature = _signed(KEY, signed);
        Order memory o = _order(3);
        o.inputCommitment = signed.inputCommitment;
        vm.prank(worker);
        vm.expectPartialRevert(ISessions.Sessions_WrongOrderSignature.selector);
        sessions.settle{value: BOND}(id, o, signature, ROOT);

        o = _order(2);
        o.inputCommitment = keccak256("another");
        vm.prank(worker);
        vm.expectPartialRevert(ISessions.Sessions_WrongOrderSignature.selector);
        sessions.settle{value: BOND}(id, o, signature, ROOT);

        o = _order(2);
        _expect(
            abi.encodeWithSelector(ISessions.Sessions_WrongOrderSignature.selector, vm.addr(STRANGER), vm.addr(KEY)),
            o,
            _signed(STRANGER, o)
        );
        _expect(
            abi.encodeWithSelector(ISessions.Sessions_WrongOrderSignature.selector, address(0), vm.addr(KEY)),
            o,
            new bytes(65)
        );
    }

    /// SESS-6: the other s of the same signature, and the short form.
    function test_settle__malleated_signature__reverts() public {
        Order memory o = _order(1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _typed(address(sessions), block.chainid, _orderHash(o)));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes memory high = abi.encodePacked(r, bytes32(order - uint256(s)), uint8(55 - v));
        bytes memory short = abi.encodePacked(r, uint256(s) | (uint256(v - 27) << 255));
        _expect(
            abi.encodeWithSelector(ISessions.Sessions_WrongOrderSignature.selector, address(0), vm.addr(KEY)), o, high
        );
        _expect(
            abi.encodeWithSelector(ISessions.Sessions_WrongOrderSignature.selector, address(0), vm.addr(KEY)), o, short
        );
    }

    /// SESS-6: a requester cannot take back an order by putting code at the key's address (EIP-7702).
    function test_settle__key_that_became_a_contract_and_denies__is_paid() public {
        vm.etch(vm.addr(KEY), address(new Denier()).code);
        _settleRoot(2, ROOT);
        vm.assertEq(sessions.session(id).settled, 2);
    }

    /// SESS-7
    function test_settle__wrong_bond__reverts() public {
        Order memory o = _order(1);
        bytes memory signature = _signed(KEY, o);
        uint256[3] memory values = [uint256(0), BOND - 1, BOND + 1];
        for (uint256 i = 0; i < values.length; ++i) {
            vm.prank(worker);
            vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongValue.selector, values[i], BOND));
            sessions.settle{value: values[i]}(id, o, signature, ROOT);
        }
    }

    /// SESS-2: an attestation that ends, or keys that change, keep nobody from what was earned.
    function test_settle__attestation_gone_since__is_paid() public {
        nodes.set(worker, vm.addr(STRANGER), 1);
        _settle(2);
        vm.warp(block.timestamp + CHALLENGE + 1);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), BOND + 2 * uint256(PRICE));
    }

    /// SESS-15
    function test_pay__before_the_window_ends__reverts() public {
        _settle(2);
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(
            abi.encodeWithSelector(ISessions.Sessions_TooEarly.selector, block.timestamp, block.timestamp + 1)
        );
        sessions.pay(id, 1);
        vm.warp(block.timestamp + 1);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), BOND + 2 * uint256(PRICE));
    }

    /// SESS-15
    function test_pay__twice_or_none__reverts() public {
        _settle(2);
        vm.warp(block.timestamp + CHALLENGE + 1);
        sessions.pay(id, 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NoSettlement.selector, id, 1));
        sessions.pay(id, 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NoSettlement.selector, id, 2));
        sessions.pay(id, 2);
    }

    /// SESS-16
    function test_close__by_a_stranger_or_twice__reverts() public {
        vm.prank(worker);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotRequester.selector, worker, requester));
        sessions.announceClose(id);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotClosing.selector, id));
        sessions.close(id);
        _announce();
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_Closing.selector, id, block.timestamp + DELAY));
        sessions.announceClose(id);
    }

    /// SESS-16: nothing leaves before the worker has had its time, and nothing leaves twice.
    function test_close__before_the_delay__reverts_and_after_it_pays_once() public {
        _announce();
        uint256 closeAt = block.timestamp + DELAY;
        vm.warp(closeAt - 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_TooEarly.selector, closeAt - 1, closeAt));
        sessions.close(id);
        vm.warp(closeAt);
        sessions.close(id);
        vm.assertEq(_owed(requester), AMOUNT);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotClosing.selector, id));
        sessions.close(id);
    }

    /// SESS-16
    function test_settle__up_to_the_close__is_paid_and_after_it_reverts() public {
        _announce();
        uint256 closeAt = block.timestamp + DELAY;
        vm.warp(closeAt - 1);
        _settleRoot(2, ROOT);
        vm.warp(closeAt);
        Order memory o = _order(3);
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_TooLate.selector, closeAt, closeAt);
        _expect(expected, o, _signed(KEY, o));
        sessions.close(id);
        _expect(expected, o, _signed(KEY, o));
        vm.assertEq(_owed(requester), AMOUNT - 2 * uint256(PRICE));
        vm.warp(block.timestamp + CHALLENGE);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), BOND + 2 * uint256(PRICE));
    }

    /// SESS-16
    function test_topUp__after_the_announcement__reverts() public {
        _announce();
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_Closing.selector, id, block.timestamp + DELAY));
        sessions.topUp{value: 1}(id, 1);
    }

    /// SESS-17: a worker that is gone for ever costs the requester nothing.
    function test_exit__worker_gone__requester_gets_everything_back() public {
        _announce();
        vm.warp(block.timestamp + DELAY);
        vm.prank(stranger);
        sessions.close(id);
        _withdraw(requester);
        vm.assertEq(requester.balance, 1000 ether);
        vm.assertEq(address(sessions).balance, 0);
    }

    /// SESS-17: a requester that is gone for ever costs the worker nothing.
    function test_exit__requester_gone__worker_is_paid() public {
        _settle(4);
        vm.warp(block.timestamp + CHALLENGE + 1);
        vm.prank(stranger);
        sessions.pay(id, 1);
        vm.prank(stranger);
        sessions.withdraw(address(0), worker);
        vm.assertEq(worker.balance, 1000 ether + 4 * uint256(PRICE));
    }
}
