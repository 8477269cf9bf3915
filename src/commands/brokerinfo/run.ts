import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { renderBrokerInfo } from '../../api/brokerinfo.ts';
import { clusterIdProblem } from '../../api/clusterid.ts';
import { type JoinFile, joinFileAnnotations } from '../../api/joinfile.ts';
import type { Endpoint } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { SHORTEST_TOKEN_SECONDS } from '../../kube/tokenrequest.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import { atBroker, type BrokerAdmin, brokerAdmin } from '../brokeradmin.ts';
import { writeBrokerInfoFile } from '../brokerinfofile.ts';
import type { CommandRun } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { type Column, renderStructured, renderTable } from '../output.ts';
import { createJoinAccount, endOf, type JoinAccount, listJoinAccounts, removeJoinAccount } from './account.ts';
import type { CreateOptions, FromOptions } from './options.ts';

/** A join file as -o json prints it. */
interface JoinFileItem {
  readonly name: string;
  /** '' when it is for any ID. */
  readonly clusterId: string;
  readonly created: string;
  readonly expires: string;
  readonly state: 'valid' | 'expired';
}

/** Writes a file with which one cluster can join once. */
export async function createJoinFile(run: CommandRun, options: CreateOptions): Promise<void> {
  const { reporter, context } = run;
  const { clusterid: clusterId, expires } = checked(options);
  const admin = await brokerAdmin(run, options.from);
  const { namespace } = admin.access;
  const account = `join-${clusterId ?? 'any'}-${randomBytes(4).toString('hex')}`;
  const file: JoinFile = { account, clusterId };
  const nowMs = context.clock.now();
  const token = await reporter.step(`Making a join file on the broker ${admin.access.server}`, async () =>
    atBroker(admin, async () => {
      await forgetExpired(admin.client, namespace, nowMs);
      const former = await endpointsOf(admin, clusterId);
      return issue(admin, { namespace, file, nowMs, lifeMs: expires, former });
    }),
  );
  const name = options.file ?? `join-${clusterId ?? 'any'}.subm`;
  const target = path.resolve(context.cwd, name);
  const { kept } = await writeBrokerInfoFile(target, contentOf(admin, file, token), nowMs);
  if (kept !== undefined) reporter.info(`   the earlier file is kept as ${path.basename(kept)}`);
  const endMs = endOf(token, nowMs + expires);
  tell(run, name, clusterId, endMs);
  const { output } = run.flags;
  const facts = { file: name, name: account, clusterId: clusterId ?? '', expires: timeOf(endMs) };
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(facts, output));
  else if (output === 'name') run.print(`${account}\n`);
}

function tell({ reporter, context }: CommandRun, name: string, clusterId: string | undefined, endMs: number): void {
  const left = formatDuration(endMs - context.clock.now());
  reporter.done(`Wrote ${name}: one cluster can join with it, until ${timeOf(endMs)} (${left})`);
  if (clusterId === undefined) {
    reporter.warn(
      'without --clusterid the file is for any ID: until it is used or ends, its holder can do on the broker what the administrator can',
    );
  }
  reporter.info('   It holds the pre-shared key: keep it secret also when it has ended.');
  const id = clusterId === undefined ? '' : ` --clusterid ${clusterId}`;
  reporter.info(`   Next: subctl join ${name} --context CLUSTER${id}`);
}

function checked(options: CreateOptions): CreateOptions {
  const { clusterid, expires } = options;
  const problem = clusterid === undefined ? undefined : clusterIdProblem(clusterid);
  if (problem !== undefined) throw new UsageError(`--clusterid: ${problem}`);
  if (expires < SHORTEST_TOKEN_SECONDS * 1000)
    throw new UsageError(`--expires: ${expires / 1000}s is shorter than 10m, the shortest that there is`);
  return options;
}

async function issue({ client, file }: BrokerAdmin, wish: Parameters<typeof createJoinAccount>[1]): Promise<string> {
  try {
    return await createJoinAccount(client, wish);
  } catch (error) {
    if (!isForbidden(error) && !isNotFound(error)) throw error;
    throw new ExpectedError(`the broker does not let ${file} issue join files`, {
      hint: 'It was made by another program or an older version: subctl deploy-broker on the broker adds what is missing.',
      cause: error,
    });
  }
}

async function endpointsOf({ client, access }: BrokerAdmin, clusterId: string | undefined): Promise<readonly string[]> {
  const { items } = await client.list<Endpoint>(RESOURCES.endpoints, { namespace: access.namespace });
  const own = items.filter(({ spec }) => (spec as Partial<Endpoint['spec']> | undefined)?.cluster_id === clusterId);
  return own.map(({ metadata }) => metadata.name ?? '');
}

function contentOf({ info, access }: BrokerAdmin, file: JoinFile, token: string): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const { namespace } = access;
  const data = { ...info.clientToken.data, token: base64(token) };
  const metadata = { name: file.account, namespace, annotations: joinFileAnnotations(file) };
  return renderBrokerInfo({ ...info, clientToken: { metadata, data, type: 'Opaque' } });
}

/** What has expired is of no use to anybody; it is not worth a word. */
async function forgetExpired(client: KubeClient, namespace: string, nowMs: number): Promise<void> {
  const accounts = await listJoinAccounts(client, namespace);
  for (const { name, expiresMs } of accounts) if (expiresMs < nowMs) await removeJoinAccount(client, namespace, name);
}

const COLUMNS: readonly Column<JoinFileItem>[] = [
  { header: 'NAME', value: ({ name }) => name },
  { header: 'CLUSTER ID', value: ({ clusterId }) => (clusterId === '' ? 'any' : clusterId) },
  { header: 'CREATED', value: ({ created }) => created },
  { header: 'EXPIRES', value: ({ expires }) => expires },
  { header: 'STATE', value: ({ state }) => state },
];

function itemOf({ name, clusterId, createdMs, expiresMs }: JoinAccount, nowMs: number): JoinFileItem {
  const state = expiresMs < nowMs ? 'expired' : 'valid';
  return { name, clusterId: clusterId ?? '', created: timeOf(createdMs), expires: timeOf(expiresMs), state };
}

/** Lists the join files that were not used yet. */
export async function listJoinFiles(run: CommandRun, { from }: FromOptions): Promise<void> {
  const admin = await brokerAdmin(run, from);
  const accounts = await atBroker(admin, async () => listJoinAccounts(admin.client, admin.access.namespace));
  const items = accounts.map((account) => itemOf(account, run.context.clock.now()));
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured({ items }, output));
  else if (output === 'name') run.print(items.map(({ name }) => `${name}\n`).join(''));
  else if (items.length === 0) run.reporter.done('No join files that were not used');
  else run.print(renderTable(COLUMNS, items, output === 'wide'));
}

/** Ends join files at once. */
export async function revokeJoinFiles(run: CommandRun, names: readonly string[], { from }: FromOptions): Promise<void> {
  const admin = await brokerAdmin(run, from);
  const { client, access } = admin;
  await atBroker(admin, async () => {
    const known = await listJoinAccounts(client, access.namespace);
    const unknown = names.filter((name) => !known.some((account) => account.name === name));
    if (unknown.length > 0) {
      throw new ExpectedError(`the broker knows no join file ${unknown.join(', ')}`, {
        hint: 'It may have been used or revoked; subctl broker-info list shows the others. Nothing was changed.',
      });
    }
    for (const name of names) await removeJoinAccount(client, access.namespace, name);
  });
  run.reporter.done(`Revoked: ${names.join(', ')}`);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
