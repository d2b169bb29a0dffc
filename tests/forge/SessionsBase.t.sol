// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Sessions} from "../../contracts/Sessions.sol";
import {ICurrencies} from "../../contracts/interfaces/ICurrencies.sol";
import {IEnclaves} from "../../contracts/interfaces/IEnclaves.sol";
import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {ISessions} from "../../contracts/interfaces/ISessions.sol";
import {
    Demand,
    Flaw,
    Leaf,
    LeafState,
    Order,
    Receipt,
    Session,
    SessionId,
    Settlement
} from "../../contracts/types/Session.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The two views of the node registry that sessions use.
contract AttestedWorkers {
    mapping(address worker => address) private _signers;
    mapping(address worker => uint40) private _until;

    function set(address worker, address signer, uint40 until) external {
        (_signers[worker], _until[worker]) = (signer, until);
    }

    function attestation(address worker) external view returns (IEnclaves.Attestation memory a) {
        a.until = _until[worker];
    }

    function signs(address worker, address signer, uint256) external view returns (bool) {
        return signer != address(0) && _signers[worker] == signer;
    }
}

/// @notice A list of currencies that can be changed at once.
contract Rates {
    error NotListed(address token);

    mapping(address token => uint256) private _rates;

    function set(address token, uint256 rate) external {
        _rates[token] = rate;
    }

    function lockRate(address token) external view returns (uint256 rate) {
        rate = token == address(0) ? 1e18 : _rates[token];
        if (rate == 0) revert NotListed(token);
    }
}

/// @notice Actors, defaults and steps of a session.
abstract contract SessionsBase {
    uint32 internal constant CHALLENGE = 1 days;
    uint32 internal constant ANSWER = 6 hours;
    uint32 internal constant DELAY = 3 days;
    uint16 internal constant BOND_JOBS = 10;
    uint80 internal constant DEPOSIT = 0.003 ether;
    uint96 internal constant PRICE = 0.001 ether;
    uint96 internal constant AMOUNT = 1 ether;
    uint256 internal constant BOND = 2 * uint256(DEPOSIT) + BOND_JOBS * uint256(PRICE);
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;

    uint256 internal constant KEY = uint256(keccak256("session key")) >> 1;
    uint256 internal constant SIGNER = uint256(keccak256("enclave signer")) >> 1;
    uint256 internal constant STRANGER = uint256(keccak256("a stranger's key")) >> 1;

    AttestedWorkers internal nodes;
    Rates internal rates;
    Sessions internal sessions;
    SessionId internal id;

    address internal immutable requester = vm.addr(uint256(keccak256("requester")));
    address internal immutable worker = vm.addr(uint256(keccak256("worker")));
    address internal immutable stranger = vm.addr(uint256(keccak256("stranger")));

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        nodes = new AttestedWorkers();
        rates = new Rates();
        nodes.set(worker, vm.addr(SIGNER), uint40(block.timestamp + 1 days));
        sessions = new Sessions(INodeRegistry(address(nodes)), ICurrencies(address(rates)), _parameters());
        vm.deal(requester, 1000 ether);
        vm.deal(worker, 1000 ether);
        vm.deal(stranger, 1000 ether);
        id = _open(1);
    }

    function _parameters() internal pure returns (ISessions.Parameters memory) {
        return ISessions.Parameters(CHALLENGE, ANSWER, DELAY, BOND_JOBS, DEPOSIT);
    }

    function _open(uint256 nonce) internal returns (SessionId) {
        vm.prank(requester);
        return sessions.open{value: AMOUNT}(worker, vm.addr(SIGNER), vm.addr(KEY), address(0), PRICE, AMOUNT, nonce);
    }

    // ------------------------------------------------------------------------------------------------ what is signed

    function _output(uint32 sequence) internal pure returns (bytes memory) {
        return abi.encodePacked("a sealed output, and its number: ", sequence);
    }

    function _order(uint32 sequence) internal view returns (Order memory) {
        return Order(id, sequence, uint128(sequence) * PRICE, keccak256(abi.encode("input", sequence)));
    }

    function _receipt(uint32 sequence) internal view returns (Receipt memory) {
        Order memory o = _order(sequence);
        bytes32 output = keccak256(abi.encode("output", sequence));
        return Receipt(o.session, sequence, o.total, o.inputCommitment, output, keccak256(_output(sequence)));
    }

    function _leaf(uint32 sequence) internal view returns (Leaf memory) {
        Order memory o = _order(sequence);
        Receipt memory r = _receipt(sequence);
        return Leaf(o, r, _signed(KEY, o), _signed(SIGNER, r));
    }

    function _signed(uint256 key, Order memory o) internal view returns (bytes memory) {
        return _sign(key, _typed(address(sessions), block.chainid, _orderHash(o)));
    }

    function _signed(uint256 key, Receipt memory r) internal view returns (bytes memory) {
        return _sign(key, _typed(address(sessions), block.chainid, _receiptHash(r)));
    }

    function _orderHash(Order memory o) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(keccak256("Order(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment)"), o)
        );
    }

    function _receiptHash(Receipt memory r) internal pure returns (bytes32) {
        bytes memory kind = "Receipt(bytes32 session,uint32 sequence,uint128 total,"
            "bytes32 inputCommitment,bytes32 outputCommitment,bytes32 sealedOutputHash)";
        return keccak256(abi.encode(keccak256(kind), r));
    }

    function _typed(address contract_, uint256 chain, bytes32 structHash) internal pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cloister"),
                keccak256("1"),
                chain,
                contract_
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // ------------------------------------------------------------------------------------------------ trees

    function _hash(Leaf memory leaf) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("cloister/1/session-leaf"),
                _orderHash(leaf.order),
                _receiptHash(leaf.receipt),
                keccak256(leaf.orderSignature),
                keccak256(leaf.receiptSignature)
            )
        );
    }

    function _leaves(uint32 first, uint32 count) internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](count);
        for (uint32 i = 0; i < count; ++i) {
            hashes[i] = _hash(_leaf(first + i));
        }
    }

    /// @dev Root and path at once, level by level; the contract only ever walks one path.
    function _tree(bytes32[] memory level, uint256 index) internal pure returns (bytes32, bytes32[] memory proof) {
        uint256 levels = 0;
        while (uint256(1) << levels < level.length) {
            ++levels;
        }
        proof = new bytes32[](levels);
        bytes32[] memory nodes_ = new bytes32[](uint256(1) << levels);
        for (uint256 i = 0; i < level.length; ++i) {
            nodes_[i] = level[i];
        }
        for (uint256 depth = 0; depth < levels; ++depth) {
            proof[depth] = nodes_[index ^ 1];
            for (uint256 i = 0; i < nodes_.length >> (depth + 1); ++i) {
                nodes_[i] = _node(nodes_[2 * i], nodes_[2 * i + 1]);
            }
            index >>= 1;
        }
        return (nodes_[0], proof);
    }

    function _node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(abi.encode(keccak256("cloister/1/session-node"), left, right));
    }

    function _root(bytes32[] memory hashes) internal pure returns (bytes32 root) {
        (root,) = _tree(hashes, 0);
    }

    function _proof(bytes32[] memory hashes, uint256 index) internal pure returns (bytes32[] memory proof) {
        (, proof) = _tree(hashes, index);
    }

    // ------------------------------------------------------------------------------------------------ steps

    /// @dev Settles honestly from the first order that is not settled to `last`; gives the leaves.
    function _settle(uint32 last) internal returns (bytes32[] memory hashes) {
        uint32 settled = sessions.session(id).settled;
        hashes = _leaves(settled + 1, last - settled);
        _settleRoot(last, _root(hashes));
    }

    function _settleRoot(uint32 last, bytes32 root) internal {
        Order memory o = _order(last);
        bytes memory signature = _signed(KEY, o);
        vm.prank(worker);
        sessions.settle{value: BOND}(id, o, signature, root);
    }

    function _demand(uint32 first, uint32 sequence) internal {
        vm.prank(requester);
        sessions.demand{value: DEPOSIT}(id, first, sequence);
    }

    function _announce() internal {
        vm.prank(requester);
        sessions.announceClose(id);
    }

    function _owed(address account) internal view returns (uint256) {
        return sessions.credit(address(0), account);
    }

    function _withdraw(address account) internal {
        if (_owed(account) != 0) sessions.withdraw(address(0), account);
    }

    function _error(bytes4 selector) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }
}
