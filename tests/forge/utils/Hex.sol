// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {vm} from "./Vm.sol";

library Hex {
    /// @notice 64 lower-case digits, by forge's own conversion.
    function digits(bytes32 word) internal pure returns (bytes memory) {
        bytes memory text = bytes(vm.toString(word)); // 0x and the digits
        bytes memory rest = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            rest[i] = text[i + 2];
        }
        return rest;
    }
}
