// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, JobId, Offer, Request, State, VersionId, vm} from "./Base.t.sol";

/// @notice The owner's share of what seats are paid: MONEY-7, MODEL-10.
contract FeesTest is Base {
    uint8 private constant PERCENT = 30;
    uint256 private constant SHARE = uint256(PRICE) * PERCENT / 100;

    VersionId private _shared;

    function setUp() public override {
        super.setUp();
        _shared = _publishShared("shared", PERCENT);
    }

    function _publishShared(bytes memory name, uint8 percent) private returns (VersionId) {
        vm.prank(owner);
        return models.publish(keccak256(name), _open(), Offer(PRICE, percent, false), "");
    }

    function _of(VersionId v, uint8 percent) private view returns (Request memory r) {
        r = _default();
        (r.terms.version, r.terms.ownerPercent) = (v, percent);
    }

    function _settled() private {
        _ready(_of(_shared, PERCENT));
        _vote(RIGHT, RIGHT, RIGHT);
    }

    /// MONEY-7: each paid seat gives its share; the requester pays no more for it.
    function test_settle__owner_percent__is_taken_from_each_paid_seat() public {
        _ready(_of(_shared, PERCENT));
        _vote(RIGHT, WRONG, RIGHT);
        _assertCredits(PRICE - SHARE, 0, PRICE - SHARE);
        vm.assertEq(market.fees(_shared, COIN), 2 * SHARE);
        vm.assertEq(market.credit(requester, COIN), PRICE);
        vm.assertEq(market.credit(owner, COIN), 0);
        vm.assertEq(address(market).balance, ESCROW);
    }

    /// MONEY-7: anybody collects, for the owner alone, once.
    function test_collect__anybody__credits_the_owner_once() public {
        _settled();
        vm.expectEmit(address(market));
        emit IJobs.FeesCollected(_shared, owner, COIN, 3 * SHARE);
        vm.expectEmit(address(market));
        emit IJobs.Credited(owner, JobId.wrap(0), COIN, 3 * SHARE);
        vm.prank(stranger);
        market.collect(_shared, COIN);
        vm.assertEq(market.credit(owner, COIN), 3 * SHARE);
        vm.assertEq(market.fees(_shared, COIN), 0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, owner, COIN));
        market.collect(_shared, COIN);
        market.withdraw(owner, COIN);
        vm.assertEq(owner.balance, 3 * SHARE);
        vm.assertEq(market.credit(stranger, COIN), 0);
    }

    /// MONEY-7: of another version, another currency, or one never published, there is nothing.
    function test_collect__nothing_there__reverts() public {
        _settled();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, owner, COIN));
        market.collect(version, COIN);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, owner, address(7)));
        market.collect(_shared, address(7));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, address(0), COIN));
        market.collect(VersionId.wrap(keccak256("none")), COIN);
        vm.assertEq(market.fees(_shared, COIN), 3 * SHARE);
    }

    /// MONEY-7: it adds up over jobs, and a version that takes no more of them still pays.
    function test_collect__after_deprecation__pays_the_sum_of_all_jobs() public {
        _settled();
        Request memory r = _of(_shared, PERCENT);
        r.brief.nonce = 2;
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        vm.prank(owner);
        models.deprecate(_shared);
        market.collect(_shared, COIN);
        vm.assertEq(market.credit(owner, COIN), 6 * SHARE);
    }

    /// MODEL-10: terms name the share that the owner asks for; neither less nor more.
    function test_request__other_percent__reverts() public {
        uint8[3] memory wrong = [PERCENT - 1, PERCENT + 1, 0];
        for (uint256 i = 0; i < 3; ++i) {
            Request memory r = _of(_shared, wrong[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongOwnerPercent.selector, wrong[i], PERCENT));
            _request(r);
        }
    }

    /// MONEY-7: a job that ends without an answer earns its owner nothing.
    function test_refund__owner_percent__earns_nothing() public {
        for (uint256 end = 0; end < 4; ++end) {
            uint256 snapshot = vm.snapshotState();
            Request memory r = _of(_shared, PERCENT);
            _request(r);
            if (end != 0) _deliver(r);
            if (end == 1) _demand(0);
            if (end == 2) {
                _vote(RIGHT, WRONG, OTHER);
                vm.prank(requester);
                market.resolve(_ticket());
            }
            if (end != 2) {
                _lapse();
                _close();
            }
            _assertState(State.Refunded);
            vm.assertEq(market.fees(_shared, COIN), 0);
            vm.revertToState(snapshot);
        }
    }

    /// MONEY-7: a hired seat gives its share as a drawn one does, and what was paid for a wrong answer stays paid, to the owner,
    /// too: what makes it good is the slash.
    function test_judge__overturned__leaves_the_owners_share() public {
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, WEIGHTS);
        bytes32 hash = sha256(manifest);
        vm.startPrank(stranger);
        VersionId v = models.publish(hash, _open(), Offer(PRICE, PERCENT, false), "");
        models.registerCircuit(
            v, verifierId, manifest, offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof(v, CIRCUIT, WEIGHTS)
        );
        vm.stopPrank();
        Request memory r = _defaultVerified();
        (r.terms.version, r.terms.ownerPercent) = (v, PERCENT);
        _ready(r);
        _vote(WRONG, WRONG, WRONG);
        vm.assertEq(market.fees(v, COIN), 3 * SHARE);
        _judgeBy(steward);
        vm.assertEq(market.fees(v, COIN), 3 * SHARE);
        vm.assertEq(market.credit(requester, COIN), ESCROW);
        r = _defaultProved();
        (r.terms.version, r.terms.ownerPercent) = (v, PERCENT);
        _hire(_hired(r, workers[3]));
        _prove();
        vm.assertEq(market.fees(v, COIN), 4 * SHARE);
        market.collect(v, COIN);
        vm.assertEq(market.credit(stranger, COIN), 4 * SHARE);
    }

    /// forge-config: default.fuzz.runs = 300
    /// MONEY-3, MONEY-7: whatever the price and the share, what seats and owner get together is the price.
    function testFuzz_settle__any_price_and_percent__adds_up(uint64 price, uint8 percent) public {
        price = price % 0.5 ether + 1;
        percent %= 51;
        VersionId v = _publishShared("fuzzed", percent);
        vm.prank(owner);
        models.setPrice(v, price);
        _ready(_priced(_of(v, percent), price));
        _vote(RIGHT, RIGHT, RIGHT);
        uint256 share = uint256(price) * percent / 100;
        _assertCredits(price - share, price - share, price - share);
        vm.assertEq(market.fees(v, COIN), 3 * share);
        vm.assertEq(address(market).balance, 3 * uint256(price));
    }
}
