// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {Base, IAccounts, IJobMarket, INodeRegistry, JobId, Offer, Request, VersionId, vm} from "./Base.t.sol";
import {Rogue} from "./utils/Rogue.sol";
import {Hooked} from "./utils/tokens/Hooked.sol";

/// @notice Does as it is told when it is called for the n-th time: requester, payee, worker, consumer and listener in one.
contract Reenterer {
    address private _target;
    bytes private _data;
    uint256 private _value;
    uint256 private _in;
    bool public ran;
    bool public done;
    bytes public answer;

    /// @param calls the call of this contract, counted from one, in which it acts
    function arm(uint256 calls, address target, uint256 value, bytes calldata data) external {
        (_in, _target, _value, _data) = (calls, target, value, data);
    }

    receive() external payable {
        _act();
    }

    fallback() external payable {
        _act();
    }

    function _act() private {
        if (_in == 0 || --_in != 0) return;
        ran = true;
        (done, answer) = _target.call{value: _value}(_data);
    }
}

/// @notice Whoever the market calls (a payee, a token, a holder that hears of its transfer, a permit, a consumer, a verifier)
///         calls back into every function that changes something. Where that is let in, what comes out is what it would have
///         been one after the other; while tokens are on their way in, or anything out, no tokens get in and nothing gets out.
contract ReentrancyTest is Base {
    struct Call {
        string name;
        uint256 value;
        bytes data;
        bool guarded;
        /// @dev How often the reenterer is called in it.
        uint256 calls;
    }

    Reenterer private _r;
    Hooked private _token;
    VersionId private _shared;
    JobId[] private _jobs;
    Call[] private _entries;
    Call[] private _outers;

    function setUp() public override {
        super.setUp();
        _r = new Reenterer();
        _token = new Hooked();
        _list();
        vm.deal(address(_r), 1000 ether);
        _register(address(_r), 60 ether);
        workers.push(address(_r));
        _nextEpoch();
        _prepare();
        _token.listen(address(_r));
    }

    function _list() private {
        vm.prank(steward);
        currencies.announce(address(_token), 1 ether);
        vm.startPrank(owner);
        _shared = models.publish(keccak256("shared"), _open(), Offer(PRICE, 10, false), "");
        models.setTokenPrice(version, address(_token), PRICE);
        models.setTokenPrice(provable, address(_token), PRICE);
        vm.stopPrank();
        vm.warp(block.timestamp + CURRENCY_DELAY);
        _token.mint(address(_r), 100 ether);
        vm.prank(address(_r));
        _token.approve(address(market), 100 ether);
    }

    function _named(Request memory r, uint256 nonce) private pure returns (Request memory) {
        r.brief.nonce = nonce;
        return r;
    }

    /// @dev The reenterer's own request.
    function _own(uint256 nonce) private view returns (Request memory r) {
        r = _named(_default(), nonce);
        r.terms.requester = address(_r);
    }

    function _ownToken(uint256 nonce) private view returns (Request memory r) {
        r = _own(nonce);
        r.terms.token = address(_token);
    }

    function _ownProved(uint256 nonce, address worker) private view returns (Request memory r) {
        r = _hired(_named(_defaultProved(), nonce), worker);
        r.terms.requester = address(_r);
    }

    /// @dev A job for each function that changes one, and what calls it. At the end all are in time.
    function _prepare() private {
        Request memory r = _named(_default(), 103);
        _ready(r);
        _vote(RIGHT, RIGHT, WRONG);
        _jobs.push(id);
        _entry("resolve", 0, abi.encodeCall(IJobMarket.resolve, (_ticket())));

        r = _named(_default(), 105);
        (r.terms.version, r.terms.ownerPercent) = (_shared, 10);
        (r.brief.consumer, r.brief.consumerGas) = (address(_r), 3_000_000);
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        _jobs.push(id);
        _outers.push(Call("notify", 0, abi.encodeCall(IJobMarket.notify, (_ticket(), _brief())), false, 1));
        // Another one that asks for so little gas that the first consumer can tell it.
        (r.brief.nonce, r.brief.consumerGas) = (111, 30_000);
        _ready(r);
        _vote(RIGHT, RIGHT, RIGHT);
        _jobs.push(id);
        _entry("notify", 0, abi.encodeCall(IJobMarket.notify, (_ticket(), _brief())));
        _entry("collect", 0, abi.encodeCall(IAccounts.collect, (_shared, COIN)));
        vm.warp(block.timestamp + CHALLENGE_WINDOW + 1);

        _ready(_named(_default(), 102));
        _jobs.push(id);
        _entry("close", 0, abi.encodeCall(IJobMarket.close, (_ticket())));
        vm.warp(block.timestamp + COMMIT_WINDOW + 1);

        _ready(_named(_default(), 104));
        _demand(0);
        _jobs.push(id);
        _entry("publish", 0, abi.encodeCall(IJobMarket.publish, (_ticket(), _brief(), CIPHERTEXT)));

        _ready(_named(_defaultVerified(), 101));
        _vote(WRONG, WRONG, WRONG);
        _jobs.push(id);
        _entry("challenge", BOND, abi.encodeCall(IJobMarket.challenge, (_ticket())));
        bytes memory proof = _proof(id, address(_r));
        _entry("judge", 0, abi.encodeCall(IJobMarket.judge, (_ticket(), _brief(), _opening(), MASKED, proof)));

        _hire(_ownProved(107, address(_r)));
        _jobs.push(id);
        proof = _proof(id, address(_r));
        _entry("prove", 0, abi.encodeCall(IJobMarket.prove, (_ticket(), _brief(), _opening(), MASKED, proof, "")));

        _seated();
        _credits();
        _guarded();
        _undeliveredJob();
    }

    /// @dev A job that the reenterer has a seat in.
    function _seated() private {
        for (uint256 nonce = 120;; ++nonce) {
            _ready(_named(_default(), nonce));
            if (committee[0] == address(_r) || committee[1] == address(_r) || committee[2] == address(_r)) break;
        }
        _jobs.push(id);
        _entry("commit", 0, abi.encodeCall(IJobMarket.commit, (_ticket(), _commitment(id, address(_r), RIGHT))));
        _entry("refuse", 0, abi.encodeCall(IJobMarket.refuse, (_ticket(), 2, "", "")));
        _entry("demand", DEPOSIT, abi.encodeCall(IJobMarket.demand, (_ticket())));
        _entry("reveal", 0, abi.encodeCall(IJobMarket.reveal, (_ticket(), RIGHT, 0, "", "")));
        _entry("answer", 0, abi.encodeCall(IJobMarket.answer, (_ticket(), RIGHT, "", "")));
    }

    /// @dev What a split vote gave back to the reenterer, in coins and in tokens.
    function _credits() private {
        for (uint256 i = 0; i < 2; ++i) {
            _ready(i == 0 ? _own(109) : _ownToken(110));
            _vote(RIGHT, WRONG, OTHER);
            vm.prank(address(_r));
            market.resolve(_ticket());
        }
        bytes memory coins = abi.encodeCall(IAccounts.withdraw, (address(_r), COIN));
        bytes memory tokens = abi.encodeCall(IAccounts.withdraw, (address(_r), address(_token)));
        _outers.push(Call("withdraw coins", 0, coins, true, 1));
        _outers.push(Call("withdraw tokens", 0, tokens, true, 2));
        _entries.push(Call("withdraw coins", 0, coins, true, 0));
        _entries.push(Call("withdraw tokens", 0, tokens, true, 0));
    }

    function _guarded() private {
        // Settled, of the reenterer's own: a referee can be called.
        _ready(_own(108));
        _vote(RIGHT, RIGHT, RIGHT);
        _jobs.push(id);
        Request memory referee = _referee(_own(108));
        bytes memory refer = abi.encodeCall(IJobMarket.refer, (_ticket(), _brief(), referee));
        _entries.push(Call("refer", _escrow(referee) + BOND, refer, false, 0));
        referee.terms.token = address(_token);
        refer = abi.encodeCall(IJobMarket.refer, (_ticket(), _brief(), referee));
        _outers.push(Call("refer", BOND, refer, true, 2));

        _entries.push(Call("request", ESCROW, abi.encodeCall(IJobMarket.request, (_own(201))), false, 0));
        _outers.push(Call("request", 0, abi.encodeCall(IJobMarket.request, (_ownToken(301))), true, 2));
        bytes memory permit = abi.encodeCall(IJobMarket.requestWithPermit, (_ownToken(202), 0, 0, 0, 0));
        _entries.push(Call("requestWithPermit", 0, permit, true, 0));
        permit = abi.encodeCall(IJobMarket.requestWithPermit, (_ownToken(302), 0, 0, 0, 0));
        _outers.push(Call("requestWithPermit", 0, permit, true, 3));
        address[] memory one = new address[](1);
        one[0] = workers[3];
        Request memory hired = _ownProved(203, workers[3]);
        bytes memory hire = abi.encodeCall(IJobMarket.hire, (hired, _sealedKeys(one)));
        _entries.push(Call("hire", PRICE, hire, false, 0));
        hired = _ownProved(303, workers[3]);
        hired.terms.token = address(_token);
        _outers.push(Call("hire", 0, abi.encodeCall(IJobMarket.hire, (hired, _sealedKeys(one))), true, 2));
        _jobs.push(_jobId(_own(201)));
        _jobs.push(_jobId(_ownToken(202)));
        _jobs.push(_jobId(_ownProved(203, workers[3])));
        _jobs.push(_jobId(_ownToken(301)));
        _jobs.push(_jobId(_ownToken(302)));
        _jobs.push(_jobId(hired));
    }

    function _undeliveredJob() private {
        Request memory r = _own(106);
        _request(r);
        _jobs.push(id);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        bytes32 hash = keccak256(abi.encode(drawn));
        _entry("deliver", 0, abi.encodeCall(IJobMarket.deliver, (r, SECRET, header, hash, _sealedKeys(drawn))));
    }

    function _entry(string memory name, uint256 value, bytes memory data) private {
        _entries.push(Call(name, value, data, false, 0));
    }

    /// @dev All that is owed to or held by anybody, and where every job stands.
    function _digest() private view returns (bytes32 hash) {
        hash = keccak256(abi.encode(address(market).balance, address(nodes).balance, address(_r).balance));
        hash = keccak256(abi.encode(hash, _token.balanceOf(address(market)), _token.balanceOf(address(_r))));
        hash = keccak256(abi.encode(hash, market.fees(_shared, COIN)));
        address[4] memory others = [requester, owner, burn, stranger];
        for (uint256 i = 0; i < 4; ++i) {
            hash =
                keccak256(abi.encode(hash, market.credit(others[i], COIN), market.credit(others[i], address(_token))));
        }
        for (uint256 i = 0; i < workers.length; ++i) {
            address w = workers[i];
            hash = keccak256(abi.encode(hash, market.credit(w, COIN), market.credit(w, address(_token))));
            hash = keccak256(abi.encode(hash, market.reputation(w), nodes.node(w)));
        }
        for (uint256 i = 0; i < _jobs.length; ++i) {
            hash = keccak256(abi.encode(hash, market.job(_jobs[i])));
        }
    }

    function _do(Call memory c) private returns (bool done, bytes memory answer) {
        vm.prank(address(_r));
        (done, answer) = address(market).call{value: c.value}(c.data);
    }

    /// @dev External, so that the memory of one try is not that of the next.
    function attempt(uint256 o, uint256 moment, uint256 e) external {
        (Call memory outer, Call memory entry) = (_outers[o], _entries[e]);
        string memory name = string.concat(outer.name, " < ", entry.name);
        uint256 snapshot = vm.snapshotState();
        (bool done,) = _do(outer);
        vm.assertTrue(done, string.concat(name, ": outer alone"));
        bytes32 alone = _digest();
        (bool expected, bytes memory answer) = _do(entry);
        bytes32 end = expected ? _digest() : alone;
        vm.revertToState(snapshot);

        _r.arm(moment, address(market), entry.value, entry.data);
        (done,) = _do(outer);
        vm.assertTrue(done, string.concat(name, ": outer"));
        vm.assertTrue(_r.ran(), string.concat(name, ": never called"));
        // A permit runs before anything moves.
        bool permit = bytes4(outer.data) == IJobMarket.requestWithPermit.selector && moment == 1;
        if (outer.guarded && entry.guarded && !permit) {
            expected = false;
            answer = abi.encodeWithSelector(ReentrancyGuard.ReentrancyGuardReentrantCall.selector);
            end = alone;
        }
        vm.assertTrue(_r.done() == expected, string.concat(name, expected ? ": not let in" : ": let in"));
        vm.assertEq(keccak256(_r.answer()), keccak256(answer), string.concat(name, ": another answer"));
        vm.assertEq(_digest(), end, string.concat(name, ": another end than one after the other"));
        vm.revertToState(snapshot);
    }

    /// @dev Every entry at every moment of an outer call at which somebody else's code runs.
    function _everywhere(bytes4 selector, uint256 moments) private {
        uint256 tried = 0;
        for (uint256 o = 0; o < _outers.length; ++o) {
            if (bytes4(_outers[o].data) != selector) continue;
            for (uint256 moment = 1; moment <= _outers[o].calls; ++moment) {
                for (uint256 e = 0; e < _entries.length; ++e) {
                    this.attempt(o, moment, e);
                }
                ++tried;
            }
        }
        vm.assertEq(tried, moments);
        vm.assertEq(_entries.length, 20);
    }

    /// MONEY-8, MONEY-2: the payout, in coins and in a token.
    function test_withdraw__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IAccounts.withdraw.selector, 3);
    }

    /// MONEY-8: the escrow's way in.
    function test_request__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IJobMarket.request.selector, 2);
    }

    /// MONEY-8, CUR-7: and the permit before it.
    function test_requestWithPermit__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IJobMarket.requestWithPermit.selector, 3);
    }

    /// MONEY-8
    function test_hire__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IJobMarket.hire.selector, 2);
    }

    /// MONEY-8, CHAL-8
    function test_refer__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IJobMarket.refer.selector, 2);
    }

    /// JOB-38: a consumer may do what it likes with a result that is final.
    function test_notify__re_entered__ends_as_one_after_the_other() public {
        _everywhere(IJobMarket.notify.selector, 1);
    }

    /// @dev The test above would be worth little if what it tries failed by itself.
    function test_entries__alone__succeed() public {
        for (uint256 e = 0; e < _entries.length; ++e) {
            uint256 snapshot = vm.snapshotState();
            bytes32 before = _digest();
            (bool done,) = _do(_entries[e]);
            bool never = bytes4(_entries[e].data) == IJobMarket.reveal.selector
                || bytes4(_entries[e].data) == IJobMarket.answer.selector;
            vm.assertTrue(done != never, _entries[e].name);
            bool seen = _digest() != before || bytes4(_entries[e].data) == IJobMarket.notify.selector;
            vm.assertTrue(seen != never, string.concat(_entries[e].name, ": changes nothing"));
            vm.revertToState(snapshot);
        }
    }

    /// MONEY-2, MONEY-8: a payee that calls for its money again and again has it once.
    function test_withdraw__payee_calls_again__is_paid_once() public {
        uint256 before = address(_r).balance;
        uint256 credit = market.credit(address(_r), COIN);
        vm.assertGt(credit, 0, "nothing to steal");
        _r.arm(1, address(market), 0, abi.encodeCall(IAccounts.withdraw, (address(_r), COIN)));
        market.withdraw(address(_r), COIN);
        vm.assertTrue(_r.ran());
        vm.assertFalse(_r.done());
        vm.assertEq(address(_r).balance, before + credit);
        vm.assertEq(market.credit(address(_r), COIN), 0);
    }

    /// NODE-3: nor does a worker that takes its stake again while it is paid out.
    function test_registry_withdraw__worker_calls_again__is_paid_once() public {
        vm.prank(address(_r));
        nodes.announceExit();
        vm.warp(nodes.node(address(_r)).exitAt + 4 * LOCK_PERIOD);
        uint256 before = address(_r).balance;
        uint256 stake = nodes.node(address(_r)).stake;
        _r.arm(1, address(nodes), 0, abi.encodeCall(INodeRegistry.withdraw, ()));
        vm.prank(address(_r));
        nodes.withdraw();
        vm.assertTrue(_r.ran());
        vm.assertFalse(_r.done());
        vm.assertEq(address(_r).balance, before + stake);
    }

    /// JOB-31: a verifier is asked and can do nothing else, whatever it calls; not even when it says yes.
    function test_judge__verifier_calls_back__changes_nothing() public {
        bytes memory judge;
        for (uint256 e = 0; e < _entries.length; ++e) {
            if (bytes4(_entries[e].data) == IJobMarket.judge.selector) judge = _entries[e].data;
        }
        vm.etch(address(verifier), type(Rogue).runtimeCode);
        for (uint256 e = 0; e < _entries.length; ++e) {
            uint256 snapshot = vm.snapshotState();
            Rogue(address(verifier)).set(Rogue.Mode.CallsBack, address(market), _entries[e].data);
            // It answers true only if its call failed. What changes something in a static call burns all gas that it has.
            vm.prank(address(_r));
            (bool done,) = address(market).call{gas: 40_000_000}(judge);
            vm.assertTrue(done, _entries[e].name);
            vm.revertToState(snapshot);
        }
    }
}
