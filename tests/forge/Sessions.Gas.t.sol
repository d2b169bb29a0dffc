// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISessions, Leaf, Order, SessionsBase, vm} from "./SessionsBase.t.sol";

/// @notice Another cheat code of forge: makes the slots of an account cold, as they are when a transaction begins.
interface Cooling {
    function cool(address account) external;
}

contract SessionsGasTest is SessionsBase {
    event Measured(string what, uint256 gas);

    /// Promised are at most 20,000 gas per job at 256 receipts, everything from the opening to the money in the worker's hands
    /// included. `forge test --match-test gas__256 -vvvv` shows the parts.
    function test_gas__256_receipts__is_a_tenth_of_what_is_promised() public {
        uint256 sum = _cost(
            "open",
            requester,
            AMOUNT,
            abi.encodeCall(
                ISessions.open, (worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, uint256(99))
            )
        );
        id = sessions.sessionId(requester, worker, 99);
        (Leaf memory leaf, bytes memory output) = _long(200);
        bytes32[] memory all = _leaves(1, 256);
        all[199] = _hash(leaf);
        Order memory o = _order(256);
        sum += _cost("settle", worker, BOND, abi.encodeCall(ISessions.settle, (id, o, _signed(KEY, o), _root(all))));
        _cost("demand", requester, DEPOSIT, abi.encodeCall(ISessions.demand, (id, 1, 200)));
        _cost("show, 1,072 bytes", worker, 0, abi.encodeCall(ISessions.show, (id, 1, leaf, _proof(all, 199), output)));
        vm.warp(block.timestamp + CHALLENGE + 1);
        sum += _cost("pay", stranger, 0, abi.encodeCall(ISessions.pay, (id, 1)));
        sum += _cost("withdraw", stranger, 0, abi.encodeCall(ISessions.withdraw, (address(0), worker)));
        emit Measured("per job", sum / 256);
        vm.assertLe(sum / 256, 2000, "gas per job");
    }

    /// @dev A leaf whose output is as long as may be, and of bytes that cost most.
    function _long(uint32 sequence) private view returns (Leaf memory leaf, bytes memory output) {
        output = new bytes(1072);
        for (uint256 i = 0; i < output.length; ++i) {
            output[i] = 0xff;
        }
        leaf = _leaf(sequence);
        leaf.receipt.sealedOutputHash = keccak256(output);
        leaf.receiptSignature = _signed(SIGNER, leaf.receipt);
    }

    /// @dev Gas of a whole transaction: 21,000, calldata, execution on cold slots; never less than EIP-7623 asks.
    function _cost(string memory what, address from, uint256 value, bytes memory data) private returns (uint256 gas) {
        Cooling(address(vm)).cool(address(sessions));
        Cooling(address(vm)).cool(address(nodes));
        vm.prank(from);
        uint256 before = gasleft();
        (bool ok,) = address(sessions).call{value: value}(data);
        gas = before - gasleft();
        require(ok, "measured call failed");
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        gas += 4 * tokens;
        gas = 21_000 + (gas > 10 * tokens ? gas : 10 * tokens);
        emit Measured(what, gas);
    }
}
