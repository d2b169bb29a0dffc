// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VersionId} from "../types/Ids.sol";
import {Policy} from "../types/Policy.sol";
import {Offer, Version} from "../types/Version.sol";
import {IProofVerifiers} from "./IProofVerifiers.sol";

/// @title Registry of model versions
/// @notice A version is an immutable manifest hash with an owner, a price and a policy. Jobs name exactly one.
///         Rules MODEL-* of docs/spec/protocol.md.
interface IModelRegistry {
    event VersionPublished(
        VersionId indexed version,
        address indexed owner,
        bytes32 manifestHash,
        bytes32 policyHash,
        Offer offer,
        string uri,
        Policy policy
    );
    /// @param revision one more than before: enrolments under earlier ones are void (ENC-8)
    event PolicyNarrowed(VersionId indexed version, Policy policy, uint16 revision);
    /// @param token 0 for the chain's own coin
    event PriceChanged(VersionId indexed version, address indexed token, uint256 price);
    event VersionDeprecated(VersionId indexed version);
    /// @notice Jobs of level PROVED can name the version from now on.
    event CircuitRegistered(VersionId indexed version, uint32 indexed verifier, bytes32 circuit, bytes32 weights);

    error ModelRegistry_AlreadyPublished(VersionId version);
    error ModelRegistry_NotPublished(VersionId version);
    error ModelRegistry_NotOwner(address caller, address owner);
    error ModelRegistry_Deprecated(VersionId version);
    error ModelRegistry_ZeroPrice();
    error ModelRegistry_OwnerPercentTooLarge(uint256 percent, uint256 maximum);
    /// @notice The owner has named no price in this currency.
    error ModelRegistry_NotSoldFor(VersionId version, address token);
    error ModelRegistry_ZeroManifest();
    error ModelRegistry_UriTooLong(uint256 length, uint256 maximum);
    error ModelRegistry_WrongPolicy(bytes32 given, bytes32 published);
    /// @notice The policy is the present one, admits something that the present one does not, or is none.
    error ModelRegistry_NotNarrower(VersionId version);
    error ModelRegistry_NoVerifiers(address verifiers);
    error ModelRegistry_AlreadyProvable(VersionId version);
    error ModelRegistry_NotProvable(VersionId version);
    error ModelRegistry_WrongManifest(bytes32 given, bytes32 published);
    /// @notice The manifest's bytes at `offset` are not the member that names the circuit and the weights.
    error ModelRegistry_CircuitNotNamed(uint256 offset);
    /// @param answer what the verifier returned or reverted with
    error ModelRegistry_InvalidWeights(VersionId version, bytes answer);

    /// @notice Publishes a version under the caller's name.
    /// @param manifestHash SHA-256 of the manifest
    /// @param policy what workers must meet; without measurements the version is open to every worker, for good
    /// @param offer price, at least 1 wei: the stake at risk is a multiple of it; the owner's share; kind of arithmetic
    /// @param uri where the package can be had, at most 512 bytes
    function publish(bytes32 manifestHash, Policy calldata policy, Offer calldata offer, string calldata uri)
        external
        returns (VersionId version);

    /// @notice Changes the price of later jobs; requests already posted keep theirs.
    function setPrice(VersionId version, uint72 price) external;

    /// @notice Sells the version for an ERC-20 token, too; jobs need it to be listed (ICurrencies), and this call does not look.
    /// @param price units of the token per agreeing seat; 0 takes the offer back
    function setTokenPrice(VersionId version, address token, uint72 price) external;

    /// @notice Replaces a version's policy by one that admits less, never more (ENC-8). Owner only.
    /// @param current the present policy, which is stored as a hash
    function narrowPolicy(VersionId version, Policy calldata current, Policy calldata narrower) external;

    /// @notice Ends new jobs for a version, for good. Jobs already posted run to their end.
    function deprecate(VersionId version) external;

    /// @notice Makes a version provable: jobs of level PROVED can name it. Owner only, once, while it takes jobs.
    /// @param verifier number of the proof system's verifier
    /// @param manifest the whole manifest, which must name this circuit and these weights
    /// @param offset where in it `,"circuit":{"descriptor":"<circuit>","weights":"<weights>"}` begins, in lower-case hex
    /// @param circuit keccak256 of the circuit descriptor
    /// @param weights keccak256 of the weight commitments
    /// @param descriptor the circuit descriptor
    /// @param proof shows the verifier that the weights are integers of the declared width, under the context
    ///        keccak256(abi.encode(chain id, this registry, version))
    function registerCircuit(
        VersionId version,
        uint32 verifier,
        bytes calldata manifest,
        uint256 offset,
        bytes32 circuit,
        bytes32 weights,
        bytes calldata descriptor,
        bytes calldata proof
    ) external;

    /// @notice What a job for a version costs and comes with; reverts for a version that takes none, or not for this token.
    /// @param token 0 for the chain's own coin
    /// @return offer price in units of `token`
    /// @return policyRevision zero for an open version
    function offerOf(VersionId version, address token) external view returns (Offer memory offer, uint16 policyRevision);

    /// @notice Revision of a version's policy, zero for an open version. Reverts for one never published.
    function revisionOf(VersionId version) external view returns (uint16 policyRevision);

    /// @notice Hash and revision of a version's policy, both zero for an open version. Reverts for one never published.
    function policyOf(VersionId version) external view returns (bytes32 policyHash, uint16 revision);

    function version(VersionId id) external view returns (Version memory);

    /// @notice Number of the verifier of proofs about a version, 0 while it has no circuit.
    function verifierOf(VersionId version) external view returns (uint32);

    /// @notice Who published a version; zero for one never published.
    function ownerOf(VersionId version) external view returns (address);

    /// @notice What proofs about a version are checked against, for good; reverts for a version without a circuit.
    function circuitOf(VersionId version) external view returns (uint32 verifier, bytes32 circuit, bytes32 weights);

    /// @notice Where the numbers of verifiers come from.
    function verifiers() external view returns (IProofVerifiers);

    /// @notice The id that `publish` gives.
    function versionId(address owner, bytes32 manifestHash) external view returns (VersionId);
}
