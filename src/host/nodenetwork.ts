import { ipFamily } from '../net/cidr.ts';
import type { NodeLink, NodeNetwork } from '../net/nodenetwork.ts';
import type { RouteState } from '../net/state.ts';
import { answerOf, readBatch } from './batch.ts';
import type { CommandRunner } from './command.ts';
import { MAIN_TABLE, parseJsonList, parseLinks, parseRoutes, parseRules } from './ip.ts';
import { NETCONF_QUESTION, parseNetconf } from './netconf.ts';

type Json = Readonly<Record<string, unknown>>;

function counter(item: Json, direction: 'rx' | 'tx', name: string): number {
  const all = item['stats64'] as Readonly<Record<string, Json | undefined>> | undefined;
  const value = all?.[direction]?.[name];
  return typeof value === 'number' ? value : 0;
}

/** Reads `ip -s -d -j addr show`. */
export function parseLinkCounters(output: string): readonly NodeLink[] {
  const items = parseJsonList(output, 'ip -s -d -j addr show');
  const byName = new Map(items.map((item) => [item['ifname'], item]));
  return parseLinks(output).map(({ name, kind, mtuBytes, up, addresses }) => {
    const item = byName.get(name) ?? {};
    return {
      name,
      kind,
      mtuBytes,
      up,
      addresses,
      rxBytes: counter(item, 'rx', 'bytes'),
      txBytes: counter(item, 'tx', 'bytes'),
      rxDropped: counter(item, 'rx', 'dropped'),
      txDropped: counter(item, 'tx', 'dropped'),
    };
  });
}

/** Reads `ip -N -j route show table all`: IPv4 routes of types the model knows, each with its table. */
export function parseAllRoutes(output: string): readonly RouteState[] {
  const byTable = Map.groupBy(parseJsonList(output, 'ip -N -j route show table all'), (item) =>
    Number(item['table'] ?? MAIN_TABLE),
  );
  return [...byTable]
    .toSorted(([a], [b]) => a - b)
    .flatMap(([table, items]) => parseRoutes(table, JSON.stringify(items)))
    .filter(({ destination }) => ipFamily(destination) === 4);
}

/** All links with their counters. */
export async function observeLinkCounters(runner: CommandRunner, signal?: AbortSignal): Promise<readonly NodeLink[]> {
  const { stdout } = await runner.run('ip', ['-s', '-d', '-j', 'addr', 'show'], signal === undefined ? {} : { signal });
  return parseLinkCounters(stdout);
}

/** The whole network of this machine, whoever made it; rejects when any of it cannot be read. */
export async function observeNodeNetwork(runner: CommandRunner, signal?: AbortSignal): Promise<NodeNetwork> {
  const questions = [['rule', 'show'], ['route', 'show', 'table', 'all'], NETCONF_QUESTION];
  const [links, outcomes] = await Promise.all([
    observeLinkCounters(runner, signal),
    readBatch(runner, questions, signal),
  ]);
  const answer = (index: number): string => answerOf(outcomes[index], (questions[index] ?? []).join(' '));
  return {
    links,
    rules: parseRules(answer(0)),
    routes: parseAllRoutes(answer(1)),
    sysctls: [...parseNetconf(answer(2))].map(([key, value]) => ({ key, value })),
  };
}
