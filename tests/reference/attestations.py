"""Attested workers, their prompt keys and enrolments: rules ENC-* of docs/spec/enclaves.md.

Everything that happens is kept with its second, so that "at the request" can be asked long after it."""

from dataclasses import dataclass, field, replace

from eth_account.messages import SignableMessage

from . import enclaves
from .commitments import NOBODY
from .enclaves import Evidence, Platforms, Policies, Policy, Report
from .registry import Registry, require

BLOCKS_BACK = 256
REVOKED = 1


@dataclass(frozen=True)
class Limits:
    attestation_period: int
    prompt_lifetime: int
    identities_per_platform: int
    lock_period: int


@dataclass(frozen=True)
class Attested:
    """From second `since` on."""

    since: int
    evidence: Evidence | None
    until: int


@dataclass(frozen=True)
class Enrolment:
    """`lapsed` is the epoch in which the last one that counted was replaced or struck."""

    evidence: Evidence
    revision: int
    first_epoch: int
    lapsed: int = 0
    struck: bool = False


@dataclass
class Enclave:
    """What a worker has besides its stake."""

    key: bytes
    signer: str
    # (second, the signer until then) of each change since stake was free of jobs the last time, in order
    replaced: list[tuple[int, str]] = field(default_factory=list)
    challenge_block: int = 1
    attested: list[Attested] = field(default_factory=list)
    prompts: list[tuple[bytes, int]] = field(default_factory=list)  # (key, end), epoch 1 first
    prompts_void: bool = False  # the signer of the last one was replaced
    enrolled: dict[bytes, Enrolment] = field(default_factory=dict)

    def at(self, second: int) -> Attested:
        past = [one for one in self.attested if one.since <= second]
        return past[-1] if past else Attested(0, None, 0)

    def live(self, second: int) -> Evidence | None:
        known = self.at(second)
        return known.evidence if known.until >= second else None


@dataclass
class EnclaveRegistry(Registry):
    chain_id: int = 0
    address: str = NOBODY
    limits: Limits = Limits(0, 0, 0, 1)
    policies: Policies = field(default_factory=Policies)
    platforms: Platforms = field(default_factory=Platforms)
    enclaves: dict[str, Enclave] = field(default_factory=dict)

    # ---------------------------------------------------------------- keys

    def register(self, who: str, value: int, key: bytes, signer: str, *, now: int, block: int) -> None:
        again = who in self.enclaves
        super().register(who, value, key, signer, now=now, block=block)
        if again:
            self._change_keys(who, key, signer, now)
            self._end(who, now)
        else:
            self.enclaves[who] = Enclave(key, signer)

    def replace_keys(self, who: str, key: bytes, signer: str, *, now: int, block: int) -> None:
        self._active(who)
        require(self._may_change_keys(who, now), "ENC-9")
        super().replace_keys(who, key, signer, now=now, block=block)
        self._change_keys(who, key, signer, now)
        self._end(who, now)  # ENC-3

    def signer_at(self, who: str, second: int) -> str:
        """ENC-9: who signs for what was delivered in that second; in that of a change in mid-job the replaced one."""
        enclave = self.enclaves[who]
        return next((signer for replaced_at, signer in enclave.replaced if second <= replaced_at), enclave.signer)

    def signs(self, who: str, signer: str | None, second: int) -> bool:
        return who in self.enclaves and signer is not None and signer == self.signer_at(who, second)

    def _may_change_keys(self, who: str, now: int) -> bool:
        """No job takes longer to be answered than a period of locks."""
        replaced = self.enclaves[who].replaced
        return not replaced or now > replaced[-1][0] + self.lock_period or self.locked(who, now) == 0

    def _change_keys(self, who: str, key: bytes, signer: str, now: int) -> None:
        enclave = self.enclaves[who]
        if self.locked(who, now):
            enclave.replaced.append((now, enclave.signer))
        else:
            enclave.replaced.clear()
        enclave.key, enclave.signer = key, signer
        enclave.prompts_void = True

    def _end(self, who: str, now: int, until: int = 0) -> None:
        enclave = self.enclaves[who]
        if enclave.attested:
            enclave.attested.append(Attested(now, enclave.attested[-1].evidence, until))

    # ---------------------------------------------------------------- attestation

    def attest(
        self,
        who: str,
        key: bytes,
        signer: str,
        report: Report | None,
        challenge_block: int,
        block_hash: bytes,
        previous: Evidence,
        *,
        now: int,
        block: int,
    ) -> None:
        """`report` is what the judge of quotes says, None if it refuses; `block_hash` that of the challenge block."""
        worker = self._active(who)
        enclave = self.enclaves[who]
        require(any(key) and signer != NOBODY, "NODE-1: keys")
        require(block - BLOCKS_BACK <= challenge_block < block, "ENC-1: one of the last 256")
        require(challenge_block > enclave.challenge_block, "ENC-1: each challenge serves once")
        require(report is not None, "ATT-*")
        require(report.binding == enclaves.binding(self.chain_id, self.address, who, key, signer), "ENC-1: binding")
        require(report.challenge == block_hash, "ENC-1: challenge")
        require(report.valid_until > now, "ENC-3: over already")
        last = enclave.at(now)
        epoch = worker.key_epoch
        if (key, signer) != (enclave.key, enclave.signer):
            require(self._may_change_keys(who, now), "ENC-9")
            epoch += 1  # ENC-2
        elif 0 < last.until < now:
            epoch += 1  # ENC-2
        evidence = Evidence(report.measurement, report.platform, report.status, report.development, epoch)
        if last.evidence not in {None, evidence}:
            require(previous == last.evidence, "ENC-4: another evidence than the last")
        self.platforms.move(who, report.platform, self.limits.identities_per_platform)
        if (key, signer) != (enclave.key, enclave.signer):
            self._change_keys(who, key, signer, now)
        worker.key_epoch = epoch
        enclave.challenge_block = challenge_block
        until = min(now + self.limits.attestation_period, report.valid_until)
        enclave.attested.append(Attested(now, evidence, until))

    def revoke(self, who: str, target: str, evidence: Evidence, pck_platform: bytes | None, *, now: int, block: int):
        """`pck_platform` is the platform of the certificate that the caller names, None for an unknown one."""
        enclave = self._attested(target, evidence, now)
        require(pck_platform == evidence.platform and pck_platform in self.platforms.revoked, "ENC-5")
        require(enclave.attested[-1].until != REVOKED, "ENC-5: once")
        self._end(target, now, REVOKED)

    def vacate(self, who: str, target: str, evidence: Evidence, *, now: int, block: int) -> None:
        enclave = self._attested(target, evidence, now)
        gone = self.workers[target].stake == 0 and self.workers[target].exit_at
        until = enclave.attested[-1].until
        require(gone or until < now, "ENC-4: still there")
        del self.platforms.held[target]
        enclave.attested.append(Attested(now, None, until))

    def _attested(self, target: str, evidence: Evidence, now: int) -> Enclave:
        require(target in self.enclaves, "NODE-1: not registered")
        require(self.enclaves[target].at(now).evidence == evidence, "ENC-4: another evidence")
        return self.enclaves[target]

    # ---------------------------------------------------------------- prompt keys, enrolments

    def post_prompt_key(self, who: str, key: bytes, expires_at: int, signature: bytes, *, now: int, block: int) -> None:
        self._active(who)
        enclave = self.enclaves[who]
        require(any(key), "a key of zeros")
        require(now < expires_at <= now + self.limits.prompt_lifetime, "ENC-6: lifetime")
        if enclave.prompts and not enclave.prompts_void:
            require(expires_at >= enclave.prompts[-1][1], "ENC-6: not before the last")
        signed = self._message("PromptKey", who, len(enclave.prompts) + 1, key, expires_at)
        require(enclaves.signed_by(signed, signature) == enclave.signer, "ENC-6: signer")
        enclave.prompts.append((key, expires_at))
        enclave.prompts_void = False

    def enrol(
        self, who: str, version: bytes, policy: Policy, evidence: Evidence, signature: bytes, *, now: int, block: int
    ) -> None:
        self._active(who)
        enclave = self.enclaves[who]
        require(self.policies.closed(version), "ENC-7: an open version")
        require(policy == self.policies.current(version), "ENC-8: another policy")
        require(enclave.live(now) == evidence, "ENC-7: live evidence")
        require(policy.admits(evidence), "ENC-7: not admitted")
        signed = self._message("Enrolment", who, version, self.workers[who].key_epoch)
        require(enclaves.signed_by(signed, signature) == enclave.signer, "ENC-7: signer")
        revision = self.policies.revision(version)
        last, epoch = enclave.enrolled.get(version), self.epoch(block)
        if last and not last.struck and (last.evidence, last.revision) == (evidence, revision):
            return  # counts already
        enclave.enrolled[version] = Enrolment(evidence, revision, epoch + 1, self._lapsed(last, epoch))

    def strike(self, who: str, version: bytes, target: str, *, now: int, block: int) -> None:
        """Anybody may clear away an enrolment that holds no more."""
        enclave = self.enclaves.get(target)
        last = enclave.enrolled.get(version) if enclave else None
        require(last and not last.struck, "nothing to strike")
        known = enclave.at(now)
        holds = (last.evidence, last.revision) == (known.evidence, self.policies.revision(version))
        require(not holds or known.until < now, "it holds")
        lapsed = self._lapsed(last, self.epoch(block))
        enclave.enrolled[version] = replace(last, lapsed=lapsed, struck=True)

    @staticmethod
    def _lapsed(last: Enrolment | None, epoch: int) -> int:
        counted = last is not None and not last.struck and last.first_epoch <= epoch
        return epoch if counted else last.lapsed if last else 0

    def _message(self, name: str, *values: object) -> SignableMessage:
        return enclaves.message(self.chain_id, self.address, name, *values)

    # ---------------------------------------------------------------- draws

    def counts(self, who: str, version: bytes, epoch: int) -> bool:
        """Whether the worker's last enrolment is one of that epoch."""
        last = self.enclaves[who].enrolled.get(version)
        return last is not None and not last.struck and last.first_epoch <= epoch

    def passed_over(self, who: str, version: bytes, requested_at: int, epoch: int) -> bool:
        """ENC-11. Only what was over before the request; what can still change after it leaves a seat vacant."""
        enclave = self.enclaves[who]
        last = enclave.enrolled.get(version)
        if last is None or not (self.counts(who, version, epoch) or 0 < epoch <= last.lapsed):
            return True
        until = enclave.attested[-1].until
        return until not in {0, REVOKED} and until < requested_at

    def ready(
        self, who: str, version: bytes, epoch: int, attested_until: int, prompt_until: int, lock: int, now: int
    ) -> bool:
        """ENC-10: enrolled, and attested and keyed for as long as a job can take."""
        enclave = self.enclaves[who]
        known, enrolment = enclave.attested[-1], enclave.enrolled[version]
        keyed = enclave.prompts and not enclave.prompts_void and enclave.prompts[-1][1] >= prompt_until
        same = (enrolment.evidence, enrolment.revision) == (known.evidence, self.policies.revision(version))
        lasting = self.counts(who, version, epoch) and known.until >= attested_until
        return bool(same and lasting and keyed and self.free(who, now) >= lock)

    def draw_enrolled(
        self,
        seed: bytes,
        seats: int,
        epoch: int,
        lock: int,
        version: bytes,
        requested_at: int,
        attested_until: int,
        prompt_until: int,
        now: int,
    ) -> list[str]:
        """ENC-10 to ENC-12, DRAW-9, DRAW-8."""
        committee: list[str] = []
        operators: set[str] = set()
        platforms: set[bytes] = set()
        for who in self.drawn(seed, seats, epoch):
            operator = self.workers[who].operator
            skipped = operator in operators or self.passed_over(who, version, requested_at, epoch)
            if len(committee) == seats or skipped:
                continue
            operators |= {operator} - {None}
            fit = self.ready(who, version, epoch, attested_until, prompt_until, lock, now)
            platform = self.enclaves[who].enrolled[version].evidence.platform
            fit = fit and platform not in platforms
            committee.append(who if fit else NOBODY)
            platforms |= {platform} if fit else set()
        return committee + [NOBODY] * (seats - len(committee))

    def hireable_enrolled(
        self, who: str, version: bytes, attested_until: int, prompt_until: int, lock: int, *, now: int, block: int
    ) -> bool:
        epoch = self.epoch(block)
        if who not in self.enclaves or not self.hireable(who, lock, now):
            return False
        fit = self.counts(who, version, epoch) and not self.passed_over(who, version, now, epoch)
        return fit and self.ready(who, version, epoch, attested_until, prompt_until, lock, now)
