// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {
    ICurrencies,
    INodeRegistry,
    ISessions,
    Leaf,
    Order,
    Sessions,
    SessionId,
    SessionsBase,
    Settlement,
    Session,
    vm
} from "./SessionsBase.t.sol";

/// @notice A token that can be told to misbehave.
contract OddToken is ERC20("Odd", "ODD") {
    enum Mode {
        Plain,
        Fee,
        Generous,
        ReturnsFalse,
        Hook
    }

    Mode public mode;
    address public blocked;
    Sessions public target;
    bytes public data;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function set(Mode mode_) external {
        mode = mode_;
    }

    function setBlocked(address account) external {
        blocked = account;
    }

    function setHook(Sessions target_, bytes calldata data_) external {
        (mode, target, data) = (Mode.Hook, target_, data_);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (mode == Mode.ReturnsFalse) return false;
        if (mode == Mode.Hook) {
            (bool ok, bytes memory reason) = address(target).call(data);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(reason, 32), mload(reason))
                }
            }
        }
        if (mode == Mode.Fee) amount -= 1;
        if (mode == Mode.Generous) _mint(to, 1);
        return super.transferFrom(from, to, amount);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        require(to != blocked, "blocked");
        return super.transfer(to, amount);
    }
}

/// @notice A token that returns nothing.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice A requester whose account asks for more while it is paid, or takes no money at all.
contract GreedyRequester {
    Sessions private immutable _sessions;
    bool public refuses;
    uint256 public entered;
    bytes4 public seen;

    constructor(Sessions sessions_) payable {
        _sessions = sessions_;
    }

    function setRefuses(bool refuses_) external {
        refuses = refuses_;
    }

    function open(address worker, address signer, address key, uint96 price, uint96 amount)
        external
        returns (SessionId)
    {
        return _sessions.open{value: amount}(worker, signer, key, address(0), price, amount, 1);
    }

    function announce(SessionId id) external {
        _sessions.announceClose(id);
    }

    receive() external payable {
        require(!refuses, "no money");
        ++entered;
        try _sessions.withdraw(address(0), address(this)) {}
        catch (bytes memory reason) {
            seen = bytes4(reason);
        }
    }
}

contract SessionsMoneyTest is SessionsBase {
    OddToken private token;

    function setUp() public override {
        super.setUp();
        token = new OddToken();
        token.mint(requester, 100 * uint256(AMOUNT));
        rates.set(address(token), 2e18); // a unit is worth two wei
        vm.prank(requester);
        token.approve(address(sessions), type(uint256).max);
    }

    function _openToken(address of_, uint256 nonce) private returns (SessionId) {
        vm.prank(requester);
        return sessions.open(worker, vm.addr(SIGNER), vm.addr(KEY), of_, PRICE, AMOUNT, nonce);
    }

    // ------------------------------------------------------------------------------------------------ tokens

    /// SESS-3, SESS-7: paid in the token, bonded in coin at the rate of the opening.
    function test_token__whole_life__pays_in_token_and_returns_the_bond_in_coin() public {
        id = _openToken(address(token), 2);
        uint256 bond = 2 * uint256(DEPOSIT) + 2 * BOND_JOBS * uint256(PRICE);
        vm.assertEq(sessions.session(id).bond, bond);
        rates.set(address(token), 0); // SESS-3: delisting blocks nothing
        Order memory o = _order(4);
        bytes memory signature = _signed(KEY, o);
        vm.prank(worker);
        sessions.settle{value: bond}(id, o, signature, keccak256("hidden"));
        _demand(1, 4);
        vm.warp(block.timestamp + ANSWER + 1);
        sessions.forfeit(id, 1, 4);
        vm.warp(block.timestamp + CHALLENGE);
        sessions.pay(id, 1);
        _announce();
        vm.warp(block.timestamp + DELAY);
        sessions.close(id);
        sessions.withdraw(address(token), worker);
        sessions.withdraw(address(token), requester);
        vm.assertEq(token.balanceOf(worker), 3 * uint256(PRICE));
        vm.assertEq(token.balanceOf(requester), 100 * uint256(AMOUNT) - 3 * uint256(PRICE));
        vm.assertEq(token.balanceOf(address(sessions)), 0);
        vm.assertEq(_owed(requester), 2 * uint256(DEPOSIT));
    }

    /// SESS-3
    function test_token__not_listed__reverts() public {
        rates.set(address(token), 0);
        vm.prank(requester);
        vm.expectPartialRevert(bytes4(keccak256("NotListed(address)")));
        sessions.open(worker, vm.addr(SIGNER), vm.addr(KEY), address(token), PRICE, AMOUNT, 2);
    }

    /// SESS-3
    function test_token__coin_attached__reverts() public {
        vm.prank(requester);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_WrongValue.selector, 1, 0));
        sessions.open{value: 1}(worker, vm.addr(SIGNER), vm.addr(KEY), address(token), PRICE, AMOUNT, 2);
    }

    /// SESS-3
    function test_token__moves_less_or_more_than_told__reverts() public {
        OddToken.Mode[2] memory modes = [OddToken.Mode.Fee, OddToken.Mode.Generous];
        for (uint256 i = 0; i < 2; ++i) {
            token.set(modes[i]);
            uint256 received = i == 0 ? AMOUNT - 1 : AMOUNT + 1;
            vm.prank(requester);
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISessions.Sessions_WrongTransfer.selector, address(token), received, uint256(AMOUNT)
                )
            );
            sessions.open(worker, vm.addr(SIGNER), vm.addr(KEY), address(token), PRICE, AMOUNT, 2);
        }
    }

    /// SESS-3
    function test_token__returns_false__reverts() public {
        token.set(OddToken.Mode.ReturnsFalse);
        vm.prank(requester);
        vm.expectRevert();
        sessions.open(worker, vm.addr(SIGNER), vm.addr(KEY), address(token), PRICE, AMOUNT, 2);
    }

    /// SESS-3
    function test_token__returns_nothing__is_taken() public {
        SilentToken silent = new SilentToken();
        silent.mint(requester, AMOUNT);
        rates.set(address(silent), 1e18);
        id = _openToken(address(silent), 2);
        _announce();
        vm.warp(block.timestamp + DELAY);
        sessions.close(id);
        sessions.withdraw(address(silent), requester);
        vm.assertEq(silent.balanceOf(requester), AMOUNT);
    }

    /// SESS-18: a token with hooks does not count one deposit twice.
    function test_token__hook_that_deposits_again__reverts() public {
        id = _openToken(address(token), 2);
        token.setHook(sessions, abi.encodeCall(ISessions.topUp, (id, AMOUNT)));
        vm.prank(requester);
        vm.expectRevert(bytes4(keccak256("ReentrancyGuardReentrantCall()")));
        sessions.topUp(id, AMOUNT);
    }

    /// SESS-18: one payee that cannot be paid blocks nobody else, and can be paid later.
    function test_token__blocked_payee__blocks_nobody_else() public {
        id = _openToken(address(token), 2);
        Order memory o = _order(1);
        bytes memory signature = _signed(KEY, o);
        uint256 bond = sessions.session(id).bond;
        vm.prank(worker);
        sessions.settle{value: bond}(id, o, signature, keccak256("r"));
        _announce();
        vm.warp(block.timestamp + DELAY);
        sessions.pay(id, 1);
        sessions.close(id);
        token.setBlocked(requester);
        vm.expectRevert();
        sessions.withdraw(address(token), requester);
        sessions.withdraw(address(token), worker);
        vm.assertEq(token.balanceOf(worker), PRICE);
        token.setBlocked(address(0));
        sessions.withdraw(address(token), requester);
        vm.assertEq(token.balanceOf(address(sessions)), 0);
    }

    // ------------------------------------------------------------------------------------------------ withdraw

    /// SESS-18
    function test_withdraw__nothing_owed_or_twice__reverts() public {
        bytes memory expected = abi.encodeWithSelector(ISessions.Sessions_NoCredit.selector, requester, address(0));
        vm.expectRevert(expected);
        sessions.withdraw(address(0), requester);
        _announce();
        vm.warp(block.timestamp + DELAY);
        sessions.close(id);
        sessions.withdraw(address(0), requester);
        vm.expectRevert(expected);
        sessions.withdraw(address(0), requester);
    }

    /// SESS-18: whoever enters again while it is paid gets nothing more.
    function test_withdraw__reentered__pays_once() public {
        GreedyRequester greedy = new GreedyRequester{value: AMOUNT}(sessions);
        SessionId its = greedy.open(worker, vm.addr(SIGNER), vm.addr(KEY), PRICE, AMOUNT);
        greedy.announce(its);
        vm.warp(block.timestamp + DELAY);
        sessions.close(its);
        sessions.withdraw(address(0), address(greedy));
        vm.assertEq(address(greedy).balance, AMOUNT);
        vm.assertEq(greedy.entered(), 1);
        vm.assertEq(bytes32(greedy.seen()), bytes32(bytes4(keccak256("ReentrancyGuardReentrantCall()"))));
        vm.assertEq(address(sessions).balance, AMOUNT);
    }

    /// SESS-18: a requester that takes no money keeps the worker from nothing.
    function test_withdraw__payee_that_refuses__keeps_its_credit_and_blocks_nobody() public {
        GreedyRequester greedy = new GreedyRequester{value: AMOUNT}(sessions);
        SessionId its = greedy.open(worker, vm.addr(SIGNER), vm.addr(KEY), PRICE, AMOUNT);
        greedy.announce(its);
        id = its;
        _settle(3);
        vm.warp(block.timestamp + DELAY);
        sessions.close(its);
        sessions.pay(its, 1);
        greedy.setRefuses(true);
        uint256 owed = AMOUNT - 3 * uint256(PRICE);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_TransferFailed.selector, address(greedy), owed));
        sessions.withdraw(address(0), address(greedy));
        vm.assertEq(_owed(address(greedy)), owed);
        _withdraw(worker);
        vm.assertEq(worker.balance, 1000 ether + 3 * uint256(PRICE));
    }

    /// SESS-18: no money comes in but by the calls that are for it.
    function test_receive__plain_transfer__reverts() public {
        vm.prank(stranger);
        (bool ok,) = address(sessions).call{value: 1}("");
        vm.assertFalse(ok);
    }

    // ------------------------------------------------------------------------------------------------ conservation

    struct Seen {
        uint32 settled;
        uint256 pending;
        uint256 deposits;
    }

    /// SESS-18: whatever is done in whatever order, the balance is what is reserved, pending, deposited and owed; and at the end
    /// all of it leaves. Steps that a state does not allow revert, and are passed over.
    /// forge-config: default.fuzz.runs = 300
    function testFuzz_money__random_steps__is_conserved(bytes32 seed) public {
        for (uint256 i = 0; i < 24; ++i) {
            seed = keccak256(abi.encode(seed));
            _step(uint256(seed));
            _checkBalance();
        }
        vm.warp(block.timestamp + CHALLENGE + 2 * ANSWER + 1);
        _finish();
        if (sessions.session(id).closeAt == 0) _announce();
        vm.warp(block.timestamp + DELAY);
        if (!sessions.session(id).closed) sessions.close(id);
        _withdraw(worker);
        _withdraw(requester);
        _withdraw(BURN);
        vm.assertEq(address(sessions).balance, 0);
        vm.assertEq(
            worker.balance + requester.balance + BURN.balance + stranger.balance, 3000 ether, "no wei made or lost"
        );
    }

    function _step(uint256 random) private {
        uint256 what = random % 9;
        uint32 sequence = uint32((random >> 8) % 12) + 1;
        uint32 first = _firstOf(sequence);
        if (what == 0) {
            uint32 last = sessions.session(id).settled + uint32((random >> 40) % 3) + 1;
            Order memory o = _order(last);
            bytes memory signature = _signed(KEY, o);
            bytes32[] memory all = _leaves(sessions.session(id).settled + 1, last - sessions.session(id).settled);
            vm.prank(worker);
            try sessions.settle{value: BOND}(id, o, signature, _root(all)) {} catch {}
        }
        if (what == 1 || what == 2) {
            vm.prank(requester);
            try sessions.demand{value: DEPOSIT}(id, first, sequence) {} catch {}
        }
        if (what == 3) _tryShow(first, sequence);
        if (what == 4) try sessions.forfeit(id, first, sequence) {} catch {}
        if (what == 5) try sessions.pay(id, first) {} catch {}
        if (what == 6) vm.warp(block.timestamp + (random >> 64) % (ANSWER * 2));
        if (what == 7) {
            vm.prank(stranger);
            try sessions.topUp{value: PRICE}(id, PRICE) {} catch {}
        }
        if (what == 8 && random >> 200 & 7 == 0) {
            vm.prank(requester);
            try sessions.announceClose(id) {} catch {}
        }
        if (what == 8) try sessions.withdraw(address(0), random >> 100 & 1 == 0 ? worker : requester) {} catch {}
    }

    function _tryShow(uint32 first, uint32 sequence) private {
        uint32 count = sessions.settlement(id, first).count;
        if (count == 0) return;
        bytes32[] memory proof = _proof(_leaves(first, count), sequence - first);
        Leaf memory leaf = _leaf(sequence);
        try sessions.show(id, first, leaf, proof, _output(sequence)) {} catch {}
    }

    /// @dev The settlement that has leaf `sequence`, if any.
    function _firstOf(uint32 sequence) private view returns (uint32) {
        for (uint32 first = 1; first <= sequence; ++first) {
            uint32 count = sessions.settlement(id, first).count;
            if (count != 0 && sequence - first < count) return first;
        }
        return sequence;
    }

    function _checkBalance() private view {
        Session memory s = sessions.session(id);
        uint256 sum = s.reserved + _owed(worker) + _owed(requester) + _owed(BURN);
        for (uint32 first = 1; first <= s.settled; ++first) {
            Settlement memory m = sessions.settlement(id, first);
            sum += uint256(m.count - m.refunded) * s.price + m.demands * uint256(DEPOSIT);
            if (m.bonded && m.count != 0) sum += s.bond;
        }
        vm.assertEq(address(sessions).balance, sum, "SESS-18");
    }

    function _finish() private {
        uint32 settled = sessions.session(id).settled;
        for (uint32 first = 1; first <= settled; ++first) {
            uint32 count = sessions.settlement(id, first).count;
            if (count == 0) continue;
            for (uint32 i = 0; i < count; ++i) {
                try sessions.forfeit(id, first, first + i) {} catch {}
            }
            sessions.pay(id, first);
        }
    }
}
