// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

import {Currencies} from "../../contracts/Currencies.sol";
import {Disputes} from "../../contracts/Disputes.sol";
import {JobMarket} from "../../contracts/JobMarket.sol";
import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/NodeRegistry.sol";
import {Upkeep} from "../../contracts/Upkeep.sol";
import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {IJobMarket} from "../../contracts/interfaces/IJobMarket.sol";
import {Base, IEnclaves, IJobs, JobId, Request, State, Ticket, VersionId, vm} from "./Base.t.sol";
import {Plain} from "./utils/tokens/Plain.sol";

/// @notice One market at one address out of three contracts, and what its constructors refuse: DEP-*, ECON-1 to ECON-5.
contract PartsTest is Base {
    JobMarket private _whole;
    Disputes private _disputes;
    Upkeep private _upkeep;

    function setUp() public override {
        super.setUp();
        _whole = JobMarket(payable(address(market)));
        (_disputes, _upkeep) = (Disputes(_whole.disputes()), Upkeep(_whole.upkeep()));
    }

    // ------------------------------------------------------------------------------------------------ one address

    /// @dev Each function of IJobMarket with arguments that decode.
    function _calls() private view returns (bytes[] memory calls) {
        Request memory r = _default();
        Ticket memory t = _undelivered(r);
        IJobs.InputOpening memory o;
        JobId none = JobId.wrap(0);
        calls = new bytes[](29);
        calls[0] = abi.encodeCall(IJobMarket.request, (r));
        Request memory inToken = _default();
        inToken.terms.token = address(quotes); // any contract
        calls[1] = abi.encodeCall(IJobMarket.requestWithPermit, (inToken, 0, 0, 0, 0));
        calls[2] = abi.encodeCall(IJobMarket.hire, (r, ""));
        calls[3] = abi.encodeCall(IJobMarket.deliver, (r, 0, "", 0, ""));
        calls[4] = abi.encodeCall(IJobMarket.commit, (t, 0));
        calls[5] = abi.encodeCall(IJobMarket.reveal, (t, 0, 0, "", ""));
        calls[6] = abi.encodeCall(IJobMarket.answer, (t, 0, "", ""));
        calls[7] = abi.encodeCall(IJobMarket.prove, (t, r.brief, o, "", "", ""));
        calls[8] = abi.encodeCall(IJobMarket.refuse, (t, 1, "", ""));
        calls[9] = abi.encodeCall(IJobMarket.demand, (t));
        calls[10] = abi.encodeCall(IJobMarket.publish, (t, r.brief, ""));
        calls[11] = abi.encodeCall(IJobMarket.challenge, (t));
        calls[12] = abi.encodeCall(IJobMarket.judge, (t, r.brief, o, "", ""));
        calls[13] = abi.encodeCall(IJobMarket.refer, (t, r.brief, r));
        calls[14] = abi.encodeCall(IJobMarket.resolve, (t));
        calls[15] = abi.encodeCall(IJobMarket.close, (t));
        calls[16] = abi.encodeCall(IJobMarket.notify, (t, r.brief));
        calls[17] = abi.encodeCall(IJobMarket.job, (none));
        calls[18] = abi.encodeCall(IJobMarket.result, (none));
        calls[19] = abi.encodeCall(IJobMarket.isFinal, (none));
        calls[20] = abi.encodeCall(IJobMarket.refereeOf, (none));
        calls[21] = abi.encodeCall(IJobMarket.bond, ());
        calls[22] = abi.encodeCall(IJobMarket.lockFor, (1, address(0)));
        calls[23] = abi.encodeCall(IJobMarket.parameters, ());
        calls[24] = abi.encodeCall(IJobMarket.jobId, (r));
        calls[25] = abi.encodeCall(IJobMarket.nodes, ());
        calls[26] = abi.encodeCall(IJobMarket.models, ());
        calls[27] = abi.encodeCall(IJobMarket.verifiers, ());
        calls[28] = abi.encodeCall(IJobMarket.currencies, ());
    }

    function _accountCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](5);
        calls[0] = abi.encodeCall(IAccounts.withdraw, (stranger, COIN));
        calls[1] = abi.encodeCall(IAccounts.collect, (version, COIN));
        calls[2] = abi.encodeCall(IAccounts.credit, (stranger, COIN));
        calls[3] = abi.encodeCall(IAccounts.fees, (version, COIN));
        calls[4] = abi.encodeCall(IAccounts.reputation, (stranger));
    }

    /// @dev The exclusive-or of all selectors, which ERC-165 calls an interface's id: so that none is missing.
    function _xor(bytes[] memory calls) private pure returns (bytes4 id_) {
        for (uint256 i = 0; i < calls.length; ++i) {
            id_ ^= bytes4(calls[i]);
        }
    }

    /// DEP-4: whatever part has the code, every function is answered at the market's address: with a result, or with an error that
    /// has a name.
    function test_market__every_function__is_answered_at_its_address() public {
        bytes[] memory calls = _calls();
        vm.assertEq(bytes32(_xor(calls) ^ IJobMarket.BURN.selector), bytes32(type(IJobMarket).interfaceId));
        vm.assertEq(bytes32(_xor(_accountCalls())), bytes32(type(IAccounts).interfaceId));
        for (uint256 i = 0; i < calls.length; ++i) {
            _assertAnswered(calls[i], i);
        }
        calls = _accountCalls();
        for (uint256 i = 0; i < calls.length; ++i) {
            _assertAnswered(calls[i], 100 + i);
        }
        _assertAnswered(abi.encodeCall(IJobMarket.BURN, ()), 200);
        vm.assertEq(market.BURN(), burn);
    }

    function _assertAnswered(bytes memory call, uint256 which) private {
        (bool done, bytes memory answer) = address(market).call(call);
        // What no part knows reverts with nothing.
        vm.assertTrue(answer.length >= (done ? 32 : 4), vm.toString(which));
    }

    /// DEP-4: what is no part's function is nobody's, and money that nobody asked for stays where it was.
    function test_market__other_calls_and_money__revert() public {
        vm.deal(stranger, 1 ether);
        vm.startPrank(stranger);
        (bool done, bytes memory answer) = address(market).call(hex"deadbeef");
        vm.assertFalse(done);
        vm.assertEq(answer.length, 0);
        (done,) = address(market).call{value: 1}(hex"deadbeef");
        vm.assertFalse(done);
        (done,) = address(market).call{value: 1}(hex"de");
        vm.assertFalse(done);
        (done, answer) = address(market).call{value: 1}("");
        vm.assertFalse(done);
        vm.assertEq(answer, abi.encodeWithSelector(IJobs.JobMarket_NotRegistry.selector, stranger));
        // Functions that take no money take none by way of the fallback either.
        bytes[] memory calls = _calls();
        for (uint256 i = 0; i < calls.length; ++i) {
            (done,) = address(market).call{value: 1}(calls[i]);
            vm.assertFalse(done, vm.toString(i));
        }
        vm.assertEq(address(market).balance, 0);
    }

    /// DEP-4: the parts' own addresses know no job and move no money, whoever calls them with what.
    function test_parts__called_themselves__move_nothing() public {
        address token = address(new Plain(18));
        vm.prank(steward);
        currencies.announce(token, 1 ether);
        vm.prank(owner);
        models.setTokenPrice(version, token, PRICE);
        vm.warp(block.timestamp + CURRENCY_DELAY);
        Plain(token).mint(requester, 1 ether);
        vm.startPrank(requester);
        Plain(token).approve(address(_upkeep), 1 ether);
        Plain(token).approve(address(_disputes), 1 ether);
        vm.stopPrank();
        _ready(); // a job of the market
        Request memory r = _default();
        r.terms.token = token;
        address[2] memory parts = [address(_disputes), address(_upkeep)];
        for (uint256 p = 0; p < 2; ++p) {
            bytes[] memory calls = _calls();
            calls[1] = abi.encodeCall(IJobMarket.requestWithPermit, (r, 0, 0, 0, 0));
            calls[9] = abi.encodeCall(IJobMarket.demand, (_ticket()));
            for (uint256 i = 0; i < 17; ++i) {
                uint256 value = i == 9 ? DEPOSIT : i == 11 || i == 13 ? BOND : 0;
                vm.deal(requester, 1 ether);
                vm.prank(requester);
                (bool done,) = parts[p].call{value: value}(calls[i]);
                vm.assertFalse(done, string.concat("part ", vm.toString(p), " call ", vm.toString(i)));
            }
            vm.expectRevert();
            IAccounts(parts[p]).withdraw(requester, COIN);
            vm.expectRevert();
            IAccounts(parts[p]).collect(version, COIN);
            vm.deal(stranger, 1);
            vm.prank(stranger);
            (bool took,) = parts[p].call{value: 1}("");
            vm.assertFalse(took, "took coins");
            vm.assertEq(parts[p].balance, 0);
            vm.assertEq(Plain(token).balanceOf(parts[p]), 0);
        }
        vm.assertEq(Plain(token).balanceOf(requester), 1 ether);
        vm.assertEq(uint256(_upkeep.job(id).state), uint256(State.None));
        vm.assertEq(uint256(market.job(id).state), uint256(State.Ready));
    }

    /// DEP-4: a part cannot lock or slash: to the registry it is a stranger.
    function test_registry__part_of_the_market__is_a_stranger() public {
        address[] memory one = new address[](1);
        one[0] = workers[0];
        address[2] memory parts = [address(_disputes), address(_upkeep)];
        for (uint256 p = 0; p < 2; ++p) {
            vm.expectRevert();
            vm.prank(parts[p]);
            nodes.lock(one, 1 gwei, uint40(block.timestamp));
        }
    }

    // ------------------------------------------------------------------------------------------------ EIP-5267, ERC-165

    /// SIG-3: one domain, the market's, whatever part's code checks the signature.
    function test_eip712Domain__market__names_itself() public {
        (
            bytes1 fields,
            string memory name,
            string memory version_,
            uint256 chain,
            address contract_,
            bytes32 salt,
            uint256[] memory extensions
        ) = IERC5267(address(market)).eip712Domain();
        vm.assertEq(bytes32(fields), bytes32(hex"0f"));
        vm.assertEq(name, "Cloister");
        vm.assertEq(version_, "1");
        vm.assertEq(chain, block.chainid);
        vm.assertEq(contract_, address(market));
        vm.assertEq(salt, 0);
        vm.assertEq(extensions.length, 0);
        (,,,, contract_,,) = IERC5267(address(nodes)).eip712Domain();
        vm.assertEq(contract_, address(nodes));
        vm.chainId(31_338);
        (,,, chain,,,) = IERC5267(address(market)).eip712Domain();
        vm.assertEq(chain, 31_338);
    }

    function test_supportsInterface__market__of_what_it_has() public view {
        IERC165 m = IERC165(address(market));
        vm.assertTrue(m.supportsInterface(type(IERC165).interfaceId));
        vm.assertTrue(m.supportsInterface(type(IJobMarket).interfaceId));
        vm.assertTrue(m.supportsInterface(type(IAccounts).interfaceId));
        vm.assertFalse(m.supportsInterface(0xffffffff));
        vm.assertFalse(m.supportsInterface(0));
    }

    // ------------------------------------------------------------------------------------------------ deployment

    function test_deploy__parameters__are_those_given() public view {
        vm.assertEq(keccak256(abi.encode(market.parameters())), keccak256(abi.encode(_parameters())));
        bytes32 settings = keccak256(abi.encode(nodes, models, currencies, _parameters()));
        vm.assertEq(_whole.settings(), settings);
        vm.assertEq(_disputes.settings(), settings);
        vm.assertEq(_upkeep.settings(), settings);
        vm.assertEq(address(market.nodes()), address(nodes));
        vm.assertEq(address(market.models()), address(models));
        vm.assertEq(address(market.currencies()), address(currencies));
        vm.assertEq(address(market.verifiers()), address(verifiers));
        vm.assertLe(address(market).code.length, 24_576, "JobMarket");
        vm.assertLe(address(_disputes).code.length, 24_576, "Disputes");
        vm.assertLe(address(_upkeep).code.length, 24_576, "Upkeep");
        vm.assertLe(address(nodes).code.length, 24_576, "NodeRegistry");
    }

    /// @dev Another value for each member, and each still within the rules.
    function _changed(uint256 which) private pure returns (IJobs.Parameters memory p) {
        p = _parameters();
        if (which == 0) p.seedDelay += 1;
        if (which == 1) p.deliverWindow += 1;
        if (which == 2) p.commitWindow += 1;
        if (which == 3) p.revealWindow += 1;
        if (which == 4) p.publishWindow += 1;
        if (which == 5) p.challengeWindow += 1;
        if (which == 6) p.disputeWindow += 1;
        if (which == 7) p.stakeRatio += 1;
        if (which == 8) p.silentBps += 1;
        if (which == 9) p.wrongBps += 1;
        if (which == 10) p.faultBps += 1;
        if (which == 11) p.checkBps += 1;
        if (which == 12) p.demandDeposit += 1;
        if (which == 13) p.proofGas += 1;
        if (which == 14) p.maxBaseFee += 1;
        if (which == 15) p.provingFee += 1;
    }

    /// @dev A registry that names the market which is deployed as the given one from now on.
    function _nodesFor(uint256 ahead) private returns (NodeRegistry) {
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + ahead);
        return new NodeRegistry(predicted, EPOCH, EXIT_DELAY, MINIMUM_STAKE, models, quotes, _limits());
    }

    /// DEP-4: no part that goes by other rules, in any one of them.
    function test_deploy__part_with_another_parameter__reverts() public {
        IJobs.Parameters memory p = _parameters();
        for (uint256 i = 0; i < 32; ++i) {
            NodeRegistry n = _nodesFor(3);
            Disputes d = new Disputes(n, models, currencies, i < 16 ? _changed(i) : p);
            Upkeep u = new Upkeep(n, models, currencies, i < 16 ? p : _changed(i - 16));
            vm.expectRevert(
                abi.encodeWithSelector(IJobs.JobMarket_WrongPart.selector, i < 16 ? address(d) : address(u))
            );
            new JobMarket(n, models, currencies, p, d, u);
        }
    }

    /// DEP-4: nor one that goes by another registry or list.
    function test_deploy__part_with_another_registry_or_list__reverts() public {
        IJobs.Parameters memory p = _parameters();
        for (uint256 i = 0; i < 6; ++i) {
            Currencies otherList = new Currencies(address(0), 1 days);
            ModelRegistry otherModels = new ModelRegistry(verifiers);
            NodeRegistry n = _nodesFor(3);
            Disputes d =
                new Disputes(i == 0 ? nodes : n, i == 1 ? otherModels : models, i == 2 ? otherList : currencies, p);
            Upkeep u = new Upkeep(i == 3 ? nodes : n, i == 4 ? otherModels : models, i == 5 ? otherList : currencies, p);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPart.selector, i < 3 ? address(d) : address(u)));
            new JobMarket(n, models, currencies, p, d, u);
        }
    }

    /// DEP-1: a market needs the registry that names it, and lists that are there.
    function test_deploy__other_markets_registry_or_no_lists__reverts() public {
        IJobs.Parameters memory p = _parameters();
        bytes memory expected = abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, 1);
        vm.expectRevert(expected);
        new JobMarket(nodes, models, currencies, p, _disputes, _upkeep);
        vm.expectRevert(expected);
        new Disputes(nodes, ModelRegistry(stranger), currencies, p);
        vm.expectRevert(expected);
        new Upkeep(nodes, models, Currencies(stranger), p);
    }

    function _expectBroken(uint256 rule, IJobs.Parameters memory p) private {
        _expectBroken(rule, nodes, p);
    }

    function _expectBroken(uint256 rule, NodeRegistry n, IJobs.Parameters memory p) private {
        if (rule != 0) vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadParameters.selector, rule));
        new Upkeep(n, models, currencies, p);
    }

    /// DEP-3: nothing that must be positive is zero.
    function test_deploy__zero_window_delay_or_ratio__breaks_rule_2() public {
        for (uint256 i = 0; i < 7; ++i) {
            IJobs.Parameters memory p = _parameters();
            if (i == 0) p.seedDelay = 0;
            if (i == 1) p.deliverWindow = 0;
            if (i == 2) p.commitWindow = 0;
            if (i == 3) p.revealWindow = 0;
            if (i == 4) p.publishWindow = 0;
            if (i == 5) p.challengeWindow = 0;
            if (i == 6) p.stakeRatio = 0;
            _expectBroken(2, p);
        }
    }

    /// DEP-3, ECON-4
    function test_deploy__shares__silence_costs_less_than_a_wrong_answer() public {
        IJobs.Parameters memory p = _parameters();
        p.silentBps = WRONG_BPS;
        _expectBroken(3, p);
        p.silentBps = WRONG_BPS - 1;
        _expectBroken(0, p);
        p.wrongBps = 10_001;
        _expectBroken(3, p);
        p.wrongBps = 10_000;
        _expectBroken(0, p);
        p.faultBps = 0;
        _expectBroken(3, p);
        p.faultBps = 10_001;
        _expectBroken(3, p);
        p.faultBps = 10_000;
        _expectBroken(0, p);
    }

    /// @dev Seconds from the delivery to the end of the last dispute.
    function _longest(IJobs.Parameters memory p) private pure returns (uint256) {
        return _life(p) + p.challengeWindow + 2 * uint256(p.disputeWindow);
    }

    function _life(IJobs.Parameters memory p) private pure returns (uint256) {
        return 2 * uint256(p.commitWindow) + p.publishWindow + p.revealWindow;
    }

    function _registry(uint256 exitDelay, uint32 lockPeriod) private returns (NodeRegistry) {
        IEnclaves.Limits memory l = _limits();
        l.lockPeriod = lockPeriod;
        return new NodeRegistry(address(1), EPOCH, exitDelay, MINIMUM_STAKE, models, quotes, l);
    }

    /// NODE-4: to the second.
    function test_deploy__exit_delay_not_above_the_longest_job__breaks_rule_4() public {
        IJobs.Parameters memory p = _parameters();
        uint256 longest = p.deliverWindow + _longest(p);
        _expectBroken(4, _registry(longest, LOCK_PERIOD), p);
        _expectBroken(0, _registry(longest + 1, LOCK_PERIOD), p);
    }

    /// NODE-5, ENC-9: to the second, both bounds.
    function test_deploy__lock_period_too_short__breaks_rule_5() public {
        IJobs.Parameters memory p = _parameters();
        uint32 third = uint32((_longest(p) + 2) / 3);
        _expectBroken(5, _registry(EXIT_DELAY, third - 1), p);
        _expectBroken(0, _registry(EXIT_DELAY, third), p);
        // Where disputes are short a job's own life is what counts. Rule 6 is looked at later.
        (p.challengeWindow, p.disputeWindow) = (1, 1);
        uint32 life = uint32(_life(p));
        _expectBroken(5, _registry(EXIT_DELAY, life - 1), p);
        _expectBroken(6, _registry(EXIT_DELAY, life), p);
    }

    /// CHAL-8: a referee's job fits into a dispute.
    function test_deploy__dispute_shorter_than_a_referee__breaks_rule_6() public {
        IJobs.Parameters memory p = _parameters();
        p.disputeWindow = uint32(p.deliverWindow + _life(p)) - 1;
        _expectBroken(6, p);
        p.disputeWindow += 1;
        _expectBroken(0, p);
    }

    /// ECON-1: being caught as rarely as the market counts on must cost more than lying saves.
    function test_deploy__checks_too_rare__breaks_rule_7() public {
        IJobs.Parameters memory p = _parameters();
        // 10,000^2 / (10 x 5,000): exactly even is not enough.
        p.checkBps = 2000;
        _expectBroken(7, p);
        p.checkBps = 2001;
        _expectBroken(0, p);
        p.checkBps = 10_001;
        _expectBroken(7, p);
        p.checkBps = 10_000;
        _expectBroken(0, p);
        (p.stakeRatio, p.wrongBps, p.checkBps) = (9, 10_000, 1111);
        _expectBroken(7, p);
        p.checkBps = 1112;
        _expectBroken(0, p);
    }

    /// ECON-2: five prices.
    function test_deploy__penalty_below_five_prices__breaks_rule_8() public {
        IJobs.Parameters memory p = _parameters();
        (p.wrongBps, p.checkBps) = (4999, 10_000);
        _expectBroken(8, p);
        p.wrongBps = 5000;
        _expectBroken(0, p);
        (p.stakeRatio, p.wrongBps) = (5, 9999);
        _expectBroken(8, p);
        p.wrongBps = 10_000;
        _expectBroken(0, p);
    }

    /// ECON-3: a lock costs whoever causes it a fifth of the stake a year.
    function test_deploy__fee_below_the_locks_cost__breaks_rule_9() public {
        IJobs.Parameters memory p = _parameters();
        uint256 least = (uint256(p.stakeRatio) * _longest(p) * 2000 + 365 days - 1) / 365 days;
        p.faultBps = uint16(least - 1);
        _expectBroken(9, p);
        p.faultBps = uint16(least);
        _expectBroken(0, p);
        // A product that does not fit 32 bits.
        (p.stakeRatio, p.faultBps) = (5000, 10_000);
        _expectBroken(9, p);
    }
}
