// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The first 1,252 bytes of a TDX quote of version 4
/// @notice Offsets are those of docs/spec/enclaves.md. Numbers in quotes are little-endian. `requireSound` comes first; the
///         other functions rely on the length that it has checked.
library TdxQuote {
    uint256 internal constant LENGTH = 1252;

    /// @dev Version 4, attestation key type 2 (ECDSA P-256), TEE type 0x81 (TDX).
    bytes8 private constant HEADER = 0x0400020081000000;
    /// @dev Intel's quoting enclave.
    bytes16 private constant VENDOR = 0x939a7233f79c4ca9940a0db3957f0607;
    bytes2 private constant QE_REPORT_CERTIFICATION = 0x0600;
    /// @dev Of the authentication data between attestation key and certification.
    bytes2 private constant AUTHENTICATION_LENGTH = 0x2000;
    /// @dev Signature, attestation key, type and size: what precedes the certification data in the signature data.
    uint256 private constant BEFORE_CERTIFICATION = 134;

    /// @dev TD attributes that are fixed, and as what: everything but PKS (30), KL (31) and PERFMON (63) is zero, DEBUG (0)
    ///      too, SEPT_VE_DISABLE (28) is one.
    bytes8 private constant FIXED_ATTRIBUTES = 0xffffff3fffffff7f;
    bytes8 private constant SOUND_ATTRIBUTES = 0x0000001000000000;

    uint256 private constant TEE_TCB_SVN = 48;
    uint256 private constant SEAM_SIGNER = 112;
    uint256 private constant TD_ATTRIBUTES = 168;
    uint256 private constant REPORT_DATA = 568;
    uint256 private constant SIGNATURE_LENGTH = 632;
    uint256 private constant SIGNATURE = 636;
    uint256 private constant ATTESTATION_KEY = 700;
    uint256 private constant CERTIFICATION = 764;
    uint256 private constant QE_REPORT = 770;
    uint256 private constant QE_REPORT_DATA = 1090;
    uint256 private constant QE_SIGNATURE = 1154;
    uint256 private constant AUTHENTICATION = 1218;

    error TdxQuote_WrongLength(uint256 found, uint256 required);
    error TdxQuote_WrongHeader(bytes8 found, bytes8 required);
    error TdxQuote_WrongVendor(bytes16 found, bytes16 required);
    error TdxQuote_WrongCertification(bytes2 found, bytes2 required);
    error TdxQuote_WrongSignatureLength(uint256 found, uint256 required);
    error TdxQuote_WrongAuthenticationLength(bytes2 found, bytes2 required);
    error TdxQuote_WrongAttributes(bytes8 found, bytes8 required);
    error TdxQuote_ForeignModule();
    error TdxQuote_WrongAttestationKey(bytes32 hashed, bytes32 reported);

    /// @notice ATT-1, ATT-3 and ATT-5: layout, the attestation key's place in the QE's report, attributes, module.
    function requireSound(bytes calldata quote) internal view {
        if (quote.length != LENGTH) revert TdxQuote_WrongLength(quote.length, LENGTH);
        bytes8 header = bytes8(_word(quote, 0));
        if (header != HEADER) revert TdxQuote_WrongHeader(header, HEADER);
        bytes16 vendor = bytes16(_word(quote, 12));
        if (vendor != VENDOR) revert TdxQuote_WrongVendor(vendor, VENDOR);
        _requireLengths(quote);
        bytes8 attributes = bytes8(_word(quote, TD_ATTRIBUTES));
        if (attributes & FIXED_ATTRIBUTES != SOUND_ATTRIBUTES) {
            revert TdxQuote_WrongAttributes(attributes & FIXED_ATTRIBUTES, SOUND_ATTRIBUTES);
        }
        // MRSIGNERSEAM and SEAM attributes, 56 bytes
        if (_word(quote, SEAM_SIGNER) | _word(quote, SEAM_SIGNER + 24) != 0) revert TdxQuote_ForeignModule();
        _requireAttestationKey(quote);
    }

    /// @notice Digest of what the attestation key signs.
    function digest(bytes calldata quote) internal view returns (bytes32) {
        return _sha256(quote, 0, SIGNATURE_LENGTH, 0, 0);
    }

    function signature(bytes calldata quote) internal pure returns (bytes32, bytes32) {
        return (_word(quote, SIGNATURE), _word(quote, SIGNATURE + 32));
    }

    function attestationKey(bytes calldata quote) internal pure returns (bytes32, bytes32) {
        return (_word(quote, ATTESTATION_KEY), _word(quote, ATTESTATION_KEY + 32));
    }

    /// @notice Digest of what the platform certificate's key signs: the quoting enclave's report.
    function qeDigest(bytes calldata quote) internal view returns (bytes32) {
        return _sha256(quote, QE_REPORT, QE_SIGNATURE - QE_REPORT, 0, 0);
    }

    function qeSignature(bytes calldata quote) internal pure returns (bytes32, bytes32) {
        return (_word(quote, QE_SIGNATURE), _word(quote, QE_SIGNATURE + 32));
    }

    function qeMiscselect(bytes calldata quote) internal pure returns (bytes4) {
        return bytes4(_word(quote, QE_REPORT + 16));
    }

    function qeAttributes(bytes calldata quote) internal pure returns (bytes16) {
        return bytes16(_word(quote, QE_REPORT + 48));
    }

    function qeSigner(bytes calldata quote) internal pure returns (bytes32) {
        return _word(quote, QE_REPORT + 128);
    }

    function qeProduct(bytes calldata quote) internal pure returns (uint16) {
        return _short(bytes2(_word(quote, QE_REPORT + 256)));
    }

    function qeVersion(bytes calldata quote) internal pure returns (uint16) {
        return _short(bytes2(_word(quote, QE_REPORT + 258)));
    }

    /// @notice The versions of the platform's 16 TDX components, those of the TDX module first.
    function teeTcbSvn(bytes calldata quote) internal pure returns (bytes16) {
        return bytes16(_word(quote, TEE_TCB_SVN));
    }

    /// @notice Identifies the code, and how it was configured.
    function measurement(bytes calldata quote) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, add(quote.offset, TD_ATTRIBUTES), 400)
            hash := keccak256(free, 400)
        }
    }

    function reportData(bytes calldata quote) internal pure returns (bytes32, bytes32) {
        return (_word(quote, REPORT_DATA), _word(quote, REPORT_DATA + 32));
    }

    function _requireLengths(bytes calldata quote) private pure {
        bytes32 certification = _word(quote, CERTIFICATION);
        if (bytes2(certification) != QE_REPORT_CERTIFICATION) {
            revert TdxQuote_WrongCertification(bytes2(certification), QE_REPORT_CERTIFICATION);
        }
        // Both lengths count the certificates, which are not here; so they must agree.
        uint256 found = _long(bytes4(_word(quote, SIGNATURE_LENGTH)));
        uint256 required = _long(bytes4(certification << 16)) + BEFORE_CERTIFICATION;
        if (found != required) revert TdxQuote_WrongSignatureLength(found, required);
        bytes2 length = bytes2(_word(quote, AUTHENTICATION));
        if (length != AUTHENTICATION_LENGTH) revert TdxQuote_WrongAuthenticationLength(length, AUTHENTICATION_LENGTH);
    }

    function _requireAttestationKey(bytes calldata quote) private view {
        bytes32 hashed = _sha256(quote, ATTESTATION_KEY, 64, AUTHENTICATION + 2, 32);
        bytes32 reported = _word(quote, QE_REPORT_DATA);
        if (hashed != reported || _word(quote, QE_REPORT_DATA + 32) != 0) {
            revert TdxQuote_WrongAttestationKey(hashed, reported);
        }
    }

    function _short(bytes2 value) private pure returns (uint16) {
        return uint16(value << 8) | uint16(value >> 8);
    }

    function _long(bytes4 value) private pure returns (uint256) {
        uint256 v = uint32(value);
        return (v >> 24) | ((v >> 8) & 0xff00) | ((v & 0xff00) << 8) | ((v & 0xff) << 24);
    }

    /// @dev SHA-256 of one part of the quote, or of two.
    function _sha256(bytes calldata quote, uint256 cursor, uint256 size, uint256 thenAt, uint256 thenSize)
        private
        view
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, add(quote.offset, cursor), size)
            calldatacopy(add(free, size), add(quote.offset, thenAt), thenSize)
            if iszero(staticcall(gas(), 0x02, free, add(size, thenSize), 0x00, 0x20)) { revert(0x00, 0x00) } // out of gas
            hash := mload(0x00)
        }
    }

    function _word(bytes calldata quote, uint256 cursor) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(quote.offset, cursor))
        }
    }
}
