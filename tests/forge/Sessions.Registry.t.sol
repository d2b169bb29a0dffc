// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Sessions} from "../../contracts/Sessions.sol";
import {ICurrencies} from "../../contracts/interfaces/ICurrencies.sol";
import {ISessions} from "../../contracts/interfaces/ISessions.sol";
import {EnclaveBase, vm} from "./EnclaveBase.t.sol";

contract Coin {
    function lockRate(address) external pure returns (uint256) {
        return 1e18;
    }
}

/// @notice Sessions with the node registry itself. SESS-2
contract SessionsRegistryTest is EnclaveBase {
    Sessions private sessions;
    uint256 private nonce;

    function setUp() public override {
        super.setUp();
        ISessions.Parameters memory p = ISessions.Parameters(1 days, 6 hours, 3 days, 10, 0.003 ether);
        sessions = new Sessions(nodes, ICurrencies(address(new Coin())), p);
    }

    function _open(address worker, address signer) private {
        ++nonce;
        vm.prank(requester);
        sessions.open{value: 1 ether}(worker, signer, stranger, address(0), PRICE, 1 ether, nonce);
    }

    function test_open__attested__opens() public {
        _attest(workers[0]);
        _open(workers[0], _signer(workers[0]));
    }

    function test_open__never_attested__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotAttested.selector, workers[0], 0));
        _open(workers[0], _signer(workers[0]));
    }

    function test_open__lapsed__reverts() public {
        _attest(workers[0]);
        vm.warp(block.timestamp + ATTESTATION_PERIOD);
        _open(workers[0], _signer(workers[0]));
        vm.warp(block.timestamp + 1);
        vm.expectPartialRevert(ISessions.Sessions_NotAttested.selector);
        _open(workers[0], _signer(workers[0]));
    }

    function test_open__other_signer__reverts() public {
        _attest(workers[0]);
        vm.expectRevert(
            abi.encodeWithSelector(ISessions.Sessions_WrongSigner.selector, workers[0], _signer(workers[1]))
        );
        _open(workers[0], _signer(workers[1]));
    }

    function test_open__keys_replaced__reverts() public {
        _attest(workers[0]);
        vm.prank(workers[0]);
        nodes.replaceKeys(keccak256("k"), stranger);
        vm.expectRevert(abi.encodeWithSelector(ISessions.Sessions_NotAttested.selector, workers[0], 0));
        _open(workers[0], stranger);
    }
}
