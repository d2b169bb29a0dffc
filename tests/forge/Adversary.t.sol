// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, INodeRegistry, JobId, Request, State, vm} from "./Base.t.sol";

/// @notice Does what it is told, and on receiving money runs a list of calls, whose success it notes.
contract Puppet {
    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    Call[] private _script;
    bool public refuses;
    uint256 public succeeded;
    uint256 public failed;

    function run(address target, uint256 value, bytes calldata data) external payable returns (bytes memory) {
        (bool ok, bytes memory answer) = target.call{value: value}(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }

    function onReceive(address target, uint256 value, bytes calldata data) external {
        _script.push(Call(target, value, data));
    }

    function refuse(bool refuses_) external {
        refuses = refuses_;
    }

    receive() external payable {
        require(!refuses, "no, thank you");
        Call[] memory script = _script;
        delete _script; // once
        for (uint256 i = 0; i < script.length; ++i) {
            (bool ok,) = script[i].target.call{value: script[i].value}(script[i].data);
            ok ? ++succeeded : ++failed;
        }
    }
}

/// @notice Attacks of docs/spec/protocol.md and of the market rules, tried.
contract AdversaryTest is Base {
    Puppet private _puppet;

    function setUp() public override {
        super.setUp();
        _puppet = new Puppet();
        vm.deal(address(_puppet), 100 ether);
    }

    /// @dev The puppet as the requester.
    function _own() private view returns (Request memory r) {
        r = _default();
        r.terms.requester = address(_puppet);
    }

    function _puppetRequests() private {
        bytes memory answer = _puppet.run(address(market), ESCROW, abi.encodeCall(market.request, (_own())));
        _remember(abi.decode(answer, (JobId)), _own());
    }

    function _puppetDelivers() private {
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(_own());
        _puppet.run(
            address(market),
            0,
            abi.encodeCall(market.deliver, (_own(), SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn)))
        );
        _seat(id, drawn);
    }

    /// MONEY-2: a payee that takes no money holds up nobody, not even its own job; and keeps its claim.
    function test_payee__reverts__blocks_nobody() public {
        _puppetRequests();
        _puppetDelivers();
        _puppet.refuse(true);
        _commitAll(RIGHT, RIGHT, WRONG);
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _reveal(2, WRONG);
        _assertState(State.Settled);
        _lapse();
        _resolve();
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_TransferFailed.selector, address(_puppet), uint256(PRICE))
        );
        market.withdraw(address(_puppet), COIN);
        vm.assertEq(_credit(address(_puppet)), PRICE);
        market.withdraw(committee[0], COIN);
        market.withdraw(committee[1], COIN);
        market.withdraw(burn, COIN);
        vm.assertEq(address(market).balance, PRICE);
        _puppet.refuse(false);
        market.withdraw(address(_puppet), COIN);
        vm.assertEq(address(market).balance, 0);
    }

    /// MONEY-2, MONEY-4: paid once, whatever the payee calls while it is being paid. What moves money out is shut meanwhile, and the
    ///                   rest does what it does for anybody.
    function test_payee__reenters_everything__is_paid_once() public {
        Request memory others = _default();
        others.brief.nonce = 9;
        _request(others); // money that a second payment could come from
        _puppetRequests();
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        market.close(_ticket());
        uint256 fee = ESCROW * FAULT_BPS / 10_000;

        Request memory r = _own();
        r.brief.nonce = 2;
        address m = address(market);
        _puppet.onReceive(m, 0, abi.encodeCall(market.withdraw, (address(_puppet), COIN)));
        _puppet.onReceive(m, 0, abi.encodeCall(market.close, (_ticket())));
        _puppet.onReceive(m, ESCROW, abi.encodeCall(market.request, (_own()))); // posted already
        _puppet.onReceive(m, 0, abi.encodeCall(market.withdraw, (burn, COIN)));
        _puppet.onReceive(m, ESCROW, abi.encodeCall(market.request, (r)));
        _puppet.onReceive(m, 0, abi.encodeCall(market.resolve, (_ticket())));
        uint256 before = address(_puppet).balance;
        market.withdraw(address(_puppet), COIN);
        vm.assertEq(_puppet.failed(), 5);
        vm.assertEq(_puppet.succeeded(), 1); // a new request, paid for
        vm.assertEq(address(_puppet).balance, before - fee);
        vm.assertEq(address(market).balance, 2 * ESCROW + fee);
        market.withdraw(burn, COIN);
        vm.assertEq(burn.balance, fee);
        vm.assertEq(address(market).balance, 2 * ESCROW); // of the other job and the new one
    }

    /// NODE-3, MONEY-1: a worker that re-enters while its stake is paid out gets it once.
    function test_worker__reenters_its_withdrawal__is_paid_once() public {
        uint256 others = address(nodes).balance;
        address n = address(nodes);
        bytes memory registration = abi.encodeCall(nodes.register, ("", bytes32(uint256(1)), address(1)));
        _puppet.run(n, 5 ether, registration);
        _puppet.run(n, 0, abi.encodeCall(nodes.announceExit, ()));
        vm.warp(block.timestamp + EXIT_DELAY);
        _puppet.onReceive(n, 0, abi.encodeCall(nodes.withdraw, ()));
        _puppet.onReceive(n, 1 ether, abi.encodeCall(nodes.topUp, ()));
        _puppet.onReceive(n, 2 ether, registration); // it has left, so it may come back
        _puppet.onReceive(n, 0, abi.encodeCall(nodes.withdraw, ()));
        _puppet.run(n, 0, abi.encodeCall(nodes.withdraw, ()));
        vm.assertEq(_puppet.failed(), 3);
        vm.assertEq(_puppet.succeeded(), 1);
        vm.assertEq(address(nodes).balance, others + 2 ether);
        vm.assertEq(nodes.node(address(_puppet)).stake, 2 ether);
        vm.assertEq(address(_puppet).balance, 98 ether);
    }

    /// NODE-3: a worker that takes no money keeps its stake and its right to it.
    function test_worker__refuses_its_stake__keeps_the_claim() public {
        address n = address(nodes);
        _puppet.run(n, 5 ether, abi.encodeCall(nodes.register, ("", bytes32(uint256(1)), address(1))));
        _puppet.run(n, 0, abi.encodeCall(nodes.announceExit, ()));
        vm.warp(block.timestamp + EXIT_DELAY);
        _puppet.refuse(true);
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.NodeRegistry_TransferFailed.selector, address(_puppet), uint256(5 ether)
            )
        );
        _puppet.run(n, 0, abi.encodeCall(nodes.withdraw, ()));
        _puppet.refuse(false);
        _puppet.run(n, 0, abi.encodeCall(nodes.withdraw, ()));
        vm.assertEq(address(_puppet).balance, 100 ether);
    }

    /// JOB-6, JOB-9, JOB-11: calls copied from the mempool are worth nothing to whoever sends them first.
    function test_front_runner__copies_every_call__gains_nothing() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        bytes memory keys = _sealedKeys(drawn);
        bytes32 hash = keccak256(abi.encode(drawn));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, stranger, requester));
        vm.prank(stranger);
        market.deliver(r, SECRET, header, hash, keys);
        _deliver(r, header, drawn);

        bytes32 commitment = _commitment(id, committee[0], RIGHT);
        bytes memory notSeated = abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger);
        vm.expectRevert(notSeated);
        vm.prank(stranger);
        market.commit(_ticket(), commitment);
        _commitAll(RIGHT, RIGHT, RIGHT);

        vm.expectRevert(notSeated);
        vm.prank(stranger);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), "", "");
        // Another seat that sends the copied opening opens nothing.
        bytes32 opened = keccak256(
            abi.encode(block.chainid, address(market), id, uint256(0), committee[1], RIGHT, _salt(committee[0]))
        );
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_WrongOpening.selector, opened, _commitment(id, committee[1], RIGHT))
        );
        vm.prank(committee[1]);
        market.reveal(_ticket(), RIGHT, _salt(committee[0]), "", "");
    }

    /// JOB-11: an opening of one job opens nothing in the next, with the same committee and output.
    function test_replay__opening_of_another_job__reverts() public {
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (4, 3);
        _ready(r);
        address[] memory first = committee;
        bytes32 old = _commitment(id, first[0], RIGHT);
        r.brief.nonce = 2;
        _ready(r);
        for (uint256 i = 0; i < 4; ++i) {
            if (committee[i] != first[0]) {
                _commit(i, RIGHT);
                continue;
            }
            vm.prank(first[0]);
            market.commit(_ticket(), old);
        }
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_WrongOpening.selector, _commitment(id, first[0], RIGHT), old)
        );
        vm.prank(first[0]);
        market.reveal(_ticket(), RIGHT, _salt(first[0]), "", "");
    }

    /// DRAW-6, JOB-18: drawing until the committee pleases costs the fault fee each time.
    function test_requester__abandons_to_redraw__loses_the_fee_each_time() public {
        uint256 before = requester.balance;
        for (uint256 i = 0; i < 5; ++i) {
            Request memory r = _default();
            r.brief.nonce = i;
            _request(r);
            _lapse();
            vm.prank(stranger);
            market.close(_ticket());
        }
        market.withdraw(requester, COIN);
        vm.assertEq(before - requester.balance, 5 * ESCROW * FAULT_BPS / 10_000);
    }

    /// JOB-2, DRAW-6: the requester cannot have one seed drawn twice by changing what the seed does not hash.
    function test_requester__second_delivery__reverts() public {
        _request();
        uint256 seedBlock = market.job(id).moment;
        _deliver();
        bytes memory header = _seedBlock(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Ready));
        _deliver(_default(), header, committee);
    }

    /// MONEY-6: a requester in league with any of the seats, whatever these do to the honest ones: never a gain.
    ///          (Act 0 silent, 1 refuse, 2 hide, 3 right, 4 wrong, 5 another wrong; honest seats reveal the right output.)
    function test_slash_farming__every_coalition_with_its_client__gains_nothing() public {
        for (uint256 coalition = 0; coalition < 8; ++coalition) {
            for (uint256 n = 0; n < 216; ++n) {
                uint256[3] memory acts = [n % 6, n / 6 % 6, n / 36];
                bool honest = true;
                for (uint256 i = 0; i < 3; ++i) {
                    if (coalition & (1 << i) == 0 && acts[i] != 3) honest = false;
                }
                if (!honest) continue;
                for (uint256 ending = 0; ending < 2; ++ending) {
                    uint256 snapshot = vm.snapshotState();
                    this.farm(coalition, acts, ending == 0);
                    vm.revertToState(snapshot);
                }
            }
        }
    }

    /// @param patient whether the requester waits for its split vote to lapse
    function farm(uint256 coalition, uint256[3] memory acts, bool patient) external {
        _play(acts);
        _finish(patient);
        uint256 income = _credit(requester);
        uint256 loss = ESCROW;
        for (uint256 i = 0; i < 3; ++i) {
            if (coalition & (1 << i) == 0) continue;
            income += _credit(committee[i]);
            loss += _loss(committee[i]);
        }
        vm.assertLe(income, loss, "the coalition gained");
    }

    function _finish(bool patient) private {
        State state = market.job(id).state;
        if (state == State.Settled && market.job(id).dissenting != 0) {
            _lapse();
            _resolve();
        } else if (state == State.Disputed) {
            if (patient) _lapse();
            vm.prank(requester);
            market.resolve(_ticket());
        }
    }

    function _play(uint256[3] memory acts) private {
        _ready();
        bytes32[6] memory outputs = [bytes32(0), 0, RIGHT, RIGHT, WRONG, OTHER];
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] == 1 && market.job(id).state == State.Ready) _refuse(i);
        }
        if (market.job(id).state != State.Ready) return;
        uint256 commits = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] < 2) continue;
            _commit(i, outputs[acts[i]]);
            ++commits;
        }
        if (market.job(id).state == State.Ready) _lapse();
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] > 2 && commits > 1) _reveal(i, outputs[acts[i]]);
        }
        State state = market.job(id).state;
        if (state == State.Settled || state == State.Refunded || state == State.Disputed) return;
        vm.warp(block.timestamp + 1 days);
        _close();
    }

    /// JOB-17: a worker that demands and answers itself gets back its deposit and nothing else.
    function test_worker__publishes_on_its_own_demand__gains_nothing() public {
        _ready();
        _demand(0);
        vm.prank(committee[0]);
        market.publish(_ticket(), _brief(), CIPHERTEXT);
        vm.assertEq(_credit(committee[0]), DEPOSIT);
        vm.assertEq(address(market).balance, ESCROW + DEPOSIT);
    }

    /// MONEY-1: ether that is forced in is nobody's credit and pays for nothing.
    function test_forced_ether__changes_no_credit() public {
        vm.deal(address(market), 7 ether);
        _ready();
        _commitAll(RIGHT, RIGHT, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
        vm.assertEq(address(market).balance - 7 ether, _allCredits());
    }

    /// MAX_SEATS: the dearest calls at 15 seats stay below 30% of the 2^24 gas cap.
    function test_largest_committee__every_call__below_30_percent_of_the_gas_cap() public {
        for (uint256 i = WORKERS; i < 200; ++i) {
            _register(_worker(i), 10 ether + i);
        }
        _nextEpoch();
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (15, 8);
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        bytes memory keys = _sealedKeys(drawn);
        uint256 cap = uint256(2 ** 24) * 30 / 100;
        vm.prank(requester);
        uint256 before = gasleft();
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), keys);
        vm.assertLt(before - gasleft(), cap, "deliver");
        _seat(id, drawn);
        for (uint256 i = 0; i < 15; ++i) {
            _commit(i, i < 8 ? RIGHT : WRONG);
        }
        // The first output loses, which is the dearest tally.
        for (uint256 i = 14; i > 0; --i) {
            _reveal(i, i < 8 ? RIGHT : WRONG);
        }
        before = gasleft();
        _reveal(0, RIGHT);
        vm.assertLt(before - gasleft(), cap, "reveal that settles");
        _assertState(State.Settled);
        _lapse();
        before = gasleft();
        _resolve();
        vm.assertLt(before - gasleft(), cap, "resolve");
        vm.assertEq(market.result(id), RIGHT);
    }
}
