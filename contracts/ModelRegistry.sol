// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {IProofVerifiers} from "./interfaces/IProofVerifiers.sol";
import {Ask} from "./libraries/Ask.sol";
import {Circuit} from "./types/Circuit.sol";
import {VersionId} from "./types/Ids.sol";
import {Policy} from "./types/Policy.sol";
import {Offer, Offering, Version} from "./types/Version.sol";

/// @title Registry of model versions; see IModelRegistry
contract ModelRegistry is IModelRegistry {
    uint256 public constant MAX_URI = 512;
    uint256 public constant MAX_OWNER_PERCENT = 50;

    IProofVerifiers public immutable verifiers;

    mapping(VersionId => Version) private _versions;
    mapping(VersionId => Circuit) private _circuits;
    mapping(VersionId => mapping(address token => uint256)) private _tokenPrices;

    constructor(IProofVerifiers verifiers_) {
        if (address(verifiers_).code.length == 0) revert ModelRegistry_NoVerifiers(address(verifiers_));
        verifiers = verifiers_;
    }

    /// @inheritdoc IModelRegistry
    function publish(bytes32 manifestHash, Policy calldata policy, Offer calldata offer, string calldata uri)
        external
        returns (VersionId id)
    {
        if (manifestHash == 0) revert ModelRegistry_ZeroManifest();
        if (offer.price == 0) revert ModelRegistry_ZeroPrice();
        if (offer.ownerPercent > MAX_OWNER_PERCENT) {
            revert ModelRegistry_OwnerPercentTooLarge(offer.ownerPercent, MAX_OWNER_PERCENT);
        }
        if (bytes(uri).length > MAX_URI) revert ModelRegistry_UriTooLong(bytes(uri).length, MAX_URI);
        id = versionId(msg.sender, manifestHash);
        if (_versions[id].owner != address(0)) revert ModelRegistry_AlreadyPublished(id);
        policy.check();

        bytes32 policyHash = policy.hash();
        _versions[id] = Version({
            owner: msg.sender,
            price: offer.price,
            ownerPercent: offer.ownerPercent,
            policyRevision: policyHash == 0 ? 0 : 1,
            offering: offer.inexact ? Offering.Inexact : Offering.Exact,
            manifestHash: manifestHash,
            policyHash: policyHash,
            uri: uri
        });
        emit VersionPublished(id, msg.sender, manifestHash, policyHash, offer, uri, policy);
    }

    /// @inheritdoc IModelRegistry
    function setPrice(VersionId id, uint72 price) external {
        Version storage v = _owned(id);
        if (price == 0) revert ModelRegistry_ZeroPrice();
        v.price = price;
        emit PriceChanged(id, address(0), price);
    }

    /// @inheritdoc IModelRegistry
    function setTokenPrice(VersionId id, address token, uint72 price) external {
        _owned(id);
        if (token == address(0)) revert ModelRegistry_NotSoldFor(id, token);
        _tokenPrices[id][token] = price;
        emit PriceChanged(id, token, price);
    }

    /// @inheritdoc IModelRegistry
    function narrowPolicy(VersionId id, Policy calldata current, Policy calldata narrower) external {
        Version storage v = _owned(id);
        bytes32 given = current.hash();
        if (given != v.policyHash) revert ModelRegistry_WrongPolicy(given, v.policyHash);
        narrower.check();
        bytes32 hash = narrower.hash();
        // No measurements would mean that anybody may run it.
        if (hash == 0 || hash == given || !narrower.within(current)) revert ModelRegistry_NotNarrower(id);
        v.policyHash = hash;
        v.policyRevision += 1;
        emit PolicyNarrowed(id, narrower, v.policyRevision);
    }

    /// @inheritdoc IModelRegistry
    function deprecate(VersionId id) external {
        _owned(id).offering = Offering.Withdrawn;
        emit VersionDeprecated(id);
    }

    /// @inheritdoc IModelRegistry
    function registerCircuit(
        VersionId id,
        uint32 verifier,
        bytes calldata manifest,
        uint256 offset,
        bytes32 circuit,
        bytes32 weights,
        bytes calldata descriptor,
        bytes calldata proof
    ) external {
        _checkManifest(_owned(id).manifestHash, manifest, offset, circuit, weights);
        if (_circuits[id].verifier != 0) revert ModelRegistry_AlreadyProvable(id);
        _checkWeights(id, verifiers.verifierOf(verifier), circuit, weights, descriptor, proof);
        _circuits[id] = Circuit(verifier, circuit, weights);
        emit CircuitRegistered(id, verifier, circuit, weights);
    }

    /// @inheritdoc IModelRegistry
    function offerOf(VersionId id, address token) external view returns (Offer memory offer, uint16 policyRevision) {
        Version storage v = _published(id);
        if (v.offering == Offering.Withdrawn) revert ModelRegistry_Deprecated(id);
        uint256 price = token == address(0) ? v.price : _tokenPrices[id][token];
        if (price == 0) revert ModelRegistry_NotSoldFor(id, token);
        // forge-lint: disable-next-line(unsafe-typecast)
        offer = Offer(uint72(price), v.ownerPercent, v.offering == Offering.Inexact); // written as uint72
        policyRevision = v.policyRevision;
    }

    /// @inheritdoc IModelRegistry
    function revisionOf(VersionId id) external view returns (uint16) {
        return _published(id).policyRevision;
    }

    /// @inheritdoc IModelRegistry
    function policyOf(VersionId id) external view returns (bytes32 policyHash, uint16 revision) {
        Version storage v = _published(id);
        return (v.policyHash, v.policyRevision);
    }

    /// @inheritdoc IModelRegistry
    function verifierOf(VersionId id) external view returns (uint32) {
        return _circuits[id].verifier;
    }

    /// @inheritdoc IModelRegistry
    function ownerOf(VersionId id) external view returns (address) {
        return _versions[id].owner;
    }

    /// @inheritdoc IModelRegistry
    function circuitOf(VersionId id) external view returns (uint32 verifier, bytes32 circuit, bytes32 weights) {
        Circuit storage c = _circuits[id];
        if (c.verifier == 0) revert ModelRegistry_NotProvable(id);
        return (c.verifier, c.circuit, c.weights);
    }

    /// @inheritdoc IModelRegistry
    function version(VersionId id) external view returns (Version memory) {
        return _versions[id];
    }

    /// @inheritdoc IModelRegistry
    function versionId(address owner, bytes32 manifestHash) public view returns (VersionId) {
        return VersionId.wrap(keccak256(abi.encode(block.chainid, address(this), owner, manifestHash)));
    }

    function _published(VersionId id) private view returns (Version storage v) {
        v = _versions[id];
        if (v.owner == address(0)) revert ModelRegistry_NotPublished(id);
    }

    /// @dev A version that takes jobs still, of which the caller is the owner.
    function _owned(VersionId id) private view returns (Version storage v) {
        v = _published(id);
        if (v.owner != msg.sender) revert ModelRegistry_NotOwner(msg.sender, v.owner);
        if (v.offering == Offering.Withdrawn) revert ModelRegistry_Deprecated(id);
    }

    /// @dev The manifest hash fixes the manifest, and the manifest its circuit: whoever has the package knows what the chain
    ///      checks proofs against. JSON has no parser here and needs none: inside a string a quote has a backslash before
    ///      it, and the quote after the comma has none. So it begins the name of a member, unless it ended a string, which
    ///      no letter can follow. What is not JSON, or has the member in another place, is refused by those who read it.
    function _checkManifest(
        bytes32 published,
        bytes calldata manifest,
        uint256 offset,
        bytes32 circuit,
        bytes32 weights
    ) private pure {
        bytes32 hash = sha256(manifest);
        if (hash != published) revert ModelRegistry_WrongManifest(hash, published);
        bytes memory member =
            bytes.concat(',"circuit":{"descriptor":"', _hex(circuit), '","weights":"', _hex(weights), '"}');
        // Compared without adding to the offset, which could wrap.
        if (manifest.length < member.length || offset > manifest.length - member.length) {
            revert ModelRegistry_CircuitNotNamed(offset);
        }
        if (keccak256(manifest[offset:offset + member.length]) != keccak256(member)) {
            revert ModelRegistry_CircuitNotNamed(offset);
        }
    }

    function _checkWeights(
        VersionId id,
        IProofVerifier verifier,
        bytes32 circuit,
        bytes32 weights,
        bytes calldata descriptor,
        bytes calldata proof
    ) private view {
        bytes32 context = keccak256(abi.encode(block.chainid, address(this), id));
        (bool valid, bytes memory answer) = Ask.that(
            address(verifier),
            abi.encodeCall(IProofVerifier.verifyWeights, (circuit, weights, context, descriptor, proof))
        );
        if (!valid) revert ModelRegistry_InvalidWeights(id, answer);
    }

    /// @dev 64 lower-case digits.
    function _hex(bytes32 word) private pure returns (bytes memory digits) {
        digits = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            digits[i] = bytes16("0123456789abcdef")[uint256(word) >> (252 - 4 * i) & 15];
        }
    }
}
