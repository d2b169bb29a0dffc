// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Report} from "../../contracts/types/Evidence.sol";
import {IEnclaves, INodeRegistry, Level, Request, vm} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice An operator that is a contract: it agrees to one digest (ERC-1271).
contract Wallet {
    bytes32 private immutable _agreed;
    bytes private _answer;

    constructor(bytes32 agreed, bytes memory answer) {
        (_agreed, _answer) = (agreed, answer);
    }

    fallback(bytes calldata question) external returns (bytes memory) {
        (bytes32 hash,) = abi.decode(question[4:], (bytes32, bytes));
        return hash == _agreed ? _answer : abi.encode(bytes4(0));
    }
}

/// @notice Whose workers are whose, and that no committee seats two of one operator or of one machine (DRAW-8, DRAW-9).
contract OperatorsTest is EnclaveBase {
    uint256 private constant MANY = 16;
    bytes4 private constant ERC1271 = 0x1626ba7e;

    function _key(uint256 operator) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("operator", operator))) >> 1;
    }

    function _operator(uint256 operator) private pure returns (address) {
        return vm.addr(_key(operator));
    }

    function _membership(address registry, address worker, address operator) private view returns (bytes32) {
        bytes32 kind = keccak256("Membership(address worker,address operator)");
        return _typed(registry, keccak256(abi.encode(kind, worker, operator)));
    }

    function _consent(address worker, uint256 operator) private view returns (bytes memory) {
        return _sign(_key(operator), _membership(address(nodes), worker, _operator(operator)));
    }

    function _join(address worker, uint256 operator) private {
        bytes memory signature = _consent(worker, operator);
        vm.prank(worker);
        nodes.join(_operator(operator), signature);
    }

    /// @dev MANY workers more, each of one of so many operators or of none.
    function _populate(uint256 entropy, uint256 operators) private {
        for (uint256 i = WORKERS; i < WORKERS + MANY; ++i) {
            address worker = _worker(i);
            workers.push(worker);
            uint256 operator = uint256(keccak256(abi.encode(entropy, i))) % (operators + 1);
            if (operator != 0) _join(worker, operator);
            _register(worker, (1 + i % 5) * 1 ether);
        }
        _nextEpoch();
    }

    function _lockAll(address worker, uint40 until) private returns (uint96 most, address[] memory one) {
        one = new address[](1);
        one[0] = worker;
        most = nodes.node(worker).stake / 1 gwei * 1 gwei;
        vm.prank(address(market));
        nodes.lock(one, most, until);
    }

    function _assertMovedToNobody(address[] memory before, address[] memory later) private pure {
        for (uint256 seat = 0; seat < before.length; ++seat) {
            vm.assertTrue(later[seat] == before[seat] || later[seat] == address(0), "a seat was handed on");
        }
    }

    // ------------------------------------------------------------------------------------------------ join

    /// DRAW-8
    function test_join__with_consent__numbers_operators_from_one() public {
        address[3] memory three = [_worker(10), _worker(11), _worker(12)];
        vm.expectEmit(address(nodes));
        emit INodeRegistry.OperatorJoined(three[0], _operator(1), 1);
        _join(three[0], 1);
        _join(three[1], 2);
        _join(three[2], 1);
        vm.assertEq(nodes.operatorNumber(_operator(1)), 1);
        vm.assertEq(nodes.operatorNumber(_operator(2)), 2);
        vm.assertEq(nodes.operatorNumber(_operator(3)), 0);
        _register(three[0], 5 ether);
        vm.assertEq(nodes.node(three[0]).operator, 1);
        vm.assertEq(nodes.node(three[1]).operator, 2);
        vm.assertEq(nodes.node(three[2]).operator, 1);
        vm.assertEq(nodes.node(workers[0]).operator, 0);
    }

    /// DRAW-8: nobody is made an operator, or one's worker, by somebody else.
    function test_join__without_this_operators_consent_for_this_worker__reverts() public {
        address worker = _worker(10);
        address operator = _operator(1);
        bytes32 digest = _membership(address(nodes), worker, operator);
        bytes[6] memory wrong = [
            bytes(""),
            _sign(_key(2), digest),
            _consent(_worker(11), 1),
            _sign(_key(1), _membership(address(nodes), worker, _operator(2))),
            _sign(_key(1), _membership(address(market), worker, operator)),
            bytes.concat(_sign(_key(1), digest), hex"00")
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(INodeRegistry.NodeRegistry_WrongOperatorSignature.selector, operator)
            );
            vm.prank(worker);
            nodes.join(operator, wrong[i]);
        }
        // Of nobody's key an error would be the signer.
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_WrongOperatorSignature.selector, address(0)));
        vm.prank(worker);
        nodes.join(address(0), new bytes(65));
        vm.assertEq(nodes.node(worker).operator, 0);
        vm.chainId(block.chainid + 1);
        bytes memory elsewhere = _consent(worker, 1);
        vm.chainId(block.chainid - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_WrongOperatorSignature.selector, operator));
        vm.prank(worker);
        nodes.join(operator, elsewhere);
    }

    /// DRAW-8: an operator may be a contract, whose word is ERC-1271's and nothing else.
    function test_join__contract_as_operator__is_asked() public {
        address worker = _worker(10);
        address made = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        Wallet wallet = new Wallet(_membership(address(nodes), worker, made), abi.encode(ERC1271));
        vm.assertEq(address(wallet), made);
        vm.prank(worker);
        nodes.join(made, "whatever it takes");
        vm.assertEq(nodes.node(worker).operator, 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_WrongOperatorSignature.selector, made));
        vm.prank(_worker(11));
        nodes.join(made, "");
        bytes[4] memory answers = [
            bytes(""), abi.encode(true), abi.encodePacked(ERC1271), abi.encode(bytes32(ERC1271) | bytes32(uint256(1)))
        ];
        for (uint256 i = 0; i < answers.length; ++i) {
            made = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
            new Wallet(_membership(address(nodes), worker, made), answers[i]);
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_WrongOperatorSignature.selector, made));
            vm.prank(worker);
            nodes.join(made, "");
        }
    }

    /// DRAW-8: before it registers or once it has left, and at no time between.
    function test_join__while_registered_or_leaving__reverts() public {
        address worker = workers[0];
        bytes memory signature = _consent(worker, 1);
        bytes memory expected = abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, worker);
        vm.startPrank(worker);
        vm.expectRevert(expected);
        nodes.join(_operator(1), signature);
        nodes.announceExit();
        vm.expectRevert(expected);
        nodes.join(_operator(1), signature);
        vm.warp(nodes.node(worker).exitAt);
        vm.expectRevert(expected);
        nodes.join(_operator(1), signature);
        nodes.withdraw();
        nodes.join(_operator(1), signature);
        vm.stopPrank();
        _register(worker, 5 ether);
        vm.assertEq(nodes.node(worker).operator, 1);
        vm.expectRevert(expected);
        vm.prank(worker);
        nodes.join(_operator(1), signature);
    }

    /// DRAW-8: a worker that others' slashes left with nothing has not left: jobs that can still draw it are under way.
    function test_join__slashed_to_nothing_while_leaving__reverts_until_the_exit() public {
        address worker = workers[0];
        _join(_worker(10), 1);
        _lose(worker);
        vm.prank(worker);
        nodes.announceExit();
        bytes memory signature = _consent(worker, 1);
        uint256 exitAt = nodes.node(worker).exitAt;
        vm.warp(exitAt - 1);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_AlreadyRegistered.selector, worker));
        vm.prank(worker);
        nodes.join(_operator(1), signature);
        vm.warp(exitAt);
        vm.prank(worker);
        nodes.join(_operator(1), signature);
    }

    /// @dev Takes all of a worker's stake.
    function _lose(address worker) private {
        vm.deal(worker, 1 ether);
        uint40 until = uint40(block.timestamp);
        (uint96 most, address[] memory one) = _lockAll(worker, until);
        uint256[] memory penalty = new uint256[](1);
        penalty[0] = most;
        vm.prank(address(market));
        nodes.release(one, most, until, penalty);
        vm.assertEq(nodes.node(worker).stake, 0);
    }

    // ------------------------------------------------------------------------------------------------ draws

    /// forge-config: default.fuzz.runs = 200
    /// DRAW-8, DRAW-5: against a draw written another way, which passes over whoever's operator has a seat.
    function testFuzz_draw__any_operators__never_seats_two_of_one(uint256 entropy, uint8 operators) public {
        _populate(entropy, operators % 6);
        uint256 epoch = nodes.epochOf(block.number);
        if (entropy & 1 == 1) _lockAll(workers[entropy % workers.length], uint40(block.timestamp));
        for (uint256 seats = 1; seats <= 7; seats += 2) {
            bytes32 seed = keccak256(abi.encode(entropy, seats));
            address[] memory drawn = nodes.draw(seed, seats, epoch, LOCK);
            vm.assertEq(drawn, _sample(seed, seats, epoch, LOCK));
            for (uint256 i = 0; i < seats; ++i) {
                uint32 operator = nodes.node(drawn[i]).operator;
                for (uint256 k = 0; k < i && operator != 0; ++k) {
                    vm.assertTrue(nodes.node(drawn[k]).operator != operator, "two seats of one operator");
                }
            }
        }
    }

    /// DRAW-8: with one operator for all there is one seat, and the others stay empty.
    function test_draw__one_operator__one_seat() public {
        for (uint256 i = 0; i < WORKERS; ++i) {
            vm.prank(workers[i]);
            nodes.announceExit();
        }
        for (uint256 i = 10; i < 16; ++i) {
            _join(_worker(i), 1);
            _register(_worker(i), 5 ether);
        }
        _nextEpoch();
        for (uint256 i = 0; i < 10; ++i) {
            address[] memory drawn = nodes.draw(bytes32(i), 3, nodes.epochOf(block.number), LOCK);
            vm.assertTrue(drawn[0] != address(0));
            vm.assertEq(drawn[1], address(0));
            vm.assertEq(drawn[2], address(0));
        }
    }

    /// DRAW-5, DRAW-8: an operator whose drawn worker has no stake free has had its seat. Else it could pick which of its
    /// workers sits by keeping others busy.
    function test_draw__operators_first_worker_busy__its_second_gets_nothing() public {
        for (uint256 i = 0; i < 40; ++i) {
            uint256 snapshot = vm.snapshotState();
            _populate(1, 1);
            uint256 epoch = nodes.epochOf(block.number);
            bytes32 seed = bytes32(i);
            address first = nodes.draw(seed, 1, epoch, LOCK)[0];
            if (nodes.node(first).operator == 1) {
                address[] memory before = nodes.draw(seed, 7, epoch, LOCK);
                _lockAll(first, uint40(block.timestamp));
                address[] memory later = nodes.draw(seed, 7, epoch, LOCK);
                vm.assertEq(later[0], address(0));
                before[0] = address(0);
                vm.assertEq(later, before);
                return;
            }
            vm.revertToState(snapshot);
        }
        revert("no worker of the operator was drawn first");
    }

    /// forge-config: default.fuzz.runs = 200
    /// DRAW-8: after the request nobody moves a seat to another worker by what it does, or tries to do, with operators.
    function testFuzz_draw__joins_and_exits_after_the_request__hand_no_seat_on(uint256 entropy) public {
        _populate(entropy, 1 + entropy % 5);
        uint256 epoch = nodes.epochOf(block.number);
        address[] memory before = nodes.draw(bytes32(entropy), 5, epoch, LOCK);
        for (uint256 i = 0; i < 4; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(entropy, i)));
            address worker = workers[(dice >> 8) % workers.length];
            if (dice & 3 == 0) worker = before[(dice >> 16) % 5];
            if (worker == address(0)) continue;
            if (dice >> 2 & 3 == 0 && nodes.node(worker).exitAt == 0) {
                vm.prank(worker);
                nodes.announceExit();
            }
            if (dice >> 4 & 1 == 0 && nodes.node(worker).locked == 0) _lose(worker);
            bytes memory signature = _consent(worker, 1 + (dice >> 24) % 6);
            vm.prank(worker);
            try nodes.join(_operator(1 + (dice >> 24) % 6), signature) {
                revert("joined while it can be drawn");
            } catch {}
            // Newcomers have no weight yet.
            address newcomer = _worker(100 + i);
            _join(newcomer, 1 + (dice >> 32) % 6);
            _register(newcomer, 50 ether);
        }
        _assertMovedToNobody(before, nodes.draw(bytes32(entropy), 5, epoch, LOCK));
        _nextEpoch();
        _assertMovedToNobody(before, nodes.draw(bytes32(entropy), 5, epoch, LOCK));
    }

    // ------------------------------------------------------------------------------------------------ platforms

    function _enrolOn(address worker, bytes32 platform) private {
        Report memory r = _report(worker);
        r.platform = platform;
        _attest(worker, r);
        _prompt(worker);
        _enrol(worker);
    }

    /// DRAW-9: two workers of one machine never sit in one committee: the second one's seat is vacant, and no other moves.
    function test_drawEnrolled__two_workers_of_one_machine__one_seat() public {
        for (uint256 i = 0; i < WORKERS; ++i) {
            // Workers 0 and 1 share a machine, as 2 and 3 do.
            _enrolOn(workers[i], keccak256(abi.encode("machine", i / 2)));
        }
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        uint256 vacant = 0;
        for (uint256 i = 0; i < 20; ++i) {
            address[] memory all = nodes.draw(bytes32(i), 3, epoch, LOCK);
            address[] memory drawn = nodes.drawEnrolled(bytes32(i), 3, epoch, LOCK, _eligibility());
            for (uint256 seat = 0; seat < 3; ++seat) {
                bool second = false;
                for (uint256 k = 0; k < seat; ++k) {
                    second = second || _machine(all[k]) == _machine(all[seat]);
                }
                vm.assertEq(drawn[seat], second ? address(0) : all[seat]);
                if (second) ++vacant;
            }
        }
        vm.assertEq(vacant, 20); // three seats on two machines
    }

    function _machine(address worker) private view returns (uint256) {
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (workers[i] == worker) return i / 2;
        }
        revert("not a worker");
    }

    /// DRAW-9: a seat that is vacant for another reason takes no machine away, whatever a tag of it looks like.
    function test_drawEnrolled__vacant_seat_before__blocks_no_machine() public {
        uint256 high = uint256(type(uint240).max);
        for (uint256 i = 0; i < WORKERS; ++i) {
            _enrolOn(workers[i], bytes32(high - i / 2)); // of tag zero, all of them
        }
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        address[] memory all = nodes.draw(0, 2, epoch, LOCK);
        vm.prank(all[0]);
        nodes.replaceKeys(CODE, address(9));
        address[] memory drawn = nodes.drawEnrolled(0, 2, epoch, LOCK, _eligibility());
        vm.assertEq(drawn[0], address(0));
        vm.assertEq(drawn[1], all[1]);
    }

    /// DRAW-9, ENC-12: a worker that moves to its neighbour's machine after the request empties its seat and fills none.
    function test_drawEnrolled__moved_to_anothers_machine__seats_nobody_else() public {
        for (uint256 i = 0; i < WORKERS; ++i) {
            _enrolOn(workers[i], keccak256(abi.encode("machine", i)));
        }
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        IEnclaves.Eligibility memory e = _eligibility();
        address[] memory before = nodes.drawEnrolled(bytes32(0), 3, epoch, LOCK, e);
        for (uint256 i = 0; i < WORKERS; ++i) {
            for (uint256 k = 0; k < WORKERS; ++k) {
                if (i == k) continue;
                uint256 snapshot = vm.snapshotState();
                _enrolOn(workers[i], keccak256(abi.encode("machine", k)));
                _assertMovedToNobody(before, nodes.drawEnrolled(bytes32(0), 3, epoch, LOCK, e));
                _nextEpoch();
                _assertMovedToNobody(before, nodes.drawEnrolled(bytes32(0), 3, epoch, LOCK, e));
                vm.revertToState(snapshot);
            }
        }
    }

    /// DRAW-8, ENC-11: whoever is passed over for another reason takes no seat, and so takes none from its operator.
    function test_drawEnrolled__operators_unenrolled_worker__does_not_count() public {
        address[] memory both = new address[](2);
        for (uint256 i = 0; i < 2; ++i) {
            both[i] = _worker(20 + i);
            _join(both[i], 1);
            _register(both[i], (1 + 99 * i) * 1 ether);
        }
        _enrolOn(both[0], keccak256("its machine"));
        _nextEpoch();
        uint256 epoch = nodes.epochOf(block.number);
        uint256 behind = 0;
        for (uint256 i = 0; i < 20; ++i) {
            if (nodes.draw(bytes32(i), 1, epoch, LOCK)[0] == both[1]) ++behind;
            vm.assertEq(nodes.drawEnrolled(bytes32(i), 1, epoch, LOCK, _eligibility())[0], both[0]);
        }
        vm.assertGt(behind, 0, "never drawn before the other");
    }

    /// DRAW-8, DRAW-5: a whole job whose drawn seats are those of different operators.
    function test_deliver__operators__committee_is_the_reference_draw() public {
        _populate(7, 2);
        Request memory r = _default();
        (r.terms.seats, r.terms.quorum, r.terms.level) = (5, 3, Level.Agreed);
        _ready(r);
        vm.assertEq(market.job(id).tag == bytes12(0) ? 0 : 1, 1);
    }
}
