// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Flaw,
    ISessions,
    Leaf,
    LeafState,
    Order,
    Receipt,
    SessionId,
    SessionsBase,
    Settlement,
    vm
} from "./SessionsBase.t.sol";

contract SessionsChallengeTest is SessionsBase {
    uint32 private constant COUNT = 5;
    /// @dev Leaf 3, in the middle of a tree with padding.
    uint32 private constant ASKED = 3;
    bytes32[] private hashes;

    function setUp() public override {
        super.setUp();
        hashes = _settle(COUNT);
    }

    function _show(Leaf memory leaf, bytes32[] memory proof, bytes memory output) private {
        sessions.show(id, 1, leaf, proof, output);
    }

    function _expectShow(bytes memory expected, Leaf memory leaf, bytes32[] memory proof) private {
        bytes memory output = _output(leaf.order.sequence);
        vm.expectRevert(expected);
        sessions.show(id, 1, leaf, proof, output);
    }

    /// @dev A session whose settlement of leaves 1 to 5 has `leaf` in the place of leaf 3.
    function _settleWith(Leaf memory leaf) private returns (bytes32[] memory proof) {
        id = _open(77);
        // whatever names the session was made before it was open
        bytes32[] memory all = _leaves(1, COUNT);
        all[ASKED - 1] = _hash(leaf);
        _settleRoot(COUNT, _root(all));
        return _proof(all, ASKED - 1);
    }

    function _upcoming() private returns (SessionId before) {
        before = id;
        id = sessions.sessionId(requester, worker, 77);
    }

    // ------------------------------------------------------------------------------------------------ demand and show

    /// SESS-9, SESS-10
    function test_show__demanded_leaf__pays_the_deposit_to_the_worker() public {
        _demand(1, ASKED);
        vm.assertEq(sessions.settlement(id, 1).demands, 1);
        vm.expectEmit(address(sessions));
        Leaf memory leaf = _leaf(ASKED);
        emit ISessions.LeafShown(id, 1, ASKED, leaf.receipt, leaf.receiptSignature, _output(ASKED));
        vm.prank(stranger);
        _show(leaf, _proof(hashes, ASKED - 1), _output(ASKED));
        vm.assertEq(_owed(worker), DEPOSIT);
        vm.assertEq(_owed(stranger), 0);
        vm.assertEq(sessions.settlement(id, 1).demands, 0);
        vm.assertEq(uint256(sessions.leafDemand(id, ASKED).state), uint256(LeafState.Shown));
        vm.warp(block.timestamp + CHALLENGE + 1);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), DEPOSIT + BOND + COUNT * uint256(PRICE));
    }

    /// SESS-8, SESS-10: every leaf of trees of every small size, and of the second settlement.
    function test_show__every_leaf_of_every_size__is_found() public {
        for (uint32 count = 1; count <= 9; ++count) {
            id = _open(100 + count);
            _settle(2);
            bytes32[] memory all = _settle(2 + count);
            for (uint32 i = 0; i < count; ++i) {
                _demand(3, 3 + i);
                sessions.show(id, 3, _leaf(3 + i), _proof(all, i), _output(3 + i));
            }
        }
    }

    /// SESS-9
    function test_demand__by_another__reverts() public {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotRequester.selector, stranger, requester));
        sessions.demand{value: DEPOSIT}(id, 1, ASKED);
    }

    /// SESS-9
    function test_demand__wrong_deposit__reverts() public {
        for (uint256 i = 0; i < 2; ++i) {
            uint256 value = DEPOSIT + 1 - 2 * i;
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongValue.selector, value, uint256(DEPOSIT)));
            sessions.demand{value: value}(id, 1, ASKED);
        }
    }

    /// SESS-9
    function test_demand__after_the_window__reverts() public {
        vm.warp(block.timestamp + CHALLENGE);
        _demand(1, ASKED);
        vm.warp(block.timestamp + 1);
        vm.prank(requester);
        vm.expectRevert(
            abi.encodeWithSelector(ISessions.Sessions_TooLate.selector, block.timestamp, block.timestamp - 1)
        );
        sessions.demand{value: DEPOSIT}(id, 1, 4);
    }

    /// SESS-9
    function test_demand__leaf_that_is_not_in_the_settlement__reverts() public {
        _settle(COUNT + 2);
        uint32[3] memory sequences = [uint32(0), COUNT + 1, type(uint32).max];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(requester);
            vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotCovered.selector, sequences[i], 1, COUNT));
            sessions.demand{value: DEPOSIT}(id, 1, sequences[i]);
        }
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotCovered.selector, ASKED, COUNT + 1, 2));
        sessions.demand{value: DEPOSIT}(id, COUNT + 1, ASKED);
    }

    /// SESS-9: once, whatever became of it.
    function test_demand__twice__reverts() public {
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_LeafTaken.selector, ASKED);
        _demand(1, ASKED);
        vm.prank(requester);
        vm.expectRevert(expected);
        sessions.demand{value: DEPOSIT}(id, 1, ASKED);
        _show(_leaf(ASKED), _proof(hashes, ASKED - 1), _output(ASKED));
        vm.prank(requester);
        vm.expectRevert(expected);
        sessions.demand{value: DEPOSIT}(id, 1, ASKED);
    }

    /// SESS-10
    function test_show__not_demanded_or_twice__reverts() public {
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_NotDemanded.selector, ASKED);
        _expectShow(expected, _leaf(ASKED), _proof(hashes, ASKED - 1));
        _demand(1, ASKED);
        _show(_leaf(ASKED), _proof(hashes, ASKED - 1), _output(ASKED));
        _expectShow(expected, _leaf(ASKED), _proof(hashes, ASKED - 1));
    }

    /// SESS-10
    function test_show__too_late__reverts() public {
        _demand(1, ASKED);
        uint256 until = block.timestamp + ANSWER;
        vm.warp(until + 1);
        _expectShow(
            abi.encodeWithSelector(ISessions.Sessions_TooLate.selector, until + 1, until),
            _leaf(ASKED),
            _proof(hashes, ASKED - 1)
        );
        vm.warp(until);
        _show(_leaf(ASKED), _proof(hashes, ASKED - 1), _output(ASKED));
    }

    /// SESS-8: a path that is wrong, short, long, or another leaf's.
    function test_show__wrong_proof__reverts() public {
        _demand(1, ASKED);
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, ASKED);
        bytes32[] memory right = _proof(hashes, ASKED - 1);
        for (uint256 i = 0; i < right.length; ++i) {
            bytes32[] memory wrong = _proof(hashes, ASKED - 1);
            wrong[i] ^= bytes32(uint256(1));
            _expectShow(expected, _leaf(ASKED), wrong);
        }
        _expectShow(expected, _leaf(ASKED), _proof(hashes, ASKED));
        bytes32[] memory other = new bytes32[](right.length + 1);
        for (uint256 i = 0; i < right.length; ++i) {
            other[i] = right[i];
        }
        _expectShow(expected, _leaf(ASKED), other);
        bytes32[] memory short = new bytes32[](right.length - 1);
        for (uint256 i = 0; i < short.length; ++i) {
            short[i] = right[i];
        }
        _expectShow(expected, _leaf(ASKED), short);
    }

    /// SESS-8: a leaf stands at its own place: the worker cannot hide one behind another one of the tree.
    function test_show__leaf_at_another_place__reverts() public {
        id = _open(77);
        bytes32[] memory all = _leaves(1, COUNT);
        (all[ASKED - 1], all[ASKED]) = (all[ASKED], all[ASKED - 1]);
        _settleRoot(COUNT, _root(all));
        _demand(1, ASKED);
        _expectShow(
            abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, ASKED), _leaf(ASKED), _proof(all, ASKED)
        );
    }

    /// SESS-8: an inner node is no leaf, however the worker counts: 4 leaves settled as 2, each the node of two.
    function test_show__second_preimage__reverts() public {
        id = _open(77);
        bytes32[] memory all = _leaves(1, 4);
        _settleRoot(2, _root(all)); // the root of a tree of 4, said to have 2
        _demand(1, 1);
        bytes32[] memory whole = _proof(all, 0);
        _expectShow(abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, 1), _leaf(1), whole);
        bytes32[] memory upper = new bytes32[](1);
        upper[0] = whole[1];
        _expectShow(abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, 1), _leaf(1), upper);
    }

    /// SESS-10
    function test_show__another_output__reverts() public {
        _demand(1, ASKED);
        bytes memory output = _output(ASKED + 1);
        bytes32[] memory proof = _proof(hashes, ASKED - 1);
        Leaf memory leaf = _leaf(ASKED);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISessions.Sessions_WrongOutput.selector, keccak256(output), keccak256(_output(ASKED))
            )
        );
        sessions.show(id, 1, leaf, proof, output);
    }

    /// SESS-10
    function test_show__output_of_1072_bytes__is_taken_and_of_one_more_reverts() public {
        _upcoming();
        for (uint256 length = 1072; length <= 1073; ++length) {
            id = sessions.sessionId(requester, worker, length);
            bytes memory output = new bytes(length);
            Leaf memory leaf = _leaf(1);
            leaf.receipt.sealedOutputHash = keccak256(output);
            leaf.receiptSignature = _signed(SIGNER, leaf.receipt);
            _open(length);
            _settleRoot(1, _hash(leaf));
            _demand(1, 1);
            if (length == 1073) {
                vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_OutputTooLong.selector, 1073, 1072));
            }
            sessions.show(id, 1, leaf, new bytes32[](0), output);
        }
    }

    // ------------------------------------------------------------------------------------------------ flaws

    function _flawed(Flaw flaw) private view returns (Leaf memory leaf) {
        leaf = _leaf(ASKED);
        if (flaw == Flaw.Session) leaf.order.session = leaf.receipt.session = SessionId.wrap(keccak256("other"));
        if (flaw == Flaw.Sequence) leaf.receipt.sequence = ASKED + 1;
        if (flaw == Flaw.Total) leaf.receipt.total -= 1;
        if (flaw == Flaw.Input) leaf.receipt.inputCommitment = keccak256("another input");
        if (flaw == Flaw.Output) leaf.receipt.outputCommitment = 0;
        leaf.orderSignature = _signed(flaw == Flaw.OrderSignature ? STRANGER : KEY, leaf.order);
        leaf.receiptSignature = _signed(flaw == Flaw.ReceiptSignature ? STRANGER : SIGNER, leaf.receipt);
    }

    /// SESS-10, SESS-12: each flaw keeps a leaf from being shown, and refunds whoever proves it to be in the tree.
    function test_flaws__each__is_not_shown_and_is_refunded() public {
        for (uint256 i = 1; i <= uint256(type(Flaw).max); ++i) {
            uint256 snapshot = vm.snapshotState();
            _upcoming();
            Leaf memory leaf = _flawed(Flaw(i));
            bytes32[] memory proof = _settleWith(leaf);
            _demand(1, ASKED);
            if (leaf.order.sequence == ASKED) {
                _expectShow(abi.encodeWithSelector(ISessions.Sessions_BadLeaf.selector, Flaw(i)), leaf, proof);
            }
            vm.prank(stranger);
            sessions.proveBadLeaf(id, 1, ASKED, leaf, proof);
            vm.assertEq(_owed(requester), uint256(PRICE) + 2 * uint256(DEPOSIT));
            vm.assertEq(_owed(BURN), BOND - DEPOSIT);
            vm.assertEq(sessions.settlement(id, 1).demands, 0);
            vm.revertToState(snapshot);
        }
    }

    /// SESS-12: each half of what must agree, alone.
    function test_proveBadLeaf__one_struct_of_another_session_or_total__is_refunded() public {
        for (uint256 i = 0; i < 4; ++i) {
            uint256 snapshot = vm.snapshotState();
            _upcoming();
            Leaf memory leaf = _leaf(ASKED);
            if (i == 0) leaf.order.session = SessionId.wrap(0);
            if (i == 1) leaf.receipt.session = SessionId.wrap(0);
            if (i == 2) leaf.order.total += 1;
            if (i == 3) leaf.order.sequence += 1;
            (leaf.orderSignature, leaf.receiptSignature) = (_signed(KEY, leaf.order), _signed(SIGNER, leaf.receipt));
            bytes32[] memory proof = _settleWith(leaf);
            sessions.proveBadLeaf(id, 1, ASKED, leaf, proof);
            vm.assertEq(sessions.settlement(id, 1).refunded, 1);
            vm.revertToState(snapshot);
        }
    }

    /// SESS-12: an honest worker loses nothing to it.
    function test_proveBadLeaf__sound_leaf__reverts() public {
        Leaf memory leaf = _leaf(ASKED);
        bytes32[] memory proof = _proof(hashes, ASKED - 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_SoundLeaf.selector, ASKED));
        sessions.proveBadLeaf(id, 1, ASKED, leaf, proof);
    }

    /// SESS-12: nor to a bad leaf that is not in its tree, or that stands at its place in another one.
    function test_proveBadLeaf__leaf_that_is_not_there__reverts() public {
        Leaf memory leaf = _flawed(Flaw.OrderSignature);
        bytes32[] memory proof = _proof(hashes, ASKED - 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, ASKED));
        sessions.proveBadLeaf(id, 1, ASKED, leaf, proof);
        // a sound leaf, said to be another
        leaf = _leaf(ASKED);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotInTree.selector, ASKED + 1));
        sessions.proveBadLeaf(id, 1, ASKED + 1, leaf, proof);
    }

    // ------------------------------------------------------------------------------------------------ hidden leaves

    /// SESS-11, SESS-14: hiding one output costs more than it gains.
    function test_forfeit__hidden_leaf__refunds_the_requester_and_burns_the_bond() public {
        _demand(1, ASKED);
        vm.warp(block.timestamp + ANSWER + 1);
        vm.prank(stranger);
        sessions.forfeit(id, 1, ASKED);
        vm.assertEq(_owed(requester), uint256(PRICE) + 2 * uint256(DEPOSIT));
        vm.assertEq(_owed(BURN), DEPOSIT + BOND_JOBS * uint256(PRICE));
        vm.assertTrue(_owed(BURN) * 2 >= BOND, "at least half is burned");
        vm.warp(block.timestamp + CHALLENGE);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), (COUNT - 1) * uint256(PRICE));
    }

    /// SESS-14: every hidden leaf goes back, and the bond is lost once.
    function test_forfeit__all_leaves__refunds_each() public {
        for (uint32 i = 1; i <= COUNT; ++i) {
            _demand(1, i);
        }
        vm.warp(block.timestamp + ANSWER + 1);
        for (uint32 i = COUNT; i != 0; --i) {
            sessions.forfeit(id, 1, i);
        }
        vm.warp(block.timestamp + CHALLENGE);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), 0);
        vm.assertEq(_owed(requester), COUNT * uint256(PRICE) + (COUNT + 1) * uint256(DEPOSIT));
        vm.assertEq(address(sessions).balance, _owed(requester) + _owed(BURN) + sessions.session(id).reserved);
    }

    /// SESS-11
    function test_forfeit__too_early_or_shown_or_not_demanded__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotDemanded.selector, ASKED));
        sessions.forfeit(id, 1, ASKED);
        _demand(1, ASKED);
        uint256 until = block.timestamp + ANSWER;
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_TooEarly.selector, until, until + 1));
        sessions.forfeit(id, 1, ASKED);
        _show(_leaf(ASKED), _proof(hashes, ASKED - 1), _output(ASKED));
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotDemanded.selector, ASKED));
        sessions.forfeit(id, 1, ASKED);
    }

    /// SESS-14
    function test_forfeit__twice__reverts() public {
        _demand(1, ASKED);
        vm.warp(block.timestamp + ANSWER + 1);
        sessions.forfeit(id, 1, ASKED);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotDemanded.selector, ASKED));
        sessions.forfeit(id, 1, ASKED);
    }

    /// SESS-15: a demand of the last second delays the pay by both windows, and no more can follow.
    function test_pay__demand_of_the_last_second__waits_for_it() public {
        vm.warp(block.timestamp + CHALLENGE);
        _demand(1, ASKED);
        uint256 payable_ = block.timestamp + 2 * ANSWER;
        vm.warp(payable_);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_TooEarly.selector, payable_, payable_ + 1));
        sessions.pay(id, 1);
        vm.warp(payable_ + 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_DemandsOpen.selector, 1));
        sessions.pay(id, 1);
        sessions.forfeit(id, 1, ASKED);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), (COUNT - 1) * uint256(PRICE));
    }

    /// SESS-15: an early demand does not shorten the window.
    function test_pay__early_demand__keeps_the_window() public {
        _demand(1, ASKED);
        vm.assertEq(sessions.settlement(id, 1).payableAt, sessions.settlement(id, 1).demandUntil);
    }

    /// SESS-17: the requester closed and is gone; what it had demanded ends by itself.
    function test_exit__requester_gone_with_a_demand_open__all_money_leaves() public {
        _demand(1, ASKED);
        _announce();
        vm.warp(block.timestamp + DELAY);
        vm.startPrank(stranger);
        sessions.forfeit(id, 1, ASKED);
        sessions.pay(id, 1);
        sessions.close(id);
        vm.stopPrank();
        _withdraw(worker);
        _withdraw(requester);
        _withdraw(BURN);
        vm.assertEq(address(sessions).balance, 0);
    }

    // ------------------------------------------------------------------------------------------------ two receipts

    function _other(uint32 sequence) private view returns (Receipt memory r) {
        r = _receipt(sequence);
        r.outputCommitment = keccak256("another output");
    }

    function _prove(Receipt memory a, bytes memory sa, Receipt memory b, bytes memory sb) private {
        sessions.proveEquivocation(id, 1, a, sa, b, sb);
    }

    /// SESS-13: the receipt that the requester holds differs from that in the tree.
    function test_proveEquivocation__two_receipts__refunds() public {
        Receipt memory held = _other(ASKED);
        bytes memory signature = _signed(SIGNER, held);
        Receipt memory settled = _receipt(ASKED);
        bytes memory other = _signed(SIGNER, settled);
        vm.prank(stranger);
        _prove(held, signature, settled, other);
        vm.assertEq(_owed(requester), uint256(PRICE) + DEPOSIT);
        vm.assertEq(sessions.settlement(id, 1).refunded, 1);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_LeafTaken.selector, ASKED));
        _prove(held, signature, settled, other);
    }

    /// SESS-13, SESS-15: what is shown at the last moment can be proved a lie before it is paid for.
    function test_proveEquivocation__leaf_shown_at_the_last_moment__refunds() public {
        vm.warp(block.timestamp + CHALLENGE);
        _demand(1, ASKED);
        vm.warp(block.timestamp + ANSWER);
        _show(_leaf(ASKED), _proof(hashes, ASKED - 1), _output(ASKED));
        vm.expectPartialRevert(ISessions.Sessions_TooEarly.selector);
        sessions.pay(id, 1);
        Receipt memory held = _other(ASKED);
        _prove(held, _signed(SIGNER, held), _receipt(ASKED), _signed(SIGNER, _receipt(ASKED)));
        vm.warp(block.timestamp + ANSWER + 1);
        sessions.pay(id, 1);
        vm.assertEq(_owed(worker), DEPOSIT + (COUNT - 1) * uint256(PRICE));
    }

    /// SESS-13: one receipt twice, receipts for two jobs, of another session, and by others prove nothing.
    function test_proveEquivocation__what_is_none__reverts() public {
        Receipt memory r = _receipt(ASKED);
        bytes memory signature = _signed(SIGNER, r);
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_NoEquivocation.selector, ASKED);
        vm.expectRevert(expected);
        _prove(r, signature, r, signature);
        Receipt memory next = _receipt(ASKED + 1);
        bytes memory second = _signed(SIGNER, next);
        vm.expectRevert(expected);
        _prove(r, signature, next, second);
        Receipt memory other = _other(ASKED);
        bytes memory forged = _signed(STRANGER, other);
        vm.expectRevert(expected);
        _prove(r, signature, other, forged);
        vm.expectRevert(expected);
        _prove(other, forged, r, signature);
        SessionId here = id;
        id = _open(2);
        other = _other(ASKED);
        bytes memory elsewhere = _signed(SIGNER, other);
        id = here;
        vm.expectRevert(expected);
        _prove(r, signature, other, elsewhere);
        vm.expectRevert(expected);
        _prove(other, elsewhere, r, signature);
    }

    /// SESS-13: after the pay nothing is refunded.
    function test_proveEquivocation__after_the_pay__reverts() public {
        vm.warp(block.timestamp + CHALLENGE + 1);
        sessions.pay(id, 1);
        Receipt memory held = _other(ASKED);
        bytes memory signature = _signed(SIGNER, held);
        Receipt memory settled = _receipt(ASKED);
        bytes memory other = _signed(SIGNER, settled);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NoSettlement.selector, id, 1));
        _prove(held, signature, settled, other);
    }
}
