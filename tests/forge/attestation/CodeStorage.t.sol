// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CodeStorage} from "../../../contracts/libraries/CodeStorage.sol";
import {vm} from "../utils/Vm.sol";

contract Keeper {
    bytes private _pending;

    function keep(bytes32 key, bytes calldata data) external {
        _pending = data;
        CodeStorage.writeKeyed(key);
    }

    function write(bytes calldata data) external returns (address) {
        return CodeStorage.write(data);
    }

    function pending() external view {
        bytes memory data = _pending;
        assembly ("memory-safe") {
            return(add(data, 0x20), mload(data))
        }
    }

    function keyed(bytes32 key) external view returns (address) {
        return CodeStorage.keyed(key);
    }
}

contract CodeStorageTest {
    Keeper private _keeper = new Keeper();

    function testFuzz_write__data__is_the_code(bytes calldata tail) external {
        bytes memory data = abi.encodePacked(uint8(0), tail);
        vm.assertEq(CodeStorage.read(_keeper.write(data)), data);
    }

    function test_write__most__is_the_code() external {
        bytes memory data = new bytes(24576);
        data[24575] = 0x01;
        vm.assertEq(CodeStorage.read(_keeper.write(data)), data);
        (bool ok,) = address(_keeper).call(abi.encodeCall(_keeper.write, (new bytes(24577))));
        vm.assertFalse(ok);
    }

    function testFuzz_writeKeyed__data__lies_where_the_key_says(bytes32 key, bytes calldata tail) external {
        bytes memory data = abi.encodePacked(uint8(0), tail);
        _keeper.keep(key, data);
        vm.assertEq(_keeper.keyed(key).code, data);
        (bool ok,) = address(_keeper).call(abi.encodeCall(_keeper.keep, (key, hex"0001")));
        vm.assertFalse(ok); // once
    }
}
