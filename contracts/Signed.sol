// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Rules} from "./Rules.sol";
import {JobId} from "./types/Ids.sol";

/// @title What enclaves sign for a market
/// @notice Rules SIG-* of docs/spec/enclaves.md. The job id is a hash of chain, market, requester and request, and a result
///         names no worker: only the seat's own signer counts.
abstract contract Signed is Rules, EIP712 {
    bytes32 private constant RESULT =
        keccak256("Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput)");
    bytes32 private constant REFUSAL = keccak256("Refusal(bytes32 job,address worker,bytes32 sealedKey,uint8 reason)");
    /// @dev Split models have later ones.
    uint256 private constant ONLY_STAGE = 0;

    constructor() EIP712("Cloister", "1") {}

    /// @param since Unix second of the delivery: whoever signed for the caller then signs
    function _checkResult(
        JobId id,
        uint256 since,
        bytes32 output,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) internal view {
        _check(keccak256(abi.encode(RESULT, id, ONLY_STAGE, output, keccak256(sealedOutput))), since, signature);
    }

    function _checkRefusal(JobId id, uint256 since, bytes32 sealedKeyHash, uint8 reason, bytes calldata signature)
        internal
        view
    {
        _check(keccak256(abi.encode(REFUSAL, id, msg.sender, sealedKeyHash, reason)), since, signature);
    }

    function _check(bytes32 structHash, uint256 since, bytes calldata signature) private view {
        // An error comes with no signer, which signs for nobody.
        // slither-disable-next-line unused-return
        (address signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
        if (!nodes.signs(msg.sender, signer, since)) revert JobMarket_WrongSignature(msg.sender, signer);
    }
}
