// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Sums of points of BLS12-381 and the opening of a KZG commitment
/// @notice The precompiles of EIP-2537, and the two points of Ethereum's KZG ceremony that a verifier needs. Points have 128
///         bytes. G1MSM refuses coordinates that are not below the modulus, points off the curve and points outside the
///         subgroup of order r, whatever their scalar is; G1ADD would not check the subgroup, so nothing here uses it.
library Bls12381 {
    uint256 internal constant POINT = 128;
    /// @dev A point and its scalar: what the multi-scalar multiplication reads.
    uint256 internal constant PAIR = 160;

    /// @dev -H, where H is the generator of G2.
    bytes private constant NEGATIVE_H = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";
    /// @dev τH from the output of Ethereum's KZG ceremony, as every execution client ships it (trusted_setup.txt of EIP-4844):
    ///      the second of its 65 points of G2 in monomial form, decompressed.
    bytes private constant TAU_H = hex"00000000000000000000000000000000185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
        hex"0000000000000000000000000000000015bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72"
        hex"00000000000000000000000000000000014353bdb96b626dd7d5ee8599d1fca2131569490e28de18e82451a496a9c9794ce26d105941f383ee689bfbbb832a99"
        hex"000000000000000000000000000000001666c54b0a32529503432fcae0181b4bef79de09fc63671fda5ed1ba9bfa07899495346f3d7ac9cd23048ef30d0a154f";
    /// @dev G_0 = G1, the generator.
    bytes private constant G = hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";

    error Bls12381_BadPoint();

    /// @notice Memory for `count` pairs.
    function allocate(uint256 count) internal pure returns (uint256 pairs) {
        assembly ("memory-safe") {
            pairs := mload(0x40)
            mstore(0x40, add(pairs, mul(count, PAIR)))
        }
    }

    /// @notice Copies `count` points from calldata into the pairs from `pair` on, each with scalar 0.
    /// @return next the pair behind them
    function copy(uint256 pair, uint256 ptr, uint256 count) internal pure returns (uint256 next) {
        assembly ("memory-safe") {
            next := add(pair, mul(count, PAIR))
            for {} lt(pair, next) { pair := add(pair, PAIR) } {
                calldatacopy(pair, ptr, POINT)
                mstore(add(pair, POINT), 0)
                ptr := add(ptr, POINT)
            }
        }
    }

    /// @notice Writes G_0 into a pair, with scalar 0.
    function copyGenerator(uint256 pair) internal pure {
        bytes memory g = G;
        assembly ("memory-safe") {
            mcopy(pair, add(g, 32), POINT)
            mstore(add(pair, POINT), 0)
        }
    }

    /// @notice Σ scalar · point over `count` pairs. Reverts if one of the points is none.
    function sum(uint256 pairs, uint256 count) internal view returns (bytes memory point) {
        point = new bytes(POINT);
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 0x0c, pairs, mul(count, PAIR), add(point, 32), POINT)
            // Without EIP-2537 the call succeeds and returns nothing.
            ok := and(ok, eq(returndatasize(), POINT))
        }
        if (!ok) revert Bls12381_BadPoint();
    }

    /// @notice Whether e(left, H) = e(right, τH).
    /// @param right address in calldata of a point that `sum` has checked
    function opens(bytes memory left, uint256 right) internal view returns (bool) {
        bytes memory witness = new bytes(POINT);
        assembly ("memory-safe") {
            calldatacopy(add(witness, 32), right, POINT)
        }
        bytes memory pairs = bytes.concat(left, NEGATIVE_H, witness, TAU_H);
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 0x0f, add(pairs, 32), mload(pairs), 0, 32)
            ok := and(ok, eq(returndatasize(), 32))
            ok := and(ok, eq(mload(0), 1))
        }
        return ok;
    }
}
