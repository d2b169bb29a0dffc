// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Brief, IJobs, IResultConsumer, JobId, Request, State, Ticket, VersionId, vm} from "./Base.t.sol";
import {DisputeBase} from "./DisputeBase.t.sol";

/// @notice Notes what it is told and how much gas it had for it; can be told to misbehave.
contract Consumer is IResultConsumer {
    enum Mode {
        Takes,
        Reverts,
        Burns,
        Returns, // far more than anybody wants to copy
        Catches, // an inner call that runs out of gas, and goes on
        Reenters
    }

    Mode public mode;
    address private immutable _market;
    uint256 public told;
    uint256 public least = type(uint256).max;
    bool public innerFailed;
    JobId public id;
    VersionId public version;
    bytes32 public output;
    bytes public inside;

    constructor(address market) {
        _market = market;
    }

    function set(Mode mode_, bytes calldata inside_) external {
        (mode, inside) = (mode_, inside_);
    }

    function onResult(JobId id_, VersionId version_, bytes32 output_) external {
        uint256 gas = gasleft();
        require(msg.sender == _market, "not the market");
        Mode m = mode;
        if (m == Mode.Reverts) revert("no");
        if (m == Mode.Burns) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        if (m == Mode.Returns) {
            assembly {
                return(0, 20000)
            }
        }
        if (m == Mode.Catches) {
            try this.work() {}
            catch {
                innerFailed = true;
            }
            return;
        }
        if (m == Mode.Reenters) {
            (bool ok,) = _market.call(inside);
            require(ok, "not allowed");
        }
        if (gas < least) least = gas;
        ++told;
        (id, version, output) = (id_, version_, output_);
    }

    /// @dev About 100,000 gas.
    function work() external pure returns (uint256 sum) {
        for (uint256 i = 0; i < 150; ++i) {
            sum ^= uint256(keccak256(abi.encode(i)));
        }
    }
}

/// @notice Telling a contract what the result is, at its own caller's cost.
contract NotifyTest is DisputeBase {
    uint32 private constant ALLOWANCE = 200_000;

    Consumer private _consumer;

    function setUp() public override {
        super.setUp();
        _consumer = new Consumer(address(market));
    }

    function _for(Request memory r) private view returns (Request memory) {
        (r.brief.consumer, r.brief.consumerGas) = (address(_consumer), ALLOWANCE);
        return r;
    }

    function _settled(Request memory r) private {
        _ready(_for(r));
        _vote(RIGHT, RIGHT, RIGHT);
    }

    function _notify() private {
        vm.prank(stranger);
        market.notify(_ticket(), _brief());
    }

    /// JOB-38
    function test_notify__final__tells_the_consumer() public {
        _settled(_default());
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.ConsumerNotified(id, address(_consumer), true);
        _notify();
        vm.assertEq(_consumer.told(), 1);
        vm.assertEq(JobId.unwrap(_consumer.id()), JobId.unwrap(id));
        vm.assertEq(VersionId.unwrap(_consumer.version()), VersionId.unwrap(version));
        vm.assertEq(_consumer.output(), RIGHT);
    }

    /// JOB-38: a result that can still be challenged is no result, to the last second.
    function test_notify__before_it_is_final__reverts() public {
        _settled(_default());
        uint256 deadline = market.job(id).deadline;
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotFinal.selector, id));
        market.notify(t, b);
        vm.warp(deadline + 1);
        market.notify(t, b);
    }

    /// JOB-38: a refunded job has none.
    function test_notify__refunded__reverts() public {
        _ready(_for(_default()));
        _lapse();
        _close();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotFinal.selector, id));
        _notify();
    }

    /// JOB-38, CHAL-3: what a verdict made of it, and at once.
    function test_notify__overturned__tells_the_new_result() public {
        _ready(_for(_defaultVerified()));
        _vote(WRONG, WRONG, WRONG);
        _judgeBy(prover);
        _notify();
        vm.assertEq(_consumer.output(), PROVEN);
    }

    /// JOB-38
    function test_notify__proved__at_once() public {
        _ready(_for(_defaultProved()));
        _prove();
        _notify();
        vm.assertEq(_consumer.output(), PROVEN);
    }

    /// JOB-38
    function test_notify__no_consumer_or_other_brief__reverts() public {
        _votedAlone(RIGHT, RIGHT, RIGHT);
        _lapse();
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoConsumer.selector, id));
        market.notify(t, b);
        b.consumer = address(_consumer);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongBrief.selector, keccak256(abi.encode(b)), t.brief));
        market.notify(t, b);
    }

    /// JOB-38: whatever it does, the call goes through and the job is as it was.
    function test_notify__consumer_misbehaves__harms_nobody() public {
        _settled(_default());
        _lapse();
        bytes memory before = abi.encode(market.job(id), address(market).balance, market.result(id));
        Consumer.Mode[3] memory modes = [Consumer.Mode.Reverts, Consumer.Mode.Burns, Consumer.Mode.Returns];
        for (uint256 i = 0; i < 3; ++i) {
            _consumer.set(modes[i], "");
            vm.expectEmit(address(market));
            emit IJobs.ConsumerNotified(id, address(_consumer), modes[i] == Consumer.Mode.Returns);
            uint256 gas = gasleft();
            _notify();
            vm.assertLt(gas - gasleft(), uint256(ALLOWANCE) + 100_000, "it costs its allowance at most");
            vm.assertEq(abi.encode(market.job(id), address(market).balance, market.result(id)), before);
        }
        // And can be told again.
        _consumer.set(Consumer.Mode.Takes, "");
        _notify();
        vm.assertEq(_consumer.told(), 1);
    }

    /// JOB-38: nobody there.
    function test_notify__consumer_without_code__goes_through() public {
        Request memory r = _default();
        (r.brief.consumer, r.brief.consumerGas) = (stranger, 30_000);
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        _lapse();
        _notify();
    }

    /// JOB-38, MONEY-2: what it calls meanwhile is what anybody may call; it is paid what it is owed, once.
    function test_notify__consumer_calls_back__does_what_anybody_may() public {
        Request memory r = _default();
        r.brief.consumerGas = ALLOWANCE;
        _settled(_default());
        _lapse();
        _consumer.set(Consumer.Mode.Reenters, abi.encodeCall(market.withdraw, (committee[0], COIN)));
        uint256 before = committee[0].balance;
        _notify();
        vm.assertEq(committee[0].balance - before, PRICE);
        vm.assertEq(_credit(committee[0]), 0);
        _notify(); // nothing owed any more: its own call fails, and with it only it
        vm.assertEq(_consumer.told(), 1);
        vm.assertEq(address(market).balance, _allCredits());
    }

    /// JOB-38, EIP-150: of all gas limits that a caller can choose, none leaves the consumer uncalled, or called with less gas
    ///                  than the brief names, while the market says that it was told.
    function test_notify__every_gas_limit__never_silently_uncalled() public {
        _settled(_default());
        _lapse();
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        uint256 calls;
        uint256 refusals;
        for (uint256 gas = 20_000; gas < 420_000; gas += 1_000) {
            uint256 snapshot = vm.snapshotState();
            (bool ok,) = address(market).call{gas: gas}(abi.encodeCall(market.notify, (t, b)));
            ok ? ++calls : ++refusals;
            vm.assertEq(_consumer.told(), ok ? 1 : 0, "told");
            // Its first instructions are the price of asking.
            if (ok) vm.assertGe(_consumer.least(), uint256(ALLOWANCE) - 500, "with all its gas");
            vm.revertToState(snapshot);
        }
        vm.assertGt(calls, 100, "calls");
        vm.assertGt(refusals, 100, "refusals");
    }

    /// JOB-38, EIP-150: nor one that swallows its own lack of gas, and would believe that it was told.
    function test_notify__every_gas_limit__never_starves_an_inner_call() public {
        _settled(_default());
        _lapse();
        _consumer.set(Consumer.Mode.Catches, "");
        Ticket memory t = _ticket();
        Brief memory b = _brief();
        _notify();
        vm.assertFalse(_consumer.innerFailed(), "the allowance is enough");
        for (uint256 gas = 40_000; gas < 320_000; gas += 500) {
            uint256 snapshot = vm.snapshotState();
            (bool ok,) = address(market).call{gas: gas}(abi.encodeCall(market.notify, (t, b)));
            if (ok) vm.assertFalse(_consumer.innerFailed(), string.concat("starved at ", vm.toString(gas)));
            vm.revertToState(snapshot);
        }
    }
}
