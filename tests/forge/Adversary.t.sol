// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobMarket, INodeRegistry, JobId, RefundReason, Request, State, vm} from "./Base.t.sol";

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

    function _puppetRequests() private {
        bytes memory answer = _puppet.run(address(market), ESCROW, abi.encodeCall(market.request, (_default())));
        id = abi.decode(answer, (JobId));
    }

    function _puppetDelivers() private {
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        committee = _draw(id, 3);
        _puppet.run(
            address(market),
            0,
            abi.encodeCall(
                market.deliver, (_default(), SECRET, header, keccak256(abi.encode(committee)), _sealedKeys(committee))
            )
        );
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
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.JobMarket_TransferFailed.selector, address(_puppet), uint256(PRICE))
        );
        market.withdraw(address(_puppet));
        vm.assertEq(market.credit(address(_puppet)), PRICE);
        market.withdraw(committee[0]);
        market.withdraw(committee[1]);
        market.withdraw(burn);
        vm.assertEq(address(market).balance, PRICE);
        _puppet.refuse(false);
        market.withdraw(address(_puppet));
        vm.assertEq(address(market).balance, 0);
    }

    /// MONEY-2, MONEY-4: paid once, whatever the payee calls while it is being paid.
    function test_payee__reenters_everything__is_paid_once() public {
        Request memory others = _default();
        others.nonce = 9;
        _request(others); // money that a second payment could come from
        _puppetRequests();
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        address[] memory none = new address[](0);
        market.close(id, none);
        uint256 fee = ESCROW * FAULT_BPS / 10_000;

        Request memory r = _default();
        r.nonce = 2;
        address m = address(market);
        _puppet.onReceive(m, 0, abi.encodeCall(market.withdraw, (address(_puppet))));
        _puppet.onReceive(m, 0, abi.encodeCall(market.close, (id, none)));
        _puppet.onReceive(m, ESCROW, abi.encodeCall(market.request, (_default()))); // posted already
        _puppet.onReceive(m, 0, abi.encodeCall(market.withdraw, (burn))); // anybody may
        _puppet.onReceive(m, ESCROW, abi.encodeCall(market.request, (r))); // a new job is nothing new
        uint256 before = address(_puppet).balance;
        market.withdraw(address(_puppet));
        vm.assertEq(_puppet.failed(), 3);
        vm.assertEq(_puppet.succeeded(), 2);
        vm.assertEq(address(_puppet).balance, before + ESCROW - fee - ESCROW);
        vm.assertEq(burn.balance, fee);
        vm.assertEq(address(market).balance, 2 * ESCROW); // of the new job and the other one
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
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        committee = _draw(id, 3);
        bytes memory keys = _sealedKeys(committee);
        bytes32 hash = keccak256(abi.encode(committee));
        JobId theirs = market.jobId(r, stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, theirs));
        vm.prank(stranger);
        market.deliver(r, SECRET, header, hash, keys);
        _deliver(r, header, committee);

        bytes32 commitment = _commitment(id, committee[0], RIGHT);
        bytes memory notSeated = abi.encodeWithSelector(IJobMarket.JobMarket_NotSeated.selector, stranger);
        vm.expectRevert(notSeated);
        vm.prank(stranger);
        market.commit(id, committee, commitment);
        _commitAll(RIGHT, RIGHT, RIGHT);

        vm.expectRevert(notSeated);
        vm.prank(stranger);
        market.reveal(id, committee, RIGHT, _salt(committee[0]), "", "");
        // Another seat that sends the copied opening opens nothing.
        bytes32 opened = keccak256(
            abi.encode(block.chainid, address(market), id, uint256(0), committee[1], RIGHT, _salt(committee[0]))
        );
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.JobMarket_WrongOpening.selector, opened, _commitment(id, committee[1], RIGHT)
            )
        );
        vm.prank(committee[1]);
        market.reveal(id, committee, RIGHT, _salt(committee[0]), "", "");
    }

    /// JOB-11: an opening of one job opens nothing in the next, with the same committee and output.
    function test_replay__opening_of_another_job__reverts() public {
        Request memory r = _default();
        (r.seats, r.quorum) = (4, 3);
        _ready(r);
        address[] memory first = committee;
        bytes32 old = _commitment(id, first[0], RIGHT);
        r.nonce = 2;
        _ready(r);
        for (uint256 i = 0; i < 4; ++i) {
            if (committee[i] != first[0]) {
                _commit(i, RIGHT);
                continue;
            }
            vm.prank(first[0]);
            market.commit(id, committee, old);
        }
        vm.expectRevert(
            abi.encodeWithSelector(IJobMarket.JobMarket_WrongOpening.selector, _commitment(id, first[0], RIGHT), old)
        );
        vm.prank(first[0]);
        market.reveal(id, committee, RIGHT, _salt(first[0]), "", "");
    }

    /// DRAW-6, JOB-18: drawing until the committee pleases costs the fault fee each time.
    function test_requester__abandons_to_redraw__loses_the_fee_each_time() public {
        uint256 before = requester.balance;
        for (uint256 i = 0; i < 5; ++i) {
            Request memory r = _default();
            r.nonce = i;
            _request(r);
            _lapse();
            vm.prank(stranger);
            market.close(id, committee);
        }
        market.withdraw(requester);
        vm.assertEq(before - requester.balance, 5 * ESCROW * FAULT_BPS / 10_000);
    }

    /// JOB-2, DRAW-6: the requester cannot have one seed drawn twice by changing what the seed does not hash.
    function test_requester__second_delivery__reverts() public {
        _ready();
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_WrongState.selector, id, State.Ready));
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
                uint256 snapshot = vm.snapshotState();
                _play(acts);
                uint256 income = market.credit(requester);
                uint256 loss = ESCROW;
                for (uint256 i = 0; i < 3; ++i) {
                    if (coalition & (1 << i) == 0) continue;
                    income += market.credit(committee[i]);
                    loss += _loss(committee[i]);
                }
                vm.assertLe(income, loss, "the coalition gained");
                vm.revertToState(snapshot);
            }
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
        if (state == State.Settled || state == State.Refunded) return;
        vm.warp(block.timestamp + 1 days);
        _close();
    }

    /// JOB-17: a worker that demands and answers itself gets back its deposit and nothing else.
    function test_worker__publishes_on_its_own_demand__gains_nothing() public {
        _ready();
        _demand(0);
        vm.prank(committee[0]);
        market.publish(_default(), requester, CIPHERTEXT);
        vm.assertEq(market.credit(committee[0]), DEPOSIT);
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
        (r.seats, r.quorum) = (15, 8);
        _request(r);
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        committee = _draw(id, 15);
        bytes memory keys = _sealedKeys(committee);
        uint256 cap = uint256(2 ** 24) * 30 / 100;
        vm.prank(requester);
        uint256 before = gasleft();
        market.deliver(r, SECRET, header, keccak256(abi.encode(committee)), keys);
        vm.assertLt(before - gasleft(), cap, "deliver");
        for (uint256 i = 0; i < 15; ++i) {
            _commit(i, i < 8 ? RIGHT : WRONG);
        }
        for (uint256 i = 0; i < 14; ++i) {
            _reveal(i, i < 8 ? RIGHT : WRONG);
        }
        before = gasleft();
        _reveal(14, WRONG);
        vm.assertLt(before - gasleft(), cap, "reveal that settles");
        _assertState(State.Settled);
    }
}
