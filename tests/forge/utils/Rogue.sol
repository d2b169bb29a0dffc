// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice A verifier gone wrong: etched over the one that is listed, it answers any question in the way it is told.
contract Rogue {
    enum Mode {
        Yes,
        No,
        Two,
        Nothing,
        Longer,
        Shorter,
        Reverts,
        Burns,
        Writes,
        CallsBack
    }

    Mode private _mode;
    bytes private _data;
    address private _target;

    function set(Mode mode, address target, bytes calldata data) external {
        (_mode, _target, _data) = (mode, target, data);
    }

    fallback() external {
        Mode mode = _mode;
        if (mode == Mode.Yes) _answer(abi.encode(true));
        if (mode == Mode.No) _answer(abi.encode(false));
        if (mode == Mode.Two) _answer(abi.encode(2));
        if (mode == Mode.Nothing) _answer("");
        if (mode == Mode.Longer) _answer(abi.encode(true, true));
        if (mode == Mode.Shorter) _answer(new bytes(31));
        if (mode == Mode.Reverts) {
            bytes memory data = _data;
            assembly ("memory-safe") {
                revert(add(data, 32), mload(data))
            }
        }
        if (mode == Mode.Burns) {
            uint256 i;
            while (true) ++i;
        }
        if (mode == Mode.Writes) _target = address(1);
        // What it calls must fail: it may read, and that is all.
        (bool done,) = _target.call(_data);
        _answer(abi.encode(!done));
    }

    function _answer(bytes memory data) private pure {
        assembly ("memory-safe") {
            return(add(data, 32), mload(data))
        }
    }
}
