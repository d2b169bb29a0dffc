// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TcbStatus} from "../types/Evidence.sol";
import {TdxQuote} from "./TdxQuote.sol";
import {Validity} from "./Validity.sol";

/// @notice Intel's identity of the quoting enclave for TDX, transcribed.
/// @param levels in order, 3 bytes for each: least ISVSVN (2), status
struct QeIdentity {
    uint40 issued;
    uint40 until;
    uint32 evaluation;
    bytes32 mrsigner;
    bytes16 attributes;
    bytes16 attributesMask;
    bytes4 miscselect;
    bytes4 miscselectMask;
    uint16 isvprodid;
    bytes levels;
}

/// @title QE identity as it is stored (ATT-6)
/// @notice Code: validity (32), the document's hash, MRSIGNER, attributes and mask (16 each), MISCSELECT and mask (4 each), levels. The
///         `Validity.extra` is the ISVPRODID. What is compared with a mask is stored masked.
library QeTable {
    uint256 private constant LEVELS = 136;
    uint256 private constant LEVEL = 3;
    /// @dev The attribute DEBUG. Who runs a quoting enclave under a debugger signs what he likes.
    bytes16 private constant DEBUG = bytes16(bytes1(0x02));

    error QeTable_WrongSize(uint256 levels);
    error QeTable_AllowsDebug(bytes16 attributes, bytes16 mask);
    error QeTable_WrongSigner(bytes32 found, bytes32 required);
    error QeTable_WrongProduct(uint256 found, uint256 required);
    error QeTable_WrongAttributes(bytes16 found, bytes16 required);
    error QeTable_WrongMiscselect(bytes4 found, bytes4 required);
    error QeTable_NoLevel(uint16 isvSvn);

    /// @notice What to store; the signer's certificate may end before the document does.
    function encode(QeIdentity calldata identity, bytes32 documentHash, uint40 until, uint16 generation)
        internal
        pure
        returns (bytes memory)
    {
        bytes16 mask = identity.attributesMask;
        uint256 size = identity.levels.length;
        if (size % LEVEL != 0 || size == 0) revert QeTable_WrongSize(size);
        if (mask & DEBUG == 0 || identity.attributes & DEBUG != 0) {
            revert QeTable_AllowsDebug(identity.attributes, mask);
        }
        return abi.encodePacked(
            Validity.pack(identity.issued, until, identity.evaluation, generation, identity.isvprodid),
            documentHash,
            identity.mrsigner,
            identity.attributes & mask,
            mask,
            identity.miscselect & identity.miscselectMask,
            identity.miscselectMask,
            identity.levels
        );
    }

    /// @notice The status of the quoting enclave that reports in `quote`.
    function status(bytes memory table, bytes calldata quote) internal pure returns (TcbStatus) {
        bytes32 signer = TdxQuote.qeSigner(quote);
        if (signer != _word(table, 64)) revert QeTable_WrongSigner(signer, _word(table, 64));
        uint256 product = TdxQuote.qeProduct(quote);
        uint256 required = Validity.extra(Validity.read(table));
        if (product != required) revert QeTable_WrongProduct(product, required);
        bytes32 pair = _word(table, 96); // what is asked for, and the mask
        bytes16 attributes = TdxQuote.qeAttributes(quote) & bytes16(pair << 128);
        if (attributes != bytes16(pair)) revert QeTable_WrongAttributes(attributes, bytes16(pair));
        pair = _word(table, 128);
        bytes4 miscselect = TdxQuote.qeMiscselect(quote) & bytes4(pair << 32);
        if (miscselect != bytes4(pair)) revert QeTable_WrongMiscselect(miscselect, bytes4(pair));
        return _level(table, TdxQuote.qeVersion(quote));
    }

    function _level(bytes memory table, uint16 isvSvn) private pure returns (TcbStatus) {
        unchecked {
            for (uint256 cursor = LEVELS; cursor < table.length; cursor += LEVEL) {
                uint256 level = uint256(_word(table, cursor)) >> 232;
                if (isvSvn >= level >> 8) return TcbStatus(level & 0xff);
            }
        }
        revert QeTable_NoLevel(isvSvn);
    }

    /// @dev 32 bytes from `cursor` on; those behind the end of the table mean nothing.
    function _word(bytes memory table, uint256 cursor) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(table, 0x20), cursor))
        }
    }
}
