// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Base,
    BlockHeader,
    Header,
    IJobs,
    INodeRegistry,
    Job,
    JobId,
    RefundReason,
    Request,
    State,
    Ticket,
    vm
} from "./Base.t.sol";

contract DeliverTest is Base {
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// JOB-7, JOB-10, DRAW-1
    function test_deliver__default__locks_and_starts_the_clock() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = _seedBlock(seedBlock);
        address[] memory drawn = _draw(r);
        vm.expectEmit(address(market));
        emit IJobs.KeysDelivered(
            id,
            keccak256(abi.encode(id, _mixHash(seedBlock), SECRET)),
            drawn,
            _sealedKeys(drawn),
            uint40(block.timestamp + COMMIT_WINDOW)
        );
        _deliver(r, header, drawn);

        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Ready);
        vm.assertEq(j.deadline, block.timestamp + COMMIT_WINDOW);
        vm.assertEq(j.moment, block.timestamp);
        vm.assertEq(bytes32(j.tag), bytes12(keccak256(abi.encode(id, keccak256(_sealedKeys(drawn)), drawn))));
        vm.assertEq(j.excused, 0);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(drawn[i]), LOCK);
        }
    }

    /// JOB-6
    function test_deliver__another_sender__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, stranger, requester));
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
        r.terms.requester = stranger;
        JobId theirs = _jobId(r);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, theirs));
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
    }

    /// JOB-2, JOB-6: no parameter can be swapped at delivery.
    function test_deliver__changed_request__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        r.brief.secretHash = keccak256(abi.encode(bytes32(uint256(1))));
        JobId other = _jobId(r);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, other));
        _deliver(r, header, drawn);
    }

    /// JOB-6
    function test_deliver__wrong_secret__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        bytes32 wrong = keccak256("wrong");
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobs.JobMarket_WrongSecret.selector, keccak256(abi.encode(wrong)), r.brief.secretHash
            )
        );
        vm.prank(requester);
        market.deliver(r, wrong, header, 0, "");
    }

    /// JOB-6, JOB-24: the deadline itself is in time.
    function test_deliver__at_the_deadline__accepted() public {
        _request();
        vm.warp(market.job(id).deadline);
        _deliver();
        _assertState(State.Ready);
    }

    /// JOB-6
    function test_deliver__after_the_deadline__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _deliver(r, header, drawn);
    }

    /// DRAW-1, JOB-5: nobody knows the draw before the seed block.
    function test_deliver__in_the_seed_block__reverts() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        address[] memory drawn = _draw(r);
        for (uint256 number = seedBlock - SEED_DELAY; number <= seedBlock; ++number) {
            vm.roll(number);
            vm.expectRevert(abi.encodeWithSelector(BlockHeader.BlockHeader_HashUnavailable.selector, seedBlock, number));
            _deliver(r, Header.encode(seedBlock, _mixHash(seedBlock)), drawn);
        }
    }

    /// DRAW-1: the header of another block, real though it be.
    function test_deliver__header_of_another_block__reverts() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = _seedBlock(seedBlock);
        bytes memory other = _seedBlock(seedBlock + 1);
        address[] memory drawn = _draw(r);
        vm.expectRevert(
            abi.encodeWithSelector(BlockHeader.BlockHeader_Mismatch.selector, keccak256(header), keccak256(other))
        );
        _deliver(r, other, drawn);
    }

    /// DRAW-1: when `blockhash` has forgotten the seed block, the history contract still tells.
    function test_deliver__after_256_blocks__reads_the_history() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = Header.encode(seedBlock, _mixHash(seedBlock));
        vm.roll(seedBlock + 300);
        // Epochs of 100 blocks would be forgotten by now; this test is about the header.
        vm.mockCall(address(nodes), abi.encodeCall(nodes.epochOf, (block.number)), abi.encode(seedBlock / EPOCH));
        address[] memory drawn = _draw(r);
        vm.expectRevert(
            abi.encodeWithSelector(BlockHeader.BlockHeader_HashUnavailable.selector, seedBlock, block.number)
        );
        _deliver(r, header, drawn);
        vm.mockCall(HISTORY, abi.encode(seedBlock), abi.encode(keccak256(header)));
        _deliver(r, header, drawn);
        _assertState(State.Ready);
    }

    /// JOB-9: a reorganised seed exposes no key.
    function test_deliver__other_prevrandao__reverts() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        _seedBlock(seedBlock);
        address[] memory sealedFor = _draw(r);

        bytes32 otherMix;
        address[] memory drawn;
        for (uint256 i = 0;; ++i) {
            otherMix = keccak256(abi.encode("reorganised", i));
            drawn = _sample(keccak256(abi.encode(id, otherMix, SECRET)), 3, seedBlock / EPOCH, LOCK);
            if (keccak256(abi.encode(drawn)) != keccak256(abi.encode(sealedFor))) break;
        }
        bytes memory header = Header.encode(seedBlock, otherMix);
        vm.setBlockhash(seedBlock, keccak256(header));
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobs.JobMarket_DrawMismatch.selector, keccak256(abi.encode(sealedFor)), keccak256(abi.encode(drawn))
            )
        );
        _deliver(r, header, sealedFor);
    }

    /// JOB-7
    function test_deliver__sealed_keys_too_short_or_long__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        bytes32 drawnHash = keccak256(abi.encode(drawn));
        uint256[4] memory lengths = [uint256(0), 160, 239, 241];
        for (uint256 i = 0; i < lengths.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_SealedKeysLength.selector, lengths[i], uint256(240)));
            vm.prank(requester);
            market.deliver(r, SECRET, header, drawnHash, new bytes(lengths[i]));
        }
    }

    /// DRAW-5, JOB-7, JOB-10: a busy worker's seat stays empty and gets no key; the others do the job.
    function test_deliver__one_busy_worker__leaves_a_vacancy() public {
        _request();
        uint256 snapshot = vm.snapshotState();
        _deliver();
        address[] memory full = committee;
        vm.revertToState(snapshot);

        _occupy(full[1]);
        _deliver();
        vm.assertEq(committee[0], full[0]);
        vm.assertEq(committee[1], address(0));
        vm.assertEq(committee[2], full[2]);
        vm.assertEq(market.job(id).excused, 2);
        _commit(0, RIGHT);
        _assertState(State.Ready);
        _commit(2, RIGHT);
        _assertState(State.Committed);
        _reveal(0, RIGHT);
        _reveal(2, RIGHT);
        _assertState(State.Settled);
        vm.assertEq(_credit(requester), PRICE);
        vm.assertEq(nodes.node(full[1]).stake, _stakeOf(full[1]));
        vm.assertEq(_locked(full[0]), LOCK);
    }

    /// DRAW-5: exactly the lock is enough, one gwei less is not.
    function test_deliver__free_stake_at_the_bound__decides() public {
        _request();
        uint256 snapshot = vm.snapshotState();
        _deliver();
        address[] memory full = committee;
        vm.revertToState(snapshot);
        address[] memory one = new address[](1);
        one[0] = full[0];
        vm.prank(address(market));
        nodes.lock(one, uint96(_stakeOf(full[0]) - LOCK), _until());
        _deliver();
        vm.assertEq(committee[0], full[0]);
        vm.revertToState(snapshot);
        vm.prank(address(market));
        nodes.lock(one, uint96(_stakeOf(full[0]) - LOCK + 1 gwei), _until());
        _deliver();
        vm.assertEq(committee[0], address(0));
    }

    function _stakeOf(address worker) private view returns (uint256) {
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (workers[i] == worker) return _stake(i);
        }
        revert("not a worker");
    }

    /// @dev Locks all that a worker has, as other jobs would.
    function _occupy(address worker) private {
        address[] memory one = new address[](1);
        one[0] = worker;
        uint96 all = nodes.node(worker).stake;
        vm.prank(address(market));
        nodes.lock(one, all, _until());
    }

    function _until() private view returns (uint40) {
        return uint40(block.timestamp + LOCK_PERIOD);
    }

    /// JOB-8
    function test_deliver__too_many_vacancies__refunds_whole() public {
        Request memory r = _default();
        _request(r);
        for (uint256 i = 0; i < WORKERS; ++i) {
            _occupy(workers[i]);
        }
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.CommitteeTooSmall);
        _deliver(r, header, drawn);
        _assertState(State.Refunded);
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(_credit(burn), 0);
        vm.assertEq(market.job(id).excused, 0);
        for (uint256 i = 0; i < WORKERS; ++i) {
            vm.assertEq(_locked(workers[i]), _stake(i));
        }
    }

    /// JOB-8: the quorum is the bound, not the number of seats.
    function test_deliver__quorum_of_seats_left__goes_on() public {
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (5, 4); // four workers
        _ready(r);
        _assertState(State.Ready);
        vm.assertEq(committee[4], address(0));
        (r.terms.seats, r.terms.quorum) = (5, 5);
        _ready(r);
        _assertState(State.Refunded);
        vm.assertEq(_credit(requester), 5 * PRICE);
    }

    /// DRAW-4
    function test_deliver__all_workers_drawn__each_once() public {
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (4, 3);
        _ready(r);
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(committee[i] != committee[j]);
            }
        }
    }

    /// DRAW-2, DRAW-3: what stakes do after the request moves nobody.
    function test_deliver__stakes_moved_after_request__draws_as_if_they_had_not() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory before = _draw(r);

        _register(vm.addr(99), 10_000 ether);
        vm.deal(workers[0], 5000 ether);
        vm.prank(workers[0]);
        nodes.topUp{value: 5000 ether}();
        vm.prank(workers[3]);
        nodes.announceExit();
        _deliver(r, header, before);
        committee = before;
        _assertState(State.Ready);
    }

    /// DRAW-2: in the next epoch still, from the same weights.
    function test_deliver__in_the_next_epoch__draws_the_old_weights() public {
        _request();
        _seedBlock(market.job(id).moment);
        address[] memory before = _draw(_default());
        _register(vm.addr(99), 10_000 ether);
        vm.roll((block.number / EPOCH + 2) * EPOCH - 1); // its last block
        vm.prank(workers[3]);
        nodes.announceExit();
        _deliver();
        vm.assertEq(committee, before);
    }

    /// DRAW-2
    function test_deliver__two_epochs_later__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).moment);
        address[] memory drawn = _draw(r);
        uint256 epoch = block.number / EPOCH;
        vm.roll((epoch + 2) * EPOCH);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_SeatsForgotten.selector, epoch, epoch + 2));
        _deliver(r, header, drawn);
    }

    /// DRAW-2: the epoch is the request's, though the seed block be in the next.
    function test_deliver__request_at_the_end_of_an_epoch__keeps_its_weights() public {
        vm.roll((block.number / EPOCH + 1) * EPOCH - 1);
        _register(vm.addr(99), 10_000 ether); // counts when the seed block comes, not yet now
        _ready();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertTrue(committee[i] != vm.addr(99));
        }
    }

    /// DRAW-1: different secrets, prevrandaos and jobs give different seeds; the committee is that of the naive sampling.
    function testFuzz_deliver__any_nonce_and_size__draws_the_expected_committee(uint256 nonce, uint256 seats) public {
        Request memory r = _default();
        r.brief.nonce = nonce;
        r.terms.seats = uint8(2 + seats % 3);
        r.terms.quorum = uint8(r.terms.seats / 2 + 1);
        _ready(r);
        _assertState(State.Ready);
    }

    /// DRAW-10: a drawn worker below the brief's floor leaves its seat vacant, and nobody is drawn in its place.
    function test_deliver__reputation_below_the_floor__leaves_a_vacancy() public {
        // Five silent jobs: whoever was drawn is below 5000 now.
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (2, 2);
        _ready(r);
        _lapse();
        _close();
        address[2] memory bad = [committee[0], committee[1]];
        vm.assertEq(market.reputation(bad[0]), 3333);
        _nextEpoch();
        bool seen;
        for (uint256 nonce = 2; nonce < 6; ++nonce) {
            r = _default();
            (r.brief.nonce, r.terms.seats, r.terms.quorum, r.brief.reputation) = (nonce, 4, 3, 3333);
            _ready(r);
            for (uint256 i = 0; i < 4; ++i) {
                vm.assertTrue(committee[i] != address(0), "the floor itself is enough");
            }
            (r.brief.nonce, r.terms.quorum, r.brief.reputation) = (nonce + 100, 3, 3334);
            _request(r);
            bytes memory header = _seedBlock(market.job(id).moment);
            // As it would be drawn without a floor: the others keep their seats.
            r.brief.reputation = 3334;
            address[] memory drawn = _draw(r);
            uint256 vacant;
            for (uint256 i = 0; i < 4; ++i) {
                if (drawn[i] == address(0)) ++vacant;
                vm.assertTrue(drawn[i] != bad[0] && drawn[i] != bad[1]);
            }
            vm.assertEq(vacant, 2);
            _deliver(r, header, drawn);
            _assertState(State.Refunded); // two of four are too few for three
            seen = true;
        }
        vm.assertTrue(seen);
    }

    /// REP-1: time heals, since half of everything is forgotten every thirty days.
    function test_deliver__old_sins__are_forgotten() public {
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum) = (2, 2);
        _ready(r);
        _lapse();
        _close();
        vm.assertEq(market.reputation(committee[0]), 3333);
        vm.warp(block.timestamp + 60 days);
        vm.assertEq(market.reputation(committee[0]), 4444);
    }

    /// JOB-10: locked to the last second that a dispute about the job can last, and free by itself within a period after.
    function test_deliver__locks__outlast_the_last_dispute() public {
        _ready();
        uint256 until = block.timestamp + 2 * COMMIT_WINDOW + PUBLISH_WINDOW + REVEAL_WINDOW + CHALLENGE_WINDOW + 2
            * DISPUTE_WINDOW;
        vm.warp(until);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), LOCK);
        }
        vm.warp((until / LOCK_PERIOD + 1) * LOCK_PERIOD - 1);
        vm.assertEq(_locked(committee[0]), LOCK);
        vm.warp(block.timestamp + 1);
        vm.assertEq(_locked(committee[0]), 0);
    }

    /// JOB-12: what is shown later is what was delivered: the tag binds job, keys and committee.
    function test_deliver__tag__binds_keys_and_committee() public {
        _ready();
        Ticket memory t = _ticket();
        vm.assertEq(bytes32(market.job(id).tag), bytes32(_tag(t)));
        t.keys = 0;
        vm.assertTrue(market.job(id).tag != _tag(t));
    }
}
