// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {CodeStorage} from "../libraries/CodeStorage.sol";
import {P256Signature} from "../libraries/P256Signature.sol";
import {Certificate, RevocationList, X509} from "../libraries/X509.sol";
import {PlatformExtension, PlatformFacts} from "./PlatformExtension.sol";

/// @title Certificates and revocation lists (ATT-4)
/// @notice Anybody may register certificates and lists: signatures decide. Chains have three members: a pinned root, an
///         authority that the root certified, and what the authority signs, which is platform certificates (if it is a CA)
///         or documents (if it is not). A root has the id keccak256(x ‖ y), a certificate keccak256 of its DER.
///
///         `verify` finds all that it needs of root and CA in one word, the CA's standing, which follows the root's state. When a
///         root's list names a certificate that it did not name before, the root's generation rises, and documents of an
///         earlier one hold no more until they are posted again, which fails if their signer is revoked.
abstract contract Certificates {
    /// @notice A root certificate's key. `development` marks what it certifies as development evidence.
    struct RootKey {
        bytes32 x;
        bytes32 y;
        bool development;
    }

    /// @param x public key, and y
    /// @param qeIdentity where the QE identity is stored that a signer under this root signed
    /// @param listIssued Unix second of the last revocation list; `listUntil` of the next
    /// @param cas ids of the CAs that it certified
    struct Root {
        bytes32 x;
        bytes32 y;
        address qeIdentity;
        uint40 listIssued;
        uint40 listUntil;
        uint16 generation;
        bool development;
        bytes32[] cas;
    }

    /// @param qeIdentity the root's
    /// @param listUntil last Unix second of the CA's own revocation list
    /// @param rootListUntil last Unix second of the root's; 0 if it names the CA
    /// @param generation the root's
    struct Standing {
        address qeIdentity;
        uint40 listUntil;
        uint40 rootListUntil;
        uint16 generation;
    }

    /// @param until last Unix second of the certificate
    /// @param ca whether it signs certificates and lists; else it signs documents
    /// @param standing of a CA
    struct Authority {
        bytes32 x;
        bytes32 y;
        bytes32 root;
        uint160 serial;
        uint40 until;
        uint40 listIssued;
        bool ca;
        Standing standing;
    }

    /// @notice A platform certificate as it is stored: seven words of code.
    /// @param facts see `_pack`
    /// @param platform keccak256 of the PPID
    /// @param issuer id of the authority
    struct Platform {
        uint256 facts;
        bytes32 x;
        bytes32 y;
        bytes32 platform;
        bytes32 issuer;
        bytes32 root;
        uint256 serial;
    }

    uint256 private constant PLATFORM_SIZE = 224;

    event AuthorityAdded(bytes32 indexed id, bytes32 indexed root, bool ca, uint40 until);
    event PlatformAdded(bytes32 indexed pck, bytes32 indexed platform, bytes32 indexed issuer, uint40 until);
    event SerialRevoked(bytes32 indexed issuer, uint160 serial);
    event RevocationListRead(bytes32 indexed issuer, uint40 issued, uint40 until);

    error Certificates_WrongRoot(bytes32 x, bytes32 y);
    error Certificates_UnknownIssuer(bytes32 issuer);
    error Certificates_UnknownPlatform(bytes32 pck);
    error Certificates_KnownAuthority(bytes32 id);
    error Certificates_KnownPlatform(bytes32 pck);
    error Certificates_WrongSignature(bytes32 digest);
    error Certificates_NotCurrent(uint256 from, uint256 until, uint256 time);
    error Certificates_WrongUsage(bool ca, uint8 usage);
    error Certificates_Revoked(bytes32 issuer, uint256 serial);
    error Certificates_NoCurrentList(bytes32 issuer, uint256 until, uint256 time);
    error Certificates_OldList(uint256 issued, uint256 last);

    mapping(bytes32 id => Root) internal _roots;
    mapping(bytes32 id => Authority) internal _authorities;
    mapping(bytes32 issuer => mapping(uint256 serial => bool)) internal _revoked;
    /// @dev For a list that was read in part: where the next entry begins.
    mapping(bytes32 digest => uint256) private _progress;
    /// @dev One more than the workers on a platform; 0 for one that is not registered.
    mapping(bytes32 platform => uint256) internal _places;

    constructor(RootKey[] memory keys) {
        for (uint256 i = 0; i < keys.length; ++i) {
            RootKey memory key = keys[i];
            if (!P256.isValidPublicKey(key.x, key.y)) revert Certificates_WrongRoot(key.x, key.y);
            Root storage r = _roots[keccak256(abi.encode(key.x, key.y))];
            (r.x, r.y, r.development) = (key.x, key.y, key.development);
        }
    }

    /// @notice Registers a certificate that a root issued: a CA's, or a signer's of documents.
    function addAuthority(bytes calldata der, bytes32 issuer) external returns (bytes32 id) {
        Root storage r = _rootOf(issuer);
        Certificate memory c = X509.parse(der);
        _requireIssued(c, issuer, r.x, r.y);
        uint8 needed = c.ca ? X509.CERTIFICATES_AND_LISTS : X509.DIGITAL_SIGNATURE;
        // A platform certificate's key belongs to a platform: it vouches for no document.
        if (c.usage & needed != needed || c.platformAt != 0) revert Certificates_WrongUsage(c.ca, c.usage);
        id = keccak256(der);
        Authority storage a = _authorities[id];
        if (a.x != 0) revert Certificates_KnownAuthority(id);
        (a.x, a.y, a.root) = (c.x, c.y, issuer);
        (a.serial, a.until, a.ca) = (c.serial, c.notAfter, c.ca);
        if (c.ca) {
            r.cas.push(id);
            _follow(r, a);
        }
        emit AuthorityAdded(id, issuer, c.ca, c.notAfter);
    }

    /// @notice Registers the certificate of a platform, once.
    function addPlatform(bytes calldata der, bytes32 issuer) external returns (bytes32 pck) {
        Authority storage a = _authorityOf(issuer, true);
        Certificate memory c = X509.parse(der);
        _requireIssued(c, issuer, a.x, a.y);
        if (c.ca || c.usage & X509.DIGITAL_SIGNATURE == 0) revert Certificates_WrongUsage(c.ca, c.usage);
        PlatformFacts memory facts = PlatformExtension.parse(der, c.platformAt, c.platformEnd);
        pck = keccak256(der);
        if (_platformAt(pck).code.length != 0) revert Certificates_KnownPlatform(pck);
        bytes32 machine = keccak256(abi.encodePacked(facts.ppid));
        if (_places[machine] == 0) _places[machine] = 1;
        (bytes32 root_, uint40 until) = (a.root, a.until < c.notAfter ? a.until : c.notAfter);
        uint256 packed = _pack(facts, until, _roots[root_].development);
        _store(pck, Platform(packed, c.x, c.y, machine, issuer, root_, c.serial));
        emit PlatformAdded(pck, machine, issuer, until);
    }

    /// @notice Reads a revocation list of a root or a CA: at most so many entries, from where it stopped the last time. It is
    ///         current once the last entry has been read; the entries count at once, and for good.
    function addRevocations(bytes calldata der, bytes32 issuer, uint256 most) external {
        RevocationList memory list = X509.parseList(der);
        bool isRoot = _roots[issuer].x != 0;
        (bytes32 x, bytes32 y, uint256 last) = isRoot ? _rootLister(issuer) : _authorityLister(issuer);
        _requireSigned(list.digest, list.r, list.s, x, y);
        _requireCurrent(list.issued, list.until);
        if (list.issued < last) revert Certificates_OldList(list.issued, last);
        (bool complete, bool grown) = _readEntries(der, list, issuer, most);
        if (complete) emit RevocationListRead(issuer, list.issued, list.until);
        if (isRoot) {
            Root storage r = _roots[issuer];
            if (grown) ++r.generation;
            if (complete) (r.listIssued, r.listUntil) = (list.issued, list.until);
            _followAll(r);
        } else if (complete) {
            Authority storage a = _authorities[issuer];
            (a.listIssued, a.standing.listUntil) = (list.issued, list.until);
        }
    }

    /// @notice Bytes of the platform certificate that is being registered; for the code that stores it.
    function pending() external view {
        assembly ("memory-safe") {
            let free := mload(0x40)
            for { let i := 0 } lt(i, 7) { i := add(i, 1) } { mstore(add(free, mul(i, 32)), tload(i)) }
            return(free, PLATFORM_SIZE)
        }
    }

    function root(bytes32 id) external view returns (Root memory) {
        return _roots[id];
    }

    function authority(bytes32 id) external view returns (Authority memory) {
        return _authorities[id];
    }

    /// @notice A registered platform certificate. `facts`, from the lowest bit: CPUSVN 128, FMSPC 48, PCESVN 16, last
    ///         second 40, development 1.
    function platform(bytes32 pck) external view returns (Platform memory) {
        return _platform(pck);
    }

    function isPlatform(bytes32 pck) external view returns (bool) {
        return _platformAt(pck).code.length != 0;
    }

    function isRevoked(bytes32 issuer, uint160 serial) external view returns (bool) {
        return _revoked[issuer][serial];
    }

    /// @dev Reverts for a root that is not pinned.
    function _rootOf(bytes32 id) internal view returns (Root storage r) {
        r = _roots[id];
        if (r.x == 0) revert Certificates_UnknownIssuer(id);
    }

    /// @dev An authority of that kind that may sign now.
    function _authorityOf(bytes32 id, bool ca) internal view returns (Authority storage a) {
        a = _authorities[id];
        if (a.x == 0 || a.ca != ca) revert Certificates_UnknownIssuer(id);
        _requireCurrent(0, a.until);
        _requireNotRevoked(a.root, a.serial);
    }

    /// @dev Brings the standing of all CAs up to the state of their root.
    function _followAll(Root storage r) internal {
        for (uint256 i = 0; i < r.cas.length; ++i) {
            _follow(r, _authorities[r.cas[i]]);
        }
    }

    function _requireNotRevoked(bytes32 issuer, uint256 serial) internal view {
        if (_revoked[issuer][serial]) revert Certificates_Revoked(issuer, serial);
    }

    function _requireSigned(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view {
        if (!P256Signature.holds(digest, r, s, x, y)) revert Certificates_WrongSignature(digest);
    }

    function _requireCurrent(uint256 from, uint256 until) internal view {
        if (block.timestamp < from || block.timestamp > until) {
            revert Certificates_NotCurrent(from, until, block.timestamp);
        }
    }

    /// @dev The platform certificate with the id `pck`.
    function _platform(bytes32 pck) internal view returns (Platform memory p) {
        address store = _platformAt(pck);
        assembly ("memory-safe") {
            extcodecopy(store, p, 0, PLATFORM_SIZE)
        }
        if (p.x == 0) revert Certificates_UnknownPlatform(pck);
    }

    /// @dev Of `Platform.facts`, which is less than 2^240, so that the first byte of the code is zero.
    function _until(uint256 facts) internal pure returns (uint256) {
        return (facts >> 192) & type(uint40).max;
    }

    function _development(uint256 facts) internal pure returns (bool) {
        return facts >> 232 != 0;
    }

    function _pack(PlatformFacts memory facts, uint40 until, bool development) private pure returns (uint256) {
        return (uint256(development ? 1 : 0) << 232) | (uint256(until) << 192) | (uint256(facts.pceSvn) << 176)
            | (uint256(uint48(facts.fmspc)) << 128) | uint128(facts.cpuSvn);
    }

    function _platformAt(bytes32 pck) private view returns (address) {
        return CodeStorage.keyed(pck);
    }

    function _store(bytes32 pck, Platform memory p) private {
        assembly ("memory-safe") {
            for { let i := 0 } lt(i, 7) { i := add(i, 1) } { tstore(i, mload(add(p, mul(i, 32)))) }
        }
        CodeStorage.writeKeyed(pck);
    }

    function _requireIssued(Certificate memory c, bytes32 issuer, bytes32 x, bytes32 y) private view {
        _requireSigned(c.digest, c.r, c.s, x, y);
        _requireCurrent(c.notBefore, c.notAfter);
        _requireNotRevoked(issuer, c.serial);
    }

    function _follow(Root storage r, Authority storage a) private {
        bool revoked = _revoked[a.root][a.serial];
        a.standing = Standing(r.qeIdentity, a.standing.listUntil, revoked ? 0 : r.listUntil, r.generation);
    }

    function _rootLister(bytes32 id) private view returns (bytes32, bytes32, uint256) {
        Root storage r = _roots[id];
        return (r.x, r.y, r.listIssued);
    }

    function _authorityLister(bytes32 id) private view returns (bytes32, bytes32, uint256) {
        Authority storage a = _authorityOf(id, true);
        return (a.x, a.y, a.listIssued);
    }

    /// @dev Whether the last entry was read, and whether any was new.
    function _readEntries(bytes calldata der, RevocationList memory list, bytes32 issuer, uint256 most)
        private
        returns (bool complete, bool grown)
    {
        uint256 cursor = _progress[list.digest];
        if (cursor == 0) cursor = list.entriesAt;
        uint160 serial;
        for (; most != 0 && cursor != list.entriesEnd; --most) {
            (serial, cursor) = X509.entry(der, cursor, list.entriesEnd);
            if (_revoked[issuer][serial]) continue;
            _revoked[issuer][serial] = true;
            grown = true;
            emit SerialRevoked(issuer, serial);
        }
        complete = cursor == list.entriesEnd;
        if (!complete) _progress[list.digest] = cursor;
    }
}
