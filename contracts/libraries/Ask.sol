// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Asking somebody else's contract a yes-or-no question
library Ask {
    /// @notice Static, so nothing can change while the other code runs; and whatever that code does, the caller goes on: an
    ///         error of its own choosing must not pass for one of ours.
    /// @return yes true only if the call succeeded and its answer is the one word `true`
    /// @return answer what came back
    function that(address target, bytes memory question) internal view returns (bool yes, bytes memory answer) {
        (yes, answer) = target.staticcall(question);
        // An address without code succeeds and answers nothing.
        yes = yes && answer.length == 32 && abi.decode(answer, (uint256)) == 1;
    }
}
