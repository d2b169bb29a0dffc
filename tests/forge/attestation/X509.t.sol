// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P256Signature} from "../../../contracts/libraries/P256Signature.sol";
import {Certificate, RevocationList, X509} from "../../../contracts/libraries/X509.sol";
import {vm} from "../utils/Vm.sol";

interface Files {
    function readFileBinary(string calldata path) external view returns (bytes memory);
}

contract X509Reader {
    function parse(bytes calldata der) external pure returns (Certificate memory) {
        return X509.parse(der);
    }

    function parseList(bytes calldata der) external pure returns (RevocationList memory) {
        return X509.parseList(der);
    }
}

/// @notice ATT-4, on Intel's own root certificate.
contract X509Test {
    X509Reader private _reader = new X509Reader();
    bytes private _root = Files(address(vm)).readFileBinary("tests/vectors/attestation/intel_root_ca.der");

    function test_parse__intels_root__says_what_is_known() external view {
        Certificate memory c = _reader.parse(_root);
        vm.assertEq(c.x, 0x0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5);
        vm.assertEq(c.y, 0x67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394);
        vm.assertEq(address(c.serial), 0x22650cd65A9D3489f383B49552bf501b392706Ac);
        vm.assertEq(uint256(c.notBefore), 1526899510);
        vm.assertEq(uint256(c.notAfter), 2524607999);
        vm.assertEq(uint256(c.usage), 0x06);
        vm.assertTrue(c.ca);
        vm.assertEq(c.platformAt, 0);
        vm.assertTrue(P256Signature.holds(c.digest, c.r, c.s, c.x, c.y));
    }

    /// No byte of a certificate can be changed without the parser or the signature noticing. The last bytes are s, which
    /// has two forms; a changed one is neither.
    function test_parse__intels_root__no_bit_can_be_changed() external view {
        bytes memory der = _root;
        Certificate memory good = _reader.parse(der);
        for (uint256 i = 0; i < der.length; ++i) {
            bytes1 before = der[i];
            der[i] = before ^ bytes1(uint8(1 << (i % 8)));
            try _reader.parse(der) returns (Certificate memory c) {
                vm.assertFalse(P256Signature.holds(c.digest, c.r, c.s, good.x, good.y));
            } catch {}
            der[i] = before;
        }
    }

    function test_parse__cut_anywhere__is_refused() external view {
        bytes memory der = _root;
        for (uint256 length = 0; length < der.length; length += 7) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = der[i];
            }
            (bool ok,) = address(_reader).staticcall(abi.encodeCall(_reader.parse, (cut)));
            vm.assertFalse(ok);
        }
    }

    function testFuzz_parse__anything__is_refused(bytes calldata der) external view {
        (bool ok,) = address(_reader).staticcall(abi.encodeCall(_reader.parse, (der)));
        vm.assertFalse(ok);
        (ok,) = address(_reader).staticcall(abi.encodeCall(_reader.parseList, (der)));
        vm.assertFalse(ok);
    }

    function test_holds__both_forms_of_s__and_no_other() external view {
        Certificate memory c = _reader.parse(_root);
        uint256 order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551;
        bytes32 other = bytes32(order - uint256(c.s));
        vm.assertTrue(P256Signature.holds(c.digest, c.r, other, c.x, c.y));
        vm.assertFalse(P256Signature.holds(c.digest, c.r, 0, c.x, c.y));
        vm.assertFalse(P256Signature.holds(c.digest, 0, c.s, c.x, c.y));
        vm.assertFalse(P256Signature.holds(c.digest, c.r, bytes32(order), c.x, c.y));
        vm.assertFalse(P256Signature.holds(c.digest, c.r, bytes32(type(uint256).max), c.x, c.y));
        vm.assertFalse(P256Signature.holds(c.digest, c.r, c.s, 0, 0));
        vm.assertFalse(P256Signature.holds(c.digest, c.r, c.s, c.y, c.x));
    }
}
