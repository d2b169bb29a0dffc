// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReceiptTree} from "../../contracts/libraries/ReceiptTree.sol";
import {Leaf, Order, Receipt, Sessions, SessionId, SessionsBase, vm} from "./SessionsBase.t.sol";

/// @notice More cheat codes of forge.
interface JsonFiles {
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseUint(string calldata text) external pure returns (uint256);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
}

/// @notice The contract's own hashes, which are internal to it.
contract Hashes {
    function leaf(Leaf calldata l) external pure returns (bytes32, bytes32, bytes32) {
        return (l.order.hash(), l.receipt.hash(), l.hash());
    }

    function includes(bytes32 root, uint256 index, uint256 count, bytes32 leaf_, bytes32[] calldata proof)
        external
        pure
        returns (bool)
    {
        return ReceiptTree.includes(root, index, count, leaf_, proof);
    }
}

/// @notice Solidity gives the values of tests/vectors/sessions.json, which an independent implementation made and which the
///         Python package is held to as well.
contract SessionsVectorsTest is SessionsBase {
    JsonFiles private constant FILES = JsonFiles(address(vm));
    string private json;
    Hashes private hashes;

    function setUp() public override {
        super.setUp();
        hashes = new Hashes();
        json = vm.readFile("tests/vectors/sessions.json");
    }

    function _leafOf(uint32 sequence) private view returns (Leaf memory leaf) {
        string memory entry = string.concat(".entries[", vm.toString(uint256(sequence - 1)), "]");
        SessionId session = SessionId.wrap(vm.parseJsonBytes32(json, ".session"));
        uint128 total = uint128(FILES.parseUint(FILES.parseJsonString(json, string.concat(entry, ".total"))));
        bytes32 given = vm.parseJsonBytes32(json, string.concat(entry, ".inputCommitment"));
        leaf.order = Order(session, sequence, total, given);
        leaf.receipt = Receipt(
            session,
            sequence,
            total,
            given,
            vm.parseJsonBytes32(json, string.concat(entry, ".outputCommitment")),
            keccak256(FILES.parseJsonBytes(json, string.concat(entry, ".sealedOutput")))
        );
        leaf.orderSignature = FILES.parseJsonBytes(json, string.concat(entry, ".orderSignature"));
        leaf.receiptSignature = FILES.parseJsonBytes(json, string.concat(entry, ".receiptSignature"));
    }

    /// SESS-1
    function test_sessionId__vector__equals() public {
        address place = vm.parseJsonAddress(json, ".contract");
        vm.etch(place, address(sessions).code);
        vm.chainId(vm.parseJsonUint(json, ".chainId"));
        SessionId found = Sessions(place)
            .sessionId(
                vm.parseJsonAddress(json, ".requester"),
                vm.parseJsonAddress(json, ".worker"),
                vm.parseJsonUint(json, ".nonce")
            );
        vm.assertEq(SessionId.unwrap(found), vm.parseJsonBytes32(json, ".session"));
    }

    /// SESS-4, SESS-8
    function test_hashes__vectors__equal() public view {
        address place = vm.parseJsonAddress(json, ".contract");
        uint256 chain = vm.parseJsonUint(json, ".chainId");
        for (uint32 i = 1; i <= 9; ++i) {
            string memory entry = string.concat(".entries[", vm.toString(uint256(i - 1)), "]");
            (bytes32 order, bytes32 receipt, bytes32 leaf) = hashes.leaf(_leafOf(i));
            vm.assertEq(_typed(place, chain, order), vm.parseJsonBytes32(json, string.concat(entry, ".orderDigest")));
            vm.assertEq(
                _typed(place, chain, receipt), vm.parseJsonBytes32(json, string.concat(entry, ".receiptDigest"))
            );
            vm.assertEq(leaf, vm.parseJsonBytes32(json, string.concat(entry, ".leaf")));
        }
    }

    /// SESS-8
    function test_proofs__vectors__are_accepted_at_their_place_and_nowhere_else() public view {
        bytes32 root = FILES.parseJsonBytes32Array(json, ".roots")[8];
        for (uint256 i = 0; i < 9; ++i) {
            string memory entry = string.concat(".entries[", vm.toString(i), "].leaf");
            bytes32 leaf = vm.parseJsonBytes32(json, entry);
            bytes32[] memory proof = FILES.parseJsonBytes32Array(json, string.concat(".proofs[", vm.toString(i), "]"));
            for (uint256 place = 0; place < 16; ++place) {
                vm.assertTrue(hashes.includes(root, place, 9, leaf, proof) == (place == i));
            }
            vm.assertFalse(hashes.includes(root, i + 16, 9, leaf, proof));
        }
    }

    /// SESS-8: any leaf of any tree is found, and one that is not there is not.
    function testFuzz_tree__any_size_and_place__is_found(uint256 count, uint256 index, bytes32 seed) public view {
        count = count % 70 + 1;
        index %= count;
        bytes32[] memory all = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            all[i] = keccak256(abi.encode(seed, i));
        }
        (bytes32 root, bytes32[] memory proof) = _tree(all, index);
        vm.assertTrue(hashes.includes(root, index, count, all[index], proof));
        vm.assertFalse(hashes.includes(root, index, count, seed, proof));
    }
}
