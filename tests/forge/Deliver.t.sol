// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Base,
    BlockHeader,
    Header,
    IJobMarket,
    INodeRegistry,
    Job,
    JobId,
    RefundReason,
    Request,
    State,
    vm
} from "./Base.t.sol";

contract DeliverTest is Base {
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// JOB-7, JOB-10, DRAW-1
    function test_deliver__default__locks_and_starts_the_clock() public {
        Request memory r = _default();
        _request(r);
        uint40 seedBlock = market.job(id).seedBlock;
        bytes memory header = _seedBlock(seedBlock);
        address[] memory drawn = _draw(id, 3);
        vm.expectEmit(address(market));
        emit IJobMarket.KeysDelivered(
            id,
            keccak256(abi.encode(id, _mixHash(seedBlock), SECRET)),
            drawn,
            _sealedKeys(drawn),
            uint40(block.timestamp + COMMIT_WINDOW)
        );
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakesLocked(drawn, LOCK);
        _deliver(r, header, drawn);

        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Ready);
        vm.assertEq(j.deadline, block.timestamp + COMMIT_WINDOW);
        vm.assertEq(j.digest, keccak256(abi.encode(drawn)));
        vm.assertEq(j.excused, 0);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(nodes.node(drawn[i]).locked, LOCK);
        }
    }

    /// JOB-6
    function test_deliver__another_sender__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        JobId theirs = market.jobId(r, stranger);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, theirs));
        market.deliver(r, SECRET, header, keccak256(abi.encode(drawn)), _sealedKeys(drawn));
    }

    /// JOB-2, JOB-6: no parameter can be swapped at delivery.
    function test_deliver__changed_request__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        r.secretHash = keccak256(abi.encode(bytes32(uint256(1))));
        JobId other = market.jobId(r, requester);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, other));
        _deliver(r, header, drawn);
    }

    /// JOB-6
    function test_deliver__wrong_secret__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        bytes32 wrong = keccak256("wrong");
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.JobMarket_WrongSecret.selector, keccak256(abi.encode(wrong)), r.secretHash
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
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_TooLate.selector, deadline + 1, deadline));
        _deliver(r, header, drawn);
    }

    /// DRAW-1, JOB-5: nobody knows the draw before the seed block.
    function test_deliver__in_the_seed_block__reverts() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).seedBlock;
        address[] memory drawn = _draw(id, 3);
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
        uint256 seedBlock = market.job(id).seedBlock;
        bytes memory header = _seedBlock(seedBlock);
        bytes memory other = _seedBlock(seedBlock + 1);
        address[] memory drawn = _draw(id, 3);
        vm.expectRevert(
            abi.encodeWithSelector(BlockHeader.BlockHeader_Mismatch.selector, keccak256(header), keccak256(other))
        );
        _deliver(r, other, drawn);
    }

    /// DRAW-1: when `blockhash` has forgotten the seed block, the history contract still tells.
    function test_deliver__after_256_blocks__reads_the_history() public {
        Request memory r = _default();
        _request(r);
        uint256 seedBlock = market.job(id).seedBlock;
        bytes memory header = Header.encode(seedBlock, _mixHash(seedBlock));
        vm.roll(seedBlock + 300);
        // Epochs of 100 blocks would be forgotten by now; this test is about the header.
        vm.mockCall(address(nodes), abi.encodeCall(nodes.epochOf, (block.number)), abi.encode(seedBlock / EPOCH));
        address[] memory drawn = _draw(id, 3);
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
        uint256 seedBlock = market.job(id).seedBlock;
        _seedBlock(seedBlock);
        address[] memory sealedFor = _draw(id, 3);

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
                IJobMarket.JobMarket_DrawMismatch.selector,
                keccak256(abi.encode(sealedFor)),
                keccak256(abi.encode(drawn))
            )
        );
        _deliver(r, header, sealedFor);
    }

    /// JOB-7
    function test_deliver__sealed_keys_too_short_or_long__reverts() public {
        Request memory r = _default();
        _request(r);
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        bytes32 drawnHash = keccak256(abi.encode(drawn));
        uint256[4] memory lengths = [uint256(0), 160, 239, 241];
        for (uint256 i = 0; i < lengths.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(IJobMarket.JobMarket_SealedKeysLength.selector, lengths[i], uint256(240))
            );
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
        vm.assertEq(market.credit(requester), PRICE);
        vm.assertEq(nodes.node(full[1]).stake, _stakeOf(full[1]));
        vm.assertEq(nodes.node(full[0]).locked, 0);
    }

    /// DRAW-5: exactly the lock is enough, one wei less is not.
    function test_deliver__free_stake_at_the_bound__decides() public {
        _request();
        uint256 snapshot = vm.snapshotState();
        _deliver();
        address[] memory full = committee;
        vm.revertToState(snapshot);
        address[] memory one = new address[](1);
        one[0] = full[0];
        vm.prank(address(market));
        nodes.lock(one, uint96(_stakeOf(full[0]) - LOCK));
        _deliver();
        vm.assertEq(committee[0], full[0]);
        vm.revertToState(snapshot);
        vm.prank(address(market));
        nodes.lock(one, uint96(_stakeOf(full[0]) - LOCK + 1));
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
        nodes.lock(one, all);
    }

    /// JOB-8
    function test_deliver__too_many_vacancies__refunds_whole() public {
        Request memory r = _default();
        _request(r);
        for (uint256 i = 0; i < WORKERS; ++i) {
            _occupy(workers[i]);
        }
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        vm.expectEmit(address(market));
        emit IJobMarket.JobRefunded(id, RefundReason.CommitteeTooSmall);
        _deliver(r, header, drawn);
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester), ESCROW);
        vm.assertEq(market.credit(burn), 0);
        vm.assertEq(market.job(id).excused, 0);
        for (uint256 i = 0; i < WORKERS; ++i) {
            vm.assertEq(nodes.node(workers[i]).locked, _stake(i));
        }
    }

    /// JOB-8: the quorum is the bound, not the number of seats.
    function test_deliver__quorum_of_seats_left__goes_on() public {
        Request memory r = _default();
        (r.seats, r.quorum) = (5, 4); // four workers
        _ready(r);
        _assertState(State.Ready);
        vm.assertEq(committee[4], address(0));
        (r.seats, r.quorum) = (5, 5);
        _ready(r);
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester), 5 * PRICE);
    }

    /// DRAW-4
    function test_deliver__all_workers_drawn__each_once() public {
        Request memory r = _default();
        (r.seats, r.quorum) = (4, 3);
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
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory before = _draw(id, 3);

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
        _seedBlock(market.job(id).seedBlock);
        address[] memory before = _draw(id, 3);
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
        bytes memory header = _seedBlock(market.job(id).seedBlock);
        address[] memory drawn = _draw(id, 3);
        uint256 epoch = block.number / EPOCH;
        vm.roll((epoch + 2) * EPOCH);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_SeatsForgotten.selector, epoch, epoch + 2));
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
        r.nonce = nonce;
        r.seats = uint8(2 + seats % 3);
        r.quorum = uint8(r.seats / 2 + 1);
        _ready(r);
        _assertState(State.Ready);
    }
}
