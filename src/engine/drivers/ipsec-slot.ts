import { Charon } from '../../host/charon.ts';
import { CHARON_TABLE } from '../../host/charon-conf.ts';
import type { EspSupport } from '../../host/esp.ts';
import type { ViciClient } from '../../host/vici/client.ts';
import { observeKernelIpsec, removeKernelIpsec } from '../../host/xfrm.ts';
import { IPSEC_CABLE } from '../../net/ownership.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { type DriverDependencies, keysOf } from './dependencies.ts';
import type { Cable, ObservedCable } from './driver.ts';
import { runAll } from './failures.ts';
import { ipsecConnections, loadMessage, type IpsecChild, type IpsecConnection } from './ipsec-connections.ts';
import { slotIfId } from './ipsec-network.ts';
import { carries, observedCables, parseConnections, parseSas } from './ipsec-observation.ts';
import { planIpsec, type ChildToInitiate, type IpsecPlan } from './ipsec-plan.ts';
import { charonFolder } from './leftovers.ts';
import type { LookTimer } from './look-timer.ts';
import { Pacer } from './pacer.ts';

const DEFAULT_DPD_SECONDS = 5;
/** Beginning of the names under which charon has keys that are accepted only. */
const ACCEPTED_KEY = 'submariner-accepted-';
/** How long the side that does not initiate at once waits for its peer. */
const LATE_MS = 5000;
/** The same when both begin at one moment, and for how long that counts. */
const HASTY_LATE_MS = 500;
const HASTE_MS = 10_000;

/**
 * One charon with the cables of one slot, on a UDP port of its own.
 *
 * INVARIANTS:
 * - what charon has is asked for at every sync and every look; memory holds only when to try again, and whether the
 *   kernel may still have SAs of a charon that was killed;
 * - such SAs carry packets until charon has made all of its own.
 */
export class IpsecSlot {
  readonly slot: number;
  readonly #dependencies: DriverDependencies;
  readonly #charon: Charon;
  readonly #esp: () => Promise<EspSupport>;
  readonly #timer: LookTimer;
  readonly #pacer = new Pacer();
  readonly #dpdDelaySeconds: number;
  #orphans = true;
  #kernel = false;
  #givenKeys: string | undefined;
  #hastyUntilMs = 0;

  constructor(
    dependencies: DriverDependencies,
    slot: number,
    shared: { readonly esp: () => Promise<EspSupport>; readonly timer: LookTimer },
  ) {
    this.slot = slot;
    this.#dependencies = dependencies;
    this.#esp = shared.esp;
    this.#timer = shared.timer;
    this.#dpdDelaySeconds = dependencies.dpdDelaySeconds ?? DEFAULT_DPD_SECONDS;
    this.#charon = new Charon({
      ...dependencies,
      folder: charonFolder(dependencies.stateDir, slot),
      udpPort: dependencies.udpPort + slot,
      table: CHARON_TABLE + slot,
      esp: shared.esp,
      debug: dependencies.ipsec?.debug === true,
      retransmitTimeoutSeconds: Math.max(0.5, this.#dpdDelaySeconds / 4),
      retransmitTries: 3,
    });
  }

  /** The link its packets leave by: the tun link of userland ESP, while charon runs, or the kernel's xfrm link. */
  get link(): string | undefined {
    return this.#kernel ? IPSEC_CABLE.links[this.slot] : this.#charon.link;
  }

  /** Calls back when tunnels go up or down and when charon goes away. */
  onChange(listener: () => void): void {
    this.#charon.onChange(listener);
  }

  /** A connection to charon, which is started when it does not run. */
  async ensure(signal: AbortSignal): Promise<ViciClient> {
    const client = await this.#charon.ensure(signal);
    this.#kernel = (await this.#esp()).kernel;
    if (this.#kernel) return client;
    const { link } = this.#charon;
    if (IPSEC_CABLE.links.some((name) => name === link)) return client;
    // The next one may find a name of ours free: what is not wanted there goes with this sync.
    await this.#charon.stop();
    throw foreignLink(link);
  }

  /** Whether there is a charon, or was one that nobody ended. */
  get present(): boolean {
    return this.#charon.present;
  }

  /** Ends charon, and with it its tunnels and link. */
  async stop(): Promise<void> {
    await this.#charon.stop();
    await this.#removeSas();
  }

  /** Ends charon at once, without a word to the peers; what it leaves is to be removed by `removeTraces`. */
  async kill(): Promise<void> {
    await this.#charon.kill();
  }

  async removeTraces(): Promise<void> {
    await this.#charon.removeTraces();
    await this.#removeSas();
  }

  /** The peers begin at this moment, too: who leaves it to the other side waits for less. */
  hasten(): void {
    this.#hastyUntilMs = performance.now() + HASTE_MS;
  }

  /** Whether that is so now: what is not urgent waits. */
  get hasty(): boolean {
    return performance.now() < this.#hastyUntilMs;
  }

  async #removeSas(): Promise<void> {
    if ((await this.#esp()).kernel) {
      const { runner } = this.#dependencies;
      await removeKernelIpsec(runner, await observeKernelIpsec(runner, slotIfId(this.slot)));
    }
    this.#orphans = true;
  }

  /** What charon says of its cables; nothing while it does not run. */
  async connections(): Promise<readonly ObservedCable[]> {
    const client = await this.#charon.attach();
    if (client === undefined) return [];
    const { loaded, sas } = await observeCharon(client);
    return observedCables(loaded, sas, this.#charon.troubles());
  }

  /** Gives charon exactly the connections of these cables, and initiates what is its to begin and not there. */
  async syncTunnels(client: ViciClient, cables: readonly Cable[]): Promise<void> {
    await this.#loadKeys(client);
    const { loaded, sas } = await observeCharon(client);
    const wanted = cables.flatMap(ipsecConnections);
    const ifId = (await this.#esp()).kernel ? slotIfId(this.slot) : undefined;
    const plan = planIpsec(wanted, loaded, sas, this.#dpdDelaySeconds);
    const due = this.#dueChildren(plan);
    await runAll([
      ...plan.unload.map((name) => () => tell(client, 'unload-conn', { name })),
      ...plan.terminateIke.map((id) => () => terminate(client, { 'ike-id': id })),
      ...plan.terminateChild.map((id) => () => terminate(client, { 'child-id': id })),
      ...plan.load.map(
        (connection) => () => tell(client, 'load-conn', loadMessage(connection, this.#dpdDelaySeconds, ifId)),
      ),
      ...due.map(({ connection, child }) => () => {
        this.#dependencies.logger.info('initiating', { child: child.name });
        return tell(client, 'initiate', { ike: connection.name, child: child.name, timeout: '-1' });
      }),
    ]);
    const settled = plan.load.length === 0 && plan.initiate.length === 0;
    if (ifId !== undefined && this.#orphans && settled) {
      await this.#forgetFormer(
        client,
        ifId,
        wanted.flatMap(({ children }) => children),
      );
    }
  }

  /**
   * Charon verifies a peer with any of the keys it has, and shows itself with the one that was loaded last. What it has of
   * former times goes when the keys are not those it was given last.
   */
  async #loadKeys(client: ViciClient): Promise<void> {
    const { used, accepted } = keysOf(this.#dependencies);
    const given = JSON.stringify([used, accepted]);
    const ids = accepted.map((_, index) => `${ACCEPTED_KEY}${index}`);
    for (const [index, data] of accepted.entries())
      await client.command('load-shared', { id: `${ACCEPTED_KEY}${index}`, type: 'IKE', data, owners: [] });
    await client.command('load-shared', { id: 'submariner', type: 'IKE', data: used, owners: [] });
    if (given === this.#givenKeys) return;
    const { keys } = await client.command('get-shared', {});
    const stale = (Array.isArray(keys) ? keys : []).filter((id) => id.startsWith(ACCEPTED_KEY) && !ids.includes(id));
    for (const id of stale) await client.command('unload-shared', { id });
    this.#givenKeys = given;
  }

  /** Removes what a killed charon left in the kernel, as soon as all that is wanted is there without it. */
  async #forgetFormer(client: ViciClient, ifId: number, pairs: readonly IpsecChild[]): Promise<void> {
    const { runner, logger } = this.#dependencies;
    // Before charon is asked: what it makes meanwhile is not taken for a leftover.
    const { sas, policies } = await observeKernelIpsec(runner, ifId);
    const children = (await observeCharon(client)).sas.flatMap((ike) => ike.children);
    const complete = pairs.every(({ name }) => children.some((child) => child.name === name));
    if (!complete || !children.every(carries)) return;
    const own = new Set(children.flatMap(({ spis }) => spis).map((spi) => spi.replace(/^0+/, '')));
    const wanted = new Set(
      pairs.flatMap(({ localTs, remoteTs }) => [`${localTs} ${remoteTs}`, `${remoteTs} ${localTs}`]),
    );
    const orphans = {
      sas: sas.filter(({ spi }) => !own.has(spi.replace(/^0x0*/, ''))),
      policies: policies.filter(({ source, destination }) => !wanted.has(`${source} ${destination}`)),
    };
    await removeKernelIpsec(runner, orphans);
    this.#orphans = false;
    const [oldSas, oldPolicies] = [orphans.sas.length, orphans.policies.length];
    if (oldSas + oldPolicies > 0)
      logger.info('removed what a killed charon left', { sas: oldSas, policies: oldPolicies });
  }

  /** Children to initiate now: those that are this side's to begin with, the others after the peer had its time. */
  #dueChildren(plan: IpsecPlan): IpsecPlan['initiate'] {
    const nowMs = performance.now();
    // The peers of a charon that was killed still have their SAs and begin nothing until they miss it.
    const restarted = this.#charon.takeRestarted();
    if (restarted) this.#orphans = true;
    const own = plan.initiate.filter(({ connection }) => connection.initiates !== 'never');
    this.#pacer.keepOnly(new Set(own.map(({ connection }) => connection.name)));
    const turns = new Map<string, { readonly connection: IpsecConnection; readonly turn: ChildToInitiate['turn'] }>(
      own.map((item) => [item.connection.name, item]),
    );
    const due = new Set<string>();
    const lateMs = this.hasty ? HASTY_LATE_MS : LATE_MS;
    for (const [name, { connection, turn }] of turns) {
      const late = turn === 'peer' || (turn === 'as agreed' && connection.initiates === 'late' && !restarted);
      if (this.#pacer.due(name, nowMs, late ? lateMs : 0)) due.add(name);
    }
    const waitMs = this.#pacer.waitMs(nowMs);
    if (waitMs !== undefined) this.#timer.within(waitMs);
    return plan.initiate.filter(({ connection }) => due.has(connection.name));
  }
}

function foreignLink(link: string | undefined): ExpectedError {
  const found = link === undefined ? 'has no tun link' : `has the tun link ${link}`;
  return new ExpectedError(`charon ${found}; it ought to be one of ${IPSEC_CABLE.links.join(', ')}`, {
    hint: 'Another program has links of these names, or /proc of charon cannot be read; see `ip link`.',
  });
}

async function observeCharon(client: ViciClient): Promise<{
  readonly loaded: ReturnType<typeof parseConnections>;
  readonly sas: ReturnType<typeof parseSas>;
}> {
  const loaded = parseConnections(await client.stream('list-conns', 'list-conn'));
  return { loaded, sas: parseSas(await client.stream('list-sas', 'list-sa')) };
}

async function tell(client: ViciClient, command: string, message: Parameters<ViciClient['command']>[1]): Promise<void> {
  await client.command(command, message);
}

/** Without waiting for the peer's consent; what is already gone counts as ended. */
async function terminate(client: ViciClient, target: Parameters<ViciClient['command']>[1]): Promise<void> {
  await client.request('terminate', { ...target, timeout: '-1', force: 'yes' });
}
