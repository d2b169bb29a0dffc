// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Data kept as code
/// @notice Data of some hundred bytes that never changes is cheaper to write and much cheaper to read as the code of a contract
///         than as storage. The first byte of all data is zero, the instruction STOP: nobody can run it.
library CodeStorage {
    /// @dev EIP-170
    uint256 private constant MOST = 24_576;

    error CodeStorage_TooLarge(uint256 size, uint256 most);
    error CodeStorage_Failed();

    /// @dev CODECOPY of what follows, RETURN. The size stands in bytes 1 and 2.
    uint256 private constant INIT = 0x61_0000_80_60_0a_5f_39_5f_f3;
    /// @dev MSTORE of the selector of `pending()`; STATICCALL of the creator with it; RETURN of what it returned.
    bytes private constant ASKING = hex"63e20ccec35f525f5f6004601c335afa3d5f5f3e3d5ff3";
    bytes32 private constant ASKING_HASH = keccak256(hex"63e20ccec35f525f5f6004601c335afa3d5f5f3e3d5ff3");

    /// @notice Stores `data` and returns where.
    function write(bytes memory data) internal returns (address store) {
        if (data.length > MOST) revert CodeStorage_TooLarge(data.length, MOST);
        bytes memory code = abi.encodePacked(bytes10(uint80(INIT | (data.length << 56))), data);
        assembly ("memory-safe") {
            store := create(0, add(code, 0x20), mload(code))
        }
        if (store == address(0)) revert CodeStorage_Failed();
    }

    /// @notice What was stored at `store`.
    function read(address store) internal view returns (bytes memory) {
        return store.code;
    }

    /// @notice Stores what the caller's function `pending()` returns, at the address that `key` determines.
    /// @dev The creating code asks back, so that it is always the same and the address depends on the key alone.
    function writeKeyed(bytes32 key) internal {
        bytes memory code = ASKING;
        address store;
        assembly ("memory-safe") {
            store := create2(0, add(code, 0x20), mload(code), key)
        }
        if (store == address(0)) revert CodeStorage_Failed();
    }

    /// @notice Where `writeKeyed` stores.
    function keyed(bytes32 key) internal view returns (address store) {
        bytes32 codeHash = ASKING_HASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, or(shl(160, 0xff), address()))
            mstore(add(free, 0x20), key)
            mstore(add(free, 0x40), codeHash)
            store := and(keccak256(add(free, 0x0b), 0x55), 0xffffffffffffffffffffffffffffffffffffffff)
        }
    }
}
