// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    ICurrencies,
    INodeRegistry,
    ISessions,
    Leaf,
    Order,
    Receipt,
    Sessions,
    SessionId,
    SessionsBase,
    vm
} from "./SessionsBase.t.sol";

interface Traces {
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
}

/// @notice Random lives of a session, step by step as the model in tests/reference/sessions.py tells them: the same steps happen,
///         and after each the same is reserved and owed. SESS-5, SESS-9 to SESS-11, SESS-13 to SESS-18.
contract SessionsTracesTest is SessionsBase {
    uint96 private constant TRACE_PRICE = 1000;
    uint256 private constant TRACE_BOND = 2 * 30 + 3 * 1000;
    uint256 private constant WIDTH = 10;
    uint256 private start;

    enum Step {
        Settle,
        Demand,
        Show,
        Forfeit,
        Equivocate,
        Pay,
        Announce,
        Close
    }

    function test_traces__of_the_model__are_the_contracts() public {
        string memory json = vm.readFile("tests/vectors/session-traces.json");
        start = block.timestamp;
        ISessions.Parameters memory p = ISessions.Parameters(100, 40, 200, 3, 30);
        for (uint256 i = 0; i < 24; ++i) {
            uint256[] memory t = Traces(address(vm)).parseJsonUintArray(json, string.concat("$[", vm.toString(i), "]"));
            vm.warp(start);
            sessions = new Sessions(INodeRegistry(address(nodes)), ICurrencies(address(rates)), p);
            uint96 amount = uint96(_firstReserved(t));
            vm.prank(requester);
            id = sessions.open{value: amount}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), TRACE_PRICE, amount, 1);
            for (uint256 place = 0; place < t.length; place += WIDTH) {
                _replay(t, place);
            }
        }
    }

    /// @dev What the trace began with: nothing is reserved later that was not at the start.
    function _firstReserved(uint256[] memory t) private pure returns (uint256) {
        return t[9] - (Step(t[0]) == Step.Settle && t[4] == 1 ? TRACE_BOND : 0)
            - (Step(t[0]) == Step.Demand && t[4] == 1 ? 30 : 0);
    }

    function _replay(uint256[] memory t, uint256 place) private {
        vm.warp(start + t[place + 1]);
        bool done = _do(Step(t[place]), uint32(t[place + 2]), uint32(t[place + 3]));
        string memory where = string.concat("step ", vm.toString(place / WIDTH));
        vm.assertEq(done ? 1 : 0, t[place + 4], where);
        vm.assertEq(sessions.session(id).reserved, t[place + 5], where);
        vm.assertEq(_owed(requester), t[place + 6], where);
        vm.assertEq(_owed(worker), t[place + 7], where);
        vm.assertEq(_owed(BURN), t[place + 8], where);
        vm.assertEq(address(sessions).balance, t[place + 9], where);
    }

    function _do(Step what, uint32 first, uint32 sequence) private returns (bool ok) {
        (address from, uint256 value, bytes memory data) = (stranger, 0, bytes(""));
        if (what == Step.Settle) {
            uint32 settled = sessions.session(id).settled;
            bytes32 root = sequence > settled ? _root(_priced(settled + 1, sequence - settled)) : bytes32(0);
            Order memory o = _orderAt(sequence);
            (from, value) = (worker, TRACE_BOND);
            data = abi.encodeCall(ISessions.settle, (id, o, _signed(KEY, o), root));
        } else if (what == Step.Demand) {
            (from, value) = (requester, 30);
            data = abi.encodeCall(ISessions.demand, (id, first, sequence));
        } else if (what == Step.Show) {
            data = abi.encodeCall(
                ISessions.show, (id, first, _leafAt(sequence), _proofAt(first, sequence), _output(sequence))
            );
        } else if (what == Step.Forfeit) {
            data = abi.encodeCall(ISessions.forfeit, (id, first, sequence));
        } else if (what == Step.Equivocate) {
            Receipt memory r = _leafAt(sequence).receipt;
            bytes memory signature = _signed(SIGNER, r);
            Receipt memory other = _leafAt(sequence).receipt;
            other.outputCommitment = keccak256("another output");
            data = abi.encodeCall(ISessions.proveEquivocation, (id, first, r, signature, other, _signed(SIGNER, other)));
        } else if (what == Step.Pay) {
            data = abi.encodeCall(ISessions.pay, (id, first));
        } else if (what == Step.Announce) {
            from = requester;
            data = abi.encodeCall(ISessions.announceClose, (id));
        } else {
            data = abi.encodeCall(ISessions.close, (id));
        }
        vm.prank(from);
        (ok,) = address(sessions).call{value: value}(data);
    }

    function _orderAt(uint32 sequence) private view returns (Order memory o) {
        o = _order(sequence);
        o.total = uint128(sequence) * TRACE_PRICE;
    }

    function _leafAt(uint32 sequence) private view returns (Leaf memory leaf) {
        leaf.order = _orderAt(sequence);
        leaf.receipt = _receipt(sequence);
        leaf.receipt.total = leaf.order.total;
        leaf.orderSignature = _signed(KEY, leaf.order);
        leaf.receiptSignature = _signed(SIGNER, leaf.receipt);
    }

    function _priced(uint32 first, uint32 count) private view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](count);
        for (uint32 i = 0; i < count; ++i) {
            hashes[i] = _hash(_leafAt(first + i));
        }
    }

    function _proofAt(uint32 first, uint32 sequence) private view returns (bytes32[] memory) {
        uint32 count = sessions.settlement(id, first).count;
        if (sequence < first || sequence - first >= count) return new bytes32[](0);
        return _proof(_priced(first, count), sequence - first);
    }
}
