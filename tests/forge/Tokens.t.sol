// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {Base, ICurrencies, IJobs, IModelRegistry, JobId, Offer, Request, State, vm} from "./Base.t.sol";
import {Generous, NeverZero, Rebasing, Taxed, TaxedLater} from "./utils/tokens/Amounts.sol";
import {Denies, Mumbles, Pretends, SaysNo} from "./utils/tokens/Falsehoods.sol";
import {Gated} from "./utils/tokens/Gated.sol";
import {Hooked} from "./utils/tokens/Hooked.sol";
import {Ledger} from "./utils/tokens/Ledger.sol";
import {Plain} from "./utils/tokens/Plain.sol";
import {Silent} from "./utils/tokens/Silent.sol";
import {Wrapped} from "./utils/tokens/Wrapped.sol";

/// @dev What the tests ask of every token, whatever it answers.
interface Any {
    function mint(address account, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function nonces(address owner) external view returns (uint256);
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}

/// @notice Jobs paid in tokens, odd ones among them: CUR-*, MONEY-*.
contract TokensTest is Base {
    /// @dev 10^18 units weigh half a coin.
    uint128 private constant RATE = 0.5 ether;
    uint72 private constant UNITS = 0.02 ether;
    uint256 private constant FUNDS = 100 ether;
    uint256 private constant PERMIT_KEY = 0xBEEF;

    function _list(address token, uint128 rate, uint72 price) private {
        vm.prank(steward);
        currencies.announce(token, rate);
        vm.prank(owner);
        models.setTokenPrice(version, token, price);
        vm.prank(owner);
        models.setTokenPrice(provable, token, price);
        vm.warp(block.timestamp + CURRENCY_DELAY);
    }

    /// @dev Listed, and the requester has some and allows it.
    function _use(address token) private returns (Any) {
        _list(token, RATE, UNITS);
        Any(token).mint(requester, FUNDS);
        vm.prank(requester);
        Any(token).approve(address(market), FUNDS);
        return Any(token);
    }

    function _in(address token) private view returns (Request memory r) {
        return _in(_default(), token);
    }

    /// @dev The price of UNITS is worth PRICE, so stake and penalties are those of the default job.
    function _in(Request memory r, address token) private pure returns (Request memory) {
        (r.terms.token, r.terms.pricePerSeat) = (token, UNITS);
        return r;
    }

    /// @dev What the market owes in a token.
    function _owed(address token) private view returns (uint256 sum) {
        sum = market.credit(requester, token) + market.credit(burn, token) + market.credit(stranger, token)
            + market.credit(owner, token) + market.fees(version, token) + market.fees(provable, token);
        for (uint256 i = 0; i < workers.length; ++i) {
            sum += market.credit(workers[i], token);
        }
    }

    function _withdrawAll(address token) private {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (market.credit(workers[i], token) != 0) market.withdraw(workers[i], token);
        }
        if (market.credit(requester, token) != 0) market.withdraw(requester, token);
        if (market.credit(burn, token) != 0) market.withdraw(burn, token);
    }

    function _failedOperation(address token) private pure returns (bytes memory) {
        return abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, token);
    }

    // ------------------------------------------------------------------------------------------------ tokens that will do

    /// CUR-5, MONEY-1, MONEY-3: whatever a token answers and however many decimals it has, if it moves what it is told to, a job
    /// in it is a job.
    function test_job__each_token_that_moves_what_it_is_told__pays_to_the_unit() public {
        address[8] memory tokens = [
            address(new Plain(18)),
            address(new Plain(6)),
            address(new Silent()),
            address(new SaysNo()),
            address(new NeverZero()),
            address(new Rebasing()),
            address(new Gated()),
            address(new Wrapped())
        ];
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            Any token = _use(tokens[i]);
            _ready(_in(tokens[i]));
            vm.assertEq(token.balanceOf(address(market)), 3 * uint256(UNITS));
            vm.assertEq(token.balanceOf(requester), FUNDS - 3 * uint256(UNITS));
            vm.assertEq(address(market).balance, 0);
            _vote(RIGHT, RIGHT, WRONG);
            vm.assertEq(market.credit(committee[0], tokens[i]), UNITS);
            vm.assertEq(market.credit(committee[0], COIN), 0);
            vm.assertEq(market.credit(requester, tokens[i]), UNITS);
            vm.assertEq(_owed(tokens[i]), token.balanceOf(address(market)));
            // The slash is in coins, as stake is.
            _lapse();
            _resolve();
            _assertLosses(0, 0, WRONG_PENALTY);
            vm.assertEq(market.credit(burn, COIN), WRONG_PENALTY);
            vm.assertEq(market.credit(burn, tokens[i]), 0);
            _withdrawAll(tokens[i]);
            vm.assertEq(token.balanceOf(committee[0]), UNITS);
            vm.assertEq(token.balanceOf(committee[1]), UNITS);
            vm.assertEq(token.balanceOf(requester), FUNDS - 2 * uint256(UNITS));
            vm.assertEq(token.balanceOf(address(market)), 0);
            vm.revertToState(snapshot);
        }
    }

    /// CUR-3: the lock is what the rate makes of the price, in whole gweis and never less.
    function test_lockFor__six_and_thirty_decimals__follow_the_rate() public {
        // A token of 6 decimals of which one is worth 0.0003 coins, at 5 a seat.
        address six = address(new Plain(6));
        _list(six, 3e26, 5e6);
        vm.assertEq(market.lockFor(5e6, six), 0.015 ether);
        // One of 30 decimals of which one is worth a coin: prices of 72 bits end below five gweis of it, bids do not.
        address thirty = address(new Plain(30));
        _list(thirty, 1e6, type(uint72).max);
        vm.assertEq(market.lockFor(type(uint72).max, thirty), 48 gwei);
        vm.assertEq(market.lockFor(0.01e30, thirty), 0.1 ether);
        Request memory r = _in(thirty);
        (r.terms.pricePerSeat, r.terms.lockEach) = (0.01e30, 0.1 ether);
        Plain(thirty).mint(requester, 1e30);
        vm.prank(requester);
        Plain(thirty).approve(address(market), 1e30);
        _ready(r);
        vm.assertEq(nodes.node(committee[0]).locked, 0.1 ether);
        _vote(RIGHT, RIGHT, RIGHT);
        vm.assertEq(market.credit(committee[0], thirty), 0.01e30);
    }

    /// forge-config: default.fuzz.runs = 300
    /// CUR-3, ECON-1: for any price and rate; whoever is wrong loses what the price is worth five times over.
    function testFuzz_lockFor__any_price_and_rate__covers_the_price(uint96 price, uint128 rate) public {
        if (rate == 0) rate = 1;
        address token = address(new Plain(18));
        _list(token, rate, 1);
        uint256 value = uint256(price) * rate / 1e18;
        uint256 lock = market.lockFor(price, token);
        vm.assertEq(lock % 1 gwei, 0);
        vm.assertGe(lock, value * STAKE_RATIO, "less than the price is worth");
        vm.assertLt(lock, value * STAKE_RATIO + 1 gwei, "more than the next gwei");
    }

    /// CUR-2, CUR-6: a job keeps the lock of its request; rates that come later, and the end of a listing, are for later jobs.
    function test_announce__after_the_request__touches_no_job() public {
        address token = address(new Plain(18));
        _use(token);
        _request(_in(token));
        JobId first = id;
        vm.prank(steward);
        currencies.announce(token, 0);
        vm.warp(block.timestamp + CURRENCY_DELAY - 1);
        Request memory r = _in(token);
        r.brief.nonce = 2;
        _request(r);
        vm.warp(block.timestamp + 1);
        r.brief.nonce = 3;
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotListed.selector, token));
        _request(r);
        r.brief.nonce = 2;
        _select(_jobId(r));
        _deliver(r);
        vm.assertEq(nodes.node(committee[0]).locked, LOCK);
        _vote(RIGHT, RIGHT, RIGHT);
        vm.assertEq(market.credit(committee[0], token), UNITS);
        market.withdraw(committee[0], token);
        vm.assertEq(Plain(token).balanceOf(committee[0]), UNITS);
        // The first was never delivered: its fee is a share of the escrow, in the token.
        _select(first);
        _close();
        vm.assertEq(market.credit(burn, token), 3 * uint256(UNITS) * FAULT_BPS / 10_000);
        _withdrawAll(token);
        vm.assertEq(Plain(token).balanceOf(address(market)), 0);
    }

    /// CUR-3, CUR-4: a token must be listed, and the version sold for it; terms name the lock of the present rate.
    function test_request__unlisted_unsold_or_other_lock__reverts() public {
        address token = address(new Plain(18));
        Request memory r = _in(token);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, version, token));
        _request(r);
        vm.prank(owner);
        models.setTokenPrice(version, token, UNITS);
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotListed.selector, token));
        _request(r);
        _use(token);
        for (uint256 i = 0; i < 3; ++i) {
            r.terms.lockEach = i == 0 ? LOCK - 1 gwei : i == 1 ? LOCK + 1 gwei : 2 * LOCK;
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLock.selector, r.terms.lockEach, LOCK));
            _request(r);
        }
        r.terms.lockEach = LOCK;
        r.terms.pricePerSeat = UNITS - 1;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_PriceChanged.selector, UNITS - 1, UNITS));
        _request(r);
        _request(_in(token));
    }

    /// MONEY-5: coins that nobody asked for are not taken, in whatever call.
    function test_request__token_and_coins__reverts() public {
        address token = address(new Plain(18));
        _use(token);
        Request memory r = _in(token);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, 1, 0));
        vm.prank(requester);
        market.request{value: 1}(r);
        address[] memory one = new address[](1);
        one[0] = workers[3];
        Request memory proved = _hired(_in(_defaultProved(), token), workers[3]);
        bytes memory keys = _sealedKeys(one);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, 1, 0));
        vm.prank(requester);
        market.hire{value: 1}(proved, keys);
        bytes memory call = abi.encodeCall(market.requestWithPermit, (r, 0, 0, 0, 0));
        vm.prank(requester);
        (bool done,) = address(market).call{value: 1}(call);
        vm.assertFalse(done);
        vm.assertEq(address(market).balance, 0);
    }

    /// MONEY-3: a hired job in a token; the fault fee of a signed or demanded job is in the token, deposits in coins.
    function test_hire_and_void__token__pay_in_it() public {
        address token = address(new Silent());
        _use(token);
        _hire(_hired(_in(_defaultProved(), token), workers[3]));
        _prove();
        vm.assertEq(market.credit(workers[3], token), UNITS);
        _ready(_in(token));
        _demand(0);
        _lapse();
        _close();
        uint256 fee = uint256(UNITS) * FAULT_BPS / 10_000;
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(market.credit(committee[i], token), fee + (committee[i] == workers[3] ? UNITS : 0));
        }
        vm.assertEq(market.credit(committee[0], COIN), DEPOSIT);
        vm.assertEq(market.credit(requester, token), 3 * (uint256(UNITS) - fee));
        vm.assertEq(_owed(token), Any(token).balanceOf(address(market)));
    }

    /// CHAL-8, MONEY-1: a referee's escrow is in its own currency, the bond always in coins.
    function test_refer__escrow_in_a_token__bond_in_coins() public {
        address token = address(new Plain(18));
        Any any = _use(token);
        _ready(_in(token));
        _vote(RIGHT, RIGHT, RIGHT);
        Request memory referee = _referee(_in(token));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongDeposit.selector, BOND - 1, BOND));
        vm.prank(requester);
        market.refer{value: BOND - 1}(_ticket(), _brief(), referee);
        vm.prank(requester);
        market.refer{value: BOND}(_ticket(), _brief(), referee);
        vm.assertEq(address(market).balance, BOND);
        vm.assertEq(any.balanceOf(address(market)), (3 + 7) * uint256(UNITS));
    }

    // ------------------------------------------------------------------------------------------------ tokens that will not

    /// CUR-5: a token that moves another amount than it says is refused when money comes in, and nothing has moved.
    function test_request__token_that_moves_another_amount__reverts() public {
        address[4] memory tokens =
            [address(new Taxed()), address(new Generous()), address(new Pretends()), address(new Rebasing())];
        uint256 escrow = 3 * uint256(UNITS);
        uint256[4] memory moved = [escrow * 99 / 100, escrow + 1, 0, escrow - 1];
        for (uint256 i = 0; i < 4; ++i) {
            Any token = _use(tokens[i]);
            // An escrow is no whole number of shares of seven tenths.
            if (i == 3) Rebasing(tokens[i]).rebase(70);
            uint256 before = token.balanceOf(requester);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongAmount.selector, tokens[i], moved[i], escrow));
            _request(_in(tokens[i]));
            vm.assertEq(token.balanceOf(requester), before);
            vm.assertEq(token.balanceOf(address(market)), 0);
        }
    }

    /// CUR-5: a token that says no, or anything but yes, is believed.
    function test_request__token_that_says_no__reverts() public {
        address[4] memory tokens =
            [address(new Denies()), address(new Mumbles()), address(new SaysNo()), address(new SaysNo())];
        for (uint256 i = 0; i < 4; ++i) {
            Any token = _use(tokens[i]);
            vm.startPrank(requester);
            if (i == 2) token.approve(address(market), 3 * uint256(UNITS) - 1);
            vm.stopPrank();
            Request memory r = _in(tokens[i]);
            if (i == 3) {
                (r.terms.pricePerSeat, r.terms.lockEach) = (uint96(FUNDS), uint96(market.lockFor(FUNDS, tokens[i])));
            }
            vm.expectRevert(_failedOperation(tokens[i]));
            _request(r);
            vm.assertEq(token.balanceOf(requester), FUNDS);
        }
    }

    /// CUR-5: an address that was a token when it was listed and is none any more.
    function test_request__token_without_code__reverts() public {
        address token = address(new Plain(18));
        _use(token);
        vm.etch(token, "");
        vm.expectRevert();
        _request(_in(token));
    }

    // ------------------------------------------------------------------------------------------------ tokens that change

    /// MONEY-2, CUR-5: a token that stops moves nobody's money and holds up nothing else: jobs end, other currencies are paid, and
    /// what is owed stays owed until it moves again.
    function test_withdraw__paused_or_blocked__waits_and_holds_up_nobody() public {
        Gated token = new Gated();
        _use(address(token));
        _ready(_in(address(token)));
        (address first, address second) = (committee[0], committee[1]);
        token.pause(true);
        _vote(RIGHT, RIGHT, RIGHT);
        _assertState(State.Settled);
        vm.expectRevert(Gated.Gated_Closed.selector);
        market.withdraw(first, address(token));
        vm.assertEq(market.credit(first, address(token)), UNITS);
        // A job in coins beside it, of the same workers.
        Request memory r = _default();
        r.brief.nonce = 2;
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        market.withdraw(committee[0], COIN);
        vm.assertEq(committee[0].balance, PRICE);
        token.pause(false);
        token.block_(second, true);
        vm.expectRevert(Gated.Gated_Closed.selector);
        market.withdraw(second, address(token));
        market.withdraw(first, address(token));
        vm.assertEq(token.balanceOf(first), UNITS);
        token.block_(second, false);
        market.withdraw(second, address(token));
        vm.assertEq(token.balanceOf(second), UNITS);
        vm.assertEq(_owed(address(token)), token.balanceOf(address(market)));
    }

    /// CUR-5: what a token does to itself is its holders' loss, in this token alone: coins and other tokens are all there.
    function test_withdraw__token_shrinks_or_taxes_later__others_are_whole() public {
        Rebasing token = new Rebasing();
        TaxedLater other = new TaxedLater();
        address plain = address(new Plain(18));
        _use(address(token));
        _use(address(other));
        _use(plain);
        address[3] memory all = [address(token), address(other), plain];
        for (uint256 i = 0; i < 3; ++i) {
            Request memory r = _in(all[i]);
            r.brief.nonce = i;
            _ready(r);
            _vote(RIGHT, RIGHT, RIGHT);
        }
        token.rebase(50);
        other.tax();
        uint256 failed = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            if (market.credit(workers[i], plain) != 0) market.withdraw(workers[i], plain);
            if (market.credit(workers[i], address(other)) != 0) market.withdraw(workers[i], address(other));
            if (market.credit(workers[i], address(token)) == 0) continue;
            try market.withdraw(workers[i], address(token)) {}
            catch {
                ++failed;
            }
        }
        vm.assertEq(failed, 2); // half of it is there: enough for one of three
        vm.assertEq(Any(plain).balanceOf(address(market)), 0);
        vm.assertEq(other.balanceOf(address(market)), 0);
    }

    // ------------------------------------------------------------------------------------------------ permits

    function _permit(Any token, address holder, uint256 deadline, uint256 value)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 kind = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(kind, holder, address(market), value, token.nonces(holder), deadline));
        return vm.sign(PERMIT_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }

    /// @dev A holder whose key is known, with tokens that it has not allowed.
    function _holder(address token) private returns (address holder, Request memory r) {
        holder = vm.addr(PERMIT_KEY);
        _list(token, RATE, UNITS);
        Any(token).mint(holder, FUNDS);
        r = _in(token);
        r.terms.requester = holder;
    }

    /// CUR-7
    function test_requestWithPermit__signed__posts_without_an_allowance() public {
        Any token = Any(address(new Plain(18)));
        (address holder, Request memory r) = _holder(address(token));
        (uint8 v, bytes32 s1, bytes32 s2) = _permit(token, holder, block.timestamp, 3 * uint256(UNITS));
        vm.prank(holder);
        JobId posted = market.requestWithPermit(r, block.timestamp, v, s1, s2);
        vm.assertEq(JobId.unwrap(posted), JobId.unwrap(_jobId(r)));
        vm.assertEq(uint256(market.job(posted).state), uint256(State.Open));
        vm.assertEq(token.balanceOf(address(market)), 3 * uint256(UNITS));
        vm.assertEq(token.allowance(holder, address(market)), 0);
    }

    /// CUR-7: whoever copies the permit out of the mempool gains nothing and stops nothing.
    function test_requestWithPermit__permit_used_by_another_first__posts_all_the_same() public {
        Any token = Any(address(new Plain(18)));
        (address holder, Request memory r) = _holder(address(token));
        (uint8 v, bytes32 s1, bytes32 s2) = _permit(token, holder, block.timestamp, 3 * uint256(UNITS));
        vm.prank(stranger);
        token.permit(holder, address(market), 3 * uint256(UNITS), block.timestamp, v, s1, s2);
        // Nor can it post with it: the requester of the terms must be the caller.
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, stranger, holder));
        vm.prank(stranger);
        market.requestWithPermit(r, block.timestamp, v, s1, s2);
        vm.prank(holder);
        market.requestWithPermit(r, block.timestamp, v, s1, s2);
        vm.assertEq(token.balanceOf(address(market)), 3 * uint256(UNITS));
    }

    /// CUR-7: a permit that is late, for less, or of another's hand is none.
    function test_requestWithPermit__bad_permit__reverts_without_an_allowance() public {
        Any token = Any(address(new Plain(18)));
        (address holder, Request memory r) = _holder(address(token));
        for (uint256 i = 0; i < 3; ++i) {
            uint256 deadline = i == 0 ? block.timestamp - 1 : block.timestamp;
            (uint8 v, bytes32 s1, bytes32 s2) = _permit(token, holder, deadline, 3 * uint256(UNITS) - (i == 1 ? 1 : 0));
            if (i == 2) s1 = bytes32(uint256(s1) ^ 1);
            vm.expectRevert();
            vm.prank(holder);
            market.requestWithPermit(r, deadline, v, s1, s2);
        }
        vm.assertEq(token.balanceOf(holder), FUNDS);
    }

    /// CUR-7: tokens that know no permit, or take anything for one, give no allowance by it, whosever tokens they are.
    function test_requestWithPermit__token_takes_anything_for_a_permit__moves_nothing() public {
        address[3] memory tokens = [address(new Wrapped()), address(new Hooked()), address(new Silent())];
        for (uint256 i = 0; i < 3; ++i) {
            (address holder, Request memory r) = _holder(tokens[i]);
            vm.expectRevert(Ledger.Ledger_Insufficient.selector);
            vm.prank(holder);
            market.requestWithPermit(r, block.timestamp, 27, 0, 0);
            // With an allowance it is a request.
            vm.startPrank(holder);
            Any(tokens[i]).approve(address(market), 3 * uint256(UNITS));
            market.requestWithPermit(r, block.timestamp, 27, 0, 0);
            vm.stopPrank();
            vm.assertEq(Any(tokens[i]).balanceOf(address(market)), 3 * uint256(UNITS));
        }
    }

    /// CUR-7, MONEY-5: the own coin has no permit, and no job is posted for nothing.
    function test_requestWithPermit__coin__reverts() public {
        Request memory r = _default();
        vm.expectRevert();
        vm.prank(requester);
        market.requestWithPermit(r, block.timestamp, 27, 0, 0);
    }

    // ------------------------------------------------------------------------------------------------ sums

    /// forge-config: default.fuzz.runs = 300
    /// MONEY-1, MONEY-3: any price, share and vote; what came in is owed to somebody, to the unit.
    function testFuzz_job__any_price_percent_and_votes__is_owed_to_the_unit(uint96 price, uint8 percent, uint8 votes)
        public
    {
        address token = address(new Plain(18));
        Any any = Any(token);
        percent %= 51;
        vm.startPrank(owner);
        version = models.publish(keccak256("shared"), _open(), Offer(1, percent, false), "");
        vm.stopPrank();
        _list(token, RATE, 1);
        price = price % 1e18 + 1;
        any.mint(requester, 3 * uint256(price));
        vm.prank(requester);
        any.approve(address(market), 3 * uint256(price));
        Request memory r = _in(token);
        (r.terms.version, r.terms.ownerPercent) = (version, percent);
        (r.terms.pricePerSeat, r.terms.lockEach) = (price, uint96(market.lockFor(price, token)));
        _ready(r);
        bytes32[3] memory outputs = [RIGHT, WRONG, OTHER];
        bytes32[3] memory voted = [outputs[votes % 3], outputs[votes / 3 % 3], outputs[votes / 9 % 3]];
        for (uint256 i = 0; i < 3; ++i) {
            if (committee[i] != address(0)) _commit(i, voted[i]);
        }
        for (uint256 i = 0; i < 3; ++i) {
            if (market.job(id).state == State.Committed && committee[i] != address(0)) _reveal(i, voted[i]);
        }
        if (market.job(id).state == State.Disputed) {
            vm.prank(requester);
            market.resolve(_ticket());
        }
        vm.assertEq(_owed(token), any.balanceOf(address(market)));
        if (market.fees(version, token) != 0) market.collect(version, token);
        vm.assertEq(_owed(token), any.balanceOf(address(market)));
        _withdrawAll(token);
        if (market.credit(owner, token) != 0) market.withdraw(owner, token);
        vm.assertEq(any.balanceOf(address(market)), 0);
    }
}
