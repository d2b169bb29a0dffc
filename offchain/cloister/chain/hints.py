"""What to do about each custom error of the contracts. A test holds the table complete."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# MatrixProofVerifier says at which check a proof failed; to whoever made or sent it that is one thing or the other.
_DESCRIPTOR = (
    "Descriptor_Bias",
    "Descriptor_Block",
    "Descriptor_End",
    "Descriptor_Header",
    "Descriptor_Length",
    "Descriptor_Overlap",
    "Descriptor_Shape",
    "Descriptor_Terms",
    "Descriptor_Weights",
    "Descriptor_Window",
)
_PROOF = (
    "Bls12381_BadPoint",
    "Field_NotCanonical",
    "MatrixProof_BadChallenge",
    "MatrixProof_NoWeights",
    "MatrixProof_WrongDescriptor",
    "ProofFile_Header",
    "ProofFile_Length",
    "ProofFile_OtherStatement",
    "PublicValues_OutOfRange",
    "Terms_Unknown",
    "Windows_DoNotFit",
)

# TdxQuoteVerifier says at which byte a document is malformed; to whoever sent it that is one thing.
_DOCUMENT = (
    "Asn1_Trailing",
    "Asn1_Truncated",
    "Asn1_WrongLength",
    "Asn1_WrongTag",
    "Asn1_WrongValue",
    "PlatformExtension_Missing",
    "PlatformExtension_Repeated",
    "X509_RepeatedExtension",
    "X509_UnknownCriticalExtension",
    "X509_WrongAlgorithm",
    "X509_WrongKey",
    "X509_WrongVersion",
)
_QUOTE = (
    "TdxQuote_WrongAttestationKey",
    "TdxQuote_WrongAuthenticationLength",
    "TdxQuote_WrongCertification",
    "TdxQuote_WrongHeader",
    "TdxQuote_WrongLength",
    "TdxQuote_WrongSignatureLength",
    "TdxQuote_WrongVendor",
)
_QUOTING_ENCLAVE = (
    "QeTable_WrongAttributes",
    "QeTable_WrongMiscselect",
    "QeTable_WrongProduct",
    "QeTable_WrongSigner",
)

HINTS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            _DESCRIPTOR, "The circuit breaks PROOF-1: package the model again with this version of Cloister."
        ),
        **dict.fromkeys(
            _PROOF,
            "The proof was damaged, or made by another version of Cloister or for another statement: make it again.",
        ),
        # BlockHeader, in deliver
        "BlockHeader_HashUnavailable": (
            "Before the seed block is mined: wait for the block after it. After 8191 blocks: the "
            "header can no longer "
            "be proved; close the job when its deadline has passed."
        ),
        "BlockHeader_Malformed": ("This chain's headers have another format: Cloister's draw cannot run on it."),
        "BlockHeader_Mismatch": (
            "The seed block was replaced by a reorganisation, or the RPC endpoint lies: fetch the "
            "header again and "
            "draw anew before sealing any key."
        ),
        # JobMarket: request
        "JobMarket_LevelNotAvailable": "Ask for ATTESTED, AGREED or PROVED, the levels of this version.",
        "JobMarket_OpenVersion": "Any worker may run this version, attested or not: ask for AGREED.",
        "JobMarket_BadCommittee": (
            "Choose 2 to maxSeats seats and a quorum above half of them; a PROVED or ATTESTED job has one seat."
        ),
        "JobMarket_VerifierRemoved": (
            "Nobody checks proofs about this version any more: name no verifier, or ask for another version."
        ),
        "JobMarket_WrongVerifier": (
            "Name the verifier that the version's circuit is registered with, or 0; PROVED needs it, inexact versions "
            "have none."
        ),
        "JobMarket_NotRequester": "Use the account that the terms name: it alone posts, delivers and calls referees.",
        "JobMarket_PriceChanged": "The owner changed the price: request again.",
        "JobMarket_WrongOwnerPercent": "Take the owner's share from the version; it never changes.",
        "JobMarket_WrongLock": "The currency's rate has changed: ask lockFor(price, token) and request again.",
        "JobMarket_WrongPayment": (
            "Send exactly seats x price in coins, with the bond if there is one; for a price in a token the bond alone."
        ),
        "JobMarket_WrongAmount": "This token moves other amounts than it is told to: pay in another currency.",
        "SafeERC20FailedOperation": "Have seats x price of this token, and give the market an allowance of as much.",
        "JobMarket_WrongHire": (
            "`hire` needs a worker and takes no floor of reputation; every other request leaves the worker out."
        ),
        "JobMarket_AlreadyRequested": ("This very job was posted before: choose another nonce to post it once more."),
        # JobMarket: any later call
        "JobMarket_UnknownJob": (
            "Check the job id, the market's address and the chain; the request may not be mined yet."
        ),
        "JobMarket_WrongState": "Somebody else moved the job on: read it again and act on its present state.",
        "JobMarket_TooLate": "The window has passed: close the job instead.",
        "JobMarket_TooEarly": "Wait until the chain's time has passed the deadline.",
        "JobMarket_WrongCommittee": ("Take the committee from the job's KeysDelivered event, vacant seats included."),
        "JobMarket_WrongBrief": "Show the brief that was requested: nonce, input, keys and consumer of this very job.",
        "JobMarket_NotSeated": ("This account was not drawn for the job: use the account that was, or leave the job."),
        # JobMarket: deliver
        "JobMarket_WrongSecret": "Derive the seed secret from the root secret of this very request.",
        "JobMarket_SeatsForgotten": (
            "The stakes of the request's epoch are gone: close the job when its deadline has passed and request again."
        ),
        "JobMarket_DrawMismatch": (
            "The draw moved, by a reorganisation or by stake that was locked meanwhile: draw again "
            "and seal the keys "
            "for the new committee."
        ),
        "JobMarket_SealedKeysLength": "Send 80 bytes per seated worker, in the committee's order.",
        # JobMarket: commit, reveal, refuse
        "JobMarket_AlreadyCommitted": "This seat's commitment is on chain: reveal it when reveals open.",
        "JobMarket_AlreadyRevealed": "Nothing is left to do for this seat.",
        "JobMarket_Excused": "This seat is vacant or refused the job: nothing is left to do for it.",
        "JobMarket_NotCommitted": "Only a seat that committed can reveal: nothing is left to do for it.",
        "JobMarket_WrongOpening": ("Reveal the output commitment and the salt of the commitment that this seat sent."),
        # JobMarket: prove
        "JobMarket_WrongLevel": (
            "`prove` is for PROVED jobs, `answer` for ATTESTED ones, `commit` and `reveal` for AGREED ones; `hire` is "
            "for all but these."
        ),
        "JobMarket_MaskedTooLong": "The output is too large: refuse such a job with reason 6 before the work.",
        "JobMarket_WrongInput": "The request commits to another input or pad: refuse the job with reason 1.",
        "JobMarket_InvalidProof": (
            "The verifier does not accept the proof: see that prover and verifier are of one version of Cloister."
        ),
        "JobMarket_ZeroOutput": "An output commitment is a hash and never zero: compute it again.",
        "JobMarket_SealedOutputTooLong": (
            "The output is too large: refuse such a job with reason 6 before the commit."
        ),
        # JobMarket: what enclaves sign
        "JobMarket_WrongSignature": (
            "Sign exactly what is sent, with the key that was this worker's signer when the job was delivered."
        ),
        "JobMarket_WrongSealedKey": "Give the sealed keys of all seats just as the job's KeysDelivered event has them.",
        "JobMarket_Revoked": (
            "The platform's certificate is revoked: attest another platform; this job's silence costs nothing."
        ),
        # JobMarket: demand, publish
        "JobMarket_WrongDeposit": (
            "Send exactly the demand deposit of the market's parameters, or for a challenge at least the bond."
        ),
        "JobMarket_AlreadyPublished": ("The ciphertext is on chain: take it from the CiphertextPublished event."),
        "JobMarket_Unpublishable": ("A ciphertext above 64 KiB cannot be demanded: refuse the job with reason 2."),
        "JobMarket_WrongCiphertext": ("These bytes are not the job's input: publish the blob that the request names."),
        # JobMarket: challenge, judge, refer, resolve, notify
        "JobMarket_ResultFinal": (
            "Nobody can challenge this result: it was proved, challenged before, found by referees, or is inexact."
        ),
        "JobMarket_NoVerifier": "The terms name no verifier: only the requester can appeal, to a larger committee.",
        "JobMarket_NoReferee": (
            "A proof decides about this job, or referees were called before, or its version is inexact: no committee "
            "will decide about it."
        ),
        "JobMarket_BadReferee": (
            "Ask at AGREED, without a verifier, for the same version, input, ciphertext and response key, with at "
            "least min(15, 2k + 1) seats."
        ),
        "JobMarket_RefereeUndecided": "See the referee's job through first: close it when its deadline has passed.",
        "JobMarket_NothingToDecide": "The proof confirms the result, which nobody has challenged: do nothing.",
        "JobMarket_NoConsumer": "The request names no contract that is to be told its result.",
        "JobMarket_NotFinal": "Wait until nobody can challenge the result any more, then notify.",
        "JobMarket_GasTooLow": "Send the notification with more gas: the consumer must get all that the request names.",
        # JobMarket: money and deployment
        "JobMarket_NoCredit": "The market owes this account nothing in this currency: there is nothing to withdraw.",
        "JobMarket_TransferFailed": "The payee refuses plain payments: only its own code can change that.",
        "JobMarket_NotRegistry": "Money reaches the market through its own calls only: do not send it any.",
        "JobMarket_BadParameters": (
            "Deploy the registry with this market's address first; `rule` counts from there through the rules of "
            "Rules.sol: DEP-3, NODE-4 and ECON-1 to ECON-5 of docs/spec."
        ),
        "JobMarket_WrongPart": "Deploy Disputes and Upkeep with exactly the market's arguments.",
        "ReentrancyGuardReentrantCall": "A token or payee called the market back: pay in another currency.",
        # Currencies
        "Currencies_NotSteward": "Use the account of the currencies' steward.",
        "Currencies_NotListed": "Jobs cannot be paid in this token now: it has no rate that counts yet, or any more.",
        "Currencies_NotAToken": "There is no contract at this address: check the token and the chain.",
        "Currencies_BadDelay": "Let a day to ten years pass between the announcement of a rate and its effect.",
        # ModelRegistry
        "ModelRegistry_AlreadyPublished": ("This account published this manifest before: change its price instead."),
        "ModelRegistry_NotPublished": "Check the version id, the registry's address and the chain.",
        "ModelRegistry_NotOwner": "Use the account that published the version.",
        "ModelRegistry_Deprecated": "The owner retired this version for good: choose another one.",
        "ModelRegistry_ZeroPrice": "Set a price of at least 1 wei.",
        "ModelRegistry_OwnerPercentTooLarge": "Ask for at most half of the price.",
        "ModelRegistry_NotSoldFor": "The owner has named no price in this currency: pay in another one.",
        "ModelRegistry_ZeroManifest": "Package the model first: its manifest's SHA-256 is its name.",
        "ModelRegistry_UriTooLong": "Shorten the URI.",
        "ModelRegistry_WrongPolicy": (
            "Give the version's present policy, from its last PolicyNarrowed or VersionPublished."
        ),
        "ModelRegistry_NotNarrower": (
            "A policy can only lose measurements, statuses or development, and must keep one measurement: publish "
            "another version for anything else."
        ),
        "Policy_NotAscending": "Sort the measurements and name each once.",
        "Policy_AcceptsNothing": "Accept at least one TCB status.",
        "ModelRegistry_NoVerifiers": "Deploy ProofVerifiers first and name its address.",
        "ModelRegistry_AlreadyProvable": "The circuit of this version is registered for good: nothing is left to do.",
        "ModelRegistry_NotProvable": "No circuit is registered for this version: ask for AGREED.",
        "ModelRegistry_WrongManifest": "Give the bytes of the very manifest that was published.",
        "ModelRegistry_CircuitNotNamed": (
            "The manifest names another circuit or other weights: package the model again, and publish that."
        ),
        "ModelRegistry_InvalidWeights": (
            "The verifier does not accept the proof about the weights: see that prover and verifier are of one "
            "version of Cloister."
        ),
        # ProofVerifiers
        "ProofVerifiers_NoCode": "Deploy the verifier first.",
        "ProofVerifiers_Unknown": "No verifier has this number: check it and the deployment.",
        "ProofVerifiers_Removed": "Its steward removed this verifier, for good: name another one.",
        "ProofVerifiers_NotSteward": "Use the account that listed the verifier.",
        # NodeRegistry
        "NodeRegistry_NotMarket": "Only the market locks and slashes: check the deployment file.",
        "NodeRegistry_AlreadyRegistered": ("This account has its place: top up its stake or replace its keys instead."),
        "NodeRegistry_NotRegistered": "Register this account as a worker first.",
        "NodeRegistry_StakeTooSmall": "Register with at least the minimum stake.",
        "NodeRegistry_StakeTooLarge": "No account can hold that much stake: send less.",
        "NodeRegistry_Exiting": ("This worker announced its exit: withdraw after the delay, then register again."),
        "NodeRegistry_NotExiting": "Announce the exit first and wait for the exit delay.",
        "NodeRegistry_TooEarly": "Wait until the exit delay has passed.",
        "NodeRegistry_StakeLocked": "Jobs still lock stake of this worker: it comes free by itself, so wait.",
        "NodeRegistry_NotHireable": (
            "This worker cannot take the job: not registered, leaving, or not enrolled, attested or keyed for so long."
        ),
        "NodeRegistry_WrongOperatorSignature": "Let the operator sign Membership(worker, operator) for this registry.",
        "NodeRegistry_ZeroKey": "Give an HPKE key and a signer address that are not zero.",
        "NodeRegistry_EndpointTooLong": "Shorten the endpoint.",
        "NodeRegistry_NotEnoughFree": "A drawn worker's stake was locked meanwhile: draw again.",
        "NodeRegistry_PenaltyTooLarge": ("This is a defect of the contracts: report it with the transaction's hash."),
        "NodeRegistry_TransferFailed": "The payee refuses plain payments: only its own code can change that.",
        "NodeRegistry_BadParameters": ("Deploy with positive parameters and a minimum stake of at least 1 gwei."),
        # Enclaves, part of NodeRegistry
        "Enclaves_WrongBinding": (
            "The quote is about other keys, another worker, registry or chain: let the enclave make one for these."
        ),
        "Enclaves_WrongChallenge": "The challenge block was replaced by a reorganisation: quote a newer block's hash.",
        "Enclaves_ChallengeTooOld": (
            "Quote the hash of one of the last 256 blocks; a call simulated at the newest does not know its hash."
        ),
        "Enclaves_ChallengeUsed": "Quote the hash of a block later than that of the last attestation.",
        "Enclaves_Expired": (
            "A certificate, list or document behind the quote has run out: wait for the steward to post a current one."
        ),
        "Enclaves_WrongEvidence": "Give the evidence of the worker's last WorkerAttested event; it may have vacated.",
        "Enclaves_NotAttested": "Attest first: no attestation of this worker is live.",
        "Enclaves_NotRevoked": (
            "No revocation list names this certificate, it is another platform's, or the attestation is void already."
        ),
        "Enclaves_WrongSignature": "Let the enclave sign, with the key behind the registered signer.",
        "Enclaves_PromptLifetime": (
            "Let the prompt key end later than now, not before the last one, and within the registry's prompt lifetime."
        ),
        "Enclaves_OpenVersion": "This version has no policy: every worker is drawn for it without enrolling.",
        "Enclaves_WrongPolicy": "Give the version's present policy, from its last PolicyNarrowed or VersionPublished.",
        "Enclaves_NotAdmitted": (
            "The policy does not admit this measurement, status or development evidence: run an enclave that it admits."
        ),
        "Enclaves_StillAttested": "The worker holds its place until its attestation ends or it has withdrawn.",
        "Enclaves_StillEnrolled": "The worker was never enrolled, or its enrolment holds: nothing is to be struck.",
        "Enclaves_SignerOwed": (
            "Jobs under way may need the signer before this one: wait until no stake is locked, or for a lock period."
        ),
        # TdxQuoteVerifier
        **dict.fromkeys(
            _DOCUMENT, "This is no certificate or list of Intel's as the contract reads them: fetch it again."
        ),
        **dict.fromkeys(_QUOTE, "This is not the beginning of a TDX version 4 quote: take one from the enclave again."),
        **dict.fromkeys(
            _QUOTING_ENCLAVE, "The quoting enclave is not Intel's for TDX: update the platform's software."
        ),
        "TdxQuote_WrongAttributes": "Start the TD without DEBUG and with SEPT_VE_DISABLE.",
        "TdxQuote_ForeignModule": "Only Intel's own TDX module is accepted: update the platform.",
        "Certificates_WrongRoot": "The chain must end in a root that the contract was deployed with.",
        "Certificates_UnknownIssuer": "Register the issuer's certificate first.",
        "Certificates_UnknownPlatform": "Register the platform's PCK certificate first.",
        "Certificates_KnownAuthority": "This certificate is registered: nothing is left to do.",
        "Certificates_KnownPlatform": "This certificate is registered: nothing is left to do.",
        "Certificates_WrongSignature": "The document was damaged, or its signer is another: fetch it again.",
        "Certificates_NotCurrent": "The certificate is not valid at this time: fetch the present one and register it.",
        "Certificates_WrongUsage": "This certificate may not sign such a document: name the one that did.",
        "Certificates_Revoked": "The certificate is revoked: use the one that replaces it, or another platform.",
        "Certificates_NoCurrentList": "Post the issuer's current revocation list; anybody may.",
        "Certificates_OldList": "A newer revocation list is posted: fetch the current one.",
        "Collateral_NotSteward": "Use the steward's account.",
        "Collateral_NoTcb": "Ask the steward to post TCB info for this FMSPC.",
        "Collateral_NoQeIdentity": "Ask the steward to post the QE identity.",
        "Collateral_OldIssue": "A newer document is posted: fetch the current one.",
        "Collateral_OldEvaluation": "A document of a later TCB evaluation is posted: fetch the current one.",
        "Collateral_Superseded": "Documents of a later TCB evaluation are posted: post the current one of this kind.",
        "Collateral_Expired": "The signed document has run out: ask the steward to post the current one.",
        "QeTable_AllowsDebug": "The table would admit a quoting enclave under a debugger: transcribe the mask again.",
        "QeTable_NoLevel": "The quoting enclave is older than all levels of its identity: update its software.",
        "QeTable_WrongSize": "Transcribe the QE identity's levels again: the table has another number of them.",
        "TcbTable_NoLevel": "The platform reaches no TCB level: update its firmware.",
        "TcbTable_NoModule": "The TCB info knows no such TDX module: update it, or have newer TCB info posted.",
        "TcbTable_WrongSize": "Transcribe the TCB info again: the table has another number of modules or levels.",
        "TdxQuoteVerifier_NotRegistry": "Only the node registry counts identities: check the deployment file.",
        "TdxQuoteVerifier_UnknownPlatform": "Register the platform's PCK certificate first.",
        "TdxQuoteVerifier_PlatformFull": (
            "As many workers as may are attested on this machine: vacate one that has left, or use another machine."
        ),
        "TdxQuoteVerifier_PlatformEmpty": "This is a defect of the contracts: report it with the transaction's hash.",
        "TdxQuoteVerifier_TcbRevoked": "The platform's TCB is revoked: update its firmware, then attest again.",
        "CodeStorage_TooLarge": "Split the document: it does not fit one contract's code.",
        "CodeStorage_Failed": "Send the transaction again with more gas.",
        # libraries
        "StakeLocks_TooFar": "This is a defect of the contracts: report it with the transaction's hash.",
        "StakeLocks_TooLarge": "This worker's locks are full: draw again, or hire another worker.",
        "StakeTree_Forgotten": (
            "Stakes are remembered for two epochs only: ask for the present epoch or the one before."
        ),
        # Sessions
        "Sessions_BadParameters": (
            "Name deployed contracts, windows above zero, and a delay above challenge window plus two answer windows."
        ),
        "Sessions_ZeroPrice": "Agree on a price of at least one unit per job.",
        "Sessions_ZeroKey": "Name the address of the key that will sign the orders.",
        "Sessions_NotAttested": "Choose a worker whose attestation is live (`cloister nodes`).",
        "Sessions_WrongSigner": (
            "The worker has another signer now: judge its evidence again, then name the present one."
        ),
        "Sessions_AlreadyOpen": "Use another nonce: this one was used with this worker.",
        "Sessions_NotOpen": "Check the session's id, chain and contract, or wait for the block of its opening.",
        "Sessions_NotRequester": "Use the account that opened the session.",
        "Sessions_NotWorker": "Use the account of the session's worker.",
        "Sessions_WrongValue": "Attach exactly what is required; nothing to a deposit in a token.",
        "Sessions_WrongTransfer": "The token moves another amount than it is told: use another currency.",
        "Sessions_AmountTooLarge": "Deposit less, or open another session.",
        "Sessions_Closing": "A close is announced and cannot be taken back: open another session.",
        "Sessions_NotClosing": "Announce the close first; a session is closed once.",
        "Sessions_TooEarly": "Wait until the second that the error names.",
        "Sessions_TooLate": "The window for this has ended: nothing can be done about it.",
        "Sessions_OtherSession": "The order is another session's: settle it there.",
        "Sessions_AlreadySettled": "Settle with an order newer than the last settled one.",
        "Sessions_WrongTotal": "The order's total must be its sequence number times the session's price.",
        "Sessions_WrongOrderSignature": (
            "The session's key must sign the order, for this chain and contract, in 65 bytes with a low s."
        ),
        "Sessions_DepositTooSmall": "Settle up to an order that the deposit covers, or have it topped up.",
        "Sessions_NoSettlement": "No unpaid settlement begins with this number: see the ReceiptsSettled events.",
        "Sessions_NotCovered": "Name the settlement that holds this sequence number.",
        "Sessions_LeafTaken": "This leaf was demanded or refunded before; each is once.",
        "Sessions_NotDemanded": "No demand of this leaf is open.",
        "Sessions_NotInTree": "Give the leaf exactly as it was settled, with the proof for its place.",
        "Sessions_BadLeaf": "The leaf has a flaw and cannot be shown: its price will be refunded.",
        "Sessions_SoundLeaf": "Nothing is wrong with this leaf.",
        "Sessions_WrongOutput": "Give the sealed output whose hash the receipt has.",
        "Sessions_OutputTooLong": "No output of this length can be shown: its price will be refunded.",
        "Sessions_NoEquivocation": (
            "Give two different receipts of one sequence number, both signed by the session's signer."
        ),
        "Sessions_DemandsOpen": "Show the demanded leaves, or forfeit them once their windows are over.",
        "Sessions_NoCredit": "This account is owed nothing in this currency.",
        "Sessions_TransferFailed": "The account refuses the money: let it accept a transfer and withdraw again.",
        "InvalidShortString": "This is a defect of the contracts: report it with the transaction's hash.",
        "StringTooLong": "This is a defect of the contracts: report it with the transaction's hash.",
        "SafeCastOverflowedUintDowncast": "An amount exceeds what the contract stores: use a smaller one.",
    }
)
