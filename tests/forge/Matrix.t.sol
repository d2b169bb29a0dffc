// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    IJobMarket,
    IJobs,
    INodeRegistry,
    JobId,
    Level,
    Offer,
    Request,
    State,
    Ticket,
    VersionId,
    vm
} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice Every function that changes state, by every role, in every state, before and after the state's deadline: what exactly
///         happens. A row has one letter per state, in the order of `State`: None, Open, Ready, Demanded, Committed, Settled,
///         Refunded, Disputed, Challenged. `.` is success, `-` a state that jobs of this kind do not come to; the other
///         letters are errors, which `_errorOf` spells out.
contract MatrixTest is EnclaveBase {
    enum Kind {
        Agreed, // a proof decides
        Alone, // no verifier: referees decide
        Proved,
        Attested // no verifier
    }

    enum Role {
        Requester,
        Seat,
        OtherWorker,
        Challenger,
        Stranger,
        Owner
    }

    enum Function {
        Request,
        RequestWithPermit,
        Hire,
        Deliver,
        Commit,
        Reveal,
        Answer,
        Prove,
        Refuse,
        Demand,
        Publish,
        Challenge,
        Judge,
        Refer,
        Resolve,
        Close,
        Notify,
        Withdraw,
        Collect
    }

    struct Row {
        Function f;
        /// Whose function it is; for all others `others` and `othersLate` hold.
        Role role;
        string early;
        string late;
        string others;
        string othersLate;
    }

    uint256 private constant FUNCTIONS = 19;
    uint256 private constant ROLES = 6;
    bytes32 private constant PROVEN = keccak256(abi.encode(uint256(2), PAD, keccak256(MASKED)));

    address private immutable _publisher = vm.addr(uint256(keccak256("publisher")));
    address private immutable _challenger = vm.addr(uint256(keccak256("challenger")));
    /// @dev A version with a circuit of which the owner has a tenth.
    VersionId private _tenth;
    VersionId private _open10;
    VersionId private _closed10;
    Request private _job;
    bytes private _header;

    function setUp() public override {
        super.setUp();
        _tenth = _publishProvable(_publisher, verifierId, Offer(PRICE, 10, false));
        vm.startPrank(_publisher);
        _open10 = models.publish(keccak256("open"), _open(), Offer(PRICE, 10, false), "");
        _closed10 = models.publish(keccak256("closed"), _policy(), Offer(PRICE, 10, false), "");
        vm.stopPrank();
        closed = _closed10;
        _enrolAll();
    }

    // ------------------------------------------------------------------------------------------------ the tables

    function test_agreed__every_function_role_and_state__as_the_table_says() public {
        Row[FUNCTIONS] memory t;
        Role all = Role.Stranger;
        t[0] = Row(Function.Request, Role.Requester, ".AAAAAAAA", ".AAAAAAAA", "QQQQQQQQQ", "QQQQQQQQQ");
        t[1] = Row(Function.RequestWithPermit, all, "XXXXXXXXX", "XXXXXXXXX", "XXXXXXXXX", "XXXXXXXXX");
        t[2] = Row(Function.Hire, Role.Requester, "VAAAAAAAA", "VAAAAAAAA", "QQQQQQQQQ", "QQQQQQQQQ");
        t[3] = Row(Function.Deliver, Role.Requester, "U.SSSSSSS", "ULSSSSSSS", "QQQQQQQQQ", "QQQQQQQQQ");
        t[4] = Row(Function.Commit, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[5] = Row(Function.Reveal, Role.Seat, "USSS.SSSS", "USSSLSSSS", "USSSNSSSS", "USSSLSSSS");
        t[6] = Row(Function.Answer, Role.Seat, "USVSSSSSS", "USLSSSSSS", "USVSSSSSS", "USLSSSSSS");
        t[7] = Row(Function.Prove, Role.Seat, "USVSSSSSS", "USLSSSSSS", "USVSSSSSS", "USLSSSSSS");
        t[8] = Row(Function.Refuse, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[9] = Row(Function.Demand, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[10] = Row(Function.Publish, all, "USS.SSSSS", "USSLSSSSS", "USS.SSSSS", "USSLSSSSS");
        t[11] = Row(Function.Challenge, all, "USSSS.SSS", "USSSSLSSS", "USSSS.SSS", "USSSSLSSS");
        t[12] = Row(Function.Judge, all, "USSSS.S..", "USSSSLSLL", "USSSS.S..", "USSSSLSLL");
        t[13] = Row(Function.Refer, Role.Requester, "URRRRRRRR", "URRRRRRRR", "UQQQQQQQQ", "UQQQQQQQQ");
        t[14] = Row(Function.Resolve, all, "USSSSESEE", "USSSS.S..", "USSSSESEE", "USSSS.S..");
        t[15] = Row(Function.Close, all, "UEEEESSSS", "U....SSSS", "UEEEESSSS", "U....SSSS");
        t[16] = Row(Function.Notify, all, "UOOOOOOOO", "UOOOO.OOO", "UOOOOOOOO", "UOOOO.OOO");
        t[17] = Row(Function.Withdraw, all, "CCCCC..C.", "CCCCC..C.", "CCCCC..C.", "CCCCC..C.");
        t[18] = Row(Function.Collect, all, "CCCCC.CC.", "CCCCC.CC.", "CCCCC.CC.", "CCCCC.CC.");
        _tryAll(Kind.Agreed, t, 9);
    }

    function test_agreed_without_verifier__every_function_role_and_state__as_the_table_says() public {
        Row[FUNCTIONS] memory t;
        Role all = Role.Stranger;
        t[0] = Row(Function.Request, Role.Requester, ".AAAAAAAA", ".AAAAAAAA", "QQQQQQQQQ", "QQQQQQQQQ");
        t[1] = Row(Function.RequestWithPermit, all, "XXXXXXXXX", "XXXXXXXXX", "XXXXXXXXX", "XXXXXXXXX");
        t[2] = Row(Function.Hire, Role.Requester, "VAAAAAAAA", "VAAAAAAAA", "QQQQQQQQQ", "QQQQQQQQQ");
        t[3] = Row(Function.Deliver, Role.Requester, "U.SSSSSSS", "ULSSSSSSS", "QQQQQQQQQ", "QQQQQQQQQ");
        t[4] = Row(Function.Commit, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[5] = Row(Function.Reveal, Role.Seat, "USSS.SSSS", "USSSLSSSS", "USSSNSSSS", "USSSLSSSS");
        t[6] = Row(Function.Answer, Role.Seat, "USVSSSSSS", "USLSSSSSS", "USVSSSSSS", "USLSSSSSS");
        t[7] = Row(Function.Prove, Role.Seat, "USVSSSSSS", "USLSSSSSS", "USVSSSSSS", "USLSSSSSS");
        t[8] = Row(Function.Refuse, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[9] = Row(Function.Demand, Role.Seat, "US.SSSSSS", "USLSSSSSS", "USNSSSSSS", "USLSSSSSS");
        t[10] = Row(Function.Publish, all, "USS.SSSSS", "USSLSSSSS", "USS.SSSSS", "USSLSSSSS");
        t[11] = Row(Function.Challenge, all, "USSSSPSSS", "USSSSLSSS", "USSSSPSSS", "USSSSLSSS");
        t[12] = Row(Function.Judge, all, "UPPPPPPPP", "UPPPPPPPP", "UPPPPPPPP", "UPPPPPPPP");
        t[13] = Row(Function.Refer, Role.Requester, "USSSS.S.S", "USSSSLSLS", "UQQQQQQQQ", "UQQQQQQQQ");
        t[14] = Row(Function.Resolve, Role.Requester, "USSSSES.I", "USSSS.S.I", "USSSSESEI", "USSSS.S.I");
        t[15] = Row(Function.Close, all, "UEEEESSSS", "U....SSSS", "UEEEESSSS", "U....SSSS");
        t[16] = Row(Function.Notify, all, "UOOOOOOOO", "UOOOO.OOO", "UOOOOOOOO", "UOOOO.OOO");
        t[17] = Row(Function.Withdraw, all, "CCCCC..C.", "CCCCC..C.", "CCCCC..C.", "CCCCC..C.");
        t[18] = Row(Function.Collect, all, "CCCCC.CC.", "CCCCC.CC.", "CCCCC.CC.", "CCCCC.CC.");
        _tryAll(Kind.Alone, t, 9);
    }

    function test_proved__every_function_role_and_state__as_the_table_says() public {
        Row[FUNCTIONS] memory t;
        Role all = Role.Stranger;
        t[0] = Row(Function.Request, Role.Requester, ".AAA-AA--", ".AAA-AA--", "QQQQ-QQ--", "QQQQ-QQ--");
        t[1] = Row(Function.RequestWithPermit, all, "XXXX-XX--", "XXXX-XX--", "XXXX-XX--", "XXXX-XX--");
        t[2] = Row(Function.Hire, Role.Requester, "HAAA-AA--", "HAAA-AA--", "QQQQ-QQ--", "QQQQ-QQ--");
        t[3] = Row(Function.Deliver, Role.Requester, "U.SS-SS--", "ULSS-SS--", "QQQQ-QQ--", "QQQQ-QQ--");
        t[4] = Row(Function.Commit, Role.Seat, "USVS-SS--", "USLS-SS--", "USVS-SS--", "USLS-SS--");
        t[5] = Row(Function.Reveal, Role.Seat, "USSS-SS--", "USSS-SS--", "USSS-SS--", "USSS-SS--");
        t[6] = Row(Function.Answer, Role.Seat, "USVS-SS--", "USLS-SS--", "USVS-SS--", "USLS-SS--");
        t[7] = Row(Function.Prove, Role.Seat, "US.S-SS--", "USLS-SS--", "USNS-SS--", "USLS-SS--");
        t[8] = Row(Function.Refuse, Role.Seat, "US.S-SS--", "USLS-SS--", "USNS-SS--", "USLS-SS--");
        t[9] = Row(Function.Demand, Role.Seat, "US.S-SS--", "USLS-SS--", "USNS-SS--", "USLS-SS--");
        t[10] = Row(Function.Publish, all, "USS.-SS--", "USSL-SS--", "USS.-SS--", "USSL-SS--");
        t[11] = Row(Function.Challenge, all, "USSS-FS--", "USSS-LS--", "USSS-FS--", "USSS-LS--");
        t[12] = Row(Function.Judge, all, "USSS-FS--", "USSS-LS--", "USSS-FS--", "USSS-LS--");
        t[13] = Row(Function.Refer, Role.Requester, "URRR-RR--", "URRR-RR--", "UQQQ-QQ--", "UQQQ-QQ--");
        t[14] = Row(Function.Resolve, all, "USSS-SS--", "USSS-SS--", "USSS-SS--", "USSS-SS--");
        t[15] = Row(Function.Close, all, "UEEE-SS--", "U...-SS--", "UEEE-SS--", "U...-SS--");
        t[16] = Row(Function.Notify, all, "UOOO-.O--", "UOOO-.O--", "UOOO-.O--", "UOOO-.O--");
        t[17] = Row(Function.Withdraw, all, "CCCC-C.--", "CCCC-C.--", "CCCC-C.--", "CCCC-C.--");
        t[18] = Row(Function.Collect, all, "CCCC-.C--", "CCCC-.C--", "CCCC-.C--", "CCCC-.C--");
        _tryAll(Kind.Proved, t, 6);
    }

    function test_attested__every_function_role_and_state__as_the_table_says() public {
        Row[FUNCTIONS] memory t;
        Role all = Role.Stranger;
        t[0] = Row(Function.Request, Role.Requester, ".AAA-AA-A", ".AAA-AA-A", "QQQQ-QQ-Q", "QQQQ-QQ-Q");
        t[1] = Row(Function.RequestWithPermit, all, "XXXX-XX-X", "XXXX-XX-X", "XXXX-XX-X", "XXXX-XX-X");
        t[2] = Row(Function.Hire, Role.Requester, "HAAA-AA-A", "HAAA-AA-A", "QQQQ-QQ-Q", "QQQQ-QQ-Q");
        t[3] = Row(Function.Deliver, Role.Requester, "U.SS-SS-S", "ULSS-SS-S", "QQQQ-QQ-Q", "QQQQ-QQ-Q");
        t[4] = Row(Function.Commit, Role.Seat, "USVS-SS-S", "USLS-SS-S", "USVS-SS-S", "USLS-SS-S");
        t[5] = Row(Function.Reveal, Role.Seat, "USSS-SS-S", "USSS-SS-S", "USSS-SS-S", "USSS-SS-S");
        t[6] = Row(Function.Answer, Role.Seat, "US.S-SS-S", "USLS-SS-S", "USNS-SS-S", "USLS-SS-S");
        t[7] = Row(Function.Prove, Role.Seat, "USVS-SS-S", "USLS-SS-S", "USVS-SS-S", "USLS-SS-S");
        t[8] = Row(Function.Refuse, Role.Seat, "US.S-SS-S", "USLS-SS-S", "USNS-SS-S", "USLS-SS-S");
        t[9] = Row(Function.Demand, Role.Seat, "US.S-SS-S", "USLS-SS-S", "USNS-SS-S", "USLS-SS-S");
        t[10] = Row(Function.Publish, all, "USS.-SS-S", "USSL-SS-S", "USS.-SS-S", "USSL-SS-S");
        t[11] = Row(Function.Challenge, all, "USSS-PS-S", "USSS-LS-S", "USSS-PS-S", "USSS-LS-S");
        t[12] = Row(Function.Judge, all, "UPPP-PP-P", "UPPP-PP-P", "UPPP-PP-P", "UPPP-PP-P");
        t[13] = Row(Function.Refer, Role.Requester, "USSS-.S-S", "USSS-LS-S", "UQQQ-QQ-Q", "UQQQ-QQ-Q");
        t[14] = Row(Function.Resolve, all, "USSS-SS-I", "USSS-SS-I", "USSS-SS-I", "USSS-SS-I");
        t[15] = Row(Function.Close, all, "UEEE-SS-S", "U...-SS-S", "UEEE-SS-S", "U...-SS-S");
        t[16] = Row(Function.Notify, all, "UOOO-OO-O", "UOOO-.O-O", "UOOO-OO-O", "UOOO-.O-O");
        t[17] = Row(Function.Withdraw, all, "CCCC-C.-C", "CCCC-C.-C", "CCCC-C.-C", "CCCC-C.-C");
        t[18] = Row(Function.Collect, all, "CCCC-.C-.", "CCCC-.C-.", "CCCC-.C-.", "CCCC-.C-.");
        _tryAll(Kind.Attested, t, 7);
    }

    function _errorOf(bytes1 letter) private pure returns (bytes4) {
        if (letter == "U") return IJobs.JobMarket_UnknownJob.selector;
        if (letter == "S") return IJobs.JobMarket_WrongState.selector;
        if (letter == "L") return IJobs.JobMarket_TooLate.selector;
        if (letter == "E") return IJobs.JobMarket_TooEarly.selector;
        if (letter == "V") return IJobs.JobMarket_WrongLevel.selector;
        if (letter == "N") return IJobs.JobMarket_NotSeated.selector;
        if (letter == "Q") return IJobs.JobMarket_NotRequester.selector;
        if (letter == "A") return IJobs.JobMarket_AlreadyRequested.selector;
        if (letter == "F") return IJobs.JobMarket_ResultFinal.selector;
        if (letter == "P") return IJobs.JobMarket_NoVerifier.selector;
        if (letter == "R") return IJobs.JobMarket_NoReferee.selector;
        if (letter == "H") return IJobs.JobMarket_WrongHire.selector;
        if (letter == "O") return IJobs.JobMarket_NotFinal.selector;
        if (letter == "C") return IJobs.JobMarket_NoCredit.selector;
        if (letter == "I") return IJobs.JobMarket_RefereeUndecided.selector;
        return bytes4(0); // X: a coin has no permit
    }

    // ------------------------------------------------------------------------------------------------ playing them

    function _tryAll(Kind kind, Row[FUNCTIONS] memory rows, uint256 states) private {
        uint256 clean = vm.snapshotState();
        uint256 cells = 0;
        for (uint256 s = 0; s <= uint256(State.Challenged); ++s) {
            if (bytes(rows[0].early)[s] == "-") continue;
            // A call of its own, whose memory is given back.
            cells += this.tryState(kind, rows, State(s));
            vm.revertToState(clean);
        }
        vm.assertEq(cells, 2 * states * FUNCTIONS * ROLES, "cells");
    }

    function tryState(Kind kind, Row[FUNCTIONS] calldata rows, State state) external returns (uint256 cells) {
        _bring(kind, state);
        vm.assertEq(uint256(market.job(id).state), uint256(state), "brought");
        for (uint256 late = 0; late < 2; ++late) {
            if (late == 1 && state != State.None) _lapse();
            for (uint256 f = 0; f < FUNCTIONS; ++f) {
                vm.assertEq(uint256(rows[f].f), f, "rows in order");
                for (uint256 role = 0; role < ROLES; ++role) {
                    bool own = Role(role) == rows[f].role;
                    string memory row = own
                        ? (late == 0 ? rows[f].early : rows[f].late)
                        : (late == 0 ? rows[f].others : rows[f].othersLate);
                    _tryCell(Function(f), Role(role), state, bytes(row)[uint256(state)], late == 1);
                    ++cells;
                }
            }
        }
    }

    function _tryCell(Function f, Role role, State state, bytes1 letter, bool late) private {
        uint256 snapshot = vm.snapshotState();
        address sender = _address(role);
        (uint256 value, bytes memory data) = _calldata(f, sender, state);
        vm.deal(sender, value);
        bytes32 before = _record();
        vm.prank(sender);
        (bool ok, bytes memory answer) = address(market).call{value: value}(data);
        bytes4 expected = letter == "." ? bytes4(0) : _errorOf(letter);
        if (ok != (letter == ".") || (!ok && bytes4(answer) != expected)) {
            revert(
                string.concat(
                    "function ",
                    vm.toString(uint256(f)),
                    " role ",
                    vm.toString(uint256(role)),
                    " state ",
                    vm.toString(uint256(state)),
                    late ? " late: " : " early: ",
                    vm.toString(bytes32(answer))
                )
            );
        }
        if (!ok) vm.assertEq(_record(), before, "a refused call changes nothing");
        vm.revertToState(snapshot);
    }

    /// @dev What a refused call must leave as it is.
    function _record() private view returns (bytes32) {
        return
            keccak256(abi.encode(market.job(id), address(market).balance, address(nodes).balance, market.refereeOf(id)));
    }

    function _address(Role role) private view returns (address) {
        if (role == Role.Requester) return requester;
        if (role == Role.Challenger) return _challenger;
        if (role == Role.Stranger) return stranger;
        if (role == Role.Owner) return _publisher;
        address seat = committee.length == 0 ? workers[0] : committee[0];
        if (role == Role.Seat) return seat;
        for (uint256 i = 0; i < workers.length; ++i) {
            bool seated = workers[i] == seat;
            for (uint256 k = 0; k < committee.length; ++k) {
                if (committee[k] == workers[i]) seated = true;
            }
            if (!seated) return workers[i];
        }
        revert("everybody is seated");
    }

    function _of(Kind kind) private view returns (Request memory r) {
        if (kind == Kind.Agreed) r = _defaultVerified();
        if (kind == Kind.Alone) r = _default();
        if (kind == Kind.Proved) r = _defaultProved();
        if (kind == Kind.Attested) r = _defaultAttested();
        r.terms.ownerPercent = 10;
        r.terms.version = kind == Kind.Alone ? _open10 : kind == Kind.Attested ? _closed10 : _tenth;
        (r.brief.consumer, r.brief.consumerGas) = (stranger, 30_000);
    }

    function _bring(Kind kind, State target) private {
        Request memory r = _of(kind);
        _job = r;
        _header = "";
        _remember(_jobId(r), r);
        committee = new address[](0);
        if (target == State.None) return;
        _request(r);
        uint256 seedBlock = market.job(id).moment;
        _header = _seedBlock(seedBlock);
        address[] memory drawn = _drawFor(kind, r, seedBlock);
        if (target == State.Open) {
            committee = drawn;
            return;
        }
        _deliver(r, _header, drawn);
        if (target == State.Ready) return;
        if (target == State.Demanded) return _demand(0);
        if (target == State.Refunded) {
            _lapse();
            return _close();
        }
        if (kind == Kind.Proved) return _prove();
        if (kind == Kind.Attested) {
            bytes memory signature = _result(committee[0], RIGHT, "");
            vm.prank(committee[0]);
            market.answer(_ticket(), RIGHT, "", signature);
        } else {
            bool split = target == State.Disputed;
            _commitAll(RIGHT, split ? OTHER : RIGHT, WRONG);
            if (target == State.Committed) return;
            _revealAll(RIGHT, split ? OTHER : RIGHT, WRONG);
        }
        if (target != State.Challenged) return;
        if (kind == Kind.Agreed) _challengeBy(_challenger);
        else _refer(_larger(), BOND);
    }

    function _drawFor(Kind kind, Request memory r, uint256 seedBlock) private view returns (address[] memory) {
        if (kind != Kind.Attested) return _draw(r);
        bytes32 seed = keccak256(abi.encode(id, _mixHash(seedBlock), SECRET));
        return nodes.drawEnrolled(seed, 1, (seedBlock - SEED_DELAY) / EPOCH, LOCK, _eligibility());
    }

    function _larger() private view returns (Request memory r) {
        r = _referee(_job);
        // Four workers are too few for seven seats, but enough to ask for.
        r.terms.quorum = r.terms.seats / 2 + 1;
    }

    function _calldata(Function f, address sender, State state) private view returns (uint256, bytes memory) {
        Request memory r = _job;
        Ticket memory t = _ticket();
        if (f == Function.Request) return (_escrow(r), abi.encodeCall(market.request, (r)));
        if (f == Function.RequestWithPermit) {
            return (0, abi.encodeCall(market.requestWithPermit, (r, block.timestamp, 27, 0, 0)));
        }
        if (f == Function.Hire) return (_escrow(r), abi.encodeCall(market.hire, (r, new bytes(80))));
        if (f == Function.Deliver) {
            bytes memory keys = _sealedKeys(committee);
            return (0, abi.encodeCall(market.deliver, (r, SECRET, _header, keccak256(abi.encode(committee)), keys)));
        }
        if (f == Function.Commit) return (0, abi.encodeCall(market.commit, (t, RIGHT)));
        if (f == Function.Reveal) {
            return (0, abi.encodeCall(market.reveal, (t, RIGHT, _salt(sender), "", _signed(sender, RIGHT, ""))));
        }
        if (f == Function.Answer) {
            return (0, abi.encodeCall(market.answer, (t, RIGHT, "", _signed(sender, RIGHT, ""))));
        }
        if (f == Function.Prove) {
            bytes memory signature = _signed(sender, PROVEN, MASKED);
            return (0, abi.encodeCall(market.prove, (t, r.brief, _opening(), MASKED, _proof(id, sender), signature)));
        }
        if (f == Function.Refuse) return (0, abi.encodeCall(market.refuse, (t, 2, "", "")));
        if (f == Function.Demand) return (DEPOSIT, abi.encodeCall(market.demand, (t)));
        if (f == Function.Publish) return (0, abi.encodeCall(market.publish, (t, r.brief, CIPHERTEXT)));
        if (f == Function.Challenge) return (BOND, abi.encodeCall(market.challenge, (t)));
        if (f == Function.Judge) {
            return (0, abi.encodeCall(market.judge, (t, r.brief, _opening(), MASKED, _proof(id, sender))));
        }
        if (f == Function.Refer) {
            Request memory larger = _larger();
            uint256 value = _escrow(larger) + (state == State.Disputed ? 0 : BOND);
            return (value, abi.encodeCall(market.refer, (t, r.brief, larger)));
        }
        if (f == Function.Resolve) return (0, abi.encodeCall(market.resolve, (t)));
        if (f == Function.Close) return (0, abi.encodeCall(market.close, (t)));
        if (f == Function.Notify) return (0, abi.encodeCall(market.notify, (t, r.brief)));
        if (f == Function.Withdraw) return (0, abi.encodeCall(market.withdraw, (requester, COIN)));
        return (0, abi.encodeCall(market.collect, (r.terms.version, COIN)));
    }

    function _signed(address sender, bytes32 output, bytes memory sealedOutput) private view returns (bytes memory) {
        return _result(sender, output, sealedOutput);
    }
}
