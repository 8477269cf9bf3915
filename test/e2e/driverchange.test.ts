import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import { planSandbox } from '../../src/sandbox/plan.ts';
import type { TrafficReport } from '../../src/sandbox/traffic/report.ts';
import { type Finished, TestSandbox } from './subctl.ts';
import { withTraffic } from './traffic.ts';

/** On a busy machine programs stand still for seconds; a gateway that does is not to be taken for a dead one here. */
const PATIENT =
  '--gateway-probe-interval 1000 --gateway-lease-duration 30 --gateway-renew-deadline 20 --gateway-retry-period 2';
/**
 * No gateway waits until another one's lease has run out, 20 s and more here. How long the gap is depends on the machine, on
 * which all gateways start programs at the same moment.
 */
const MOST_MS = 10_000;

interface Item {
  readonly cableDriver: string;
  readonly status: string;
}

describe('another cable driver, with traffic running', () => {
  const sandbox = new TestSandbox();
  const files = sandboxFiles(path.join(sandbox.root, 'state'), sandbox.name);

  /** Traffic from and to either gateway node while a cluster is joined again. */
  async function rejoin(
    cluster: string,
    driver: string,
  ): Promise<Finished & { readonly reports: readonly TrafficReport[] }> {
    return withTraffic(sandbox, files, async () => {
      const identity = ['--context', cluster, ...sandbox.kubeconfig];
      const finished = await sandbox.run('join', 'broker-info.subm', '--yes', '--cable-driver', driver, ...identity);
      await sandbox.ok('show', 'connections', '--wait', '--timeout', '1m', ...sandbox.kubeconfig);
      return finished;
    });
  }

  const plan = planSandbox({ name: sandbox.name, clusters: ['east', 'west'], nodes: 2, gateways: 2 });
  const nft = (...args: readonly string[]): string =>
    execFileSync('ip', ['netns', 'exec', plan.wan.namespace, 'nft', ...args], { encoding: 'utf8' });

  /** Counts what the router between the clusters gets: packets between pods as they are, and those of tunnels. */
  function watchWire(): void {
    const ways = plan.clusters.map(({ bridge, podCidr }) => ({ bridge, from: podCidr }));
    const others = (from: string): string =>
      plan.clusters.flatMap(({ podCidr }) => (podCidr === from ? [] : podCidr)).join();
    // What the other side has decrypted crosses its own LAN as it is.
    const clear = ways
      .map(({ bridge, from }) => `iifname "${bridge}" ip saddr ${from} ip daddr ${others(from)} counter name clear;`)
      .join(' ');
    const rules = `${clear} udp dport { 4500, 4501 } counter name tunnels;`;
    const chain = `chain entering { type filter hook prerouting priority -10; ${rules} }`;
    nft(`table inet change-watch { counter clear {}; counter tunnels {}; ${chain}; }`);
  }

  function onWire(): { readonly clear: number; readonly tunnels: number } {
    const listing = nft('list', 'counters', 'table', 'inet', 'change-watch');
    const count = (name: string): number => Number(new RegExp(`${name} \\{\\s+packets (\\d+)`).exec(listing)?.[1]);
    return { clear: count('clear'), tunnels: count('tunnels') };
  }

  async function inUse(): Promise<readonly Item[]> {
    const shown = JSON.parse(await sandbox.ok('show', 'connections', '-o', 'json', ...sandbox.kubeconfig)) as {
      readonly items: readonly Item[];
    };
    return shown.items.map(({ cableDriver, status }) => ({ cableDriver, status }));
  }

  const connected = (cableDriver: string): readonly Item[] =>
    ['east', 'west'].map(() => ({ cableDriver, status: 'connected' }));
  /** The longest time without an answer in which the sender was at work. */
  const gapMs = ({ udp }: TrafficReport): number => Math.max(0, ...udp.gaps.map(({ ms, stalledMs }) => ms - stalledMs));

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2', '--gateways', '2');
    await sandbox.ok('deploy-broker', '--context', 'east', ...sandbox.kubeconfig);
    await sandbox.join('--gateways', '2', ...PATIENT.split(' '));
    watchWire();
  }, 300_000);

  afterAll(() => sandbox.dispose());

  test('the first cluster only announces it, and loses nothing', async () => {
    const { code, stderr, reports } = await rejoin('east', 'wireguard');
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(
        /stays libreswan until west joined with --cable-driver wireguard too[\s\S]*subctl join broker-info\.subm --cable-driver wireguard --context/,
      ),
    });
    expect(await inUse()).toEqual(connected('libreswan'));
    const some = { lost: 0, resets: [], many: true };
    expect(reports.map(({ udp, tcp }) => ({ lost: udp.lost, resets: tcp.resets, many: udp.sent > 100 }))).toEqual([
      some,
      some,
      some,
    ]);
    const gateways = await sandbox.ok('show', 'gateways', '--context', 'east', ...sandbox.kubeconfig);
    expect(gateways).toContain('changes to wireguard together with west');
    expect(
      sandbox.kubectl('--context', 'west', '-n', 'submariner-operator', 'get', 'endpoints.submariner.io', '-o', 'yaml'),
    ).toContain('"change":{"backend":"wireguard"');
  }, 400_000);

  test('with the last one all change at once: a short gap, no connection ends', async () => {
    const { code, stderr, reports } = await rejoin('west', 'wireguard');
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(
        'changes from libreswan to wireguard at the end of this join, in all clusters at once',
      ),
    });
    expect(await inUse()).toEqual(connected('wireguard'));
    const gaps = reports.map(gapMs);
    process.stderr.write(`gaps of the change from libreswan to wireguard: ${gaps.map(Math.round).join(', ')} ms\n`);
    expect(gaps.filter((ms) => ms > MOST_MS)).toEqual([]);
    expect(reports.flatMap(({ tcp }) => tcp.resets)).toEqual([]);
    const { clear, tunnels } = onWire();
    expect({ clear, tunnels: tunnels > 1000 }).toEqual({ clear: 0, tunnels: true });
    await sandbox.ok('diff', '--context', 'west', ...sandbox.kubeconfig);
    const again = await sandbox.run('join', 'broker-info.subm', '--context', 'west', ...sandbox.kubeconfig);
    expect(again).toMatchObject({ code: 0, stderr: expect.not.stringContaining('cable driver') });
  }, 400_000);
});
