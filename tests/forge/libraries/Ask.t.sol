// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ask} from "../../../contracts/libraries/Ask.sol";
import {Rogue} from "../utils/Rogue.sol";
import {vm} from "../utils/Vm.sol";

contract AskTest {
    Rogue private _rogue = new Rogue();

    function ask(address target) public view returns (bool yes, bytes memory answer) {
        return Ask.that(target, "is it so?");
    }

    /// VERIFIER-4
    function test_that__every_answer__only_the_word_true_is_yes() public {
        for (uint256 i = 0; i <= uint256(Rogue.Mode.Writes); ++i) {
            Rogue.Mode mode = Rogue.Mode(i);
            _rogue.set(mode, address(0), "a reason");
            (bool yes, bytes memory answer) = this.ask{gas: 1_000_000}(address(_rogue));
            vm.assertTrue(yes == (mode == Rogue.Mode.Yes), vm.toString(i));
            if (mode == Rogue.Mode.Yes) vm.assertEq(answer, abi.encode(true));
            if (mode == Rogue.Mode.Two) vm.assertEq(answer, abi.encode(2));
            if (mode == Rogue.Mode.Longer) vm.assertEq(answer, abi.encode(true, true));
            if (mode == Rogue.Mode.Reverts) vm.assertEq(answer, "a reason");
            if (mode == Rogue.Mode.Burns || mode == Rogue.Mode.Writes) vm.assertEq(answer, "");
        }
    }

    /// VERIFIER-4: a revert that carries the word is still no yes, nor is an address that holds no code.
    function test_that__reverted_yes_or_no_code__is_no() public {
        _rogue.set(Rogue.Mode.Reverts, address(0), abi.encode(true));
        (bool yes,) = ask(address(_rogue));
        vm.assertFalse(yes);
        (yes,) = ask(address(0xBEEF));
        vm.assertFalse(yes);
    }
}
