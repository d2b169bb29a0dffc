// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {vm} from "../utils/Vm.sol";
import {Checks} from "./Checks.sol";

contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Checks private _handler;

    function setUp() public {
        _handler = new Checks();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](19);
        // Repeated: most calls move a job on.
        for (uint256 i = 0; i < 8; ++i) {
            selectors[i] = _handler.progress.selector;
        }
        selectors[8] = _handler.post.selector;
        selectors[9] = _handler.post.selector;
        selectors[10] = _handler.wait.selector;
        selectors[11] = _handler.changeStake.selector;
        selectors[12] = _handler.payOut.selector;
        selectors[13] = _handler.changePrice.selector;
        selectors[14] = _handler.changeVerifier.selector;
        selectors[15] = _handler.hire.selector;
        for (uint256 i = 16; i < 19; ++i) {
            selectors[i] = _handler.attend.selector;
        }
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(_handler), selectors);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// All rules that Checks names; in the handler's own steps SIG-1, SIG-2, ENC-5, ENC-9, ENC-10, DRAW-4, DRAW-8, DRAW-9, JOB-24,
    /// JOB-27, JOB-28, JOB-31, JOB-37, CHAL-3, CHAL-7, CHAL-8, CHAL-10, CHAL-13, MONEY-6; and after each run JOB-24, MONEY-2, NODE-3.
    /// One campaign for all of them: each of its own would play the same games again.
    function invariant_everything_adds_up() public {
        // Dear, and what they would find stays to be found.
        if (_handler.calls() % 4 == 0) _handler.checkCoins();
        if (_handler.calls() % 32 == 0) checkAll(_handler);
    }

    function afterInvariant() public {
        _handler.lookAtAll();
        checkAll(_handler);
        vm.assertGt(_handler.seen("settled"), 0, "no job was settled");
        vm.assertGt(_handler.seen("refunded"), 0, "no job was refunded");
        _handler.windUp();
        checkAll(_handler);
    }
}

function checkAll(Checks handler) {
    handler.checkCoins();
    handler.checkTokens();
    handler.checkStakes();
    handler.checkBurned();
    handler.checkNoOtherMoney();
    handler.checkLocks();
    handler.checkCover();
    handler.checkTotals();
    handler.checkWeights();
    handler.checkTags();
    handler.checkMasks();
    handler.checkLead();
    handler.checkQuorum();
    handler.checkCharged();
    handler.checkFlags();
    handler.checkResults();
    handler.checkDeadlines();
    handler.checkReferees();
    handler.checkDisputes();
    handler.checkRecords();
    handler.checkEnded();
    handler.checkForgotten();
    handler.checkDemanders();
    handler.checkChallengers();
    handler.checkReputation();
}

/// @notice The same handler on a fixed path: proof that it reaches everything, which random runs of any seed rest on.
contract HandlerReachesEverythingTest {
    function test_handler__fixed_path__reaches_every_step_and_end() public {
        vm.pauseGasMetering(); // there is more of it than a test has
        Checks handler = new Checks();
        string[55] memory things = [
            "posted",
            "posted in a token",
            "hired",
            "not hired",
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
            "joined",
            "topped up",
            "exiting",
            "left",
            "came back",
            "paid out",
            "collected",
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
            "charged",
            "outvoted",
            "disputed",
            "challenged",
            "judged",
            "overturned by a proof",
            "referred",
            "decided by referees",
            "referees undecided",
            "unproved",
            "verifier gone",
            "given up",
            "undecided",
            "slashed by a verdict",
            "notified"
        ];
        for (uint256 i = 0; i < 12_000; ++i) {
            uint256 entropy = uint256(keccak256(abi.encode("path", i)));
            uint256 act = entropy >> 128;
            if (act % 16 < 9) handler.progress(entropy);
            else if (act % 16 < 11) handler.post(entropy);
            else if (act % 16 == 11) i % 2 == 0 ? handler.wait(entropy) : handler.hire(entropy);
            else if (act % 16 < 14) handler.changeStake(entropy);
            else if (act % 16 == 14) handler.payOut(entropy);
            else if (i % 2 == 0) handler.changePrice(entropy);
            else handler.changeVerifier(entropy);
            if (i % 2 == 0) handler.attend(entropy);
            if (i % 150 == 0) checkAll(handler);
            if (i % 500 == 499 && _missing(handler, things) == things.length) break;
        }
        uint256 missing = _missing(handler, things);
        if (missing < things.length) revert(string.concat("never: ", things[missing]));
        handler.lookAtAll();
        handler.windUp();
        checkAll(handler);
    }

    /// @return first thing that has not happened; their number if all have
    function _missing(Checks handler, string[55] memory things) private view returns (uint256 first) {
        while (first < things.length && handler.seen(things[first]) != 0) ++first;
    }
}
