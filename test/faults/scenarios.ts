import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OPERATOR_NAMESPACE } from '../../src/api/names.ts';
import { pause } from './command.ts';
import type { Driver, FaultWorld, Leaders } from './world.ts';

/** One failure under way: the gateway of east that carries, and the one that stands by. */
export interface Stage {
  readonly world: FaultWorld;
  readonly active: string;
  readonly standby: string;
}

/** What traffic may see at most. */
export interface Limits {
  /** Packets of a stream of 100 a second. */
  readonly lost?: number;
  /** Milliseconds of the longest gap. */
  readonly gapMs: number;
  /** Ends of a TCP connection. */
  readonly resets: number;
}

/** A kind of failure of the gateways of east. */
export interface Scenario {
  readonly name: string;
  /** What happens, for the title of a test. */
  readonly what: string;
  readonly drivers?: readonly Driver[];
  /** Another node is to carry afterwards: yes, no, or either. */
  readonly moves: 'yes' | 'no' | 'either';
  /** Resolves to the nodes that cannot be part of anything until it is mended. */
  readonly breaks: (stage: Stage) => Promise<readonly string[]>;
  readonly mends: (stage: Stage) => Promise<void>;
  /** How long it lasts; without, until traffic flows again. In a benchmark a tenth of it. */
  readonly lastsMs?: number;
  /**
   * The standby must have been well for so long before, if the time it takes is to be that of a set in which not everything
   * fails all the time: one that failed of late gives others more time.
   */
  readonly wellForMs?: number;
  /** The traffic is hit as long as anything is left of what was broken, and not only until it goes another way. */
  readonly hitsToTheEnd?: boolean;
  /** While it is broken, and when it is mended. */
  readonly limits: (driver: Driver) => Limits;
  readonly afterwards: Limits;
  /** Traffic besides what goes between east, west and north: from the pods of the standby gateway. */
  readonly fromStandby?: boolean;
  /** The traffic that is hit; without, all. */
  readonly hits?: (flow: {
    readonly from: { readonly cluster: string };
    readonly to: { readonly cluster: string };
  }) => boolean;
}

/** Nothing at all may be seen. */
export const UNNOTICED: Limits = { lost: 0, gapMs: 0, resets: 0 };
/** A gateway that is gone without a word. */
export const SILENT_DEATH: Limits = { gapMs: 3000, resets: 0 };
/** A process that is gone while its node lives: nothing where the tunnel is in the kernel. */
const processDeath = (driver: Driver): Limits => (driver === 'vxlan' ? UNNOTICED : { gapMs: 1000, resets: 0 });

const isBetween =
  (one: string, other: string): NonNullable<Scenario['hits']> =>
  ({ from, to }) =>
    [from.cluster, to.cluster].toSorted().join() === [one, other].toSorted().join();

const operator = ['-n', OPERATOR_NAMESPACE];
const GATEWAY_LABEL = 'submariner.io/gateway';
const AWAY_MS = 60_000;
/** A node of a busy cluster may follow that late. */
const LATE_MS = 4000;
/** So long a gateway that has failed is not quite trusted, by itself neither. */
const DOUBT_MS = 31_000;

function gatewayPod(world: FaultWorld, node: string): string {
  const select = ['-l', 'app=submariner-gateway', '--field-selector', `spec.nodeName=${node}`];
  return world.kubectl('--context', 'east', ...operator, 'get', 'pods', ...select, '-o', 'name').trim();
}

const heal = async ({ world }: Stage): Promise<void> => world.fault('--heal');
const nothing = async (): Promise<void> => undefined;

function blackhole(name: string, what: string, ...flags: readonly string[]): Scenario {
  return {
    name,
    what,
    moves: 'yes',
    breaks: async ({ world, active }) => {
      await world.fault('east', active, '--blackhole', ...flags);
      return [active];
    },
    mends: heal,
    limits: () => SILENT_DEATH,
    afterwards: UNNOTICED,
    fromStandby: true,
  };
}

function processKill(program: string, drivers: readonly Driver[] | undefined, limits: Scenario['limits']): Scenario {
  return {
    name: `${program}-kill`,
    what: `kill -9 of ${program} on the active gateway`,
    ...(drivers === undefined ? {} : { drivers }),
    moves: 'either',
    breaks: async ({ world, active }) => {
      await world.fault('east', active, '--kill-process', program);
      return [];
    },
    mends: nothing,
    limits,
    afterwards: UNNOTICED,
    fromStandby: true,
  };
}

function away(name: string, what: string, cluster: string, ...flags: readonly string[]): Scenario {
  return {
    name,
    what,
    moves: 'no',
    lastsMs: AWAY_MS,
    breaks: async ({ world }) => {
      await world.fault(cluster, '--api', ...flags);
      return [];
    },
    mends: heal,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  };
}

const planned: readonly Scenario[] = [
  {
    name: 'drain',
    what: 'the pod of the active gateway is deleted',
    moves: 'yes',
    breaks: async ({ world, active }) => {
      world.kubectl('--context', 'east', ...operator, 'delete', '--wait=false', gatewayPod(world, active));
      return [];
    },
    mends: nothing,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'drain-late-node',
    what: 'the pod of the active gateway is deleted while a node takes its time to follow',
    moves: 'yes',
    breaks: async ({ world, active }) => {
      await world.fault('east', world.worker('east'), '--pause-process', 'routeagent');
      world.kubectl('--context', 'east', ...operator, 'delete', '--wait=false', gatewayPod(world, active));
      await pause(LATE_MS);
      await world.fault('--heal');
      return [];
    },
    mends: nothing,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'label',
    what: 'the active gateway loses its label',
    moves: 'yes',
    breaks: async ({ world, active }) => {
      world.kubectl('--context', 'east', 'label', 'node', active, `${GATEWAY_LABEL}-`);
      return [];
    },
    mends: async ({ world, active }) =>
      void world.kubectl('--context', 'east', 'label', 'node', active, `${GATEWAY_LABEL}=true`),
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'rolling-restart',
    what: 'all gateways are restarted one after the other',
    moves: 'either',
    lastsMs: 15_000,
    breaks: async ({ world }) => {
      world.kubectl('--context', 'east', ...operator, 'rollout', 'restart', 'daemonset/submariner-gateway');
      return [];
    },
    mends: nothing,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
];

const deaths: readonly Scenario[] = [
  processKill('engine', undefined, processDeath),
  processKill('charon', ['ipsec'], () => SILENT_DEATH),
  processKill('wireguard-go', ['wireguard'], () => SILENT_DEATH),
  {
    name: 'engine-pause',
    what: 'the engine of the active gateway stands still for a while',
    moves: 'either',
    lastsMs: 15_000,
    breaks: async ({ world, active }) => {
      await world.fault('east', active, '--pause-process', 'engine');
      // Nobody changes anything on its node meanwhile; what it had goes on.
      return [active];
    },
    mends: heal,
    limits: processDeath,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'node-kill',
    what: 'the active gateway loses its power',
    moves: 'yes',
    breaks: async ({ world, active }) => {
      await world.fault('east', active, '--kill');
      return [active];
    },
    mends: heal,
    limits: () => SILENT_DEATH,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'node-kill-without-broker',
    what: 'the active gateway loses its power while the broker is away',
    moves: 'yes',
    breaks: async ({ world, active }) => {
      await world.fault('north', '--api', 'refuse', '--only', 'wan');
      await world.fault('east', active, '--kill');
      return [active];
    },
    mends: heal,
    limits: () => SILENT_DEATH,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'standby-kill',
    what: 'the standby loses its power',
    moves: 'no',
    lastsMs: 8000,
    breaks: async ({ world, standby }) => {
      await world.fault('east', standby, '--kill');
      return [standby];
    },
    mends: heal,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
  },
  {
    name: 'both-kill',
    what: 'both gateways lose their power and the one that stood by returns',
    moves: 'yes',
    breaks: async ({ world, active, standby }) => {
      await world.fault('east', standby, '--kill');
      await world.fault('east', active, '--kill');
      await world.fault('east', standby, '--heal');
      return [active];
    },
    mends: heal,
    // A node has to start, with its pods.
    limits: () => ({ gapMs: 30_000, resets: 0 }),
    afterwards: UNNOTICED,
  },
];

const networks: readonly Scenario[] = [
  blackhole('blackhole', 'the active gateway loses every packet'),
  blackhole('blackhole-in', 'nothing reaches the active gateway', '--direction', 'in'),
  blackhole('blackhole-out', 'nothing comes from the active gateway', '--direction', 'out'),
  {
    ...blackhole('blackhole-wan', 'the active gateway reaches its own cluster only', '--only', 'wan'),
    wellForMs: DOUBT_MS,
  },
  {
    ...blackhole(
      'blackhole-tunnels',
      'the cables of the active gateway carry nothing, all else is well',
      '--only',
      'tunnels',
    ),
    wellForMs: DOUBT_MS,
  },
  {
    name: 'wan-loss',
    what: 'the WAN loses 30 % of the packets',
    moves: 'no',
    hitsToTheEnd: true,
    lastsMs: 20_000,
    breaks: async ({ world }) => {
      await world.fault('--wan-loss', '30');
      return [];
    },
    mends: heal,
    limits: () => ({ gapMs: 500, resets: 0 }),
    afterwards: UNNOTICED,
    fromStandby: true,
  },
  {
    name: 'partition',
    what: 'east and west do not reach each other, north reaches both',
    moves: 'no',
    hitsToTheEnd: true,
    lastsMs: 20_000,
    breaks: async ({ world }) => {
      await world.fault('--partition', 'east,west');
      return [];
    },
    mends: heal,
    limits: () => ({ gapMs: Number.POSITIVE_INFINITY, resets: 0 }),
    afterwards: UNNOTICED,
    hits: isBetween('east', 'west'),
  },
];

const CLOCK = `
import { readFileSync } from 'node:fs';
const file = process.env.CLOCK_DIR + '/' + process.env.NODE_NAME;
let offsetMs = 0;
const read = () => { try { offsetMs = Number(readFileSync(file, 'utf8')) || 0; } catch { offsetMs = 0; } };
read();
setInterval(read, 20).unref();
const RealDate = Date;
globalThis.Date = class Date extends RealDate {
  constructor(...args) { if (args.length === 0) super(RealDate.now() + offsetMs); else super(...args); }
  static now() { return RealDate.now() + offsetMs; }
};
`;

/** The engines of east are started with a clock that can be set, which is a rolling restart of its own. */
async function withClocks(world: FaultWorld): Promise<string> {
  const dir = path.dirname(world.files.dir);
  const preload = path.join(dir, 'clock.mjs');
  writeFileSync(preload, CLOCK);
  const env = [`NODE_OPTIONS=--import=${preload}`, `CLOCK_DIR=${dir}`];
  world.kubectl('--context', 'east', ...operator, 'set', 'env', 'daemonset/submariner-gateway', ...env);
  await pause(1000);
  await world.settle();
  return dir;
}

function clockJump(name: string, what: string, offsetMs: number): Scenario {
  return {
    name,
    what,
    moves: 'either',
    lastsMs: 15_000,
    breaks: async ({ world }) => {
      const dir = await withClocks(world);
      const [active = ''] = Object.values(await world.settle());
      writeFileSync(path.join(dir, active), String(offsetMs));
      return [];
    },
    mends: async ({ world }) => {
      for (const node of world.gateways('east'))
        rmSync(path.join(path.dirname(world.files.dir), node), { force: true });
    },
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  };
}

const control: readonly Scenario[] = [
  away('api-refused', 'the API server of east is gone for a minute', 'east', 'refuse'),
  away('api-silent', 'the API server of east hangs for a minute', 'east', 'blackhole'),
  away('remote-api-refused', 'the API server of west is gone for a minute', 'west', 'refuse'),
  away('remote-api-silent', 'the API server of west hangs for a minute', 'west', 'blackhole'),
  away('broker-refused', 'the broker is gone for a minute', 'north', 'refuse', '--only', 'wan'),
  away('broker-silent', 'the broker hangs for a minute', 'north', 'blackhole', '--only', 'wan'),
  clockJump('clock-forward', 'the clock of the active gateway jumps an hour ahead', 3_600_000),
  clockJump('clock-back', 'the clock of the active gateway jumps an hour back', -3_600_000),
  {
    name: 'foreign-lease',
    what: 'somebody else writes the lease',
    moves: 'either',
    lastsMs: 15_000,
    breaks: async ({ world }) => {
      const spec = { holderIdentity: 'somebody-else', renewTime: new Date().toISOString().replace('Z', '000Z') };
      const patch = ['--type', 'merge', '-p', JSON.stringify({ spec })];
      world.kubectl('--context', 'east', ...operator, 'patch', 'lease', 'submariner-gateway-lock', ...patch);
      return [];
    },
    mends: nothing,
    limits: () => UNNOTICED,
    afterwards: UNNOTICED,
    fromStandby: true,
  },
];

/** Every kind of failure. */
export const SCENARIOS: readonly Scenario[] = [...planned, ...deaths, ...networks, ...control];

/** The kinds of failure that concern a driver. */
export function scenariosFor(driver: Driver, only: readonly string[] = []): readonly Scenario[] {
  return SCENARIOS.filter(
    ({ name, drivers }) => (drivers?.includes(driver) ?? true) && (only.length === 0 || only.includes(name)),
  );
}

/** The stage of the next failure: who carries in east, and who stands by. */
export function stageOf(world: FaultWorld, leaders: Leaders): Stage {
  const active = leaders['east'] ?? '';
  return { world, active, standby: world.gateways('east').find((node) => node !== active) ?? '' };
}
