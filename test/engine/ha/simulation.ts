/** Gateways of a simulated ClusterSet: the real rules, wired as an engine wires them, on simulated time. */
import type { EndpointSpec } from '../../../src/api/types.ts';
import type { Beat } from '../../../src/engine/ha/beat.ts';
import { chooseGateway } from '../../../src/engine/ha/choose.ts';
import { mayLetGo, pickSuccessor } from '../../../src/engine/ha/handover.ts';
import { Peering, type BeatPeer } from '../../../src/engine/ha/peering.ts';
import type { PeerReport } from '../../../src/engine/ha/report.ts';
import { assignSlots } from '../../../src/engine/ha/slots.ts';
import {
  considerTakeover,
  mustStepDown,
  nextTerm,
  type LeaseView,
  type TakeoverMemory,
} from '../../../src/engine/ha/takeover.ts';
import {
  decideLease,
  heldRecord,
  holderOf,
  observeLease,
  releasedRecord,
  type LeaseObservation,
} from '../../../src/kube/leaserules.ts';
import { ApiServer, chance, Faults, Timeline, type Announcement, type StoredLease } from './network.ts';

const LEASE_MS = 5000;
const RENEW_MS = 1000;
const NONE: ReadonlyMap<string, string> = new Map();

export function clusterOf(name: string): string {
  return name.slice(0, 1);
}

/** Gateways are named a1, a2, b1 …: cluster and number. */
export class Simulation {
  readonly time = new Timeline();
  readonly random: () => number;
  readonly faults = new Faults();
  readonly servers: ReadonlyMap<string, ApiServer>;
  readonly broker = new Map<string, Announcement>();
  readonly gateways: ReadonlyMap<string, SimulatedGateway>;
  /** What happened, for who reads a failure. */
  readonly log: string[] = [];

  constructor(sizes: readonly number[], seed: number) {
    this.random = chance(seed);
    const clusters = sizes.map((size, index) => ({ id: 'abcdef'[index]!, size }));
    this.servers = new Map(clusters.map(({ id }) => [id, new ApiServer(() => this.time.nowMs)]));
    const names = clusters.flatMap(({ id, size }) => Array.from({ length: size }, (_, index) => `${id}${index + 1}`));
    this.gateways = new Map(names.map((name) => [name, new SimulatedGateway(this, name)]));
    for (const [id, server] of this.servers) server.onChange = () => this.#serverChanged(id);
    for (const gateway of this.gateways.values()) this.time.after(this.between(0, 300), () => gateway.start());
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.random();
  }

  note(text: string): void {
    this.log.push(`${Math.round(this.time.nowMs)} ${text}`);
  }

  of(clusterId: string): readonly SimulatedGateway[] {
    return [...this.gateways.values()].filter(({ clusterId: id }) => id === clusterId);
  }

  canReachApi(name: string): boolean {
    return (
      !['down', 'api'].some((kind) => this.faults.has(`${kind} ${name}`)) && !this.faults.has(`api ${clusterOf(name)}`)
    );
  }

  /** Whether packets get from one gateway to another at all. */
  connects(from: string, to: string): boolean {
    const { faults } = this;
    const [here, there] = [clusterOf(from), clusterOf(to)];
    const net = here === there ? 'lan' : 'wan';
    if (faults.has(`down ${from}`) || faults.has(`down ${to}`)) return false;
    if (faults.has(`${net} out ${from}`) || faults.has(`${net} in ${to}`)) return false;
    return !faults.has(`cut ${from} ${to}`) && !faults.has(`cut ${here} ${there}`);
  }

  send(from: string, to: string, beat: Beat): void {
    const wan = clusterOf(from) !== clusterOf(to);
    if (!this.connects(from, to) || (wan && this.random() < this.faults.wanLoss)) return;
    this.time.after(wan ? this.between(10, 40) : this.between(0.2, 3), () => this.gateways.get(to)?.deliver(beat));
  }

  /** A request to the own API server; undefined when it does not answer. */
  ask<T>(name: string, request: (server: ApiServer) => T, answer: (result: T | undefined) => void): void {
    const server = this.servers.get(clusterOf(name))!;
    this.time.after(this.between(1, 15), () => {
      if (!this.canReachApi(name)) {
        this.time.after(this.random() < 0.5 ? 2000 : 10, () => answer(undefined));
        return;
      }
      const result = request(server);
      const lost = !this.canReachApi(name);
      this.time.after(this.between(1, 15), () => answer(lost ? undefined : result));
    });
  }

  #serverChanged(id: string): void {
    for (const gateway of this.of(id)) {
      this.time.after(this.between(1, 20), () => {
        if (this.canReachApi(gateway.name)) gateway.watched();
      });
    }
    this.#mirror(id);
  }

  /** The active gateway brings what its cluster announces to the broker, and the others fetch it, whenever that works. */
  #mirror(id: string): void {
    const announced = this.servers.get(id)?.announcement;
    if (announced === undefined) return;
    this.time.after(this.between(20, 100), () => {
      if (this.faults.has('broker') || this.faults.has(`api ${id}`)) {
        this.time.after(1000, () => this.#mirror(id));
        return;
      }
      if (this.servers.get(id)?.announcement !== announced || this.broker.get(id) === announced) return;
      this.broker.set(id, announced);
      for (const { name } of this.gateways.values()) if (clusterOf(name) !== id) this.#fetch(name, id);
    });
  }

  #fetch(name: string, id: string): void {
    this.time.after(this.between(20, 100), () => {
      if (this.faults.has('broker') || !this.canReachApi(name)) this.time.after(1000, () => this.#fetch(name, id));
      else this.gateways.get(name)?.learn(id, this.broker.get(id)!);
    });
  }
}

/** What a process forgets when it dies. */
interface Life {
  readonly peering: Peering;
  readonly startedMs: number;
  lease: StoredLease | undefined;
  observed: LeaseObservation | undefined;
  inContact: boolean;
  leader: boolean;
  term: number;
  renewedMs: number;
  failedMs: number | undefined;
  memory: TakeoverMemory | undefined;
  uses: ReadonlyMap<string, string>;
  /** Its lease was meant for somebody else when it was last seen. */
  moved: boolean;
  writing: boolean;
  publishing: boolean;
  leaving:
    { readonly startedMs: number; readonly thenMs: number; switchedMs: number | undefined; asked: boolean } | undefined;
  napping: number;
}

/** One gateway: beats, election, choice of remote gateways, hand-over. */
export class SimulatedGateway {
  readonly name: string;
  readonly clusterId: string;
  readonly #world: Simulation;
  /** Survives a restart: what the own API server mirrors. */
  readonly #learned = new Map<string, Announcement>();
  #life: Life | undefined;
  #paused: (() => void)[] | undefined;
  #mail: Beat[] = [];
  ready = true;
  wallOffsetMs = 0;
  /** Changes of the gateway another cluster's traffic goes to. */
  switches = 0;

  constructor(world: Simulation, name: string) {
    this.#world = world;
    this.name = name;
    this.clusterId = clusterOf(name);
  }

  get running(): boolean {
    return this.#life !== undefined && this.#paused === undefined && !this.#world.faults.has(`down ${this.name}`);
  }

  get leader(): boolean {
    return this.#life?.leader === true;
  }

  get leavingNow(): boolean {
    return this.#life?.leaving !== undefined;
  }

  get uses(): ReadonlyMap<string, string> {
    return this.#life?.uses ?? NONE;
  }

  reports(): readonly PeerReport[] {
    const peering = this.#life?.peering;
    return peering?.peers.flatMap(({ cableName }) => peering.report(cableName, this.#now()) ?? []) ?? [];
  }

  start(): void {
    if (this.#life !== undefined) return;
    const nowMs = this.#now();
    const session = BigInt(Math.floor(this.#world.random() * 2 ** 52)) + 1n;
    const life: Life = {
      peering: new Peering(session),
      startedMs: nowMs,
      lease: undefined,
      observed: undefined,
      inContact: false,
      leader: false,
      term: 0,
      renewedMs: Number.NEGATIVE_INFINITY,
      failedMs: undefined,
      memory: undefined,
      uses: NONE,
      moved: false,
      writing: false,
      publishing: false,
      leaving: undefined,
      napping: 0,
    };
    this.#life = life;
    this.#setPeers(life);
    this.#poll(life);
    this.#think(life);
    this.#beat(life);
  }

  stop(): void {
    this.#life = undefined;
    this.#paused = undefined;
    this.#mail = [];
  }

  pause(): void {
    if (this.#life !== undefined) this.#paused ??= [];
  }

  /** Timers first, then what arrived, as an event loop does it. */
  resume(): void {
    const timers = this.#paused;
    this.#paused = undefined;
    for (const timer of timers ?? []) timer();
    for (const beat of this.#mail.splice(0)) this.deliver(beat);
  }

  /** SIGTERM: hands over, then ends, and is started again after a while. */
  leave(thenMs: number): void {
    const life = this.#life;
    if (life === undefined || life.leaving !== undefined) return;
    life.leaving = { startedMs: this.#now(), thenMs, switchedMs: undefined, asked: false };
    this.#think(life);
  }

  deliver(beat: Beat): void {
    const life = this.#life;
    if (life === undefined || this.#world.faults.has(`down ${this.name}`)) return;
    if (this.#paused !== undefined) {
      this.#mail.push(beat);
      return;
    }
    const { changed, answer } = life.peering.receive(beat, this.#now());
    if (answer) this.#send(life, beat.body.cableName, beat.header.session);
    if (changed) this.#think(life);
  }

  learn(clusterId: string, announcement: Announcement): void {
    this.#learned.set(clusterId, announcement);
    const life = this.#life;
    if (life === undefined) return;
    this.#setPeers(life);
    this.#think(life);
  }

  /** The watch of the lease says that it has changed. */
  watched(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#unlessPaused(life, () => this.#sawLease(life, this.#world.servers.get(this.clusterId)!.lease));
  }

  #now(): number {
    return this.#world.time.nowMs;
  }

  /** Runs now, or after the pause; never in another life. */
  #unlessPaused(life: Life, run: () => void): void {
    if (this.#life !== life) return;
    if (this.#paused === undefined) run();
    else this.#paused.push(() => this.#unlessPaused(life, run));
  }

  #after(life: Life, ms: number, run: () => void): void {
    this.#world.time.after(ms, () => this.#unlessPaused(life, run));
  }

  #setPeers({ peering }: Life): void {
    const peer = (cableName: string): BeatPeer => ({ cableName, clusterId: clusterOf(cableName), address: cableName });
    const own = this.#world.of(this.clusterId).filter(({ name }) => name !== this.name);
    const others = [...this.#learned.values()].flatMap(({ gateways }) =>
      gateways.gateways.map(({ spec }) => spec.cable_name),
    );
    peering.setPeers([...own.map(({ name }) => name), ...others].map(peer), this.#now());
  }

  #beat(life: Life): void {
    const { peering } = life;
    if (peering.tick(this.#now())) this.#think(life);
    for (const { cableName } of peering.due(this.#now())) this.#send(life, cableName);
    this.#nap(life);
  }

  #nap(life: Life): void {
    const nap = (life.napping += 1);
    const nextMs = life.peering.nextMs(this.#now());
    this.#after(life, Math.max(1, nextMs - this.#now()), () => {
      if (life.napping === nap) this.#beat(life);
    });
  }

  #send({ peering }: Life, to: string, heard?: bigint): void {
    const beat = peering.beatTo(to, this.#now(), heard);
    if (beat !== undefined) this.#world.send(this.name, to, beat);
  }

  /** Looks at the lease, or renews it, once a second. */
  #poll(life: Life): void {
    this.#after(life, this.#world.between(0.8, 1) * RENEW_MS, () => this.#poll(life));
    if (life.leader) this.#write(life, 'renew');
    else if (!life.writing) this.#look(life);
  }

  #look(life: Life): void {
    this.#world.ask(
      this.name,
      (server) => server.lease,
      (lease) =>
        this.#unlessPaused(life, () => {
          if (lease === undefined) this.#lostContact(life);
          else this.#sawLease(life, lease);
        }),
    );
  }

  #lostContact(life: Life): void {
    life.inContact = false;
    if (life.observed !== undefined) life.observed = { ...life.observed, since: this.#now() };
    this.#think(life);
  }

  #sawLease(life: Life, lease: StoredLease): void {
    if (lease.version < (life.lease?.version ?? 0)) return;
    life.inContact = true;
    life.lease = lease;
    life.observed = observeLease(life.observed, lease.spec, this.#now());
    this.#think(life);
  }

  #view({ lease, observed, inContact }: Life): LeaseView | undefined {
    if (!inContact || lease === undefined || observed === undefined) return undefined;
    const holder = holderOf(lease.spec);
    const isGateway = holder !== undefined && this.#world.gateways.has(holder);
    const known = holder === undefined ? undefined : { node: holder, ...(isGateway ? { cableName: holder } : {}) };
    return {
      holder: known,
      term: lease.spec?.leaseTransitions ?? 0,
      expired: known !== undefined && decideLease(observed, '', this.#now(), LEASE_MS).action === 'acquire',
      ...(lease.moveTo === undefined ? {} : { moveTo: lease.moveTo }),
      ...(lease.moveCause === undefined ? {} : { moveCause: lease.moveCause }),
    };
  }

  /** All decisions, after anything has changed. */
  #think(life: Life): void {
    const nowMs = this.#now();
    const peers = this.reports();
    const view = this.#view(life);
    this.#choose(life);
    if (life.leader) {
      const confirmed = nowMs - life.renewedMs < LEASE_MS;
      const self = { clusterId: this.clusterId, cableName: this.name, node: this.name, term: life.term, confirmed };
      const why = mustStepDown(self, view, peers);
      if (why !== undefined) this.#follow(life, why);
      else life.moved = view?.moveTo !== undefined;
    }
    this.#elect(life, view, peers);
    if (life.leader) this.#publish(life);
    if (life.leaving !== undefined) this.#depart(life, view, peers);
    if (this.#life !== life) return;
    const { leader, term, uses } = life;
    const ready = this.ready && life.leaving === undefined;
    const seen = leader ? term : (view?.term ?? 0);
    life.peering.setSelf({ clusterId: this.clusterId, cableName: this.name, active: leader, term: seen, ready, uses });
    this.#nap(life);
  }

  #choose(life: Life): void {
    const nowMs = this.#now();
    const uses = new Map<string, string>();
    for (const [id, { active, gateways }] of this.#learned) {
      const current = life.uses.get(id);
      const chosen = chooseGateway({
        endpoint: active,
        announced: gateways.gateways.map(({ spec }) => spec.cable_name),
        report: (cableName) => life.peering.report(cableName, nowMs),
        nowMs,
        ...(current === undefined ? {} : { current }),
      });
      uses.set(id, chosen);
      if (current !== undefined && current !== chosen) {
        this.switches += 1;
        this.#world.note(`${this.name} sends to ${chosen} instead of ${current}`);
      }
    }
    life.uses = uses;
  }

  #follow(life: Life, why: string): void {
    life.leader = false;
    if (life.leaving === undefined && !life.moved) life.failedMs = this.#now();
    this.#world.note(`${this.name} steps down: ${why}`);
  }

  #elect(life: Life, view: LeaseView | undefined, peers: readonly PeerReport[]): void {
    if (life.writing || life.leader) return;
    const { failedMs } = life;
    const decision = considerTakeover(
      {
        nowMs: this.#now(),
        lease: view,
        self: {
          clusterId: this.clusterId,
          cableName: this.name,
          node: this.name,
          ready: this.ready && life.leaving === undefined,
          ...(failedMs === undefined ? {} : { failedMs }),
        },
        peers,
      },
      life.memory,
    );
    life.memory = decision.memory;
    if (decision.take !== undefined) this.#write(life, decision.take.cause);
    else if (view?.holder?.node === this.name && life.leaving === undefined) this.#write(life, 'resume');
    else if (decision.waitMs !== undefined)
      this.#after(life, decision.waitMs + 1, () => this.#elect(life, this.#view(life), this.reports()));
  }

  #write(life: Life, cause: string): void {
    const { lease } = life;
    if (life.writing || lease === undefined) return;
    life.writing = true;
    const sentMs = this.#now();
    const mine = holderOf(lease.spec) === this.name;
    const wallMs = Date.UTC(2030, 0, 1) + sentMs + this.wallOffsetMs;
    const term = nextTerm(lease.spec?.leaseTransitions, this, this.reports());
    const spec = heldRecord(lease.spec, this.name, wallMs, LEASE_MS, term);
    const kept = mine && lease.moveTo !== this.name ? { ...moveOf(lease) } : {};
    this.#world.ask(
      this.name,
      (server) => ({ done: server.write(lease.version, { spec, ...kept }), now: server.lease }),
      (result) =>
        this.#unlessPaused(life, () => {
          life.writing = false;
          if (result === undefined) this.#lostContact(life);
          else {
            if (result.done) this.#holds(life, spec.leaseTransitions ?? 0, sentMs, cause);
            this.#sawLease(life, result.now);
            if (!result.done && !life.leader) this.#look(life);
          }
        }),
    );
  }

  #holds(life: Life, term: number, sentMs: number, cause: string): void {
    life.renewedMs = sentMs;
    life.term = term;
    if (life.leader) return;
    life.leader = true;
    this.#world.note(`${this.name} becomes active in term ${term}: ${cause}`);
  }

  #publish(life: Life): void {
    const server = this.#world.servers.get(this.clusterId)!;
    const current = server.announcement;
    const known = current?.active === this.name && current.gateways.term === life.term;
    if (known || life.publishing || this.#now() - life.renewedMs >= LEASE_MS) return;
    life.publishing = true;
    this.#world.ask(
      this.name,
      ({ announcement }) => {
        const present = this.#world.of(this.clusterId).map(({ name }) => endpointSpec(name));
        const { announced } = assignSlots(announcement?.gateways, present, { active: this.name, term: life.term });
        if (life.leader) server.publish({ active: this.name, gateways: announced });
      },
      () => {
        life.publishing = false;
        this.#after(life, 500, () => this.#think(life));
      },
    );
  }

  #depart(life: Life, view: LeaseView | undefined, peers: readonly PeerReport[]): void {
    const { leaving, lease } = life;
    if (leaving === undefined || lease === undefined) return this.#gone(life, leaving?.thenMs ?? 0);
    const leaver = { clusterId: this.clusterId, cableName: this.name, term: life.term, uses: life.uses };
    const successor = pickSuccessor(leaver, peers);
    if (life.leader && successor !== undefined && !leaving.asked && view !== undefined && !life.writing) {
      leaving.asked = true;
      const change = {
        spec: lease.spec,
        moveTo: successor.cableName,
        moveCause: `planned: gateway ${this.name} stops`,
      };
      this.#world.ask(
        this.name,
        (server) => server.write(lease.version, change),
        (done) => {
          if (done !== true) leaving.asked = false;
        },
      );
    }
    const { startedMs, switchedMs } = leaving;
    const nowMs = this.#now();
    const departure = mayLetGo({ nowMs, startedMs, switchedMs, leaver, peers, nodesSwitched: true });
    leaving.switchedMs = departure.switchedMs;
    if (departure.letGo) this.#gone(life, leaving.thenMs, departure.reason);
    else this.#after(life, Math.min(100, departure.waitMs ?? 100), () => this.#think(life));
  }

  /** Gives the lease back if it still has it, and ends. */
  #gone(life: Life, thenMs: number, reason = 'never had a lease'): void {
    this.#world.note(`${this.name} ends: ${reason}`);
    const server = this.#world.servers.get(this.clusterId)!;
    const { lease } = server;
    if (
      life.leader &&
      this.#world.canReachApi(this.name) &&
      lease.spec !== undefined &&
      holderOf(lease.spec) === this.name
    )
      server.write(lease.version, { spec: releasedRecord(lease.spec, Date.UTC(2030, 0, 1) + this.#now()) });
    this.stop();
    this.#world.time.after(thenMs, () => this.start());
  }
}

function moveOf({ moveTo, moveCause }: StoredLease): Pick<StoredLease, 'moveTo' | 'moveCause'> {
  return { ...(moveTo === undefined ? {} : { moveTo }), ...(moveCause === undefined ? {} : { moveCause }) };
}

function endpointSpec(name: string): EndpointSpec {
  return {
    cluster_id: clusterOf(name),
    cable_name: name,
    hostname: name,
    subnets: ['10.0.0.0/16'],
    private_ip: '172.31.0.11',
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
  };
}
