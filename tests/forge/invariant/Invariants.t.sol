// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {vm} from "../utils/Vm.sol";
import {Handler} from "./Handler.sol";

contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](16);
        // Repeated: most calls move a job on.
        for (uint256 i = 0; i < 6; ++i) {
            selectors[i] = _handler.progress.selector;
        }
        selectors[6] = _handler.post.selector;
        selectors[7] = _handler.post.selector;
        selectors[8] = _handler.wait.selector;
        selectors[9] = _handler.changeStake.selector;
        selectors[10] = _handler.payOut.selector;
        selectors[11] = _handler.changePrice.selector;
        selectors[12] = _handler.changeVerifier.selector;
        for (uint256 i = 13; i < 16; ++i) {
            selectors[i] = _handler.attend.selector;
        }
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// MONEY-1, MONEY-4, NODE-5, NODE-6, DRAW-2, JOB-28, JOB-31, SIG-1, SIG-2, ENC-5, ENC-9; and after each run JOB-24, MONEY-2, NODE-3
    function invariant_money_locks_and_weights_add_up() public {
        _handler.checkMoney();
        _handler.checkLocks();
        if (_handler.calls() % 4 != 0) return; // dear, and what they would find stays to be found
        _handler.checkTree();
        _handler.checkEnded();
    }

    function afterInvariant() public {
        vm.assertGt(_handler.seen("settled"), 0, "no job was settled");
        vm.assertGt(_handler.seen("refunded"), 0, "no job was refunded");
        _handler.windUp();
    }
}

/// @notice The same handler on a fixed path: proof that it reaches everything, which random runs of any seed rest on.
contract HandlerReachesEverythingTest {
    function test_handler__fixed_path__reaches_every_step_and_end() public {
        Handler handler = new Handler();
        for (uint256 i = 0; i < 3000; ++i) {
            uint256 entropy = uint256(keccak256(abi.encode("path", i)));
            uint256 act = entropy >> 128;
            if (act % 16 < 9) handler.progress(entropy);
            else if (act % 16 < 11) handler.post(entropy);
            else if (act % 16 == 11) handler.wait(entropy);
            else if (act % 16 < 14) handler.changeStake(entropy);
            else if (act % 16 == 14) handler.payOut(entropy);
            else if (i % 2 == 0) handler.changePrice(entropy);
            else handler.changeVerifier(entropy);
            if (i % 2 == 0) handler.attend(entropy);
            if (i % 50 == 0) {
                handler.checkMoney();
                handler.checkLocks();
                handler.checkTree();
            }
        }
        handler.checkEnded();
        string[36] memory things = [
            "posted",
            "not delivered",
            "committee too small",
            "vacant",
            "ready",
            "committed",
            "refused",
            "demanded",
            "published",
            "unpublished",
            "revealed",
            "revealed after the window",
            "closed from ready",
            "closed from committed",
            "settled",
            "refunded",
            "registered",
            "topped up",
            "exiting",
            "left",
            "came back",
            "paid out",
            "proved",
            "not proved",
            "closed unproved",
            "closed unproved and excused",
            "verifier removed",
            "keys replaced",
            "keys owed",
            "revoked",
            "vacated",
            "attested",
            "attested again",
            "enrolled",
            "answered",
            "charged"
        ];
        for (uint256 i = 0; i < things.length; ++i) {
            vm.assertGt(handler.seen(things[i]), 0, things[i]);
        }
        handler.windUp();
    }
}
