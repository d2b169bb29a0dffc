"""Enclaves in the lockstep: attestations lapse, keys change, workers enrol, policies narrow, platforms are revoked."""

import signing
from conftest import LIMITS, MEASUREMENTS, PARAMETERS
from eth_utils import keccak
from reference import enclaves
from reference.attestations import REVOKED, Enclave
from reference.commitments import NOBODY
from reference.enclaves import NO_EVIDENCE, Evidence, Policy, Report

PLATFORMS = [keccak(text=f"platform {i}") for i in range(8)]
LONGEST_JOB = 2 * PARAMETERS.commit_window + PARAMETERS.publish_window + PARAMETERS.reveal_window


class EnclavePlayers:
    """What the lockstep does with enclaves; a part of it."""

    # ---------------------------------------------------------------- signatures

    def sign(self, who: str, digest: bytes, job: bytes | None = None) -> bytes:
        """By the worker's signer, for a job that of its delivery; sometimes by another one, by nobody's, or cut."""
        registry = self.model.registry
        enclave = registry.enclaves.get(who)
        signer = enclave.signer if enclave else self.forger
        if enclave and job:
            signer = registry.signer_at(who, self.model.jobs[job].delivered_at)
        chance = self.rng.random()
        if enclave and enclave.replaced and chance < 0.1:
            signer = self.rng.choice([enclave.signer, enclave.replaced[-1][1]])
        elif chance > 0.97:
            signer = self.forger
        signature = self.signers.sign(signer, digest)
        return signature[: self.rng.choice([64, 0])] if 0.96 < chance < 0.97 else signature

    # ---------------------------------------------------------------- calls

    def enclave_step(self) -> None:
        who = self.rng.choice(self.workers)
        chance = self.rng.random()
        if chance < 0.72:
            for other in self.workers:
                self.keep_up(other)
        elif chance < 0.78:
            self.revoke()
        elif chance < 0.84:
            self.vacate()
        elif chance < 0.91:
            self.narrow()
        elif chance < 0.94:
            self.strike()
        else:
            act = self.rng.choice([self.attest, self.post_prompt_key, self.enrol])
            act(who)

    def rare_step(self, number: int) -> None:
        """In turn what chance alone would bring too seldom: blocks are random, so no seed repeats a history."""
        act = [self.revoke, self.vacate, self.narrow, self.strike, self.keys][number % 5]
        act(self.rng.choice(self.workers)) if act == self.keys else act()
        for who in self.workers * 3:
            self.keep_up(who)
        self.compare([])

    def keep_up(self, who: str) -> None:
        """What an honest host does next."""
        registry = self.model.registry
        enclave = registry.enclaves.get(who)
        if enclave is None or registry.workers[who].exit_at:
            return
        lacks = self.lacking(enclave)
        known = enclave.at(self.now)
        keyed = enclave.prompts and not enclave.prompts_void
        if known.until < self.now + LONGEST_JOB + LIMITS.attestation_period // 3 or self.rng.random() < 0.1:
            self.attest(who)
        elif not keyed or enclave.prompts[-1][1] < self.now + LONGEST_JOB + LIMITS.prompt_lifetime // 3:
            self.post_prompt_key(who)
        elif lacks:
            self.enrol(who, self.rng.choice(lacks))

    def meddle(self) -> None:
        """Between request and draw somebody loses, or would like to gain, a chance (ENC-12)."""
        who = self.rng.choice(self.workers)
        act = self.rng.choice([self.attest, self.revoke, self.keys, self.enrol, self.narrow, self.strike])
        act(who) if act in {self.attest, self.keys, self.enrol} else act()

    def keys(self, who: str) -> None:
        self.generation += 1
        key, signer = keccak(text=f"key {self.generation}"), self.signers.make(f"{who} {self.generation}")
        registry = self.model.registry
        self.call("replace_keys", registry.replace_keys, self.nodes.replaceKeys, key, signer, sender=who)

    def lacking(self, enclave: Enclave) -> list[bytes]:
        """Versions for which the present evidence is not enrolled and could be."""
        evidence = enclave.at(self.now).evidence
        if evidence is None:
            return []
        lacking, policies = [], self.model.registry.policies
        for version in self.closed:
            last = enclave.enrolled.get(version)
            held = (last.evidence, last.revision) if last and not last.struck else None
            if policies.current(version).admits(evidence) and held != (evidence, policies.revision(version)):
                lacking.append(version)
        return lacking

    def attest(self, who: str) -> None:
        registry = self.model.registry
        enclave = registry.enclaves.get(who) or Enclave(b"\1" * 32, self.forger)
        key, signer = enclave.key, enclave.signer
        chance = self.rng.random()
        if chance < 0.25:
            self.generation += 1
            key, signer = keccak(text=f"key {self.generation}"), self.signers.make(f"{who} {self.generation}")
        elif chance < 0.30:
            key = keccak(key)
        elif chance < 0.32:
            key = bytes(32)
        elif chance < 0.34:
            signer = NOBODY
        challenge = self.height
        if self.rng.random() < 0.1:
            challenge = max(0, self.rng.choice([challenge + 1, challenge - 255, challenge - 256, challenge - 3]))
        exists = challenge <= self.height
        block_hash = self.block_hash(challenge) if exists else bytes(32)
        bound = enclaves.binding(self.model.chain_id, self.nodes.address, who, key, signer)
        if self.rng.random() < 0.03:
            bound = enclaves.binding(self.model.chain_id, self.nodes.address, self.stranger, key, signer)
        home = PLATFORMS[self.workers.index(who) * 5 // 8]
        report = Report(
            measurement=self.rng.choices([*MEASUREMENTS, b"\x99" * 32], [75, 20, 5])[0],
            platform=self.rng.choices([home, self.rng.choice(PLATFORMS)], [92, 8])[0],
            status=self.rng.choices([0, 1, 4], [85, 10, 5])[0],
            development=self.rng.random() < 0.15,
            valid_until=self.now + self.rng.choices([LIMITS.attestation_period * 2, LONGEST_JOB, 1], [90, 8, 2])[0],
            binding=bound,
            challenge=block_hash if self.rng.random() < 0.97 else keccak(block_hash),
        )
        known = enclave.at(self.now).evidence
        previous = known if known and self.rng.random() < 0.96 else NO_EVIDENCE
        quote, pck = self.quote(report)
        self.call(
            "attest",
            registry.attest,
            self.nodes.attest,
            key,
            signer,
            quote,
            pck,
            challenge,
            previous.tuple(),
            sender=who,
            model_args=(key, signer, report, challenge, block_hash, previous),
        )

    def target(self) -> tuple[str, Evidence]:
        """Somebody, mostly one who was attested, and mostly the evidence of that."""
        registry = self.model.registry
        known = [who for who, one in registry.enclaves.items() if one.attested and one.attested[-1].evidence]
        who = self.rng.choice(known) if known and self.rng.random() < 0.95 else self.stranger
        enclave = registry.enclaves.get(who)
        evidence = enclave.attested[-1].evidence if enclave and enclave.attested else None
        return who, evidence if evidence and self.rng.random() < 0.95 else NO_EVIDENCE

    def revoke(self) -> None:
        target, evidence = self.target()
        platforms = self.model.registry.platforms
        if self.rng.random() < 0.6 and evidence != NO_EVIDENCE:
            self.mark_revoked(evidence.platform, revoked=True)
            platforms.revoked.add(evidence.platform)
        platform = evidence.platform if self.rng.random() < 0.95 else self.rng.choice(PLATFORMS)
        self.call(
            "revoke",
            self.model.registry.revoke,
            self.nodes.revoke,
            target,
            evidence.tuple(),
            platform,
            sender=self.rng.choice(self.everybody),
            model_args=(target, evidence, platform if platform in PLATFORMS else None),
        )
        for revoked in list(platforms.revoked):  # another list clears it, else nobody would be left
            self.mark_revoked(revoked, revoked=False)
            platforms.revoked.remove(revoked)

    def strike(self) -> None:
        target = self.rng.choice([*self.workers, *self.workers, self.stranger])
        version = self.rng.choice(self.closed)
        strike = self.model.registry.strike
        self.call("strike", strike, self.nodes.strike, version, target, sender=self.rng.choice(self.everybody))

    def vacate(self) -> None:
        target, evidence = self.target()
        if self.rng.random() < 0.5 and evidence != NO_EVIDENCE:
            self.now = max(self.now, self.model.registry.enclaves[target].attested[-1].until)
        self.call(
            "vacate",
            self.model.registry.vacate,
            self.nodes.vacate,
            target,
            evidence.tuple(),
            sender=self.rng.choice(self.everybody),
            model_args=(target, evidence),
        )

    def post_prompt_key(self, who: str) -> None:
        known = self.model.registry.enclaves.get(who)
        epoch = len(known.prompts) + 1 if known else 1
        lifetime = self.rng.choices(
            [LIMITS.prompt_lifetime, LIMITS.prompt_lifetime * 3 // 4, LIMITS.prompt_lifetime + 27, -5], [70, 20, 6, 4]
        )[0]
        key, end = keccak(text=f"prompt {who} {epoch}"), self.now + lifetime
        named = epoch + (self.rng.random() < 0.03)
        signature = self.sign(who, signing.prompt_key(self.nodes, who, named, key, end))
        args = (key, end, signature)
        registry = self.model.registry
        self.call("post_prompt_key", registry.post_prompt_key, self.nodes.postPromptKey, *args, sender=who)

    def enrol(self, who: str, version: bytes | None = None) -> None:
        registry = self.model.registry
        version = version or self.rng.choice([*self.closed, *self.closed, self.version])
        policy = registry.policies.current(version)
        if self.rng.random() < 0.04:
            policy = Policy(policy.measurements[:1], policy.statuses | 8, policy.development)
        enclave = registry.enclaves.get(who)
        evidence = (enclave.at(self.now).evidence if enclave else None) or NO_EVIDENCE
        if self.rng.random() < 0.03:
            evidence = Evidence(MEASUREMENTS[0], evidence.platform, 0, False, evidence.key_epoch)
        epoch = registry.workers[who].key_epoch if who in registry.workers else 0
        signature = self.sign(who, signing.enrolment(self.nodes, who, version, epoch))
        self.call(
            "enrol",
            registry.enrol,
            self.nodes.enrol,
            version,
            policy.tuple(),
            evidence.tuple(),
            signature,
            sender=who,
            model_args=(version, policy, evidence, signature),
        )

    def narrow(self) -> None:
        """Every success voids the enrolments of the version, and there are two at most."""
        policies = self.model.registry.policies
        version = self.rng.choice([*self.closed * 3, self.version, bytes(32)])
        old = policies.current(version)
        narrower = [
            Policy(old.measurements, old.statuses, development=False),
            Policy(old.measurements, old.statuses & 1, old.development),
        ]
        wider = [
            old,
            Policy((*old.measurements, b"\xff" * 32), old.statuses, old.development),
            Policy(old.measurements, old.statuses | 128, old.development),
            Policy(old.measurements, old.statuses, development=True),
            Policy(old.measurements, 0, old.development),
            Policy(),
        ]
        new = self.rng.choice([one for one in narrower if one != old] * 6 + wider)
        named = old if self.rng.random() < 0.9 else Policy(old.measurements[1:], old.statuses, old.development)
        self.call(
            "narrow",
            policies.narrow,
            self.models.narrowPolicy,
            version,
            named.tuple(),
            new.tuple(),
            sender=self.rng.choice([self.owner] * 4 + [self.stranger]),
            model_args=(version, named, new),
        )

    # ---------------------------------------------------------------- comparing

    def enclave_views(self, who: str) -> list[tuple]:
        views = [(self.nodes, "attestation", who), (self.nodes, "promptKey", who), (self.nodes, "revokedAt", who)]
        return views + [(self.nodes, "enrolment", version, who) for version in self.closed]

    def compare_enclave(self, who: str, attestation: dict, prompt: dict, revoked: int, *enrolments: dict) -> None:
        known = self.model.registry.enclaves[who]
        last = known.attested[-1] if known.attested else None
        evidence_tag = last.evidence.hash()[:24] if last and last.evidence else bytes(24)
        says = (attestation["evidenceTag"], attestation["until"], attestation["challengeBlock"])
        assert says == (evidence_tag, last.until if last else 0, known.challenge_block)
        assert revoked == max((one.since for one in known.attested if one.until == REVOKED and one.evidence), default=0)
        key, end = known.prompts[-1] if known.prompts else (bytes(32), 0)
        end = 0 if known.prompts_void else end
        assert prompt == {"key": key, "epoch": len(known.prompts), "expiresAt": end}
        for version, enrolment in zip(self.closed, enrolments, strict=True):
            made = known.enrolled.get(version)
            since = 0 if made is None or made.struck else made.first_epoch
            assert (enrolment["since"], enrolment["lapsed"]) == (since, made.lapsed if made else 0)
            if made:
                assert enrolment["evidenceTag"] == made.evidence.hash()[:20]
                assert enrolment["policyRevision"] == made.revision
                assert enrolment["platformTag"] == made.evidence.platform[:2]
